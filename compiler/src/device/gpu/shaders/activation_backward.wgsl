struct Params {
    len: u32,
    kind: u32,
    alpha: f32,
}

var<immediate> p: Params;
@group(0) @binding(0) var<storage, read> at: array<f32>;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = item_of(id);
    if i >= p.len {
        return;
    }
    // The output of the function, or its input where the output does not tell the slope.
    let f = at[i];
    var slope = 1.0;
    switch p.kind {
        case 0u: { slope = select(0.0, 1.0, f > 0.0); }
        case 1u: { slope = select(0.0, 1.0, f > 0.0 && f < 6.0); }
        case 2u: { slope = select(p.alpha, 1.0, f > 0.0); }
        case 3u: { slope = f * (1.0 - f); }
        case 4u: { slope = 1.0 - f * f; }
        case 5u: { slope = select(0.0, p.alpha, f > 0.0 && f < 1.0); }
        default: { slope = select(select(f / 3.0 + 0.5, 0.0, f <= -3.0), 1.0, f >= 3.0); }
    }
    dx[i] = dy[i] * slope;
}
