//! The smallest application: a digit in, its class out.
//!
//! The model is linked in: the variable MODEL of the build names its file. The digit is a raw sample,
//! 28 x 28 bytes, that lies in the flash behind the program.
#![no_std]
#![no_main]

use core::fmt::Write;

use board::{Output, Ram};
use tfc_runtime::{Session, include_model};

#[board::entry]
fn main() -> ! {
    board::init();
    match class() {
        Some(class) => {
            let digit = [b'0' + class as u8, b'\n'];
            _ = Output.write_str(str::from_utf8(&digit).unwrap_or_default());
            board::exit(0)
        }
        None => board::exit(1),
    }
}

fn class() -> Option<usize> {
    let model = include_model!(env!("MODEL")).ok()?;
    let arena = Ram::take()?.split(model.arena_len())?;
    let mut session = Session::new(&model, arena).ok()?;
    let pixels = model.input_shape().elements()? as usize;
    let scores = session.run_raw(board::model().get(..pixels)?).ok()?;
    (0..scores.len()).max_by(|a, b| scores[*a].total_cmp(&scores[*b]))
}
