// One workgroup sums a chunk of up to 2048 elements of a row; rows of several chunks take
// another pass over the partial sums.
struct Params {
    groups: u32,
    cols: u32,
    chunks: u32,
    at: u32,
    beta: f32,
}

var<immediate> p: Params;
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) at: u32) {
    let group = group_of(id);
    if group >= p.groups {
        return;
    }
    let row = group / p.chunks * p.cols;
    let start = group % p.chunks * 2048u;
    let end = min(start + 2048u, p.cols);
    var partial = 0.0;
    for (var i = start + at; i < end; i += 64u) {
        partial += x[row + i];
    }
    var total = sum_all(at, partial);
    if at == 0u {
        if p.beta != 0.0 {
            total += p.beta * sums[p.at + group];
        }
        sums[p.at + group] = total;
    }
}
