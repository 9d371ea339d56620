//! The `.tfc` reader and writer: golden files, the example of FORMAT.md, every error, hostile bytes.

mod crc32;
mod errors;
mod files;
mod golden;
mod hostile;
mod matrices;
mod sample;
