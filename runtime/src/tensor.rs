//! Views of values in the arena.

use tfc_formats::artifact::{Element, Value};
#[cfg(feature = "alloc")]
use tfc_formats::op::Shape;

/// Elements of a cache line, the longest vector of any kernel.
#[cfg(feature = "alloc")]
pub(crate) const LINE: usize = 16;

/// Where the elements of a value lie, in elements from its start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) c: usize,
    pub(crate) h: usize,
    pub(crate) w: usize,
    /// Rows of halo above.
    pub(crate) top: usize,
    /// Columns of halo to the left.
    pub(crate) left: usize,
    /// From one row to the next.
    pub(crate) row: usize,
    /// From one channel to the next.
    pub(crate) plane: usize,
}

impl Layout {
    /// `None` if the extent does not fit the address space.
    pub(crate) fn of(value: &Value) -> Option<Self> {
        let (shape, halo) = (value.shape, value.halo);
        let extent = |n: u32, before: u16, after: u16| {
            usize::try_from(n).ok()?.checked_add(usize::from(before))?.checked_add(usize::from(after))
        };
        let row = extent(shape.w, halo.left, halo.right)?;
        let plane = extent(shape.h, halo.top, halo.bottom)?.checked_mul(row)?;
        let layout = Self {
            c: shape.c as usize,
            h: shape.h as usize,
            w: shape.w as usize,
            top: halo.top.into(),
            left: halo.left.into(),
            row,
            plane,
        };
        plane.checked_mul(layout.c)?;
        Some(layout)
    }

    /// Without a halo, each plane filled up to whole [`LINE`]s; vectors lie close together.
    #[cfg(feature = "alloc")]
    pub(crate) fn planes(shape: Shape) -> Option<Self> {
        let [c, h, w] = [shape.c, shape.h, shape.w].map(|n| n as usize);
        let plane = h.checked_mul(w)?;
        let plane = if plane == 1 { 1 } else { plane.checked_next_multiple_of(LINE)? };
        plane.checked_mul(c)?;
        Some(Self { c, h, w, top: 0, left: 0, row: w, plane })
    }

    /// Elements of the whole extent, halo included.
    pub(crate) fn len(&self) -> usize {
        self.c * self.plane
    }

    /// Elements without the halo.
    pub(crate) fn elements(&self) -> usize {
        self.c * self.h * self.w
    }

    /// Whether there is no halo, so that the elements are contiguous.
    pub(crate) fn is_packed(&self) -> bool {
        self.len() == self.elements()
    }

    pub(crate) fn row_start(&self, c: usize, y: usize) -> usize {
        c * self.plane + (self.top + y) * self.row + self.left
    }

    /// Position of the `i`-th element in C, H, W order.
    pub(crate) fn position(&self, i: usize) -> usize {
        let (c, at) = (i / (self.h * self.w), i % (self.h * self.w));
        self.row_start(c, at / self.w) + at % self.w
    }
}

/// A value that is read.
#[derive(Clone, Copy, Debug)]
pub struct Tensor<'a, T = f32> {
    pub(crate) data: &'a [T],
    pub(crate) at: Layout,
}

impl<'a, T> Tensor<'a, T> {
    /// The rows of all channels, in the order of channels and rows, without the halo.
    pub fn rows(self) -> impl Iterator<Item = &'a [T]> {
        let Self { data, at } = self;
        (0..at.c).flat_map(move |c| (0..at.h).map(move |y| Tensor { data, at }.row(c, y)))
    }

    /// Row `y` of channel `c`, without the halo.
    pub(crate) fn row(&self, c: usize, y: usize) -> &'a [T] {
        let start = self.at.row_start(c, y);
        self.data.get(start..start + self.at.w).unwrap_or_default()
    }
}

/// A value that a step has written.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Stored<'a> {
    /// Of f32.
    F32(Tensor<'a>),
    /// Bytes `q` that stand for `scale * (q - zero)`.
    I8 {
        /// The bytes.
        tensor: Tensor<'a, i8>,
        /// Difference of neighbouring numbers.
        scale: f32,
        /// What stands for 0.
        zero: i8,
    },
}

impl<'a> Stored<'a> {
    /// The numbers, or what bytes stand for, in C, H, W order.
    pub fn numbers(self) -> impl Iterator<Item = f32> + 'a {
        let (floats, bytes) = match self {
            Self::F32(tensor) => (Some(tensor), None),
            Self::I8 { tensor, scale, zero } => (None, Some((tensor, scale, zero))),
        };
        let bytes = bytes
            .into_iter()
            .flat_map(|(tensor, scale, zero)| tensor.rows().flatten().map(move |q| number(*q, scale, zero)));
        floats.into_iter().flat_map(|tensor| tensor.rows().flatten().copied()).chain(bytes)
    }
}

/// What a byte stands for.
pub(crate) fn number(q: i8, scale: f32, zero: i8) -> f32 {
    scale * f32::from(i16::from(q) - i16::from(zero))
}

/// An element of the arena.
pub(crate) trait Number: bytemuck::Pod {
    /// Not above any other.
    const LEAST: Self;

    /// What stands for 0 in the halo of a value.
    fn zero(element: Element) -> Self;
}

impl Number for f32 {
    const LEAST: Self = f32::NEG_INFINITY;

    fn zero(_: Element) -> Self {
        0.0
    }
}

impl Number for i8 {
    const LEAST: Self = i8::MIN;

    fn zero(element: Element) -> Self {
        match element {
            Element::F32 => 0,
            Element::I8 { zero, .. } => zero,
        }
    }
}

/// A value that is written.
#[derive(Debug)]
pub(crate) struct TensorMut<'a, T = f32> {
    pub(crate) data: &'a mut [T],
    pub(crate) at: Layout,
}

impl<T: Copy> TensorMut<'_, T> {
    /// Row `y` of channel `c`, without the halo.
    pub(crate) fn row(&mut self, c: usize, y: usize) -> &mut [T] {
        let start = self.at.row_start(c, y);
        self.data.get_mut(start..start + self.at.w).unwrap_or_default()
    }

    /// Writes what stands for 0 around every plane.
    pub(crate) fn clear_halo(&mut self, zero: T) {
        let at = self.at;
        if at.is_packed() || at.plane == 0 {
            return;
        }
        for plane in self.data.chunks_exact_mut(at.plane) {
            for (y, row) in plane.chunks_exact_mut(at.row).enumerate() {
                let inside = if (at.top..at.top + at.h).contains(&y) { at.w } else { 0 };
                let (before, rest) = row.split_at_mut_checked(at.left).unwrap_or_default();
                before.fill(zero);
                if let Some(after) = rest.get_mut(inside..) {
                    after.fill(zero);
                }
            }
        }
    }

    /// Calls `f` with each row of this value and the same row of `x`, a value of the same
    /// shape; with everything at once where neither has a halo.
    pub(crate) fn zip_rows(&mut self, x: &Tensor<'_, T>, mut f: impl FnMut(&mut [T], &[T])) {
        if self.at.is_packed() && x.at.is_packed() {
            return f(self.data, x.data);
        }
        for c in 0..self.at.c {
            for y in 0..self.at.h {
                f(self.row(c, y), x.row(c, y));
            }
        }
    }

    /// Calls `f` with each row; with everything at once where there is no halo.
    pub(crate) fn for_rows(&mut self, mut f: impl FnMut(&mut [T])) {
        if self.at.is_packed() {
            return f(self.data);
        }
        for c in 0..self.at.c {
            for y in 0..self.at.h {
                f(self.row(c, y));
            }
        }
    }
}
