//! The innermost loops on i8 with the vectors of Arm's M profile (Helium).
#![expect(unsafe_code)]

use core::arch::asm;

use tfc_formats::artifact::Requantization;

use super::bytes::{Bytes, Entries, sum_each};

/// Four sums in a vector.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Helium;

impl Bytes for Helium {
    const TILES: &'static [usize] = &[16, 8];
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
        if (N != 8 && N != 16) || S > 2 {
            // SAFETY: as the caller vouches.
            return unsafe { sum_each::<Self, S, N>(x, entries, bias, tiles) };
        }
        let sums = tiles.as_flattened_mut().as_mut_ptr_range();
        if sums.is_empty() {
            return;
        }
        // SAFETY: reads the words up to the first of 0 and, of `x`, as many elements behind each
        // offset as the caller vouches for; writes the sums. Vector registers are as before at the
        // end, and so is the stack pointer.
        unsafe {
            macro_rules! tiles {
                ($start:literal, $entry:expr, $end:expr) => {
                    asm!(
                        "vpush {{d0-d15}}",
                        $start,
                        "1:",
                        "vdup.32 q0, r3",
                        "vmov q1, q0",
                        "vmov q2, q0",
                        "vmov q3, q0",
                        "mov r1, r12",
                        "ldr r8, [r1], #4",
                        "cmp r8, #0",
                        "beq 3f",
                        "2:",
                        "uxtah r5, r0, r8",
                        "asr r8, r8, #16",
                        $entry,
                        "ldr r8, [r1], #4",
                        "cmp r8, #0",
                        "bne 2b",
                        "3:",
                        $end,
                        "add r0, r0, #{step}",
                        "cmp r2, r4",
                        "blo 1b",
                        "vpop {{d0-d15}}",
                        step = const N * S,
                        inout("r0") x.as_ptr() => _,
                        out("r1") _,
                        inout("r2") sums.start => _,
                        in("r3") bias,
                        in("r4") sums.end,
                        out("r5") _, out("r8") _,
                        in("r12") entries.words().as_ptr(),
                    )
                };
            }
            match (S, N) {
                (1, 16) => tiles!(
                    "",
                    concat!(
                        "vldrb.s32 q4, [r5]\n",
                        "vmla.s32 q0, q4, r8\n",
                        "vldrb.s32 q4, [r5, #4]\n",
                        "vmla.s32 q1, q4, r8\n",
                        "vldrb.s32 q4, [r5, #8]\n",
                        "vmla.s32 q2, q4, r8\n",
                        "vldrb.s32 q4, [r5, #12]\n",
                        "vmla.s32 q3, q4, r8\n",
                    ),
                    "vstrw.32 q0, [r2], #16\nvstrw.32 q1, [r2], #16\nvstrw.32 q2, [r2], #16\nvstrw.32 q3, [r2], #16"
                ),
                (1, _) => tiles!(
                    "",
                    concat!(
                        "vldrb.s32 q4, [r5]\n",
                        "vmla.s32 q0, q4, r8\n",
                        "vldrb.s32 q4, [r5, #4]\n",
                        "vmla.s32 q1, q4, r8\n",
                    ),
                    "vstrw.32 q0, [r2], #16\nvstrw.32 q1, [r2], #16"
                ),
                // Every second element, by vectors of offsets.
                (_, 16) => tiles!(
                    "mov r8, #0\nvidup.u32 q5, r8, #2\nvidup.u32 q6, r8, #2\nvidup.u32 q7, r8, #2",
                    concat!(
                        "vldrb.s32 q4, [r5, q5]\n",
                        "vmla.s32 q0, q4, r8\n",
                        "vldrb.s32 q4, [r5, q6]\n",
                        "vmla.s32 q1, q4, r8\n",
                        "vldrb.s32 q4, [r5, q7]\n",
                        "add r5, r5, #24\n",
                        "vmla.s32 q2, q4, r8\n",
                        "vldrb.s32 q4, [r5, q5]\n",
                        "vmla.s32 q3, q4, r8\n",
                    ),
                    "vstrw.32 q0, [r2], #16\nvstrw.32 q1, [r2], #16\nvstrw.32 q2, [r2], #16\nvstrw.32 q3, [r2], #16"
                ),
                _ => tiles!(
                    "mov r8, #0\nvidup.u32 q5, r8, #2\nvidup.u32 q6, r8, #2",
                    concat!(
                        "vldrb.s32 q4, [r5, q5]\n",
                        "vmla.s32 q0, q4, r8\n",
                        "vldrb.s32 q4, [r5, q6]\n",
                        "vmla.s32 q1, q4, r8\n",
                    ),
                    "vstrw.32 q0, [r2], #16\nvstrw.32 q1, [r2], #16"
                ),
            }
        }
    }

    #[inline(always)]
    fn store(
        constants: &Requantization,
        multiplier: i32,
        factor: i32,
        from: Option<&[i8]>,
        to: &mut [i8],
        sums: &[i32],
    ) -> usize {
        let n = sums.len().min(to.len()).min(from.map_or(usize::MAX, <[i8]>::len));
        let vectors = n / 4;
        if vectors > 0 {
            let to = to.as_mut_ptr();
            // SAFETY: reads and writes four times `vectors` elements, and no more are in any of them.
            // Vector registers are as before at the end, and so is the stack pointer.
            unsafe {
                asm!(
                    "vpush {{d0-d15}}",
                    "vdup.32 q5, {multiplier}",
                    "vdup.32 q6, {lo}",
                    "vdup.32 q7, {hi}",
                    "2:",
                    "vldrw.u32 q0, [r0], #16",
                    "vldrb.s32 q1, [r1], #4",
                    "vshl.s32 q0, {left}",
                    "vrmulh.s32 q0, q0, q5",
                    "vmla.s32 q0, q1, {factor}",
                    "vadd.i32 q0, q0, {offset}",
                    "vshl.s32 q0, {right}",
                    "vmax.s32 q0, q0, q6",
                    "vmin.s32 q0, q0, q7",
                    "subs r3, r3, #1",
                    "vstrb.32 q0, [r2], #4",
                    "bne 2b",
                    "vpop {{d0-d15}}",
                    inout("r0") sums.as_ptr() => _,
                    inout("r1") from.map_or(to.cast_const(), <[i8]>::as_ptr) => _,
                    inout("r2") to => _,
                    inout("r3") vectors => _,
                    multiplier = in(reg) multiplier,
                    lo = in(reg) i32::from(constants.lo),
                    hi = in(reg) i32::from(constants.hi),
                    left = in(reg) u32::from(constants.left),
                    right = in(reg) -i32::from(constants.right),
                    offset = in(reg) constants.offset,
                    factor = in(reg) factor,
                );
            }
        }
        4 * vectors
    }
}
