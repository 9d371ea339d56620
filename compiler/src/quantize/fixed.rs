//! Constants of integer arithmetic from scales and zero points.

use tfc_formats::artifact::{Affine, Element, Requantization};
use tfc_formats::op::Activation;
use tfc_runtime::activate;

/// Most bits behind the binary point of what is added to a sum that is scaled.
const RESIDUAL_BITS: u8 = 16;

/// Most bits behind the binary point of a sum of values.
const ADD_BITS: u8 = 22;

/// Most bits behind the binary point of raw samples.
const RAW_BITS: u8 = 20;

/// Scale and zero point of bytes.
#[derive(Clone, Copy, Debug)]
struct Bytes {
    scale: f64,
    zero: i64,
}

impl Bytes {
    fn of(element: Element) -> Self {
        match element {
            Element::I8 { scale, zero } => Self { scale: scale.into(), zero: zero.into() },
            Element::F32 => Self { scale: 1.0, zero: 0 },
        }
    }

    /// The byte nearest to a number.
    fn nearest(self, x: f64) -> i8 {
        // The cast saturates.
        ((x / self.scale).round() + self.zero as f64) as i8
    }

    /// Bytes that an activation lets through.
    fn bounds(self, activation: Option<Activation>) -> (i8, i8) {
        match activation {
            Some(Activation::Relu) => (self.zero as i8, i8::MAX),
            Some(Activation::Relu6) => (self.zero as i8, self.nearest(6.0)),
            _ => (i8::MIN, i8::MAX),
        }
    }

    /// Zero point and rounding of a sum with `bits` behind the binary point.
    fn offset(self, bits: u8) -> i64 {
        (self.zero << bits) + if bits > 0 { 1 << (bits - 1) } else { 0 }
    }
}

/// A convolution or dense layer in integers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Layer {
    /// Whole numbers from -127 to 127, row by row.
    pub(crate) weights: Vec<f32>,
    /// By row; the zero point of the input is in it.
    pub(crate) bias: Vec<i32>,
    /// By row.
    pub(crate) multipliers: Vec<i32>,
    /// Shifts, offset and bounds, without residual.
    pub(crate) constants: Requantization,
    /// Multiplier of the residual, where there is one.
    pub(crate) residual: Option<i32>,
}

impl Layer {
    /// Rounds a matrix of `rows` rows. `None` if its sums may not fit 32 bits.
    pub(crate) fn new(
        matrix: &[f32],
        rows: usize,
        bias: Option<&[f32]>,
        [input, output]: [Element; 2],
        residual: Option<Element>,
        activation: Option<Activation>,
    ) -> Option<Self> {
        let (from, to) = (Bytes::of(input), Bytes::of(output));
        let mut layer = Self {
            weights: Vec::with_capacity(matrix.len()),
            bias: Vec::with_capacity(rows),
            multipliers: Vec::new(),
            constants: Requantization { left: 0, offset: 0, right: 0, lo: 0, hi: 0, residual: None },
            residual: None,
        };
        let mut sums = Vec::with_capacity(rows);
        for (r, row) in matrix.chunks_exact((matrix.len() / rows.max(1)).max(1)).enumerate() {
            let bias = f64::from(bias.map_or(0.0, |bias| bias[r]));
            let largest = row.iter().fold(0.0f32, |largest, w| largest.max(w.abs()));
            // A bias that is huge beside the weights would not fit, so they get fewer steps.
            let scale = (f64::from(largest) / 127.0).max(bias.abs() / from.scale / f64::from(1 << 28));
            let scale = if scale > 0.0 { scale } else { 1.0 };
            let first = layer.weights.len();
            layer.weights.extend(row.iter().map(|w| (f64::from(*w) / scale).round() as f32));
            let row = layer.weights[first..].iter().map(|w| *w as i64);
            let (sum, size) = row.fold((0, 0), |(sum, size), w| (sum + w, size + w.abs()));
            let bias = (bias / (from.scale * scale)).round() as i64 - from.zero * sum;
            layer.bias.push(i32::try_from(bias).ok()?);
            sums.push(Sum { most: bias.abs() + 128 * size, ratio: from.scale * scale / to.scale });
        }
        let residual = residual.map(Bytes::of);
        let most_bits = if residual.is_some() { RESIDUAL_BITS } else { 0 };
        let (right, left, more) = (0..=most_bits).rev().find_map(|right| fits(&sums, to, residual, right))?;
        let (lo, hi) = to.bounds(activation);
        layer.multipliers = sums.iter().map(|sum| multiplier(sum.ratio, right, left)).collect();
        layer.constants = Requantization { left, offset: more.offset, right, lo, hi, residual: None };
        layer.residual = residual.map(|_| more.multiplier);
        Some(layer)
    }
}

/// What a sum can become at most, and the ratio of its scale to the output's.
#[derive(Clone, Copy, Debug)]
struct Sum {
    most: i64,
    ratio: f64,
}

/// What is added to a sum that is scaled.
#[derive(Clone, Copy, Debug)]
struct More {
    multiplier: i32,
    offset: i32,
}

