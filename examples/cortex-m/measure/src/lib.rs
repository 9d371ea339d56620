//! What a run of a model costs, step by step, as lines of JSON: the same on a microcontroller and
//! on a Raspberry Pi.
//!
//! | line | meaning |
//! |---|---|
//! | `{"unit":"cycles"}` | what costs are: `cycles`, `ns`, or `none`, where nothing but an emulator counts |
//! | `{"stack":1500}` | bytes of the stack at its deepest; on a microcontroller |
//! | `{"load":9}` | cost of checking the model |
//! | `{"run":9}` | cost of a run, the sample being where the network reads it |
//! | `{"step":0,"name":"conv1","cost":9}` | cost of one of its steps, measured in a second run |
//! | `{"output":[1065353216]}` | bits of the result, the last line |
//!
//! In QEMU the plugin `icnt` counts the instructions of every piece whose cost is printed, in the
//! order of their lines: each runs between the functions `icnt_begin` and `icnt_end`.
#![no_std]

mod mark;

use core::fmt::{self, Write};

use tfc_runtime::{Model, ModelError, RunError, Session, SessionError};

/// A clock that is read before and after a piece of a program.
pub trait Clock: Sized {
    /// What it counts.
    const UNIT: &str;

    /// What it shows.
    fn now() -> Self;

    /// How far it went since.
    fn elapsed(self) -> u64;
}

/// A piece of the program that is being measured.
struct Cost<C>(C);

impl<C: Clock> Cost<C> {
    fn begin() -> Self {
        let start = C::now();
        mark::icnt_begin();
        Self(start)
    }

    fn end(self) -> u64 {
        mark::icnt_end();
        self.0.elapsed()
    }
}

/// Why nothing was measured.
#[derive(Debug)]
pub enum Error {
    /// No model and input lie where they should.
    Image,
    /// The arena does not fit.
    Ram {
        /// Bytes of the arena.
        needed: usize,
        /// Bytes that are free.
        free: usize,
    },
    /// The stack reached the arena.
    Stack,
    /// The model cannot be read.
    Model(ModelError),
    /// There is no session.
    Session(SessionError),
    /// The model cannot be run.
    Run(RunError),
    /// A line cannot be printed.
    Print,
}

/// A model with an input, one behind the other: the bytes of a `.tfc` file, zeros up to a multiple
/// of 16, the elements of a preprocessed sample as little-endian f32. What follows is not looked at.
#[derive(Clone, Copy, Debug)]
pub struct Image<'a> {
    file: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Image<'a> {
    /// Parts an image; `bytes` begins at a multiple of 16.
    pub fn of(bytes: &'a [u8]) -> Result<Self, Error> {
        // Where a .tfc file states its own length.
        let len = bytes.get(16..20).and_then(|len| len.try_into().ok()).map(u32::from_le_bytes);
        let len = len.ok_or(Error::Image)? as usize;
        let file = bytes.get(..len).ok_or(Error::Image)?;
        let padded = len.checked_next_multiple_of(16).ok_or(Error::Image)?;
        Ok(Self { file, rest: bytes.get(padded..).ok_or(Error::Image)? })
    }

    /// Checks the model, which is to need no more than `NEEDS`.
    pub fn model<const NEEDS: u32>(&self) -> Result<Model<'a, NEEDS>, Error> {
        Model::of_needs(self.file).map_err(Error::Model)
    }

    /// The input for it.
    pub fn input<const NEEDS: u32>(&self, model: &Model<'_, NEEDS>) -> Result<&'a [f32], Error> {
        let elements = model.input_shape().elements().ok_or(Error::Image)? as usize;
        let bytes = self.rest.get(..elements * size_of::<f32>()).ok_or(Error::Image)?;
        bytemuck::try_cast_slice(bytes).map_err(|_| Error::Image)
    }
}

/// Everything that a program does with a model: checks it and runs it once.
pub fn run_once<const NEEDS: u32>(image: &Image<'_>, arena: &mut [u8]) -> Result<(), Error> {
    let model = image.model::<NEEDS>()?;
    let input = image.input(&model)?;
    let mut session = Session::new(&model, arena).map_err(Error::Session)?;
    session.run(input).map(|_| ()).map_err(Error::Run)
}

/// Measures, and prints everything but the line with the stack.
pub fn measure<C: Clock, const NEEDS: u32>(
    image: &Image<'_>,
    arena: &mut [u8],
    out: &mut dyn Write,
) -> Result<(), Error> {
    line(out, format_args!("{{\"unit\":\"{}\"}}", C::UNIT))?;
    let cost = Cost::<C>::begin();
    let model = image.model::<NEEDS>()?;
    let cost = cost.end();
    line(out, format_args!("{{\"load\":{cost}}}"))?;

    let input = image.input(&model)?;
    let mut session = Session::new(&model, arena).map_err(Error::Session)?;
    session.write(input).map_err(Error::Run)?;
    let cost = Cost::<C>::begin();
    session.run_written(&mut |_, _, _| {}).map_err(Error::Run)?;
    let cost = cost.end();
    line(out, format_args!("{{\"run\":{cost}}}"))?;

    let mut printed = Ok(());
    session.write(input).map_err(Error::Run)?;
    let mut cost = Some(Cost::<C>::begin());
    let output = session.run_written(&mut |index, step, _| {
        let step_cost = cost.take().map_or(0, Cost::end);
        let name = Name(step.name);
        let text = format_args!("{{\"step\":{index},\"name\":\"{name}\",\"cost\":{step_cost}}}");
        printed = line(out, text);
        cost = Some(Cost::<C>::begin());
    });
    let output = output.map_err(Error::Run)?;
    printed?;

    let mut print = || -> fmt::Result {
        out.write_str("{\"output\":[")?;
        for (index, value) in output.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(out, "{comma}{}", value.to_bits())?;
        }
        out.write_str("]}\n")
    };
    print().map_err(|_| Error::Print)
}

/// Prints a line.
pub fn line(out: &mut dyn Write, text: fmt::Arguments<'_>) -> Result<(), Error> {
    out.write_fmt(text).and_then(|()| out.write_str("\n")).map_err(|_| Error::Print)
}

/// Text between the quotes of a JSON string.
struct Name<'a>(&'a str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '"' | '\\' | '\0'..' ' => write!(f, "\\u{:04x}", u32::from(c)),
            c => f.write_char(c),
        })
    }
}
