// Gradients of gamma and beta over a chunk of up to 2048 elements of a row, one workgroup a
// chunk; `row_sums` adds them up.
struct Params {
    groups: u32,
    cols: u32,
    chunks: u32,
    eps: f32,
}

var<immediate> p: Params;
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> mean: array<f32>;
@group(0) @binding(2) var<storage, read> variance: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read_write> gamma: array<f32>;
@group(0) @binding(5) var<storage, read_write> beta: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) at: u32) {
    let group = group_of(id);
    if group >= p.groups {
        return;
    }
    let row = group / p.chunks;
    let start = group % p.chunks * 2048u;
    let end = min(start + 2048u, p.cols);
    let center = mean[row];
    var product = 0.0;
    var sum = 0.0;
    for (var i = row * p.cols + start + at; i < row * p.cols + end; i += 64u) {
        product += dy[i] * (x[i] - center);
        sum += dy[i];
    }
    product = sum_all(at, product);
    sum = sum_all(at, sum);
    if at == 0u {
        gamma[group] = product / sqrt(variance[row] + p.eps);
        beta[group] = sum;
    }
}
