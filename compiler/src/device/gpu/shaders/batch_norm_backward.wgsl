struct Params {
    len: u32,
    cols: u32,
    eps: f32,
    // Whether mean and variance are those of x.
    of_batch: u32,
}

var<immediate> p: Params;
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> mean: array<f32>;
@group(0) @binding(2) var<storage, read> variance: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read> gamma: array<f32>;
// Gradients of gamma and beta.
@group(0) @binding(5) var<storage, read> products: array<f32>;
@group(0) @binding(6) var<storage, read> sums: array<f32>;
@group(0) @binding(7) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = item_of(id);
    if i >= p.len {
        return;
    }
    let row = i / p.cols;
    let inverse = 1.0 / sqrt(variance[row] + p.eps);
    var d = dy[i];
    if p.of_batch != 0u {
        d -= (sums[row] + (x[i] - mean[row]) * inverse * products[row]) / f32(p.cols);
    }
    dx[i] = gamma[row] * inverse * d;
}