/// Shifts with which nothing overflows 32 bits, if there are any with this right shift.
fn fits(sums: &[Sum], to: Bytes, residual: Option<Bytes>, right: u8) -> Option<(u8, u8, More)> {
    let unit = 2f64.powi(right.into());
    let largest = sums.iter().map(|sum| sum.ratio).fold(0.0, f64::max) * unit;
    let left = (0..32u8).find(|left| largest * 2f64.powi(32 - i32::from(*left)) < 2f64.powi(31) - 2.0)?;
    let most = sums.iter().map(|sum| sum.most).max().unwrap_or(0);
    i32::try_from(most.checked_mul(1 << left)?).ok()?;

    let (multiplier, zero) = residual.map_or((0.0, 0), |r| ((r.scale / to.scale * unit).round(), r.zero));
    let offset = to.offset(right) as f64 - multiplier * zero as f64;
    let scaled = sums.iter().map(|sum| sum.most as f64 * sum.ratio).fold(0.0, f64::max) * unit;
    let total = scaled + 128.0 * multiplier + offset.abs() + 2.0;
    let more = More { multiplier: multiplier as i32, offset: offset as i32 };
    (total < 2f64.powi(31)).then_some((right, left, more))
}

/// Of the high word: even, so that an instruction that doubles can take half of it.
fn multiplier(ratio: f64, right: u8, left: u8) -> i32 {
    let bits = 32 + i32::from(right) - i32::from(left);
    2 * (ratio * 2f64.powi(bits - 1)).round() as i32
}

/// Multipliers of averages over 1 to `most` elements, or over `most` alone, and their constants.
pub(crate) fn average(
    most: u32,
    each: bool,
    [input, output]: [Element; 2],
    activation: Option<Activation>,
) -> Option<(Vec<i32>, Requantization)> {
    let (from, to) = (Bytes::of(input), Bytes::of(output));
    let divisors = if each { 1..=most } else { most..=most };
    let sum = |n: u32| Sum { most: 255 * i64::from(n), ratio: from.scale / to.scale / f64::from(n) };
    let sums: Vec<Sum> = divisors.map(sum).collect();
    let (right, left, more) = fits(&sums, to, None, 0)?;
    let (lo, hi) = to.bounds(activation);
    let multipliers = sums.iter().map(|sum| multiplier(sum.ratio, right, left)).collect();
    Some((multipliers, Requantization { left, offset: more.offset, right, lo, hi, residual: None }))
}

/// Multipliers of the values of a sum, and its constants.
pub(crate) fn add(
    inputs: &[Element],
    output: Element,
    activation: Option<Activation>,
) -> Option<(Vec<i32>, Requantization)> {
    let to = Bytes::of(output);
    let inputs: Vec<Bytes> = inputs.iter().map(|input| Bytes::of(*input)).collect();
    (0..=ADD_BITS).rev().find_map(|right| {
        let unit = 2f64.powi(right.into());
        let multipliers: Vec<f64> = inputs.iter().map(|i| (i.scale / to.scale * unit).round()).collect();
        let zeros: f64 = inputs.iter().zip(&multipliers).map(|(i, m)| i.zero as f64 * m).sum();
        let offset = to.offset(right) as f64 - zeros;
        let total = 128.0 * multipliers.iter().sum::<f64>() + offset.abs();
        let (lo, hi) = to.bounds(activation);
        let constants = Requantization { left: 0, offset: offset as i32, right, lo, hi, residual: None };
        (total < 2f64.powi(31)).then(|| (multipliers.iter().map(|m| *m as i32).collect(), constants))
    })
}

/// From a raw byte to `raw * factor + offset` as i8.
pub(crate) fn affine(factor: f32, offset: f32, output: Element) -> Option<Affine> {
    let to = Bytes::of(output);
    (0..=RAW_BITS).rev().find_map(|shift| {
        let unit = 2f64.powi(shift.into());
        let multiplier = (f64::from(factor) / to.scale * unit).round();
        let offset = (f64::from(offset) / to.scale * unit).round() + to.offset(shift) as f64;
        let fits = 255.0 * multiplier.abs() + offset.abs() < 2f64.powi(31);
        fits.then_some(Affine { multiplier: multiplier as i32, offset: offset as i32, shift })
    })
}

/// What an activation makes of each byte, from -128 on.
pub(crate) fn lookup(activation: Activation, [input, output]: [Element; 2]) -> Vec<i8> {
    let (from, to) = (Bytes::of(input), Bytes::of(output));
    let of = |q: i8| {
        let mut x = [(from.scale * (i64::from(q) - from.zero) as f64) as f32];
        activate(activation, &mut x);
        to.nearest(x[0].into())
    };
    (i8::MIN..=i8::MAX).map(of).collect()
}

/// Exponentials of bytes 0 to 255 below the largest, so large that the sum over `channels` and 256
/// times each of them fit 32 bits.
pub(crate) fn softmax(input: Element, channels: u32) -> Vec<u32> {
    let one = f64::from((1u32 << 23).min(u32::MAX / channels.max(1)));
    let scale = Bytes::of(input).scale;
    (0..=255u32).map(|below| (one * (-scale * f64::from(below)).exp()).round() as u32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multipliers_are_even_and_below_2_to_the_31() {
        for ratio in [1e-9, 0.1, 0.4999, 0.5, 1.0, 7.3, 1000.0] {
            let sums = [Sum { most: 1000, ratio }];
            let (right, left, _) = fits(&sums, Bytes { scale: 1.0, zero: 0 }, None, 0).unwrap();
            let m = multiplier(ratio, right, left);
            assert!(m >= 0 && m % 2 == 0, "{ratio}: {m}");
            let back = f64::from(m) / 2f64.powi(32 - i32::from(left));
            assert!((back - ratio).abs() <= ratio * 1e-8 + 2f64.powi(-32), "{ratio}: {back}");
        }
        let wide = [Sum { most: 1 << 24, ratio: 1000.0 }];
        assert!(fits(&wide, Bytes { scale: 1.0, zero: 0 }, None, 0).is_none());
    }
}
