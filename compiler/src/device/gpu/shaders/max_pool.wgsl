@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read_write> argmax: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = i32(item_of(id));
    if i >= p.c * p.batch * p.oh * p.ow {
        return;
    }
    let plane = i / (p.oh * p.ow) * p.h * p.w;
    let y0 = i / p.ow % p.oh * p.sh - p.top;
    let x0 = i % p.ow * p.sw - p.left;
    var best = 0.0;
    var best_at = -1;
    if p.from_step > 0 {
        best = y[i];
        best_at = i32(argmax[i]);
    }
    for (var ky = p.from_step; ky < min(p.to_step, p.kh); ky++) {
        let iy = y0 + ky * p.dh;
        if iy < 0 || iy >= p.h {
            continue;
        }
        for (var kx = 0; kx < p.kw; kx++) {
            let ix = x0 + kx * p.dw;
            if ix < 0 || ix >= p.w {
                continue;
            }
            let at = iy * p.w + ix;
            let value = x[plane + at];
            if best_at < 0 || value > best {
                best = value;
                best_at = at;
            }
        }
    }
    y[i] = best;
    argmax[i] = f32(best_at);
}
