//! Ranges of values, and the choice of one by how its values are distributed.

use std::fmt::{self, Display};
use std::str::FromStr;

use tfc_formats::artifact::Element;

/// How the range of a value is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// From the least to the largest number seen.
    MinMax,
    /// Without the outermost numbers, one in ten thousand on each side.
    Percentile,
    /// The range with the least mean squared error of what is stored.
    #[default]
    Mse,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::MinMax, Self::Percentile, Self::Mse];

    /// Name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MinMax => "min-max",
            Self::Percentile => "percentile",
            Self::Mse => "mse",
        }
    }
}

impl Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Method {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|method| method.name() == text);
        found.ok_or_else(|| format!("expected {}", Self::ALL.map(Self::name).join(", ")))
    }
}

/// From the least to the largest number of a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// Least.
    pub lo: f32,
    /// Largest.
    pub hi: f32,
}

impl Range {
    /// Of no numbers.
    pub const EMPTY: Self = Self { lo: f32::INFINITY, hi: f32::NEG_INFINITY };

    /// With these numbers.
    pub fn with(self, other: Self) -> Self {
        Self { lo: self.lo.min(other.lo), hi: self.hi.max(other.hi) }
    }

    /// Of these numbers.
    pub fn of(numbers: impl Iterator<Item = f32>) -> Self {
        numbers.fold(Self::EMPTY, |range, x| range.with(Self { lo: x, hi: x }))
    }

    /// The bytes that stand for it. It is widened to hold 0, which a byte stands for exactly.
    pub fn element(self) -> Element {
        let (lo, hi) = (f64::from(self.lo.min(0.0)), f64::from(self.hi.max(0.0)));
        let scale = ((hi - lo) / 255.0) as f32;
        if !(scale.is_finite() && scale >= f32::MIN_POSITIVE) {
            return Element::I8 { scale: 1.0, zero: 0 };
        }
        let zero = (-128.0 - lo / f64::from(scale)).round().clamp(-128.0, 127.0);
        Element::I8 { scale, zero: zero as i8 }
    }
}

/// Bins of a histogram.
const BINS: usize = 2048;

/// Share of the numbers that [`Method::Percentile`] cuts off on each side.
const CUT: f64 = 1e-4;

/// Steps in which [`Method::Mse`] shortens each side.
const STEPS: usize = 64;

/// How numbers are distributed over a range.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    range: Range,
    counts: Vec<u64>,
}

impl Histogram {
    pub(super) fn new(range: Range) -> Self {
        Self { range, counts: vec![0; BINS] }
    }

    pub(super) fn add(&mut self, numbers: impl Iterator<Item = f32>) {
        let Range { lo, hi } = self.range;
        let bins = BINS as f32 / (hi - lo).max(f32::MIN_POSITIVE);
        for x in numbers {
            self.counts[(((x - lo) * bins) as usize).min(BINS - 1)] += 1;
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(to, from)| *to += from);
    }

    /// The range that a method chooses.
    pub(super) fn choose(&self, method: Method) -> Range {
        match method {
            Method::MinMax => self.range,
            Method::Percentile => self.percentile(),
            Method::Mse => self.least_error(),
        }
    }

    /// Where bin `i` begins.
    fn edge(&self, i: usize) -> f32 {
        let Range { lo, hi } = self.range;
        lo + (hi - lo) * i as f32 / BINS as f32
    }

    fn percentile(&self) -> Range {
        let cut = (CUT * self.counts.iter().sum::<u64>() as f64) as u64;
        let bins_within = |counts: &mut dyn Iterator<Item = &u64>| {
            let mut sum = 0;
            let within = |count: &&u64| {
                sum += **count;
                sum <= cut
            };
            counts.take_while(within).count()
        };
        let below = bins_within(&mut self.counts.iter());
        let above = bins_within(&mut self.counts.iter().rev());
        Range { lo: self.edge(below), hi: self.edge(BINS - above) }
    }

    /// The range with the least squared error: of what is outside the distance to it, of what is
    /// inside that of uniform rounding.
    fn least_error(&self) -> Range {
        let error = |range: Range| -> f64 {
            let (lo, hi) = (f64::from(range.lo.min(0.0)), f64::from(range.hi.max(0.0)));
            let step = (hi - lo) / 255.0;
            let bins = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
            bins.map(|(i, count)| {
                let x = f64::from(self.edge(i) + self.edge(i + 1)) / 2.0;
                let outside = (lo - x).max(x - hi).max(0.0);
                *count as f64 * (outside * outside + step * step / 12.0)
            })
            .sum()
        };
        let shortened = |end: f32| {
            let from = end.abs() / STEPS as f32;
            (0..STEPS).map(move |i| end - end.signum() * from * i as f32)
        };
        // One side, then the other: each has one best length for the other's.
        let mut best = self.range;
        for _ in 0..2 {
            let of_lo = shortened(self.range.lo).map(|lo| Range { lo, ..best });
            best = of_lo.min_by(|a, b| error(*a).total_cmp(&error(*b))).unwrap_or(best);
            let of_hi = shortened(self.range.hi).map(|hi| Range { hi, ..best });
            best = of_hi.min_by(|a, b| error(*a).total_cmp(&error(*b))).unwrap_or(best);
        }
        best
    }
}
