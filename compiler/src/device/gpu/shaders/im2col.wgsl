// cols[(c, ky, kx), (image, oy, ox)] = x[c, first + image, y, x], 0 outside the plane.
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> cols: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = i32(item_of(id));
    let width = p.count * p.oh * p.ow;
    if i >= p.c * p.kh * p.kw * width {
        return;
    }
    let row = i / width;
    let col = i % width;
    let image = p.first + col / (p.oh * p.ow);
    let iy = col / p.ow % p.oh * p.sh - p.top + row / p.kw % p.kh * p.dh;
    let ix = col % p.ow * p.sw - p.left + row % p.kw * p.dw;
    var value = 0.0;
    if iy >= 0 && iy < p.h && ix >= 0 && ix < p.w {
        value = x[((row / (p.kh * p.kw) * p.batch + image) * p.h + iy) * p.w + ix];
    }
    cols[i] = value;
}
