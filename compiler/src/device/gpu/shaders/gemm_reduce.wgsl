// c = alpha * (sum over the splits of `partial [splits, m, n]`) + beta c.
struct Params {
    len: u32,
    n: u32,
    splits: u32,
    c_at: u32,
    c_stride: u32,
    alpha: f32,
    beta: f32,
}

var<immediate> p: Params;
@group(0) @binding(0) var<storage, read> partials: array<f32>;
@group(0) @binding(1) var<storage, read_write> c: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = item_of(id);
    if i >= p.len {
        return;
    }
    var sum = 0.0;
    for (var split = 0u; split < p.splits; split++) {
        sum += partials[split * p.len + i];
    }
    let at = p.c_at + i / p.n * p.c_stride + i % p.n;
    var value = p.alpha * sum;
    if p.beta != 0.0 {
        value += p.beta * c[at];
    }
    c[at] = value;
}
