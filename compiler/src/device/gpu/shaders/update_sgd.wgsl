struct Params {
    len: u32,
    masked: u32,
    rate: f32,
    momentum: f32,
    decay: f32,
}

var<immediate> p: Params;
@group(0) @binding(2) var<storage, read_write> velocity: array<f32>;
@group(0) @binding(3) var<storage, read_write> weight: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = item_of(id);
    if i >= p.len {
        return;
    }
    let keep = keep_of(i);
    let w = weight[i];
    let v = p.momentum * velocity[i] + gradient[i] + p.decay * w;
    velocity[i] = v * keep;
    weight[i] = (w - p.rate * v) * keep;
}
