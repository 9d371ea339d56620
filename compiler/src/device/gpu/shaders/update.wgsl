// What the optimizer steps share. Their `Params` hold `masked`: whether there is a mask.
@group(0) @binding(0) var<storage, read> gradient: array<f32>;
@group(0) @binding(1) var<storage, read> mask: array<f32>;

// Factor of weight `i` and its state: 0 where it is pruned, else 1.
fn keep_of(i: u32) -> f32 {
    if p.masked != 0u {
        return mask[i];
    }
    return 1.0;
}

