//! No bytes make the reader of IDX files (raw or gzipped) panic, hang or take more memory than they decompress to.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use tfc_formats::dataset::idx;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(idx) = idx::read(Path::new("fuzz"), bytes) {
        assert_eq!(idx.data.len(), idx.dims.iter().product::<usize>());
    }
});
