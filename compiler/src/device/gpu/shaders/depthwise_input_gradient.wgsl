// Each input element gathers from all outputs of its channel whose window it lies in.
@group(0) @binding(0) var<storage, read> weight: array<f32>;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = i32(item_of(id));
    if i >= p.c * p.batch * p.h * p.w {
        return;
    }
    let ix = i % p.w;
    let iy = i / p.w % p.h;
    let image = i / (p.w * p.h) % p.batch;
    let c = i / (p.w * p.h * p.batch);

    let rows = reach(iy, p.top, p.sh, p.dh, p.kh, p.oh);
    let columns = reach(ix, p.left, p.sw, p.dw, p.kw, p.ow);
    var sum = 0.0;
    if p.from_step > 0 {
        sum = dx[i];
    }
    for (var oy = rows.x + p.from_step; oy < min(rows.x + p.to_step, rows.y); oy++) {
        let ky = tap_on(iy, oy, p.top, p.sh, p.dh, p.kh);
        if ky < 0 {
            continue;
        }
        for (var ox = columns.x; ox < columns.y; ox++) {
            let kx = tap_on(ix, ox, p.left, p.sw, p.dw, p.kw);
            if kx < 0 {
                continue;
            }
            for (var f = c * p.fan_out; f < (c + 1) * p.fan_out; f++) {
                sum += weight[(f * p.kh + ky) * p.kw + kx]
                    * dy[((f * p.batch + image) * p.oh + oy) * p.ow + ox];
            }
        }
    }
    dx[i] = sum;
}
