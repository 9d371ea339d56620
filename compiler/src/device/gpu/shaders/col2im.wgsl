// Each input element gathers from all patches it lies in: no atomics, a fixed order.
@group(0) @binding(0) var<storage, read> cols: array<f32>;
@group(0) @binding(1) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = i32(item_of(id));
    if i >= p.c * p.count * p.h * p.w {
        return;
    }
    let ix = i % p.w;
    let iy = i / p.w % p.h;
    let image = i / (p.w * p.h) % p.count;
    let c = i / (p.w * p.h * p.count);
    let width = p.count * p.oh * p.ow;

    let rows = reach(iy, p.top, p.sh, p.dh, p.kh, p.oh);
    let columns = reach(ix, p.left, p.sw, p.dw, p.kw, p.ow);
    let to = ((c * p.batch + p.first + image) * p.h + iy) * p.w + ix;
    var sum = 0.0;
    if p.from_step > 0 {
        sum = dx[to];
    }
    for (var oy = rows.x + p.from_step; oy < min(rows.x + p.to_step, rows.y); oy++) {
        let ky = tap_on(iy, oy, p.top, p.sh, p.dh, p.kh);
        if ky < 0 {
            continue;
        }
        for (var ox = columns.x; ox < columns.y; ox++) {
            let kx = tap_on(ix, ox, p.left, p.sw, p.dw, p.kw);
            if kx >= 0 {
                sum += cols[((c * p.kh + ky) * p.kw + kx) * width + (image * p.oh + oy) * p.ow + ox];
            }
        }
    }
    dx[to] = sum;
}
