//! Runs one inference of a layer or network, for `.ci/instructions` to count instructions.
//!
//! `instructions NAME` takes one of the names that `instructions` lists, and prints the kernels
//! that ran and the multiply-adds with weights that are not zero.

use std::error::Error;
use std::hint::black_box;

use cases::{Case, macs};
use common::noise;
use tfc_runtime::{Kernels, Model, Prepared, PreparedSession, RunError};

#[path = "../../../runtime/benches/cases/mod.rs"]
mod cases;
#[path = "../../../runtime/tests/suite/common/mod.rs"]
mod common;

fn main() -> Result<(), Box<dyn Error>> {
    let cases = cases::all();
    let Some(wanted) = std::env::args().nth(1) else {
        cases.iter().for_each(|case| println!("{}", case.name));
        return Ok(());
    };
    let case = cases.into_iter().find(|case| case.name == wanted);
    let Case { file, .. } = case.ok_or_else(|| format!("{wanted}: no such case"))?;
    let model = Model::new(&file)?;
    let prepared = Prepared::new(&model)?;
    let mut session = prepared.session();
    let input = noise(9, model.input_shape().elements().unwrap_or(0) as usize);
    // What is looked up once, such as features of the processor, is no part of an inference.
    session.run(&input)?;
    measured_run(&mut session, &input)?;
    println!("{} {}", Kernels::best().name(), macs(&model));
    Ok(())
}

/// All that is counted; callgrind knows it by its name.
#[inline(never)]
fn measured_run(session: &mut PreparedSession<'_, '_>, input: &[f32]) -> Result<(), RunError> {
    black_box(session.run(black_box(input))?);
    Ok(())
}
