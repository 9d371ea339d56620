struct Params {
    len: u32,
    cols: u32,
}

var<immediate> p: Params;
@group(0) @binding(0) var<storage, read> bias: array<f32>;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = item_of(id);
    if i < p.len {
        x[i] += bias[i / p.cols];
    }
}
