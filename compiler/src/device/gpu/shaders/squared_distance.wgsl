// Sum of squares of one chunk of 2048 differences a workgroup; `row_sums` adds them up.
struct Params {
    groups: u32,
    len: u32,
    at: u32,
}

var<immediate> p: Params;
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> y: array<f32>;
@group(0) @binding(2) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) at: u32) {
    let group = group_of(id);
    if group >= p.groups {
        return;
    }
    let start = group * 2048u;
    let end = min(start + 2048u, p.len);
    var partial = 0.0;
    for (var i = start + at; i < end; i += 64u) {
        let d = x[i] - y[i];
        partial += d * d;
    }
    let total = sum_all(at, partial);
    if at == 0u {
        sums[p.at + group] = total;
    }
}
