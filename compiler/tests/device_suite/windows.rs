//! Sliding windows that the checks use, and their definition.

use tfc::device::Window;
use tfc_formats::op::Padding;

const fn pad(top: u16, left: u16, bottom: u16, right: u16) -> Padding {
    Padding { top, left, bottom, right }
}

/// A window whose output extents round down.
pub(crate) fn window(
    c: usize,
    [h, w]: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    pad: Padding,
) -> Window {
    let extent = |n: usize, before: u16, after: u16, axis: usize| {
        (n + usize::from(before) + usize::from(after) - (kernel[axis] - 1) * dilation[axis] - 1)
            / stride[axis]
            + 1
    };
    let (oh, ow) = (extent(h, pad.top, pad.bottom, 0), extent(w, pad.left, pad.right, 1));
    Window { c, h, w, oh, ow, kernel, stride, dilation, pad }
}

/// Windows of convolutions: odd sizes, steps, dilation, one-sided padding, taps that never
/// reach the input.
pub(crate) fn convolutions() -> Vec<Window> {
    vec![
        window(1, [1, 1], [1, 1], [1, 1], [1, 1], pad(0, 0, 0, 0)),
        window(3, [7, 5], [1, 1], [1, 1], [1, 1], pad(0, 0, 0, 0)),
        window(2, [28, 28], [5, 5], [1, 1], [1, 1], pad(0, 0, 0, 0)),
        window(3, [9, 11], [3, 3], [1, 1], [1, 1], pad(1, 1, 1, 1)),
        window(2, [9, 12], [3, 3], [2, 2], [1, 1], pad(0, 0, 1, 1)),
        window(2, [13, 10], [3, 2], [2, 3], [1, 2], pad(2, 0, 1, 3)),
        window(1, [23, 19], [5, 7], [4, 4], [2, 1], pad(3, 1, 0, 2)),
        window(2, [3, 2], [3, 3], [1, 1], [3, 3], pad(3, 3, 3, 4)),
        window(1, [2, 2], [2, 2], [3, 5], [1, 1], pad(1, 4, 1, 4)),
    ]
}

/// Windows of poolings: padding smaller than the window, and last windows that hang over the
/// padded edge.
pub(crate) fn poolings() -> Vec<Window> {
    let mut windows = vec![
        window(3, [24, 24], [2, 2], [2, 2], [1, 1], pad(0, 0, 0, 0)),
        window(2, [9, 7], [3, 3], [1, 1], [1, 1], pad(1, 1, 1, 1)),
        window(2, [8, 11], [3, 2], [2, 3], [1, 1], pad(0, 1, 2, 0)),
        window(5, [6, 7], [6, 7], [1, 1], [1, 1], pad(0, 0, 0, 0)),
        window(1, [5, 5], [1, 1], [2, 2], [1, 1], pad(0, 0, 0, 0)),
    ];
    for (mut hanging, rows) in [
        (window(2, [6, 7], [3, 2], [2, 2], [1, 1], pad(0, 0, 0, 0)), 3),
        (window(1, [8, 8], [3, 2], [2, 2], [1, 1], pad(1, 1, 1, 1)), 5),
    ] {
        hanging.oh = rows;
        windows.push(hanging);
    }
    windows
}

/// A tap of an output at one axis: its place relative to the input, possibly outside.
fn place(output: usize, tap: usize, stride: usize, dilation: usize, before: u16) -> isize {
    (output * stride + tap * dilation) as isize - isize::try_from(before).expect("padding")
}

/// Place of a tap in the input plane, relative to its corner.
pub(crate) fn at(w: &Window, [oy, ox]: [usize; 2], [ky, kx]: [usize; 2]) -> [isize; 2] {
    [
        place(oy, ky, w.stride[0], w.dilation[0], w.pad.top),
        place(ox, kx, w.stride[1], w.dilation[1], w.pad.left),
    ]
}

/// Index in the input plane of a place, if it is on the plane.
pub(crate) fn index(w: &Window, [y, x]: [isize; 2]) -> Option<usize> {
    let (y, x) = (usize::try_from(y).ok()?, usize::try_from(x).ok()?);
    (y < w.h && x < w.w).then_some(y * w.w + x)
}

/// Whether a place is on the plane or its padding.
pub(crate) fn padded(w: &Window, [y, x]: [isize; 2]) -> bool {
    let below = |at: isize, n: usize, after: u16| at < (n + usize::from(after)) as isize;
    below(y, w.h, w.pad.bottom) && below(x, w.w, w.pad.right)
}

/// All outputs, and all taps, of a window.
pub(crate) fn outputs(w: &Window) -> impl Iterator<Item = [usize; 2]> {
    grid([w.oh, w.ow])
}

pub(crate) fn taps(w: &Window) -> impl Iterator<Item = [usize; 2]> {
    grid(w.kernel)
}

fn grid([rows, cols]: [usize; 2]) -> impl Iterator<Item = [usize; 2]> {
    (0..rows).flat_map(move |y| (0..cols).map(move |x| [y, x]))
}
