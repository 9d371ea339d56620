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

/// `table[d]` is the exponential of a byte that is `d` below the largest; the output's bytes are
/// parts in 256, from -128 on.
pub(super) fn run_i8(table: &[u32], x: Tensor<'_, i8>, out: &mut TensorMut<'_, i8>) {
    for y in 0..x.at.h {
        for i in 0..x.at.w {
            let at = |c: usize| x.row(c, y).get(i).copied().unwrap_or(i8::MIN);
            let largest = (0..x.at.c).map(at).max().unwrap_or(i8::MIN);
            let e = |c: usize| table.get(usize::from(largest.abs_diff(at(c)))).copied().unwrap_or(0);
            let sum = (0..x.at.c).map(e).fold(0, u32::wrapping_add).max(1);
            for c in 0..x.at.c {
                if let Some(to) = out.row(c, y).get_mut(i) {
                    let part = e(c).wrapping_mul(256).wrapping_add(sum / 2) / sum;
                    *to = (part.min(255) as i16 - 128) as i8;
                }
            }
        }
    }
}
