//! Names what is in a picture: `raspberry-pi MODEL.tfc PICTURE [LABELS]` prints the five largest outputs.
//!
//! PICTURE is a PNG or JPEG file, or an NPY array; the model remembers how it is resized and scaled.
//! LABELS is a text file with the name of a class a line, the first that of class 0.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::Instant;

use tfc_formats::artifact::{AlignedBytes, open};
use tfc_formats::dataset::sample::read_input;
use tfc_runtime::{Model, Session};

/// Outputs that are printed.
const TOP: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (model, picture, labels) = match arguments.as_slice() {
        [model, picture] => (model, picture, None),
        [model, picture, labels] => (model, picture, Some(labels)),
        _ => return Err("usage: raspberry-pi MODEL.tfc PICTURE [LABELS]".into()),
    };
    let labels = labels.map(|path| fs::read_to_string(path).map_err(|error| format!("{path}: {error}")));
    let labels = labels.transpose()?.unwrap_or_default();
    let labels: Vec<&str> = labels.lines().collect();

    let file = open(model)?;
    let model = Model::new(&file)?;
    let inputs = read_input(Path::new(picture), model.input_shape(), &model.header().preprocess)?;
    let mut arena = AlignedBytes::zeroed(model.arena_len());
    let mut session = Session::new(&model, &mut arena)?;
    for input in &inputs {
        let start = Instant::now();
        let scores = session.run(input)?;
        let taken = start.elapsed();
        let mut classes: Vec<usize> = (0..scores.len()).collect();
        classes.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        for &class in classes.iter().take(TOP) {
            println!("{:8.4}  {}", scores[class], labels.get(class).map_or(class.to_string(), |&l| l.into()));
        }
        eprintln!("{:.2} ms", 1e3 * taken.as_secs_f64());
    }
    Ok(())
}
