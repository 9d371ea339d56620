//! The functions that the plugin knows by their names. Their bodies differ, or the compiler would
//! make one function of both.

use core::arch::asm;

#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn icnt_begin() {
    // SAFETY: does nothing.
    unsafe { asm!("nop") }
}

#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn icnt_end() {
    // SAFETY: does nothing.
    unsafe { asm!("nop", "nop") }
}
