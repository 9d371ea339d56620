//! The `.tfc` reader and writer: golden files, the example of FORMAT.md, every error, hostile bytes.

mod crc32;
mod errors;
mod files;
mod golden;
mod hostile;
mod integers;
mod matrices;
mod sample;
