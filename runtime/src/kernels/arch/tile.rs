//! The innermost loop of a convolution: a tile of outputs in registers.
#![allow(unsafe_code)]
// Arrays of vectors are indexed: iterators move them through memory.
#![allow(clippy::needless_range_loop)]

use super::vector::Vector;

/// One column of a block of `R` rows: where its input lies and its weights.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Tap<const R: usize> {
    /// Elements from the start of the source.
    pub(crate) offset: u32,
    /// One weight a row.
    pub(crate) weights: [f32; R],
}

/// Blocks of `R` rows of a matrix, each a list of [`Tap`]s, cut into chunks of columns: what all
/// blocks read of a chunk stays in the cache while they do.
#[derive(Clone, Debug)]
pub(crate) struct Taps<const R: usize> {
    /// Of all blocks in the first chunk, then of all in the second, ...
    taps: alloc::vec::Vec<Tap<R>>,
    /// Where the taps of each chunk and block end.
    ends: alloc::vec::Vec<usize>,
    /// Taps up to each block, all chunks together.
    totals: alloc::vec::Vec<usize>,
    chunks: usize,
    /// No offset is larger.
    last: usize,
}

impl<const R: usize> Taps<R> {
    /// Blocks with rising offsets; chunk `i` has those below `limits[i]`, and one more has the rest.
    pub(in crate::kernels) fn new(
        blocks: impl IntoIterator<Item = alloc::vec::Vec<Tap<R>>>,
        limits: &[u32],
    ) -> Self {
        let blocks: alloc::vec::Vec<_> = blocks.into_iter().collect();
        let mut all = Self {
            taps: alloc::vec::Vec::new(),
            ends: alloc::vec::Vec::new(),
            totals: alloc::vec::Vec::new(),
            chunks: limits.len() + 1,
            last: 0,
        };
        for chunk in 0..all.chunks {
            let first = if chunk == 0 { 0 } else { limits.get(chunk - 1).copied().unwrap_or(u32::MAX) };
            let end = limits.get(chunk).copied();
            let inside = |tap: &&Tap<R>| tap.offset >= first && end.is_none_or(|end| tap.offset < end);
            for block in &blocks {
                all.taps.extend(block.iter().filter(inside));
                all.ends.push(all.taps.len());
            }
        }
        let mut sum = 0;
        for block in &blocks {
            all.last = block.iter().map(|tap| tap.offset as usize).fold(all.last, usize::max);
            sum += block.len();
            all.totals.push(sum);
        }
        all
    }

    /// Taps up to each block.
    pub(in crate::kernels) fn totals(&self) -> &[usize] {
        &self.totals
    }

    /// Chunks of columns.
    pub(in crate::kernels) fn chunks(&self) -> usize {
        self.chunks
    }

    /// Bytes on the heap.
    pub(in crate::kernels) fn bytes(&self) -> usize {
        let bounds = size_of_val(self.ends.as_slice()) + size_of_val(self.totals.as_slice());
        size_of_val(self.taps.as_slice()) + bounds
    }

    #[inline(always)]
    fn block(&self, chunk: usize, block: usize) -> Option<&[Tap<R>]> {
        let at = chunk * self.totals.len() + block;
        let start = if at == 0 { 0 } else { *self.ends.get(at - 1)? };
        self.taps.get(start..*self.ends.get(at)?)
    }

    /// Adds a chunk of a block of rows to sums of `M` x `N` vectors of positions: those of a row are
    /// `S` vectors apart in the source, the rows `row` elements, and the first is at `at`. `None` if
    /// the source is too short or there is no such block.
    #[inline(always)]
    pub(in crate::kernels) fn add<V: Vector, const M: usize, const N: usize, const S: usize>(
        &self,
        [chunk, block]: [usize; 2],
        source: &[f32],
        at: usize,
        row: usize,
        mut sums: [[[V; N]; M]; R],
    ) -> Option<[[[V; N]; M]; R]> {
        let reach = (M - 1).checked_mul(row)?.checked_add(((N - 1) * S + 1) * V::LANES)?;
        if self.last.checked_add(at)?.checked_add(reach)? > source.len() {
            return None;
        }
        // By index and in place: what goes through closures of the library, or through functions, moves
        // through memory.
        let x = source.as_ptr().wrapping_add(at);
        macro_rules! add {
            ($tap:expr, $sums:ident) => {
                let x = x.wrapping_add($tap.offset as usize);
                let mut weights = [V::splat(0.0); R];
                for r in 0..R {
                    weights[r] = V::splat($tap.weights[r]);
                }
                for m in 0..M {
                    for n in 0..N {
                        // SAFETY: no offset is larger than `last`, so that all vectors end in the source.
                        let x = unsafe { V::load(x.wrapping_add(m * row + n * S * V::LANES)) };
                        for r in 0..R {
                            $sums[r][m][n] = x.mul_add(weights[r], $sums[r][m][n]);
                        }
                    }
                }
            };
        }
        let block = self.block(chunk, block)?;
        if R * M * N > FEW {
            for tap in block {
                add!(tap, sums);
            }
            return Some(sums);
        }
        let mut more = [[[V::splat(0.0); N]; M]; R];
        let (pairs, rest) = block.as_chunks::<2>();
        for [a, b] in pairs {
            add!(a, sums);
            add!(b, more);
        }
        for tap in rest {
            add!(tap, sums);
        }
        for r in 0..R {
            for m in 0..M {
                for n in 0..N {
                    sums[r][m][n] = sums[r][m][n].add(more[r][m][n]);
                }
            }
        }
        Some(sums)
    }
}

