//! The innermost loops on i8 with the DSP instructions of Arm's small processors, for processors and
//! settings that load words from any address.
#![expect(unsafe_code)]

use core::arch::asm;

use super::bytes::{Bytes, Entries, Plain, sum_each};

/// Two 16-bit halves of a register at a time.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Dsp;

impl Bytes for Dsp {
    const TILES: &'static [usize] = &[8];
    const REACH: usize = 0xffff;

    /// The weight above the offset: where an addition of a half, and a multiplication, take them.
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
        if N != 8 || S > 2 {
            // SAFETY: as the caller vouches.
            return unsafe { sum_each::<Self, S, N>(x, entries, bias, tiles) };
        }
        let sums = tiles.as_flattened_mut().as_mut_ptr_range();
        if sums.is_empty() {
            return;
        }
        // Elements of two bytes that are sign-extended into the halves of a register; in a tile of
        // neighbours, first those of even positions.
        //
        // SAFETY: reads the words up to the second of 0 and, of `x`, as many elements behind each
        // offset as the caller vouches for; writes the sums. Registers that cannot be operands are as
        // before at the end, and so is the stack pointer.
        unsafe {
            macro_rules! tiles {
                ($entry:expr) => {
                    asm!(
                        "push {{r6, r7, r11}}",
                        "push {{r1, r2, r3, r4}}",
                        "1:",
                        "ldr r4, [sp, #8]",
                        "mov r5, r4",
                        "mov r6, r4",
                        "mov r7, r4",
                        "mov r8, r4",
                        "mov r9, r4",
                        "mov r10, r4",
                        "mov r11, r4",
                        "ldr r2, [r1], #4",
                        "cmp r2, #0",
                        "beq 3f",
                        "2:",
                        $entry,
                        "ldr r2, [r1], #4",
                        // Behind the last entry, this adds nothing.
                        $entry,
                        "ldr r2, [r1], #4",
                        "cmp r2, #0",
                        "bne 2b",
                        "3:",
                        "ldr r1, [sp]",
                        "ldr r2, [sp, #4]",
                        "ldr r3, [sp, #12]",
                        "stm r2!, {{r4, r5, r6, r7, r8, r9, r10, r11}}",
                        "add r0, r0, {step}",
                        "str r2, [sp, #4]",
                        "cmp r2, r3",
                        "blo 1b",
                        "add sp, sp, #16",
                        "pop {{r6, r7, r11}}",
                        step = const 8 * S,
                        inout("r0") x.as_ptr() => _,
                        inout("r1") entries.words().as_ptr() => _,
                        inout("r2") sums.start => _,
                        inout("r3") bias => _,
                        inout("r4") sums.end => _,
                        out("r5") _, out("r8") _, out("r9") _, out("r10") _, out("r12") _, out("lr") _,
                    )
                };
            }
            if S == 1 {
                tiles!(concat!(
                    "uxtah r3, r0, r2\n",
                    "ldr r12, [r3]\n",
                    "ldr r3, [r3, #4]\n",
                    "sxtb16 lr, r12\n",
                    "sxtb16 r12, r12, ror #8\n",
                    "smlatb r4, r2, lr, r4\n",
                    "smlatt r6, r2, lr, r6\n",
                    "smlatb r5, r2, r12, r5\n",
                    "smlatt r7, r2, r12, r7\n",
                    "sxtb16 lr, r3\n",
                    "sxtb16 r3, r3, ror #8\n",
                    "smlatb r8, r2, lr, r8\n",
                    "smlatt r10, r2, lr, r10\n",
                    "smlatb r9, r2, r3, r9\n",
                    "smlatt r11, r2, r3, r11\n",
                ));
            } else {
                tiles!(concat!(
                    "uxtah r3, r0, r2\n",
                    "ldr r12, [r3]\n",
                    "ldr lr, [r3, #4]\n",
                    "sxtb16 r12, r12\n",
                    "sxtb16 lr, lr\n",
                    "smlatb r4, r2, r12, r4\n",
                    "smlatt r5, r2, r12, r5\n",
                    "ldr r12, [r3, #8]\n",
                    "ldr r3, [r3, #12]\n",
                    "smlatb r6, r2, lr, r6\n",
                    "smlatt r7, r2, lr, r7\n",
                    "sxtb16 r12, r12\n",
                    "sxtb16 r3, r3\n",
                    "smlatb r8, r2, r12, r8\n",
                    "smlatt r9, r2, r12, r9\n",
                    "smlatb r10, r2, r3, r10\n",
                    "smlatt r11, r2, r3, r11\n",
                ));
            }
        }
    }

    #[inline(always)]
    fn dot(x: &[i8], deltas: &[u8], weights: &[i8]) -> Option<i32> {
        let whole = deltas.len().min(weights.len()) / 4;
        let range = x.as_ptr_range();
        let (mut sum, mut at, mut left) = (0i32, range.start, whole);
        if whole > 0 {
            // SAFETY: reads four times `whole` deltas and weights, and elements of `x` only if the
            // last of four, which is the farthest, is before its end.
            unsafe {
                asm!(
                    "2:",
                    "ldr {d}, [{deltas}], #4",
                    "ldr {w}, [{weights}], #4",
                    "uxtab {a}, {at}, {d}",
                    "uxtab {b}, {a}, {d}, ror #8",
                    "uxtab {c}, {b}, {d}, ror #16",
                    "uxtab {at}, {c}, {d}, ror #24",
                    "cmp {at}, {end}",
                    "bhs 3f",
                    "sxtb16 {d}, {w}, ror #8",
                    "sxtb16 {w}, {w}",
                    "ldrsb {a}, [{a}]",
                    "ldrsb {b}, [{b}]",
                    "ldrsb {c}, [{c}]",
                    "smlabb {sum}, {a}, {w}, {sum}",
                    "ldrsb {a}, [{at}]",
                    "smlabb {sum}, {b}, {d}, {sum}",
                    "smlabt {sum}, {c}, {w}, {sum}",
                    "subs {left}, {left}, #1",
                    "smlabt {sum}, {a}, {d}, {sum}",
                    "bne 2b",
                    "3:",
                    deltas = inout(reg) deltas.as_ptr() => _,
                    weights = inout(reg) weights.as_ptr() => _,
                    left = inout(reg) left,
                    at = inout(reg) at,
                    end = in(reg) range.end,
                    sum = inout(reg) sum,
                    d = out(reg) _, w = out(reg) _, a = out(reg) _, b = out(reg) _, c = out(reg) _,
                    options(readonly, nostack),
                );
            }
        }
        if left > 0 {
            return None;
        }
        let mut column = at.addr() - range.start.addr();
        let rest = deltas.get(4 * whole..)?.iter().zip(weights.get(4 * whole..)?);
        for (delta, weight) in rest {
            column += usize::from(*delta);
            sum = sum.wrapping_add(i32::from(*x.get(column)?).wrapping_mul((*weight).into()));
        }
        Some(sum)
    }

    #[inline(always)]
    fn dot_all(x: &[i8], weights: &[i8]) -> i32 {
        let whole = x.len().min(weights.len()) / 4;
        let mut sum = 0;
        if whole > 0 {
            // SAFETY: reads four times `whole` elements of both.
            unsafe {
                asm!(
                    "2:",
                    "ldr {x}, [{xs}], #4",
                    "ldr {w}, [{weights}], #4",
                    "sxtb16 {odd_x}, {x}, ror #8",
                    "sxtb16 {x}, {x}",
                    "sxtb16 {odd_w}, {w}, ror #8",
                    "sxtb16 {w}, {w}",
                    "subs {left}, {left}, #1",
                    "smlad {sum}, {x}, {w}, {sum}",
                    "smlad {sum}, {odd_x}, {odd_w}, {sum}",
                    "bne 2b",
                    xs = inout(reg) x.as_ptr() => _,
                    weights = inout(reg) weights.as_ptr() => _,
                    left = inout(reg) whole => _,
                    sum = inout(reg) sum,
                    x = out(reg) _, w = out(reg) _, odd_x = out(reg) _, odd_w = out(reg) _,
                    options(readonly, nostack),
                );
            }
        }
        let (x, weights) = (x.get(4 * whole..), weights.get(4 * whole..));
        Plain::dot_all(x.unwrap_or_default(), weights.unwrap_or_default()).wrapping_add(sum)
    }
}
