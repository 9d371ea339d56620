struct Params {
    len: u32,
    kind: u32,
    alpha: f32,
}

var<immediate> p: Params;
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = item_of(id);
    if i >= p.len {
        return;
    }
    // Comparisons are written so that NaN passes through, where the driver honours it.
    let v = x[i];
    var f = v;
    switch p.kind {
        case 0u: { f = select(v, 0.0, v < 0.0); }
        case 1u: { f = select(select(v, 0.0, v < 0.0), 6.0, v > 6.0); }
        case 2u: { f = select(p.alpha * v, v, v > 0.0); }
        case 3u: { f = 1.0 / (1.0 + exp(-v)); }
        // Some drivers compute tanh from exp(2 v), which overflows.
        case 4u: { f = tanh(clamp(v, -10.0, 10.0)); }
        case 5u: {
            let s = p.alpha * v + 0.5;
            f = select(select(s, 0.0, s < 0.0), 1.0, s > 1.0);
        }
        default: {
            let s = v + 3.0;
            f = v * (select(select(s, 0.0, s < 0.0), 6.0, s > 6.0) / 6.0);
        }
    }
    y[i] = f;
}
