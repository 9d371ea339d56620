//! Prints what networks cost on every board that QEMU emulates, a line each: instructions of loading
//! and of a run, bytes of the arena, of the stack at its deepest, and of the program.
//!
//! `boards FIRMWARE`, with the folder of the firmware's sources. The networks have random weights, so
//! that the lines change with the code alone. Exits with an error if an output has other bits than
//! on this machine. What is too large for a board is said on stderr.

use std::error::Error;
use std::path::{Path, PathBuf};

use tfc::bench::ramp;
use tfc::board::{BOARDS, Bench, Board, Place};
use tfc::encode::{Precision, encode, encode_int8};
use tfc::execute::Inputs;
use tfc::passes;
use tfc::prune::prunable;
use tfc::quantize::{Method, calibrate};
use tfc::train::init;
use tfc_formats::artifact::{AlignedBytes, Element};
use tfc_formats::import::{ImportOptions, untrained};
use tfc_runtime::{Kernels, Model, Session};

/// Architectures with their shares of zeros, on floats and on i8.
const NETWORKS: [(&str, f32); 2] = [("lenet_300_100", 0.95), ("resnet8", 0.9)];

/// Largest difference of floats under Linux, as a share of the largest output.
const TOLERANCE: f32 = 1e-5;

/// A model with its name in the table.
struct Case {
    name: String,
    file: AlignedBytes,
}

fn main() -> Result<(), Box<dyn Error>> {
    let firmware = PathBuf::from(std::env::args().nth(1).ok_or("usage: boards FIRMWARE")?);
    let cases: Vec<[Case; 2]> =
        NETWORKS.iter().map(|(name, zeros)| models(name, *zeros)).collect::<Result<_, _>>()?;
    println!("board\tnetwork\tload\trun\tarena\tstack\tprogram");
    for board in &BOARDS {
        for case in cases.iter().flatten() {
            if let Some(line) = line(board, &firmware, case)? {
                println!("{}\t{}\t{line}", board.name, case.name);
            }
        }
    }
    Ok(())
}

/// What a model costs on a board; `None` if it is too large for it.
fn line(board: &'static Board, firmware: &Path, case: &Case) -> Result<Option<String>, Box<dyn Error>> {
    let model = Model::new(&case.file)?;
    let bench = Bench::prepare(&Place::Emulated(board), firmware, model.artifact().needs())?;
    let input = ramp(model.input_shape().elements().unwrap_or(0) as usize);
    let measured = match bench.run(&case.file, &input) {
        Err(error) if error.is_too_large() => {
            eprintln!("not compared: {} on {}: {error}", case.name, board.name);
            return Ok(None);
        }
        measured => measured?,
    };
    let mut arena = AlignedBytes::zeroed(model.arena_len());
    let mut session = Session::with_kernels(&model, &mut arena, Kernels::GENERIC)?;
    let expected = session.run(&input)?;
    let found = &measured.output;
    let same = || found.iter().map(|x| x.to_bits()).eq(expected.iter().map(|x| x.to_bits()));
    let largest = expected.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
    let close = || found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= TOLERANCE * largest);
    match (same(), model.header().output.element) {
        (true, _) => {}
        // Vectors of another length add up in another order, and products are not rounded.
        (false, Element::F32) if board.linux && found.len() == expected.len() && close() => {
            eprintln!("not compared bit for bit: {} on {}, within {TOLERANCE:e}", case.name, board.name);
        }
        _ => return Err(format!("{}: {}: {found:?}, not {expected:?}", board.name, case.name).into()),
    }
    let bytes = |n: Option<u64>| n.map_or("-".to_owned(), |n| n.to_string());
    let columns = [
        measured.load.to_string(),
        measured.run.to_string(),
        model.arena_len().to_string(),
        bytes(measured.stack),
        bytes(bench.sizes().map(|(code, _)| code)),
    ];
    Ok(Some(columns.join("\t")))
}

/// A network with random weights, of which the smallest of each layer are zero, on floats and on i8.
fn models(name: &str, zeros: f32) -> Result<[Case; 2], Box<dyn Error>> {
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
    let floats = encode(&network, &vec![Precision::F32; network.tensors.len()])?;
    let ranges = calibrate(&network, &Inputs::Random { count: 16, seed: 1 }, Method::MinMax)?;
    let integers = encode_int8(&network, &ranges)?;
    let case = |element, bytes: &[u8]| Case {
        name: format!("{name} {:.0}% {element}", 100.0 * zeros).replace(' ', "-"),
        file: AlignedBytes::from(bytes),
    };
    Ok([case("f32", &floats.bytes), case("int8", &integers.bytes)])
}
