use crate::tensor::{Tensor, TensorMut};

pub(super) fn run(x: Tensor<'_>, out: &mut TensorMut<'_>) {
    for y in 0..x.at.h {
        for i in 0..x.at.w {
            let at = |c: usize| x.row(c, y).get(i).copied().unwrap_or(f32::NEG_INFINITY);
            // Less the largest: no exponential overflows, and the quotient is the same.
            let largest = (0..x.at.c).map(at).fold(f32::NEG_INFINITY, f32::max);
            let mut sum = 0.0;
            for c in 0..x.at.c {
                let e = libm::expf(at(c) - largest);
                sum += e;
                if let Some(to) = out.row(c, y).get_mut(i) {
                    *to = e;
                }
            }
            for c in 0..x.at.c {
                if let Some(to) = out.row(c, y).get_mut(i) {
                    *to /= sum;
                }
            }
        }
    }
}
