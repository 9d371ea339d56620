//! How a value of the ONNX graph lies in memory, compared with the value of our network that
//! holds it.
//!
//! An ONNX tensor has any extents and is in C order. A value of [`Network`](crate::network::Network)
//! has channels, rows and columns in that order. As long as nodes only reshape or transpose, no
//! value is computed: the extents change, and the order of the three axes that they go through.

use std::format;
use std::string::String;
use std::vec::Vec;

use super::constant::Reason;
use crate::network::ValueId;
use crate::op::{Padding, Shape};

/// Channels, rows, columns.
pub(super) const CHW: [usize; 3] = [0, 1, 2];

/// A value that is computed from the network's input.
#[derive(Clone, Debug)]
pub(super) struct Feature {
    /// Value of the network.
    pub(super) id: ValueId,
    /// Its shape.
    pub(super) shape: Shape,
    /// Extents in ONNX, batch first.
    pub(super) dims: Vec<usize>,
    /// The axes of `shape` from slowest to fastest in the ONNX tensor.
    pub(super) order: [usize; 3],
    /// What is still to be cut from, or put around, the value; `dims` are those after it.
    pub(super) selection: Option<Selection>,
    /// Whether others read the value, so that the node that computes it cannot be changed.
    pub(super) shared: bool,
}

/// A part of each axis with zeros around it.
#[derive(Clone, Debug)]
pub(super) struct Selection {
    /// The last node that is part of it.
    pub(super) name: String,
    /// Channels, rows, columns.
    pub(super) axes: [Span; 3],
}

/// A part of one axis with zeros around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) step: u32,
    pub(super) count: u32,
    /// Zeros before the first of `count`.
    pub(super) before: u32,
    /// Zeros after the last.
    pub(super) after: u32,
}

impl Span {
    /// A whole axis.
    pub(super) fn all(extent: u32) -> Self {
        Self { start: 0, step: 1, count: extent, before: 0, after: 0 }
    }

    /// Whether only zeros are added to an axis of this extent.
    pub(super) fn is_whole(&self, extent: u32) -> bool {
        (self.start, self.step, self.count) == (0, 1, extent)
    }

    pub(super) fn is_padded(&self) -> bool {
        self.before != 0 || self.after != 0
    }
}

/// The extents of a shape by axis.
pub(super) fn extents(shape: Shape) -> [u32; 3] {
    [shape.c, shape.h, shape.w]
}

impl Selection {
    /// The padding, if rows and columns are padded and nothing else is done.
    pub(super) fn padding(&self, shape: Shape) -> Option<Padding> {
        let [c, h, w] = self.axes;
        let whole = self.axes.iter().zip(extents(shape)).all(|(span, extent)| span.is_whole(extent));
        if !whole || c.is_padded() {
            return None;
        }
        let side = |n: u32| u16::try_from(n).ok();
        Some(Padding {
            top: side(h.before)?,
            left: side(w.before)?,
            bottom: side(h.after)?,
            right: side(w.after)?,
        })
    }
}

impl Feature {
    /// The result of a node in plain channels, rows, columns.
    pub(super) fn planes(id: ValueId, shape: Shape, batch: usize) -> Self {
        let dims = std::iter::once(batch).chain(extents(shape).map(|d| d as usize)).collect();
        Self { id, shape, dims, order: CHW, selection: None, shared: false }
    }

    /// Another value of the same extents and order.
    pub(super) fn like(&self, id: ValueId, shape: Shape) -> Self {
        Self { id, shape, selection: None, shared: false, ..self.clone() }
    }

    pub(super) fn batch(&self) -> usize {
        self.dims.first().copied().unwrap_or(1)
    }

    /// The axes of extent above 1, from slowest to fastest.
    pub(super) fn sequence(&self) -> Vec<usize> {
        let extents = self.extents();
        self.order.iter().copied().filter(|&a| extents[a] != 1).collect()
    }

    /// Extents by axis, after the selection.
    fn extents(&self) -> [u32; 3] {
        match &self.selection {
            Some(s) => s.axes.map(|span| span.before.saturating_add(span.count).saturating_add(span.after)),
            None => extents(self.shape),
        }
    }

    /// Whether the elements are in the order of channels, rows, columns.
    pub(super) fn is_chw(&self) -> bool {
        self.sequence().is_sorted()
    }

    /// The axes that each ONNX axis after the batch goes through, or `None` if the extents cut
    /// across axes. Axes of extent 1 go, in order, to ONNX axes that have no other.
    pub(super) fn groups(&self) -> Option<Vec<Vec<usize>>> {
        let extents = self.extents();
        let sequence = self.sequence();
        let mut rest = sequence.iter().copied().peekable();
        let mut groups = Vec::with_capacity(self.dims.len());
        for &dim in self.dims.iter().skip(1) {
            let mut group = Vec::new();
            let mut product = 1;
            while product < dim {
                let axis = rest.next()?;
                product = product.checked_mul(extents[axis] as usize)?;
                group.push(axis);
            }
            if product != dim {
                return None;
            }
            groups.push(group);
        }
        if rest.peek().is_some() {
            return None;
        }
        let mut ones = CHW.into_iter().filter(|a| !sequence.contains(a));
        for group in groups.iter_mut().filter(|g| g.is_empty()) {
            group.extend(ones.next());
        }
        Some(groups)
    }

    /// The axis of each of three ONNX axes after the batch.
    pub(super) fn axes(&self) -> Option<[usize; 3]> {
        let groups = self.groups()?;
        match &groups[..] {
            [a, b, c] => match (&a[..], &b[..], &c[..]) {
                (&[a], &[b], &[c]) => Some([a, b, c]),
                _ => None,
            },
            _ => None,
        }
    }

    /// Checks for a tensor of batch, channels, rows, columns.
    pub(super) fn expect_planes(&self) -> Result<(), Reason> {
        if self.axes() == Some(CHW) {
            return Ok(());
        }
        Err(format!("its input {:?} is not of the form [N, C, H, W]", self.dims))
    }

    /// Checks for channels in the second axis: `[N, C, H, W]` or a vector `[N, C]`.
    pub(super) fn expect_channels(&self) -> Result<(), Reason> {
        if self.channel_axis() == Some(1) {
            return Ok(());
        }
        Err(format!("its input {:?} is not of the form [N, C] or [N, C, H, W]", self.dims))
    }

    /// The ONNX axis of the channels.
    pub(super) fn channel_axis(&self) -> Option<usize> {
        Some(1 + self.groups()?.iter().position(|group| group[..] == [0])?)
    }
}
