#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use tfc_formats::import::{ImportOptions, load_bytes};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(network) = load_bytes(Path::new("fuzz.onnx"), bytes, &ImportOptions::default()) {
        network.check().unwrap();
    }
});
