//! The GPU backend passes the suite of all backends, on a software rasteriser where there is no
//! GPU (Debian and Ubuntu: `apt-get install mesa-vulkan-drivers libvulkan1`).
//!
//! Without any adapter the suite fails, and does not skip; on a machine that can have none,
//! `TFC_NO_GPU=1` leaves it out.

#[macro_use]
mod device_suite;

use std::sync::OnceLock;

use tfc::device::gpu::{Gpu, Selection};

/// One device for all tests, so that shaders compile once; `None` where it was ruled out.
fn gpu() -> Option<&'static Gpu> {
    static GPU: OnceLock<Option<Gpu>> = OnceLock::new();
    let open = || {
        if std::env::var_os("TFC_NO_GPU").is_some_and(|value| value == "1") {
            eprintln!("TFC_NO_GPU=1: the GPU backend was not tested");
            return None;
        }
        match Gpu::new(Selection::Any) {
            Ok(gpu) => Some(gpu),
            Err(e) => panic!("{e} (or set TFC_NO_GPU=1 to leave this suite out)"),
        }
    };
    GPU.get_or_init(open).as_ref()
}

device_suite!(*match gpu() {
    Some(gpu) => gpu,
    None => return,
});
