//! `tfc`: prunes, factorizes and fine-tunes trained networks and writes them as `.tfc` files.

pub mod bench;
pub mod board;
pub mod cli;
pub mod compile;
pub mod device;
pub mod diff;
pub mod encode;
pub mod execute;
pub mod factorize;
pub mod one_shot;
pub mod passes;
pub mod peers;
pub mod plan;
pub mod prune;
pub mod quantize;
pub mod report;
pub mod train;

/// The example of the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
