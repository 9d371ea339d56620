//! Optimizer steps.

use tfc::device::{Device, Update};

use super::{assert_close, data, download, tolerance::STEPS};

const LEN: usize = 5003;
const STEP_COUNT: u32 = 5;

fn rules(step: u32) -> [Update; 5] {
    [
        Update::Sgd { rate: 0.1, momentum: 0.0, decay: 0.0 },
        Update::Sgd { rate: 0.05, momentum: 0.9, decay: 5e-3 },
        Update::Adam { rate: 0.01, beta1: 0.9, beta2: 0.999, eps: 1e-8, decay: 0.0, step },
        Update::Adam { rate: 0.02, beta1: 0.8, beta2: 0.95, eps: 1e-3, decay: 0.1, step },
        Update::RmsProp { rate: 0.01, rho: 0.9, eps: 1e-4, decay: 1e-2 },
    ]
}

/// The rules as their papers write them, for one weight.
fn oracle(rule: Update, g: f64, state: &mut [f64], w: f64) -> f64 {
    match rule {
        Update::Sgd { rate, momentum, decay } => {
            let [rate, momentum, decay] = [rate, momentum, decay].map(f64::from);
            state[0] = momentum * state[0] + g + decay * w;
            w - rate * state[0]
        }
        Update::Adam { rate, beta1, beta2, eps, decay, step } => {
            let [rate, beta1, beta2, eps, decay] = [rate, beta1, beta2, eps, decay].map(f64::from);
            state[0] = beta1 * state[0] + (1.0 - beta1) * g;
            state[1] = beta2 * state[1] + (1.0 - beta2) * g * g;
            let first = state[0] / (1.0 - beta1.powf(step.into()));
            let second = state[1] / (1.0 - beta2.powf(step.into()));
            w - rate * (first / (second.sqrt() + eps) + decay * w)
        }
        Update::RmsProp { rate, rho, eps, decay } => {
            let [rate, rho, eps, decay] = [rate, rho, eps, decay].map(f64::from);
            state[0] = rho * state[0] + (1.0 - rho) * g * g;
            w - rate * (g / (state[0].sqrt() + eps) + decay * w)
        }
    }
}

/// Gradients of magnitude 0.1 to 1, of either sign: where Adam's are near 0 its first step is
/// as large as anywhere else, and rounding decides its sign.
fn gradients(step: u32) -> Vec<f32> {
    data(LEN, 10 + u64::from(step)).into_iter().map(|g| g.signum() * (0.1 + 0.9 * g.abs())).collect()
}

/// Five steps of rule `which`, on the device and by the oracle.
fn check<D: Device>(d: &D, which: usize, mask: Option<&[f32]>) {
    let mut want: Vec<f64> = data(LEN, 1).into_iter().map(f64::from).collect();
    let mut weight = d.upload(&data(LEN, 1));
    let states = rules(1)[which].states();
    let mut want_state = vec![vec![0.0f64; states]; LEN];
    let mut state: Vec<D::Buffer> = (0..states).map(|_| d.zeros(LEN)).collect();
    let mask_buffer = mask.map(|mask| d.upload(mask));
    for step in 1..=STEP_COUNT {
        let g = gradients(step);
        let rule = rules(step)[which];
        d.update(rule, &d.upload(&g), mask_buffer.as_ref(), &mut state, &mut weight);
        for i in 0..LEN {
            let keep = mask.map_or(1.0, |mask| f64::from(mask[i]));
            want[i] = keep * oracle(rule, g[i].into(), &mut want_state[i], want[i]);
            want_state[i].iter_mut().for_each(|s| *s *= keep);
        }
    }
    let got = download(d, &weight);
    assert_close(&format!("rule {which}"), &got, &want, STEPS);
    for (j, state) in state.iter().enumerate() {
        let got_state = download(d, state);
        let want: Vec<f64> = want_state.iter().map(|s| s[j]).collect();
        assert_close(&format!("state {j} of rule {which}"), &got_state, &want, STEPS);
        for (i, mask) in mask.into_iter().flatten().enumerate() {
            assert!(*mask == 1.0 || (got[i] == 0.0 && got_state[i] == 0.0), "a pruned weight moved");
        }
    }
}

pub(crate) fn rules_follow_their_formulas<D: Device>(d: &D) {
    (0..rules(1).len()).for_each(|which| check(d, which, None));
}

pub(crate) fn masked_weights_stay_zero<D: Device>(d: &D) {
    let mask: Vec<f32> = data(LEN, 2).into_iter().map(|x| if x > 0.3 { 1.0 } else { 0.0 }).collect();
    (0..rules(1).len()).for_each(|which| check(d, which, Some(&mask)));
}
