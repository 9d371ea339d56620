//! The innermost loops on i8 for Arm's smallest processors, which have eight registers to count with.
#![expect(unsafe_code)]

use core::arch::asm;

use super::bytes::{Bytes, Entries, sum_each};

/// A byte and a product at a time.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Thumb1;

impl Bytes for Thumb1 {
    const TILES: &'static [usize] = &[4];
    const REACH: usize = 0xffff;

    #[inline(always)]
    fn word(offset: u32, weight: i8) -> u32 {
        offset | (i32::from(weight) as u32) << 16
    }

    #[inline(always)]
    fn parts(word: u32) -> (usize, i32) {
        ((word & 0xffff) as usize, word as i32 >> 16)
    }

    #[inline(always)]
    unsafe fn sum<const S: usize, const N: usize>(
        x: &[i8],
        entries: Entries<'_, Self>,
        bias: i32,
        tiles: &mut [[i32; N]],
    ) {
        let sums = tiles.as_flattened_mut().as_mut_ptr_range();
        if N != 4 {
            // SAFETY: as the caller vouches.
            return unsafe { sum_each::<Self, S, N>(x, entries, bias, tiles) };
        }
        if sums.is_empty() {
            return;
        }
        // SAFETY: reads the words up to the first of 0 and, of `x`, as many elements behind each
        // offset as the caller vouches for; writes the sums. Registers that cannot be operands are as
        // before at the end, and so is the stack pointer.
        unsafe {
            asm!(
                "push {{r6, r7}}",
                "push {{r1, r2, r3, r4}}",
                "mov r8, r0",
                "1:",
                "mov r0, r1",
                "ldr r1, [sp, #8]",
                "mov r2, r1",
                "mov r3, r1",
                "mov r4, r1",
                "2:",
                "ldmia r0!, {{r5}}",
                "asrs r6, r5, #16",
                "beq 3f",
                "uxth r5, r5",
                "add r5, r8",
                "ldrb r7, [r5]",
                "sxtb r7, r7",
                "muls r7, r6, r7",
                "adds r1, r1, r7",
                "ldrb r7, [r5, #{one}]",
                "sxtb r7, r7",
                "muls r7, r6, r7",
                "adds r2, r2, r7",
                "ldrb r7, [r5, #{two}]",
                "sxtb r7, r7",
                "muls r7, r6, r7",
                "adds r3, r3, r7",
                "ldrb r7, [r5, #{three}]",
                "sxtb r7, r7",
                "muls r7, r6, r7",
                "adds r4, r4, r7",
                "b 2b",
                "3:",
                "ldr r0, [sp, #4]",
                "stmia r0!, {{r1, r2, r3, r4}}",
                "str r0, [sp, #4]",
                "movs r1, #{step}",
                "add r8, r1",
                "ldr r1, [sp, #12]",
                "cmp r0, r1",
                "ldr r1, [sp]",
                "blo 1b",
                "add sp, #16",
                "pop {{r6, r7}}",
                one = const S,
                two = const 2 * S,
                three = const 3 * S,
                step = const 4 * S,
                inout("r0") x.as_ptr() => _,
                inout("r1") entries.words().as_ptr() => _,
                inout("r2") sums.start => _,
                inout("r3") bias => _,
                inout("r4") sums.end => _,
                out("r5") _, out("r8") _,
            );
        }
    }
}
