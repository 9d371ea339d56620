//! The multiplicative rule of DFMF (Žitnik & Zupan 2015): the reference.

use super::state::{State, into, plain};
use crate::device::Device;

/// Least denominator: far below the squares of any weights, and its quotients stay finite.
const EPS: f32 = 1e-30;

/// `G_i <- G_i o sqrt(N_i / D_i)` for all types at once. With `A = R X` and `B = X^T X` of each
/// relation (see [`State::normal_equations`]) and `x = x+ - x-`:
/// `N_i = sum A+ + G_i B-`, `D_i = sum A- + G_i B+`.
pub(super) fn update<D: Device>(state: &mut State<'_, D>) {
    let device = state.device;
    let mut parts = Vec::with_capacity(state.g.len());
    for of in 0..state.g.len() {
        let (n, k) = (state.sizes[of], state.ranks[of]);
        let [mut a, mut numerator, mut denominator] = [n * k; 3].map(|len| device.zeros(len));
        let [mut b, mut b_pos, mut b_neg] = [k * k; 3].map(|len| device.zeros(len));
        for side in state.sides(of) {
            state.normal_equations(side, 0.0, &mut a, &mut b);
            device.add_signed_parts(&a, &mut numerator, &mut denominator);
            device.add_signed_parts(&b, &mut b_pos, &mut b_neg);
        }
        let g = &state.g[of];
        device.gemm([n, k, k], 1.0, plain(g, k), plain(&b_neg, k), 1.0, into(&mut numerator, k));
        device.gemm([n, k, k], 1.0, plain(g, k), plain(&b_pos, k), 1.0, into(&mut denominator, k));
        parts.push((numerator, denominator));
    }
    for (g, (numerator, denominator)) in state.g.iter_mut().zip(&parts) {
        device.multiplicative_update(numerator, denominator, EPS, g);
    }
}
