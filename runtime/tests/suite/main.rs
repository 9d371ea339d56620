//! The ops and sessions of the runtime, through its public interface.

mod common;
mod integer;
mod ops;
mod oracle;
mod session;
