//! Classifies built-in test digits with an artifact that `tfc compile` wrote:
//! `cargo run --release -p quickstart -- digits.tfc`.

use std::error::Error;

use tfc_formats::artifact::open;
use tfc_formats::dataset;
use tfc_runtime::{AlignedArena, Model, Session};

/// Room for the activations of a LeNet-5; `tfc inspect` tells what a model needs.
const ARENA: usize = 64 * 1024;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: quickstart MODEL.tfc")?;
    let file = open(&path)?;
    let model = Model::new(&file)?;
    let mut arena = AlignedArena::<ARENA>::new();
    let mut session = Session::new(&model, &mut arena)?;

    let digits = dataset::load("builtin:digits")?.test;
    for sample in 0..10 {
        let scores = session.run_raw(digits.sample(sample))?;
        let best = (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap_or(0);
        println!("a {} was read as a {best}", digits.labels[sample]);
    }
    Ok(())
}
