@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> y: array<f32>;
@group(0) @binding(2) var<storage, read> d: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = item_of(id);
    if i >= p.len {
        return;
    }
    let channel = i / p.columns;
    let column = i % p.columns;
    // The channels that read this one.
    let end = min(channel + p.before + 1u, p.channels);
    var sum = 0.0;
    for (var c = max(channel + p.before + 1u, p.size) - p.size; c < end; c++) {
        let at = c * p.columns + column;
        sum += dy[at] * y[at] / d[at];
    }
    dx[i] = dy[i] * pow(d[i], -p.beta) - 2.0 * p.scale * p.beta * x[i] * sum;
}
