// [C, B, HW] to [C * HW, B]; with `back` the roles of B and HW change places.
struct Params {
    len: u32,
    rows: u32,
    cols: u32,
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
    // `y` holds a `cols x rows` matrix for each channel, the transpose of that in `x`.
    let plane = p.rows * p.cols;
    let row = i % p.rows;
    let col = i % plane / p.rows;
    y[i] = x[i / plane * plane + row * p.cols + col];
}
