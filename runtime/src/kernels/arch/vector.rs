//! Vectors of f32: what the kernels of [`generic`](crate::kernels::generic) need of an instruction
//! set.

use half::f16;

use crate::kernels::weights::Value;

/// Lanes of the longest vector.
pub(in crate::kernels) const LONGEST: usize = 16;

/// A register of f32.
///
/// Its functions are safe to call beneath [`Isa::dispatch`](super::Isa::dispatch), which runs only
/// where the processor has the instructions; nothing else names the types that implement it.
pub(in crate::kernels) trait Vector: Copy {
    /// Sums that the vector registers hold, with room left for what is added to them.
    const SUMS: usize = Self::REGISTERS / 2 * Self::LANES;

    /// `a * b + c` of one element: fused where that is one instruction, since elsewhere it is a slow
    /// call.
    fn mul_add_one(a: f32, b: f32, c: f32) -> f32;

    /// Elements.
    const LANES: usize;

    /// Registers of the processor.
    const REGISTERS: usize;

    /// The same in all lanes.
    fn splat(x: f32) -> Self;

    /// `LANES` elements from `from`.
    ///
    /// # Safety
    /// They are readable.
    #[expect(unsafe_code)]
    unsafe fn load(from: *const f32) -> Self;

    /// Writes `LANES` elements to `to`.
    ///
    /// # Safety
    /// They are writable.
    #[expect(unsafe_code)]
    unsafe fn store(self, to: *mut f32);

    /// `self * b + c`, in one instruction where there is one.
    fn mul_add(self, b: Self, c: Self) -> Self;

    /// `self + b`.
    fn add(self, b: Self) -> Self;

    /// In lane `i` what is in lane `index[i]`, or 0 where there is no such lane.
    fn permute(self, index: &[u32; 16]) -> Self;

    /// Elements 0, 2, 4, ... of `self` and, behind them, of `b`.
    fn evens(self, b: Self) -> Self;

    /// The first half of `self` and, behind it, of `b`.
    fn halves(self, b: Self) -> Self;

    /// The bits that both have.
    fn and(self, b: Self) -> Self;

    /// Transposes the first `LANES` of these vectors as the rows of a square.
    fn transpose(square: &mut [Self; LONGEST]);

    /// `b` where it is larger than `self` or not a number.
    fn max(self, b: Self) -> Self;

    /// `b` where it is smaller than `self` or not a number.
    fn min(self, b: Self) -> Self;

    /// Elements of a table that [`pick`](Self::pick) picks from: a power of two, no more than 32.
    const TABLE: usize = 32;

    /// For each lane the element of a table whose number is in the low bits of the lane of `index`;
    /// all other bits are ignored.
    ///
    /// # Safety
    /// `TABLE` elements from `table` are readable.
    #[inline(always)]
    #[expect(unsafe_code)]
    unsafe fn pick(table: *const f32, index: Self) -> Self {
        let mut lanes = [0.0f32; LONGEST];
        // SAFETY: no vector is longer.
        unsafe { index.store(lanes.as_mut_ptr()) };
        for lane in lanes.iter_mut().take(Self::LANES) {
            // SAFETY: the caller's.
            *lane = unsafe { *table.add(lane.to_bits() as usize % Self::TABLE) };
        }
        // SAFETY: no vector is longer.
        unsafe { Self::load(lanes.as_ptr()) }
    }

    /// Whether [`load_f16`](Self::load_f16) takes hardly longer than [`load`](Self::load).
    const WIDENS: bool = false;

    /// `LANES` halves from `from`, widened.
    ///
    /// # Safety
    /// They are readable.
    #[inline(always)]
    #[expect(unsafe_code)]
    unsafe fn load_f16(from: *const f16) -> Self {
        let mut wide = [0.0; LONGEST];
        for (i, wide) in wide.iter_mut().enumerate().take(Self::LANES) {
            // SAFETY: the caller's.
            *wide = unsafe { *from.add(i) }.f32();
        }
        // SAFETY: no vector is longer.
        unsafe { Self::load(wide.as_ptr()) }
    }

    /// Sum of all lanes, halved over and over.
    #[inline(always)]
    #[expect(unsafe_code)]
    fn sum(self) -> f32 {
        let mut lanes = [0.0; LONGEST];
        // SAFETY: no vector is longer.
        unsafe { self.store(lanes.as_mut_ptr()) };
        let mut width = Self::LANES / 2;
        while width > 0 {
            for i in 0..width {
                lanes[i] += lanes[i + width];
            }
            width /= 2;
        }
        lanes[0]
    }
}

/// A product and a sum where there is no instruction for both.
pub(in crate::kernels) type Portable = [f32; 4];

impl Vector for Portable {
    const LANES: usize = 4;
    /// SSE2's and simd128's; as many floats as a Cortex-M4 has.
    const REGISTERS: usize = if cfg!(target_os = "none") { 8 } else { 16 };

    #[inline(always)]
    fn mul_add_one(a: f32, b: f32, c: f32) -> f32 {
        a * b + c
    }

    #[inline(always)]
    fn splat(x: f32) -> Self {
        [x; 4]
    }

    #[inline(always)]
    #[expect(unsafe_code)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's; an array of f32 is aligned as an f32.
        unsafe { from.cast::<Self>().read() }
    }

    #[inline(always)]
    #[expect(unsafe_code)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's; an array of f32 is aligned as an f32.
        unsafe { to.cast::<Self>().write(self) }
    }

    #[inline(always)]
    fn mul_add(self, b: Self, c: Self) -> Self {
        core::array::from_fn(|i| self[i] * b[i] + c[i])
    }

    #[inline(always)]
    fn add(self, b: Self) -> Self {
        core::array::from_fn(|i| self[i] + b[i])
    }

    #[inline(always)]
    fn permute(self, index: &[u32; 16]) -> Self {
        core::array::from_fn(|i| self.get(index[i] as usize).copied().unwrap_or(0.0))
    }

    #[inline(always)]
    fn evens(self, b: Self) -> Self {
        [self[0], self[2], b[0], b[2]]
    }

    #[inline(always)]
    fn halves(self, b: Self) -> Self {
        [self[0], self[1], b[0], b[1]]
    }

    #[inline(always)]
    fn and(self, b: Self) -> Self {
        core::array::from_fn(|i| f32::from_bits(self[i].to_bits() & b[i].to_bits()))
    }

    #[inline(always)]
    fn transpose(square: &mut [Self; LONGEST]) {
        let rows = *square;
        for (i, row) in square.iter_mut().enumerate().take(Self::LANES) {
            *row = core::array::from_fn(|j| rows[j][i]);
        }
    }

    #[inline(always)]
    fn max(self, b: Self) -> Self {
        core::array::from_fn(|i| if self[i] > b[i] { self[i] } else { b[i] })
    }

    #[inline(always)]
    fn min(self, b: Self) -> Self {
        core::array::from_fn(|i| if self[i] < b[i] { self[i] } else { b[i] })
    }
}
