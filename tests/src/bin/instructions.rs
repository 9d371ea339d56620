//! Runs one inference of a network of random weights, for `.ci/instructions` to count instructions.
//!
//! `instructions NETWORK ZEROS BLOCK` takes the name of a known network, the share of zeros in every
//! weight of more than 500 elements, and how many neighbouring output channels have them in the
//! same places. Prints the kernels that ran.

use std::error::Error;
use std::hint::black_box;

use tfc::bench::ramp;
use tfc::encode::{Precision, encode};
use tfc::{passes, train};
use tfc_formats::artifact::AlignedBytes;
use tfc_formats::import::{ImportOptions, untrained};
use tfc_formats::network::Tensor;
use tfc_runtime::{Kernels, Model, RunError, Session};

/// Tensors of up to so many elements stay dense.
const SMALL: usize = 500;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [network, zeros, block] = args.as_slice() else {
        return Err("usage: instructions NETWORK ZEROS BLOCK".into());
    };
    let (zeros, block): (f64, usize) = (zeros.parse()?, block.parse()?);
    let mut network = untrained(network, &ImportOptions::default())?;
    train::init(&mut network, 1);
    for tensor in network.tensors.iter_mut().filter(|t| t.shape.len() > 1 && t.data.len() > SMALL) {
        prune(tensor, zeros, block);
    }
    let (network, _) = passes::run(&network)?;
    let encoded = encode(&network, &vec![Precision::F32; network.tensors.len()])?;

    let file = AlignedBytes::from(encoded.bytes.as_slice());
    let model = Model::new(&file)?;
    let mut arena = AlignedBytes::zeroed(model.arena_len());
    let mut session = Session::new(&model, &mut arena)?;
    let input = ramp(model.input_shape().elements().unwrap_or(0) as usize);
    // What is looked up once, such as features of the processor, is no part of an inference.
    session.run(&input)?;
    measured_run(&mut session, &input)?;
    println!("{}", Kernels::best().name());
    Ok(())
}

/// All that is counted; callgrind knows it by its name.
#[inline(never)]
fn measured_run(session: &mut Session<'_, '_>, input: &[f32]) -> Result<(), RunError> {
    black_box(session.run(black_box(input))?);
    Ok(())
}

/// Zeros as many elements of each block of rows as asked for, spread evenly at random.
fn prune(tensor: &mut Tensor, zeros: f64, block: usize) {
    let cols = tensor.data.len() / tensor.shape[0];
    for (at, value) in tensor.data.iter_mut().enumerate() {
        let (row, col) = (at / cols / block, at % cols);
        // The fractional part of multiples of the golden ratio, which are spread evenly.
        let place = ((row * cols + col) as f64 * 0.618_033_988_749_895).fract();
        if place < zeros {
            *value = 0.0;
        }
    }
}
