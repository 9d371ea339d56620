use tfc_formats::artifact::{Artifact, Step};

use crate::tensor::{Tensor, TensorMut};

/// `x * scale + shift` per channel: the statistics were folded in when the file was written.
pub(super) fn batch_norm(
    step: &Step<'_>,
    artifact: &Artifact<'_>,
    x: Tensor<'_>,
    out: &mut TensorMut<'_>,
) -> Option<()> {
    let [scale, shift] = *step.params.as_slice() else { return None };
    let (scale, shift) = (artifact.values(scale)?, artifact.values(shift)?);
    for c in 0..x.at.c {
        let (scale, shift) = (scale.get(c)?, shift.get(c)?);
        for y in 0..x.at.h {
            let pairs = out.row(c, y).iter_mut().zip(x.row(c, y));
            pairs.for_each(|(to, x)| *to = x * scale + shift);
        }
    }
    Some(())
}

/// Local response normalization; fields as in [`tfc_formats::op::Op::Lrn`].
pub(super) struct Lrn {
    pub(super) size: u16,
    pub(super) alpha: f32,
    pub(super) beta: f32,
    pub(super) bias: f32,
}

impl Lrn {
    /// The window of channel `c` begins at `c - (size - 1) / 2`, as ONNX has it where size is even.
    pub(super) fn run(&self, x: Tensor<'_>, out: &mut TensorMut<'_>) {
        let size = usize::from(self.size);
        let (before, scale) = ((size - 1) / 2, self.alpha / f32::from(self.size));
        for c in 0..x.at.c {
            let window = c.saturating_sub(before)..(c + size - before).min(x.at.c);
            for y in 0..x.at.h {
                let to = out.row(c, y);
                to.fill(0.0);
                for neighbour in window.clone() {
                    to.iter_mut().zip(x.row(neighbour, y)).for_each(|(to, x)| *to += x * x);
                }
                for (to, x) in to.iter_mut().zip(x.row(c, y)) {
                    *to = x / libm::powf(self.bias + scale * *to, self.beta);
                }
            }
        }
    }
}
