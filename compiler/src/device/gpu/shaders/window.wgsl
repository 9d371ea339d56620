// Geometry of a sliding window, and the images it slides over.
struct Window {
    c: i32,
    h: i32,
    w: i32,
    oh: i32,
    ow: i32,
    kh: i32,
    kw: i32,
    sh: i32,
    sw: i32,
    dh: i32,
    dw: i32,
    top: i32,
    left: i32,
    bottom: i32,
    right: i32,
    batch: i32,
    first: i32,
    count: i32,
    // Averages: whether taps on the padding count.
    padded: u32,
    // Depthwise convolutions: outputs of an input channel, and the factor of what `dw` held.
    fan_out: i32,
    beta: f32,
    // Steps of the outer loop that this pass takes; a later pass adds to what an earlier one left.
    from_step: i32,
    to_step: i32,
}

var<immediate> p: Window;

// One axis of a window that starts at `start`: number of its taps in `low .. high`.
fn taps_within(start: i32, dilation: i32, taps: i32, low: i32, high: i32) -> i32 {
    let from_tap = max(0, (low - start + dilation - 1) / dilation);
    let to_tap = min(taps, (high - start + dilation - 1) / dilation);
    return max(0, to_tap - from_tap);
}

// First and one past the last output position, along one axis, whose window can reach `at`.
fn reach(at: i32, pad: i32, stride: i32, dilation: i32, taps: i32, outputs: i32) -> vec2<i32> {
    let behind = max(0, at + pad - (taps - 1) * dilation);
    return vec2<i32>((behind + stride - 1) / stride, min(outputs, (at + pad) / stride + 1));
}

// Tap of the window at output `o` that lies on input `at`, or -1.
fn tap_on(at: i32, o: i32, pad: i32, stride: i32, dilation: i32, taps: i32) -> i32 {
    let ahead = at + pad - o * stride;
    let tap = ahead / dilation;
    return select(-1, tap, ahead >= 0 && ahead % dilation == 0 && tap < taps);
}

// What an average divides by at output `(oy, ox)`.
fn divisor(oy: i32, ox: i32) -> f32 {
    let y = oy * p.sh - p.top;
    let x = ox * p.sw - p.left;
    var rows = taps_within(y, p.dh, p.kh, 0, p.h);
    var cols = taps_within(x, p.dw, p.kw, 0, p.w);
    if p.padded != 0u {
        rows = taps_within(y, p.dh, p.kh, -p.top, p.h + p.bottom);
        cols = taps_within(x, p.dw, p.kw, -p.left, p.w + p.right);
    }
    return f32(max(1, rows * cols));
}
