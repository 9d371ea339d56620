//! What the firmware needs of a board: the same for QEMU's boards and for real ones.
//!
//! Which board it is, is a matter of the linker: see `boards/` for the memory of each.
#![no_std]

mod clock;
mod end;
mod output;
mod ram;

pub use clock::Cycles;
pub use end::exit;
pub use output::Output;
pub use ram::{Ram, model};

/// Marks the function that the program begins with.
#[cfg(target_arch = "arm")]
pub use cortex_m_rt::entry;
/// Marks the function that the program begins with.
#[cfg(target_arch = "riscv32")]
pub use riscv_rt::entry;

#[cfg(feature = "rp2040")]
#[unsafe(link_section = ".boot2")]
#[used]
static BOOT2: [u8; 256] = rp2040_boot2::BOOT_LOADER_W25Q080;

/// What the boot ROM looks for: an image definition for a secure Arm program, in a block of one.
#[cfg(feature = "rp2350")]
#[unsafe(link_section = ".start_block")]
#[used]
static START_BLOCK: [u32; 5] = [0xffff_ded3, 0x1021_0142, 0x0000_01ff, 0, 0xab12_3579];

/// Makes output ready; to be called first.
pub fn init() {
    output::init();
    clock::init();
}
