//! What tests of random cases share.

use crate::arena::Arena;
use crate::common::{noise, sparse_noise};
use tfc_runtime::{Kernels, Model, Session};

/// A matrix as `sparse_noise`, of whose rows so many have their zeros in the same columns.
pub(crate) fn sparse_rows(seed: u32, [rows, cols]: [u32; 2], zeros: f32, alike: usize) -> Vec<f32> {
    let cols = cols as usize;
    let pattern = sparse_noise(seed.wrapping_add(1), (rows as usize).div_ceil(alike) * cols, zeros);
    let at = |i: usize| i / cols / alike * cols + i % cols;
    let values = noise(seed, rows as usize * cols);
    values.iter().enumerate().map(|(i, v)| if pattern[at(i)] == 0.0 { 0.0 } else { *v }).collect()
}

/// What a model makes of an input, for all kernels: run in place and, where that is built,
/// prepared. A prepared model runs twice, on another input first.
pub(crate) fn outputs(model: &Model<'_>, input: &[f32]) -> Vec<(String, Vec<f32>)> {
    let mut outputs = vec![];
    for kernels in Kernels::available() {
        let mut arena = Arena::of(model);
        let mut session = Session::with_kernels(model, arena.bytes(), kernels).unwrap();
        outputs.push((kernels.name().to_owned(), session.run(input).unwrap().to_vec()));
        #[cfg(feature = "alloc")]
        {
            let prepared = tfc_runtime::Prepared::with_kernels(model, kernels).unwrap();
            let mut session = prepared.session();
            session.run(&vec![f32::NAN; input.len()]).unwrap();
            outputs.push((format!("{}, prepared", kernels.name()), session.run(input).unwrap().to_vec()));
        }
    }
    outputs
}
