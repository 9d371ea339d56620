//! The GPU backend passes the suite of all backends, on a software rasteriser where there is no
//! GPU (Debian and Ubuntu: `apt-get install mesa-vulkan-drivers libvulkan1`).
//!
//! Without any adapter the suite fails where `CI` is set. Elsewhere it says on stderr that it tested
//! nothing, so that the tests pass on a machine that has only a Rust toolchain.

#[macro_use]
mod device_suite;

use std::io::Write as _;
use std::sync::OnceLock;

use tfc::device::DeviceError;
use tfc::device::gpu::{Gpu, Selection};

/// One device for all tests, so that shaders compile once; `None` where there can be none.
fn gpu() -> Option<&'static Gpu> {
    static GPU: OnceLock<Option<Gpu>> = OnceLock::new();
    let open = || match Gpu::new(Selection::Any) {
        Ok(gpu) => Some(gpu),
        Err(DeviceError::NoAdapter(reason)) if std::env::var_os("CI").is_none() => {
            // Unlike `eprintln`, this is shown of tests that pass.
            let _ = writeln!(std::io::stderr(), "THE GPU BACKEND WAS NOT TESTED: {reason}");
            None
        }
        Err(e) => panic!("{e}"),
    };
    GPU.get_or_init(open).as_ref()
}

device_suite!(*match gpu() {
    Some(gpu) => gpu,
    None => return,
});
