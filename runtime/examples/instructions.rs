//! Runs a prepared model between two functions that a plugin of QEMU knows by name and counts the
//! instructions between: `instructions MODEL [--steps]`. Prints a name for each region that is
//! counted, in order. `benches/aarch64` puts both together.
#![expect(unsafe_code)]

use std::arch::asm;
use std::process::ExitCode;

use tfc_formats::artifact::AlignedBytes;
use tfc_runtime::{Kernels, Model, Prepared};

/// The next region begins. The bodies of both functions differ, or one function is made of both.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn icnt_begin() {
    // SAFETY: does nothing.
    unsafe { asm!("nop") }
}

/// A region ends.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn icnt_end() {
    // SAFETY: does nothing.
    unsafe { asm!("nop", "nop") }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("instructions: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: instructions MODEL [--steps]")?;
    let steps = arguments.next().is_some_and(|argument| argument == "--steps");
    let bytes = std::fs::read(&path).map_err(|error| format!("{path}: {error}"))?;
    let file = AlignedBytes::from(&*bytes);
    let model = Model::new(&file).map_err(|error| format!("{path}: {error}"))?;
    let prepared = Prepared::new(&model).map_err(|error| format!("{path}: {error}"))?;
    let mut session = prepared.session();
    let len = model.input_shape().elements().ok_or("the input is too large")?;
    let input: Vec<f32> = (0..len).map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0).collect();
    let said = |error| format!("{path}: {error}");
    // The first run touches memory that no later run does.
    session.run(&input).map_err(said)?;

    icnt_begin();
    let output = session.run(&input).map_err(said)?;
    icnt_end();
    println!("{}", Kernels::best().name());
    assert!(output.iter().all(|x| x.is_finite()), "{path}: an output is no number");
    if steps {
        prepared.steps().for_each(|name| println!("{name}"));
        icnt_begin();
        let mut next = |_| {
            icnt_end();
            icnt_begin();
        };
        session.run_observed(&input, &mut next).map_err(said)?;
    }
    Ok(())
}
