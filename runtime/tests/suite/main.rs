//! The ops and sessions of the runtime, through its public interface.

mod arena;
mod common;
mod ops;
mod oracle;
mod session;
