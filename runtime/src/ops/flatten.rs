use crate::tensor::{Tensor, TensorMut};

pub(super) fn run(x: Tensor<'_>, out: &mut TensorMut<'_>) {
    if out.at.is_packed() {
        let mut rest = &mut *out.data;
        for c in 0..x.at.c {
            for y in 0..x.at.h {
                let (to, after) = rest.split_at_mut_checked(x.at.w).unwrap_or_default();
                super::copy(to, x.row(c, y));
                rest = after;
            }
        }
    } else {
        for i in 0..x.at.elements() {
            if let (Some(from), [to]) = (x.data.get(x.at.position(i)), out.row(i, 0)) {
                *to = *from;
            }
        }
    }
}
