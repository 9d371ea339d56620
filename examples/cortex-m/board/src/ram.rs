//! RAM between the program's variables and its stack, and the model in flash.

use core::arch::asm;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use core::{hint, ptr, slice};

unsafe extern "C" {
    static _model: u8;
    static _model_end: u8;
    static __sheap: u8;
    static _stack_start: u8;
}

/// What the stack has before it is used.
const PAINT: u32 = 0xcccc_cccc;

/// Bytes that are left to the stack at least.
const LEAST_STACK: usize = 2048;

/// Bytes below the stack pointer that are not painted: the loop that paints uses them.
const OWN_STACK: usize = 64;

/// The flash behind the program, where the model is put: see the board's memory.
pub fn model() -> &'static [u8] {
    let (start, end) = (&raw const _model, &raw const _model_end);
    // SAFETY: the linker's symbols enclose memory that nothing writes to while the program runs.
    unsafe { slice::from_raw_parts(start, end.addr() - start.addr()) }
}

/// RAM that nothing else uses: from the program's variables up to the stack.
#[derive(Debug)]
pub struct Ram {
    start: usize,
}

impl Ram {
    /// There is one; the second time, `None`.
    pub fn take() -> Option<Self> {
        static TAKEN: AtomicBool = AtomicBool::new(false);
        // Cortex-M0 has no swap; there are no threads either.
        let first = !TAKEN.load(Relaxed);
        TAKEN.store(true, Relaxed);
        first.then(|| Self { start: (&raw const __sheap).addr().next_multiple_of(16) })
    }

    /// Bytes that [`split`](Self::split) can give.
    pub fn len(&self) -> usize {
        stack_pointer().saturating_sub(LEAST_STACK).saturating_sub(self.start)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes this many bytes, at a multiple of 16; `None` if there are not as many.
    pub fn split(&mut self, len: usize) -> Option<&'static mut [u8]> {
        if len > self.len() {
            return None;
        }
        let start = ptr::with_exposed_provenance_mut::<u8>(self.start);
        self.start += len.next_multiple_of(16);
        // SAFETY: only `self` hands out this memory, each byte once, below what the stack uses; any
        // content is a valid byte.
        Some(unsafe { slice::from_raw_parts_mut(start, len) })
    }

    /// Bytes of stack in use at most while `f` runs, those of its callers included.
    ///
    /// The memory that is left is painted, and afterwards searched for the lowest place that was
    /// written to. `None` if there was none left.
    #[inline(never)]
    pub fn peak_stack(&mut self, f: &mut dyn FnMut()) -> Option<usize> {
        let paint = |at: usize| ptr::with_exposed_provenance_mut::<u32>(at);
        let top = stack_pointer() - OWN_STACK;
        for at in (self.start..top).step_by(4) {
            // SAFETY: between what was handed out and the stack; `start` is a multiple of 16.
            unsafe { paint(at).write_volatile(PAINT) };
        }
        // Opaque, so that it is not inlined, with its variables above `top`.
        hint::black_box(f)();
        // SAFETY: as above.
        let clean = |at: &usize| unsafe { paint(*at).read_volatile() } == PAINT;
        let lowest = (self.start..top).step_by(4).find(|at| !clean(at)).unwrap_or(top);
        (lowest > self.start).then(|| (&raw const _stack_start).addr() - lowest)
    }
}

#[inline(always)]
fn stack_pointer() -> usize {
    let pointer: usize;
    // SAFETY: reads a register.
    unsafe {
        #[cfg(target_arch = "arm")]
        asm!("mov {}, sp", out(reg) pointer, options(nomem, nostack));
        #[cfg(target_arch = "riscv32")]
        asm!("mv {}, sp", out(reg) pointer, options(nomem, nostack));
    }
    pointer
}
