// One workgroup a sample. `samples [2, B]` gets each sample's loss and whether it is wrong.
struct Params {
    classes: u32,
    batch: u32,
    distill: u32,
    temperature: f32,
    weight: f32,
}

var<immediate> p: Params;
@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> labels: array<f32>;
@group(0) @binding(2) var<storage, read> teacher: array<f32>;
@group(0) @binding(3) var<storage, read_write> grad: array<f32>;
@group(0) @binding(4) var<storage, read_write> samples: array<f32>;

const LOWEST: f32 = -3.4028234e38;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) at: u32) {
    let sample = group_of(id);
    if sample >= p.batch {
        return;
    }
    let label = u32(labels[sample]);

    var top = LOWEST;
    var first = p.classes;
    for (var k = at; k < p.classes; k += 64u) {
        let z = logits[k * p.batch + sample];
        if z > top || first == p.classes {
            top = z;
            first = k;
        }
    }
    let largest = max_all(at, top);
    let predicted = -max_all(at, -f32(select(p.classes, first, top == largest)));

    var partial = 0.0;
    for (var k = at; k < p.classes; k += 64u) {
        partial += exp(logits[k * p.batch + sample] - largest);
    }
    let total = sum_all(at, partial);
    var loss = log(total) + largest - logits[label * p.batch + sample];

    // With a teacher: the two softened distributions.
    let heat = 1.0 / p.temperature;
    var teacher_largest = 0.0;
    var soft_total = 1.0;
    var teacher_total = 1.0;
    if p.distill != 0u {
        var teacher_top = LOWEST;
        for (var k = at; k < p.classes; k += 64u) {
            teacher_top = max(teacher_top, teacher[k * p.batch + sample]);
        }
        teacher_largest = max_all(at, teacher_top);
        var soft = 0.0;
        var taught = 0.0;
        for (var k = at; k < p.classes; k += 64u) {
            soft += exp((logits[k * p.batch + sample] - largest) * heat);
            taught += exp((teacher[k * p.batch + sample] - teacher_largest) * heat);
        }
        soft_total = sum_all(at, soft);
        teacher_total = sum_all(at, taught);
    }

    var divergence = 0.0;
    for (var k = at; k < p.classes; k += 64u) {
        let i = k * p.batch + sample;
        var g = exp(logits[i] - largest) / total;
        if k == label {
            g -= 1.0;
        }
        if p.distill != 0u {
            let soft_log = (logits[i] - largest) * heat - log(soft_total);
            let taught_log = (teacher[i] - teacher_largest) * heat - log(teacher_total);
            let taught = exp(taught_log);
            divergence += taught * (taught_log - soft_log);
            g = (1.0 - p.weight) * g + p.weight * p.temperature * (exp(soft_log) - taught);
        }
        grad[i] = g / f32(p.batch);
    }
    if p.distill != 0u {
        let kl = sum_all(at, divergence);
        loss = (1.0 - p.weight) * loss + p.weight * p.temperature * p.temperature * kl;
    }
    if at == 0u {
        samples[sample] = loss;
        samples[p.batch + sample] = select(1.0, 0.0, predicted == f32(label));
    }
}
