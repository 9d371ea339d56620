// y[c * fan_out + f] = x[c] correlated with w[c * fan_out + f].
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = i32(item_of(id));
    let pixels = p.oh * p.ow;
    if i >= p.c * p.fan_out * p.batch * pixels {
        return;
    }
    let filter_at = i / (pixels * p.batch);
    let plane = (filter_at / p.fan_out * p.batch + i / pixels % p.batch) * p.h * p.w;
    let oy = i / p.ow % p.oh;
    let ox = i % p.ow;
    var sum = 0.0;
    if p.from_step > 0 {
        sum = y[i];
    }
    for (var ky = p.from_step; ky < min(p.to_step, p.kh); ky++) {
        let iy = oy * p.sh - p.top + ky * p.dh;
        if iy < 0 || iy >= p.h {
            continue;
        }
        for (var kx = 0; kx < p.kw; kx++) {
            let ix = ox * p.sw - p.left + kx * p.dw;
            if ix >= 0 && ix < p.w {
                sum += weight[(filter_at * p.kh + ky) * p.kw + kx] * x[plane + iy * p.w + ix];
            }
        }
    }
    y[i] = sum;
}
