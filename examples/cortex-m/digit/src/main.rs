//! The smallest application: a digit in, its class out.
//!
//! The model is linked in: the variable MODEL of the build names its file. The digit is a raw sample,
//! 28 x 28 bytes, that lies in the flash behind the program.
#![no_std]
#![no_main]

use core::fmt::Write;

use board::{Output, Ram};
use tfc_runtime::{Session, include_model};

/// A line for each class.
const LINES: &str = "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n";

#[board::entry]
fn main() -> ! {
    board::init();
    match class().and_then(|class| LINES.get(2 * class..2 * class + 2)) {
        Some(line) => {
            _ = Output.write_str(line);
            board::exit(0)
        }
        None => board::exit(1),
    }
}

fn class() -> Option<usize> {
    let model = include_model!(env!("MODEL"));
    let arena = Ram::take()?.split(model.arena_len())?;
    let mut session = Session::new(model, arena).ok()?;
    let pixels = model.input_shape().elements()? as usize;
    let scores = session.run_raw(board::model().get(..pixels)?).ok()?;
    (0..scores.len()).max_by(|a, b| scores[*a].total_cmp(&scores[*b]))
}
