//! Corrections against independent solutions.

mod networks;
mod removal;
