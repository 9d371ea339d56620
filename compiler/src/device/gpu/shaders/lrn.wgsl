@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read_write> d: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = item_of(id);
    if i >= p.len {
        return;
    }
    let channel = i / p.columns;
    let column = i % p.columns;
    var sum = 0.0;
    let end = min(channel + p.size - p.before, p.channels);
    for (var c = max(channel, p.before) - p.before; c < end; c++) {
        let value = x[c * p.columns + column];
        sum += value * value;
    }
    let base = p.bias + p.scale * sum;
    d[i] = base;
    y[i] = x[i] * pow(base, -p.beta);
}
