//! The ops and sessions of the runtime, through its public interface.

mod common;
mod ops;
mod oracle;
mod session;
