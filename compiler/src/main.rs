//! The `tfc` binary.
fn main() {}
