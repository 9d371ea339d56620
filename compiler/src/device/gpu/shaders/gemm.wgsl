// c = alpha a b + beta c, or one split of the inner extent into `c + split * c_split`.
//
// A workgroup of SIDE x SIDE makes a TILE x TILE block of c, each invocation 8 x 8 of it in
// registers, over DEEP steps of the inner extent at a time that lie in workgroup memory, inner
// index first. The host keeps `chunk` so small that no invocation loops more than a few
// thousand times.
override TILE: u32 = 64u;
override SIDE: u32 = TILE / 8u;
override A_TRANSPOSED: bool = false;
override B_TRANSPOSED: bool = false;
const DEEP: u32 = 8u;

struct Params {
    m: u32,
    n: u32,
    k: u32,
    a_at: u32,
    a_stride: u32,
    b_at: u32,
    b_stride: u32,
    c_at: u32,
    c_stride: u32,
    c_split: u32,
    chunk: u32,
    tiles: u32,
    tiles_n: u32,
    alpha: f32,
    beta: f32,
}

var<immediate> p: Params;
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> c: array<f32>;

// A row has one vector more than it needs: neighbouring rows then start in different banks.
override ROW: u32 = TILE / 4u + 1u;
var<workgroup> tile_a: array<vec4<f32>, DEEP * ROW>;
var<workgroup> tile_b: array<vec4<f32>, DEEP * ROW>;

fn a_of(i: u32, k: u32, k_end: u32) -> f32 {
    if i >= p.m || k >= k_end {
        return 0.0;
    }
    if A_TRANSPOSED {
        return a[p.a_at + k * p.a_stride + i];
    }
    return a[p.a_at + i * p.a_stride + k];
}

fn b_of(k: u32, j: u32, k_end: u32) -> f32 {
    if j >= p.n || k >= k_end {
        return 0.0;
    }
    if B_TRANSPOSED {
        return b[p.b_at + j * p.b_stride + k];
    }
    return b[p.b_at + k * p.b_stride + j];
}

fn put_one(i: u32, j: u32, split: u32, value: f32) {
    if i >= p.m || j >= p.n {
        return;
    }
    let at = p.c_at + split * p.c_split + i * p.c_stride + j;
    var scaled = p.alpha * value;
    if p.beta != 0.0 {
        scaled += p.beta * c[at];
    }
    c[at] = scaled;
}

fn put(i: u32, j: u32, split: u32, values: vec4<f32>) {
    put_one(i, j, split, values.x);
    put_one(i, j + 1u, split, values.y);
    put_one(i, j + 2u, split, values.z);
    put_one(i, j + 3u, split, values.w);
}

@compute @workgroup_size(SIDE, SIDE)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) at: u32,
) {
    let tile = group_of(id);
    if tile >= p.tiles {
        return;
    }
    let row0 = tile / p.tiles_n * TILE;
    let col0 = tile % p.tiles_n * TILE;
    let split = id.z;
    let k_end = min((split + 1u) * p.chunk, p.k);

    var c0 = vec4<f32>();
    var d0 = vec4<f32>();
    var c1 = vec4<f32>();
    var d1 = vec4<f32>();
    var c2 = vec4<f32>();
    var d2 = vec4<f32>();
    var c3 = vec4<f32>();
    var d3 = vec4<f32>();
    var c4 = vec4<f32>();
    var d4 = vec4<f32>();
    var c5 = vec4<f32>();
    var d5 = vec4<f32>();
    var c6 = vec4<f32>();
    var d6 = vec4<f32>();
    var c7 = vec4<f32>();
    var d7 = vec4<f32>();

    for (var k0 = split * p.chunk; k0 < k_end; k0 += DEEP) {
        for (var l = at; l < DEEP * TILE / 4u; l += SIDE * SIDE) {
            // Neighbouring invocations read neighbouring addresses, whichever way the matrix lies.
            let across = vec2<u32>(l % (TILE / 4u), l / (TILE / 4u));
            let along = vec2<u32>(l / DEEP, l % DEEP);
            let in_a = select(along, across, A_TRANSPOSED);
            let i = row0 + in_a.x * 4u;
            let ka = k0 + in_a.y;
            tile_a[in_a.y * ROW + in_a.x] = vec4<f32>(
                a_of(i, ka, k_end), a_of(i + 1u, ka, k_end), a_of(i + 2u, ka, k_end), a_of(i + 3u, ka, k_end),
            );
            let in_b = select(across, along, B_TRANSPOSED);
            let j = col0 + in_b.x * 4u;
            let kb = k0 + in_b.y;
            tile_b[in_b.y * ROW + in_b.x] = vec4<f32>(
                b_of(kb, j, k_end), b_of(kb, j + 1u, k_end), b_of(kb, j + 2u, k_end), b_of(kb, j + 3u, k_end),
            );
        }
        workgroupBarrier();
        for (var k = 0u; k < DEEP; k++) {
            let u = tile_a[k * ROW + local.y];
            let v = tile_a[k * ROW + TILE / 8u + local.y];
            let s = tile_b[k * ROW + local.x];
            let t = tile_b[k * ROW + TILE / 8u + local.x];
            c0 = fma(vec4<f32>(u.x), s, c0);
            d0 = fma(vec4<f32>(u.x), t, d0);
            c1 = fma(vec4<f32>(u.y), s, c1);
            d1 = fma(vec4<f32>(u.y), t, d1);
            c2 = fma(vec4<f32>(u.z), s, c2);
            d2 = fma(vec4<f32>(u.z), t, d2);
            c3 = fma(vec4<f32>(u.w), s, c3);
            d3 = fma(vec4<f32>(u.w), t, d3);
            c4 = fma(vec4<f32>(v.x), s, c4);
            d4 = fma(vec4<f32>(v.x), t, d4);
            c5 = fma(vec4<f32>(v.y), s, c5);
            d5 = fma(vec4<f32>(v.y), t, d5);
            c6 = fma(vec4<f32>(v.z), s, c6);
            d6 = fma(vec4<f32>(v.z), t, d6);
            c7 = fma(vec4<f32>(v.w), s, c7);
            d7 = fma(vec4<f32>(v.w), t, d7);
        }
        workgroupBarrier();
    }

    let row = row0 + local.y * 4u;
    let col = col0 + local.x * 4u;
    put(row + 0u, col, split, c0);
    put(row + 0u, col + TILE / 2u, split, d0);
    put(row + 1u, col, split, c1);
    put(row + 1u, col + TILE / 2u, split, d1);
    put(row + 2u, col, split, c2);
    put(row + 2u, col + TILE / 2u, split, d2);
    put(row + 3u, col, split, c3);
    put(row + 3u, col + TILE / 2u, split, d3);
    put(row + TILE / 2u + 0u, col, split, c4);
    put(row + TILE / 2u + 0u, col + TILE / 2u, split, d4);
    put(row + TILE / 2u + 1u, col, split, c5);
    put(row + TILE / 2u + 1u, col + TILE / 2u, split, d5);
    put(row + TILE / 2u + 2u, col, split, c6);
    put(row + TILE / 2u + 2u, col + TILE / 2u, split, d6);
    put(row + TILE / 2u + 3u, col, split, c7);
    put(row + TILE / 2u + 3u, col + TILE / 2u, split, d7);
}