/// Vectors of sums that are too few to keep the multipliers busy, which begin two products a cycle
/// and end them four cycles later: then every other tap has sums of its own.
const FEW: usize = 4;

/// Rows of vectors, `row` elements apart, from `at` on; `None` if there are fewer elements.
#[inline(always)]
pub(in crate::kernels) fn load_rows<V: Vector, const M: usize, const N: usize>(
    from: &[f32],
    at: usize,
    row: usize,
) -> Option<[[V; N]; M]> {
    let mut vectors = [[V::splat(0.0); N]; M];
    let reach = (M - 1).checked_mul(row)?.checked_add(N * V::LANES)?;
    let from = from.get(at..)?.get(..reach)?.as_ptr();
    for m in 0..M {
        for n in 0..N {
            // SAFETY: the last vector of the last row ends where `reach` does.
            vectors[m][n] = unsafe { V::load(from.wrapping_add(m * row + n * V::LANES)) };
        }
    }
    Some(vectors)
}

/// Writes rows of vectors, `row` elements apart, from `at` on; `None` if there are fewer elements.
#[inline(always)]
pub(in crate::kernels) fn store_rows<V: Vector, const M: usize, const N: usize>(
    vectors: [[V; N]; M],
    to: &mut [f32],
    at: usize,
    row: usize,
) -> Option<()> {
    let reach = (M - 1).checked_mul(row)?.checked_add(N * V::LANES)?;
    let to = to.get_mut(at..)?.get_mut(..reach)?.as_mut_ptr();
    for m in 0..M {
        for n in 0..N {
            // SAFETY: the last vector of the last row ends where `reach` does.
            unsafe { vectors[m][n].store(to.wrapping_add(m * row + n * V::LANES)) };
        }
    }
    Some(())
}

/// Writes `count` vectors, `plane` elements apart from `from` on, with their lanes permuted from `to`
/// on; `None` if there are fewer elements.
#[inline(always)]
pub(in crate::kernels) fn permute_each<V: Vector>(
    x: &mut [f32],
    [from, to]: [usize; 2],
    [count, plane]: [usize; 2],
    index: &[u32; 16],
) -> Option<()> {
    let last = count.checked_sub(1)?.checked_mul(plane)?;
    if last.checked_add(from.max(to))?.checked_add(V::LANES)? > x.len() {
        return None;
    }
    // A copy, which nothing that is written can change: it stays in a register.
    let index = *index;
    let x = x.as_mut_ptr();
    for i in 0..count {
        // SAFETY: the last of both ends in `x`.
        unsafe {
            let vector = V::load(x.wrapping_add(i * plane + from));
            vector.permute(&index).store(x.wrapping_add(i * plane + to));
        }
    }
    Some(())
}

/// A run of elements as vectors; `None` if there are fewer.
#[inline(always)]
pub(in crate::kernels) fn load<V: Vector, const N: usize>(from: &[f32]) -> Option<[V; N]> {
    let from = from.get(..N * V::LANES)?.as_ptr();
    let mut vectors = [V::splat(0.0); N];
    for n in 0..N {
        // SAFETY: there are N vectors of elements.
        vectors[n] = unsafe { V::load(from.wrapping_add(n * V::LANES)) };
    }
    Some(vectors)
}

/// Writes vectors to a run of elements; `None` if there are fewer.
#[inline(always)]
pub(in crate::kernels) fn store<V: Vector, const N: usize>(vectors: [V; N], to: &mut [f32]) -> Option<()> {
    let to = to.get_mut(..N * V::LANES)?.as_mut_ptr();
    for n in 0..N {
        // SAFETY: there are N vectors of elements.
        unsafe { vectors[n].store(to.wrapping_add(n * V::LANES)) };
    }
    Some(())
}
