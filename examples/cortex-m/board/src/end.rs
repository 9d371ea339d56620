//! Every way in which a program ends: the emulator, or the debugger, exits with a status.

use core::fmt::Write;
use core::panic::PanicInfo;

use crate::Output;

/// Ends the program with this status.
pub fn exit(status: u8) -> ! {
    semihosting::process::exit(status.into())
}

fn fail(what: &str) -> ! {
    _ = Output.write_str(what);
    exit(101)
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    fail("panic\n")
}

/// The vectors of interrupts, of which there are none.
#[cfg(target_arch = "arm")]
#[unsafe(no_mangle)]
#[unsafe(link_section = ".vector_table.interrupts")]
static __INTERRUPTS: [usize; 1] = [0];

/// Without it the processor would spin for ever.
#[cfg(target_arch = "arm")]
#[cortex_m_rt::exception]
unsafe fn HardFault(_: &cortex_m_rt::ExceptionFrame) -> ! {
    fail("hard fault\n")
}

/// Without it the processor would spin for ever.
#[cfg(target_arch = "riscv32")]
#[unsafe(export_name = "ExceptionHandler")]
fn exception(_: &riscv_rt::TrapFrame) -> ! {
    fail("exception\n")
}
