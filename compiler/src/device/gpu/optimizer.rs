//! Optimizer steps, each one pass over the weight.

use super::{elementwise, kernel::Kernel, memory::Buffer, recorder::Recorder};
use crate::device::Update;

pub(super) fn update(
    recorder: &Recorder,
    rule: Update,
    gradient: &Buffer,
    mask: Option<&Buffer>,
    state: &[Buffer],
    weight: &Buffer,
) {
    let masked = mask.is_some().into();
    // Without a mask its place is taken by anything that is only read.
    let mask = mask.unwrap_or(gradient);
    match (rule, state) {
        (Update::Sgd { rate, momentum, decay }, [v]) => {
            let params = [masked, rate.into(), momentum.into(), decay.into()];
            elementwise::run(recorder, Kernel::UpdateSgd, &[gradient, mask, v, weight], &params);
        }
        (Update::Adam { rate, beta1, beta2, eps, decay, step }, [m, v]) => {
            let correction = |beta: f32| (1.0 / (1.0 - f64::from(beta).powf(f64::from(step)))) as f32;
            let params = [
                masked,
                rate.into(),
                beta1.into(),
                beta2.into(),
                eps.into(),
                decay.into(),
                correction(beta1).into(),
                correction(beta2).into(),
            ];
            elementwise::run(recorder, Kernel::UpdateAdam, &[gradient, mask, m, v, weight], &params);
        }
        (Update::RmsProp { rate, rho, eps, decay }, [s]) => {
            let params = [masked, rate.into(), rho.into(), eps.into(), decay.into()];
            elementwise::run(recorder, Kernel::UpdateRmsProp, &[gradient, mask, s, weight], &params);
        }
        (rule, state) => panic!("{} state buffers for a rule of {}", state.len(), rule.states()),
    }
}
