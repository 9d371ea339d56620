//! Work for several threads, cut where each writes memory of its own.

/// How many threads a session has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Team(pub(crate) usize);

/// Multiply-adds of vectors, or as much other work, below which a second thread costs more than it
/// saves: about 20 microseconds of one.
const LEAST: usize = 80_000;

impl Team {
    /// Into how many parts to cut work of so many multiply-adds of vectors.
    pub(crate) fn parts(self, work: usize) -> usize {
        self.0.min(work / LEAST).max(1)
    }

    /// Runs `run` on each part of `data`, which begin at `starts` in rising order, the first at 0, with
    /// the part's number.
    pub(crate) fn each<T: Send>(
        self,
        data: &mut [T],
        starts: &[usize],
        run: impl Fn(usize, &mut [T]) -> Option<()> + Sync,
    ) -> Option<()> {
        self.part(data, starts, 0, &run)
    }

    /// Halves the parts until one is left; the halves may run at the same time.
    fn part<T: Send>(
        self,
        data: &mut [T],
        starts: &[usize],
        first: usize,
        run: &(impl Fn(usize, &mut [T]) -> Option<()> + Sync),
    ) -> Option<()> {
        let [start, _, ..] = *starts else { return run(first, data) };
        let (before, behind) = starts.split_at_checked(starts.len() / 2)?;
        let at = behind.first()?.checked_sub(start)?;
        let (left, right) = data.split_at_mut_checked(at)?;
        let middle = first + before.len();
        let (left, right) =
            both(|| self.part(left, before, first, run), || self.part(right, behind, middle, run));
        left.and(right)
    }
}

#[cfg(feature = "threads")]
fn both<A: Send, B: Send>(a: impl FnOnce() -> A + Send, b: impl FnOnce() -> B + Send) -> (A, B) {
    rayon::join(a, b)
}

#[cfg(not(feature = "threads"))]
fn both<A, B>(a: impl FnOnce() -> A, b: impl FnOnce() -> B) -> (A, B) {
    (a(), b())
}
