//! How far an f32 result may be from its f64 oracle: `absolute + relative |oracle|`. All
//! inputs are of magnitude 1, so that `absolute` is a share of them too.

#[derive(Clone, Copy)]
pub(crate) struct Tolerance {
    pub(crate) absolute: f64,
    pub(crate) relative: f64,
}

const fn tolerance(absolute: f64, relative: f64) -> Tolerance {
    Tolerance { absolute, relative }
}

/// A few roundings.
pub(crate) const ELEMENT: Tolerance = tolerance(1e-6, 1e-6);
/// `exp` and `tanh` of a shader.
pub(crate) const TRANSCENDENTAL: Tolerance = tolerance(2e-6, 1e-5);
/// Products and sums of at most some hundred terms.
pub(crate) const SHORT_SUM: Tolerance = tolerance(5e-6, 5e-6);
/// Products and sums of some thousand terms of either sign, one after the other.
pub(crate) const SUM: Tolerance = tolerance(2e-5, 5e-6);
/// Products and sums of so many terms of either sign.
pub(crate) fn of_terms(terms: usize) -> Tolerance {
    if terms > 500 { SUM } else { SHORT_SUM }
}

/// Products and sums of hundred thousands of terms of one sign.
pub(crate) const LONG_SUM: Tolerance = tolerance(0.0, 2e-5);
/// A result that is to be as accurate as f32 can hold.
pub(crate) const ROUNDED: Tolerance = tolerance(1e-30, 2.5e-7);
/// Gradients against central differences of a smooth f64 oracle.
pub(crate) const GRADIENT: Tolerance = tolerance(3e-6, 2e-5);
/// Several optimizer steps.
pub(crate) const STEPS: Tolerance = tolerance(2e-6, 1e-5);
/// Objective of a factorization after several iterations, each a chain of products and inverses.
pub(crate) const FACTORS: Tolerance = tolerance(1e-4, 1e-4);
