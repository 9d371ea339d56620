// Mean and variance of a row from those of its chunks (Chan, Golub & LeVeque 1983), one
// workgroup a row.
struct Params {
    rows: u32,
    cols: u32,
    chunks: u32,
}

var<immediate> p: Params;
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> means: array<f32>;
@group(0) @binding(2) var<storage, read> squares: array<f32>;
@group(0) @binding(3) var<storage, read_write> mean: array<f32>;
@group(0) @binding(4) var<storage, read_write> variance: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) at: u32) {
    let row = group_of(id);
    if row >= p.rows {
        return;
    }
    let start = row * p.chunks;
    var partial = 0.0;
    for (var i = at; i < p.chunks; i += 64u) {
        let count = f32(min(2048u, p.cols - i * 2048u));
        partial += count * means[start + i];
    }
    let all = sum_all(at, partial) / f32(p.cols);
    var square = 0.0;
    for (var i = at; i < p.chunks; i += 64u) {
        let count = f32(min(2048u, p.cols - i * 2048u));
        let d = means[start + i] - all;
        square += squares[start + i] + count * d * d;
    }
    square = sum_all(at, square);
    if at == 0u {
        mean[row] = x[row * p.cols] + all;
        variance[row] = square / f32(p.cols);
    }
}
