use crate::tensor::{Tensor, TensorMut};

pub(crate) fn run(x: Tensor<'_>, out: &mut TensorMut<'_>) {
    if x.at.is_packed() && out.at.is_packed() {
        return super::copy(out.data, x.data);
    }
    let rows = (0..x.at.c).flat_map(|c| (0..x.at.h).map(move |y| x.row(c, y)));
    for (i, from) in rows.flatten().enumerate() {
        out.row(i, 0).fill(*from);
    }
}
