// Mean, as its distance from the row's first element, and sum of squared differences to it of a
// chunk of up to 2048 elements of a row, one workgroup a chunk; `merge_moments` puts the chunks of
// a row together.
struct Params {
    groups: u32,
    cols: u32,
    chunks: u32,
}

var<immediate> p: Params;
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> means: array<f32>;
@group(0) @binding(2) var<storage, read_write> squares: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) at: u32) {
    let group = group_of(id);
    if group >= p.groups {
        return;
    }
    let row = group / p.chunks * p.cols;
    let start = group % p.chunks * 2048u;
    let end = min(start + 2048u, p.cols);
    let count = f32(end - start);
    // Differences to a value near the mean lose nothing, whatever the mean itself.
    let first = x[row + start];
    var partial = 0.0;
    for (var i = start + at; i < end; i += 64u) {
        partial += x[row + i] - first;
    }
    let near = first + sum_all(at, partial) / count;
    var rest = 0.0;
    var square = 0.0;
    for (var i = start + at; i < end; i += 64u) {
        let d = x[row + i] - near;
        rest += d;
        square += d * d;
    }
    rest = sum_all(at, rest);
    square = sum_all(at, square);
    if at == 0u {
        means[group] = near - x[row] + rest / count;
        squares[group] = max(square - rest * rest / count, 0.0);
    }
}
