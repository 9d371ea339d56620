struct Params {
    len: u32,
    eps: f32,
}

var<immediate> p: Params;
@group(0) @binding(0) var<storage, read> n: array<f32>;
@group(0) @binding(1) var<storage, read> d: array<f32>;
@group(0) @binding(2) var<storage, read_write> g: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = item_of(id);
    if i < p.len {
        g[i] *= sqrt(n[i] / max(d[i], p.eps));
    }
}
