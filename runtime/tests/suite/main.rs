//! The ops and sessions of the runtime, through its public interface.

mod arena;
mod cases;
mod common;
mod constants;
mod integer;
mod networks;
mod ops;
mod oracle;
#[cfg(feature = "alloc")]
mod prepared_dense;
mod session;
