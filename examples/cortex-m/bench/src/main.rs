//! Prints what a run of the model that lies in flash behind this program costs on this board: see
//! [`measure`] for the lines. `tfc bench --on BOARD` builds it, runs it and reads them.
#![no_std]
#![no_main]

use core::fmt::Write;

use board::{Cycles, Output, Ram};
use measure::{Error, Image};
use tfc_runtime::Needs;

/// What the model in flash may need; no more is linked. The variable NEEDS of the build has it as a
/// number, everything without.
const NEEDS: u32 = match option_env!("NEEDS") {
    Some(number) => match u32::from_str_radix(number, 10) {
        Ok(needs) => needs,
        Err(_) => panic!("NEEDS is no number"),
    },
    None => Needs::ALL.bits(),
};

#[board::entry]
fn main() -> ! {
    board::init();
    match run() {
        Ok(()) => board::exit(0),
        Err(error) => {
            _ = writeln!(Output, "{error:?}");
            board::exit(1)
        }
    }
}

fn run() -> Result<(), Error> {
    let image = Image::of(board::model())?;
    let arena_len = image.model::<NEEDS>()?.arena_len();
    let mut ram = Ram::take().ok_or(Error::Image)?;
    let arena = ram.split(arena_len).ok_or(Error::Ram { needed: arena_len, free: ram.len() })?;

    let mut result = Ok(());
    let stack = ram.peak_stack(&mut || result = measure::run_once::<NEEDS>(&image, arena));
    result?;
    let stack = stack.ok_or(Error::Stack)?;
    measure::line(&mut Output, format_args!("{{\"stack\":{stack}}}"))?;
    measure::measure::<Cycles, NEEDS>(&image, arena, &mut Output)
}
