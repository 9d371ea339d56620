//! The faster solver: accelerated projected gradient on each factor in turn, as in NeNMF (Guan,
//! Tao, Luo & Yuan, IEEE TSP 60(6), 2012); for tri-factorization compare Čopar, Zupan & Žitnik,
//! PLOS ONE 14(6), 2019.

use nalgebra::DVector;
use tfc_formats::op::Activation;

use super::state::{State, duplicate, into, plain, symmetric};
use crate::device::{Device, DeviceError};

/// Gradient steps on one factor before the next. They cost `n k^2` each, little beside the
/// products with the relations.
const STEPS: usize = 10;

/// Each `G_i` in turn goes towards the minimum of `tr(G H G^T) - 2 tr(G^T M)`, `G >= 0`, where
/// `M = sum R X` and `H = sum X^T X` over its relations (see [`State::normal_equations`]).
pub(super) fn update<D: Device>(state: &mut State<'_, D>) -> Result<(), DeviceError> {
    let device = state.device;
    for of in 0..state.g.len() {
        let (n, k) = (state.sizes[of], state.ranks[of]);
        let [mut m, mut scaled, mut point] = [n * k; 3].map(|len| device.zeros(len));
        let mut h = device.zeros(k * k);
        for (count, side) in state.sides(of).into_iter().enumerate() {
            let beta = if count == 0 { 0.0 } else { 1.0 };
            state.normal_equations(side, beta, &mut m, &mut h);
        }
        let Some((step, contraction)) = step_sizes(k, &device.download(&h)?) else { continue };
        let (step, contraction) = (device.upload(&step), device.upload(&contraction));
        device.gemm([n, k, k], 1.0, plain(&m, k), plain(&step, k), 0.0, into(&mut scaled, k));

        // `y` is the extrapolated point; the gradient step from it is `y (I - H P) + M P`.
        let mut g = duplicate(device, &state.g[of]);
        let mut y = duplicate(device, &g);
        let mut t = 1.0f32;
        for _ in 0..STEPS {
            device.copy(&scaled, 0, &mut point, 0, n * k);
            device.gemm([n, k, k], 1.0, plain(&y, k), plain(&contraction, k), 1.0, into(&mut point, k));
            device.activation(Activation::Relu, &point, &mut m);
            let next = (1.0 + (1.0 + 4.0 * t * t).sqrt()) / 2.0;
            let momentum = (t - 1.0) / next;
            t = next;
            device.copy(&m, 0, &mut y, 0, n * k);
            device.axpby(-momentum, &g, 1.0 + momentum, &mut y);
            std::mem::swap(&mut g, &mut m);
        }
        state.g[of] = g;
    }
    Ok(())
}

/// Step sizes `P`, one a column, and `I - H P`, or `None` where `H` is zero or not finite. With
/// `D` the diagonal of `H`, `P = D^-1 / L` and `L` the largest eigenvalue of
/// `D^-1/2 H D^-1/2`: the fixed step `1 / L` on columns scaled to equal curvature.
fn step_sizes(k: usize, h: &[f32]) -> Option<(Vec<f32>, Vec<f32>)> {
    let h = symmetric(k, h)?;
    let scale: DVector<f64> = h.diagonal().map(|d| if d > 0.0 { 1.0 / d.sqrt() } else { 0.0 });
    let mut scaled = h.clone();
    for (j, mut column) in scaled.column_iter_mut().enumerate() {
        column.component_mul_assign(&(&scale * scale[j]));
    }
    let largest = scaled.symmetric_eigenvalues().max();
    if largest <= 0.0 {
        return None;
    }
    let mut step = vec![0.0; k * k];
    let mut contraction = vec![0.0; k * k];
    for j in 0..k {
        let p = scale[j] * scale[j] / largest;
        step[j * k + j] = p as f32;
        for i in 0..k {
            let identity = if i == j { 1.0 } else { 0.0 };
            contraction[i * k + j] = (identity - h[(i, j)] * p) as f32;
        }
    }
    Some((step, contraction))
}
