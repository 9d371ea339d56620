//! Prints what networks cost on every board that QEMU emulates, a line each: instructions of loading
//! and of a run, bytes of the arena, of the stack at its deepest, and of the program.
//!
//! `boards FIRMWARE`, with the folder of the firmware's sources. The networks have random weights, so
//! that the lines change with the code alone. Exits with an error if an output has other bits than
//! on this machine.

use std::error::Error;
use std::path::PathBuf;

use tfc::bench::ramp;
use tfc::board::{BOARDS, Bench, Place};
use tfc::encode::{Precision, encode};
use tfc::passes;
use tfc::prune::prunable;
use tfc::train::init;
use tfc_formats::artifact::AlignedBytes;
use tfc_formats::import::{ImportOptions, untrained};
use tfc_runtime::{Kernels, Model, Session};

/// Architectures with their shares of zeros.
const NETWORKS: [(&str, f32); 2] = [("lenet_300_100", 0.95), ("resnet8", 0.9)];

fn main() -> Result<(), Box<dyn Error>> {
    let firmware = PathBuf::from(std::env::args().nth(1).ok_or("usage: boards FIRMWARE")?);
    let networks: Vec<(&str, AlignedBytes)> = NETWORKS
        .iter()
        .map(|(name, zeros)| Ok((*name, network(name, *zeros)?)))
        .collect::<Result<_, Box<dyn Error>>>()?;
    println!("board\tnetwork\tload\trun\tarena\tstack\tprogram");
    for board in &BOARDS {
        for (name, file) in &networks {
            let model = Model::new(file)?;
            let bench = Bench::prepare(&Place::Emulated(board), &firmware, model.artifact().needs())?;
            let input = ramp(model.input_shape().elements().unwrap_or(0) as usize);
            let measured = match bench.run(file, &input) {
                Err(error) if error.is_too_large() => {
                    eprintln!("{}: {name}: {error}", board.name);
                    continue;
                }
                measured => measured?,
            };
            let mut arena = AlignedBytes::zeroed(model.arena_len());
            let mut session = Session::with_kernels(&model, &mut arena, Kernels::GENERIC)?;
            let expected = session.run(&input)?;
            let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            if bits(expected) != bits(&measured.output) {
                return Err(format!("{}: {name}: {:?}, not {expected:?}", board.name, measured.output).into());
            }
            let bytes = |n: Option<u64>| n.map_or("-".to_owned(), |n| n.to_string());
            println!(
                "{}\t{name}\t{}\t{}\t{}\t{}\t{}",
                board.name,
                measured.load,
                measured.run,
                bytes(measured.arena),
                bytes(measured.stack),
                bytes(bench.sizes().map(|(code, _)| code)),
            );
        }
    }
    Ok(())
}

/// A network with random weights, of which the smallest of each layer are zero.
fn network(name: &str, zeros: f32) -> Result<AlignedBytes, Box<dyn Error>> {
    let mut network = untrained(name, &ImportOptions::default())?;
    init(&mut network, 1);
    let (mut network, _) = passes::fold(&network)?;
    for tensor in prunable(&network) {
        let data = &mut network.tensors[tensor].data;
        let mut sizes: Vec<f32> = data.iter().map(|w| w.abs()).collect();
        sizes.sort_by(f32::total_cmp);
        let threshold = sizes.get((sizes.len() as f32 * zeros) as usize).copied().unwrap_or(0.0);
        data.iter_mut().filter(|w| w.abs() < threshold).for_each(|w| *w = 0.0);
    }
    let (network, _) = passes::run(&network, 1)?;
    let encoded = encode(&network, &vec![Precision::F32; network.tensors.len()])?;
    Ok(AlignedBytes::from(encoded.bytes.as_slice()))
}
