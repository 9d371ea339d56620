//! Which outputs of a sliding window each of its taps reaches.

use core::ops::Range;

use crate::device::Window;

/// One axis of a window.
#[derive(Clone, Copy)]
pub(super) struct Axis {
    pub(super) input: usize,
    pub(super) output: usize,
    pub(super) kernel: usize,
    pub(super) stride: usize,
    dilation: usize,
    before: usize,
    after: usize,
}

/// A tap's outputs on one axis, and the input of the first of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reach {
    pub(super) outputs: Range<usize>,
    pub(super) first: usize,
}

impl Axis {
    pub(super) fn rows(w: &Window) -> Self {
        Self {
            input: w.h,
            output: w.oh,
            kernel: w.kernel[0],
            stride: w.stride[0],
            dilation: w.dilation[0],
            before: w.pad.top.into(),
            after: w.pad.bottom.into(),
        }
    }

    pub(super) fn cols(w: &Window) -> Self {
        Self {
            input: w.w,
            output: w.ow,
            kernel: w.kernel[1],
            stride: w.stride[1],
            dilation: w.dilation[1],
            before: w.pad.left.into(),
            after: w.pad.right.into(),
        }
    }

    /// Outputs for which a tap lies on the input.
    pub(super) fn reach(&self, tap: usize) -> Reach {
        let at = tap * self.dilation;
        let start = self.before.saturating_sub(at).div_ceil(self.stride);
        let end = (self.input + self.before).saturating_sub(at).div_ceil(self.stride).min(self.output);
        if start >= end {
            return Reach { outputs: 0..0, first: 0 };
        }
        Reach { outputs: start..end, first: start * self.stride + at - self.before }
    }

    /// [`reach`](Self::reach) of every tap.
    pub(super) fn reaches(&self) -> Vec<Reach> {
        (0..self.kernel).map(|tap| self.reach(tap)).collect()
    }

    /// Input of a tap at one output, if it lies on the input.
    pub(super) fn input_of(&self, output: usize, tap: usize) -> Option<usize> {
        (output * self.stride + tap * self.dilation).checked_sub(self.before).filter(|i| *i < self.input)
    }

    /// Number of taps that lie on the input, or on the input or its padding, for each output.
    pub(super) fn taps(&self, padded: bool) -> Vec<f32> {
        let range = if padded {
            0..self.before + self.input + self.after
        } else {
            self.before..self.before + self.input
        };
        let at = |output: usize, tap: usize| output * self.stride + tap * self.dilation;
        (0..self.output)
            .map(|output| (0..self.kernel).filter(|&tap| range.contains(&at(output, tap))).count() as f32)
            .collect()
    }
}

/// `f(i, from[i * stride])` for `i` in `0..n`.
pub(super) fn gather(n: usize, from: &[f32], stride: usize, f: impl FnMut(usize, f32)) {
    match stride {
        1 => gather_by::<1>(n, from, f),
        2 => gather_by::<2>(n, from, f),
        3 => gather_by::<3>(n, from, f),
        _ => from.iter().step_by(stride).take(n).enumerate().for_each({
            let mut f = f;
            move |(i, &x)| f(i, x)
        }),
    }
}

/// [`gather`] with a stride that the compiler knows.
fn gather_by<const STRIDE: usize>(n: usize, from: &[f32], mut f: impl FnMut(usize, f32)) {
    let (steps, rest) = from.as_chunks::<STRIDE>();
    let whole = n.min(steps.len());
    for (i, step) in steps[..whole].iter().enumerate() {
        f(i, step[0]);
    }
    // A last, partial step.
    if whole < n {
        f(whole, rest[0]);
    }
}

/// `to[i * stride] += from[i]` for all of `from`.
pub(super) fn scatter_add(to: &mut [f32], from: &[f32], stride: usize) {
    match stride {
        1 => to.iter_mut().zip(from).for_each(|(to, from)| *to += from),
        _ => to.iter_mut().step_by(stride).zip(from).for_each(|(to, from)| *to += from),
    }
}
