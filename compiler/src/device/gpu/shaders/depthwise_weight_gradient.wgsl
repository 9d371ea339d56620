// One workgroup sums the products of one weight over the images of this pass.
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> dw: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) at: u32) {
    let i = i32(group_of(id));
    if i >= p.c * p.fan_out * p.kh * p.kw {
        return;
    }
    let kx = i % p.kw;
    let ky = i / p.kw % p.kh;
    let filter_at = i / (p.kw * p.kh);
    let pixels = p.oh * p.ow;
    var partial = 0.0;
    for (var image = p.from_step; image < min(p.to_step, p.batch); image++) {
        let plane = (filter_at / p.fan_out * p.batch + image) * p.h * p.w;
        let outputs = (filter_at * p.batch + image) * pixels;
        for (var o = i32(at); o < pixels; o += 64) {
            let iy = o / p.ow * p.sh - p.top + ky * p.dh;
            let ix = o % p.ow * p.sw - p.left + kx * p.dw;
            if iy >= 0 && iy < p.h && ix >= 0 && ix < p.w {
                partial += dy[outputs + o] * x[plane + iy * p.w + ix];
            }
        }
    }
    var total = sum_all(at, partial);
    if at == 0u {
        if p.from_step > 0 {
            total += dw[i];
        } else if p.beta != 0.0 {
            total += p.beta * dw[i];
        }
        dw[i] = total;
    }
}
