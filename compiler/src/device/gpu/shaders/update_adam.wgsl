// The bias corrections are `1 / (1 - beta^step)`.
struct Params {
    len: u32,
    masked: u32,
    rate: f32,
    beta1: f32,
    beta2: f32,
    eps: f32,
    decay: f32,
    correction1: f32,
    correction2: f32,
}

var<immediate> p: Params;
@group(0) @binding(2) var<storage, read_write> first: array<f32>;
@group(0) @binding(3) var<storage, read_write> second: array<f32>;
@group(0) @binding(4) var<storage, read_write> weight: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = item_of(id);
    if i >= p.len {
        return;
    }
    let keep = keep_of(i);
    let w = weight[i];
    let g = gradient[i];
    let m = p.beta1 * first[i] + (1.0 - p.beta1) * g;
    let v = p.beta2 * second[i] + (1.0 - p.beta2) * g * g;
    let step = m * p.correction1 / (sqrt(v * p.correction2) + p.eps);
    first[i] = m * keep;
    second[i] = v * keep;
    weight[i] = (w - p.rate * (step + p.decay * w)) * keep;
}
