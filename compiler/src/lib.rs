//! `tfc`: prunes, factorizes and fine-tunes trained networks and writes them as `.tfc` files.

pub mod device;
pub mod encode;
pub mod factorize;
pub mod prune;
pub mod train;
