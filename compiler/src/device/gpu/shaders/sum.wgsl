// Reductions over one workgroup of 64, always in the same order.
var<workgroup> cells: array<f32, 64>;

fn sum_all(at: u32, value: f32) -> f32 {
    cells[at] = value;
    workgroupBarrier();
    for (var half = 32u; half > 0u; half >>= 1u) {
        if at < half {
            cells[at] += cells[at + half];
        }
        workgroupBarrier();
    }
    let total = cells[0];
    workgroupBarrier();
    return total;
}

fn max_all(at: u32, value: f32) -> f32 {
    cells[at] = value;
    workgroupBarrier();
    for (var half = 32u; half > 0u; half >>= 1u) {
        if at < half {
            cells[at] = max(cells[at], cells[at + half]);
        }
        workgroupBarrier();
    }
    let largest = cells[0];
    workgroupBarrier();
    return largest;
}
