//! End to end: the command line as a person uses it, and artifacts against an oracle of networks.

mod bad_input;
#[cfg(unix)]
mod board;
mod budget;
mod common;
mod compile;
mod diff;
mod execute;
mod images;
mod integer;
#[cfg(unix)]
mod interrupt;
mod one_shot;
mod passes;
#[cfg(unix)]
mod peers;
mod train;

/// The definitions of the ops in f64, which the runtime's own tests compare with as well.
#[path = "../../../runtime/tests/suite/oracle.rs"]
mod oracle;
