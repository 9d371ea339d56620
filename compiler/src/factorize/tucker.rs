//! Convolutions as Tucker-2 chains (Kim, Park, Yoo, Choi, Yang & Shin, ICLR 2016): 1x1, k x k on
//! thin planes, 1x1, with the outer two from one simultaneous tri-factorization.
//!
//! A type's `G` is the last link of every layer that writes the type, and its transpose the first
//! link of every layer that reads it. Each of both is stored once: a convolution is not applied
//! transposed, so a type that is written and read takes two tensors, where dense layers take one.

use std::collections::BTreeMap;

use tfc_formats::network::{Network, TensorId};
use tfc_formats::op::{Conv2d, Op, Padding};

use super::{FactorizeError, Factors, Link, Matrix, add_tensor, replace_layer};

/// Replaces every convolution that then takes fewer multiply-accumulates and fewer values, its
/// `G` counted in full, by `G_out * S * G_in^T`. Grouped convolutions, selections and weights
/// that several nodes share are left as they are. Returns the names of those replaced; the old
/// weights stay among the tensors until [`sweep`](super::sweep).
pub fn replace_convolutions(network: &mut Network, factors: &Factors) -> Result<Vec<String>, FactorizeError> {
    // By the types along the axis and whether it is the transpose.
    let mut stored: BTreeMap<(Vec<usize>, bool), TensorId> = BTreeMap::new();
    let mut replaced = Vec::new();
    let shapes = network.shapes()?;
    // From the last to the first: a chain moves only what comes after it.
    for index in (0..network.nodes.len()).rev() {
        let node = &network.nodes[index];
        let (Op::Conv2d(conv), Some(&weight)) = (node.op, node.params.first()) else { continue };
        let readers = network.nodes.iter().filter(|node| node.params.contains(&weight)).count();
        let Some(chain) = Chain::of(factors, weight) else { continue };
        if conv.groups != 1 || readers != 1 {
            continue;
        }
        let pixels = |value: usize| u64::from(shapes[value].h) * u64::from(shapes[value].w);
        let (before, after) = (pixels(node.inputs[0]), pixels(index + 1));
        let whole = network.tensors[weight].data.len() as u64;
        let [kh, kw] = conv.kernel.map(usize::from);
        let [first, core, last] = chain.values(factors, kh * kw);
        if first * before + (core + last) * after >= whole * after || first + core + last >= whole {
            continue;
        }
        let name = node.name.clone();
        let mut g = |network: &mut Network, axis: &BTreeMap<usize, usize>, transposed: bool| {
            let types: Vec<usize> = axis.values().copied().collect();
            let matrix = block_diagonal(factors, &types, transposed);
            let suffix = if transposed { "gt" } else { "g" };
            let name = format!("{}.{suffix}", factors.group.types[types[0]].name);
            let shape = [matrix.rows, matrix.cols, 1, 1];
            *stored
                .entry((types, transposed))
                .or_insert_with(|| add_tensor(network, name, shape, matrix.data))
        };
        let (first, last) = (g(network, &chain.cols, true), g(network, &chain.rows, false));
        let (thin_out, thin_in) = (chain.rank(factors, &chain.rows), chain.rank(factors, &chain.cols));
        let values = chain.core(factors, kh * kw);
        let core = add_tensor(network, format!("{name}.s"), [thin_out, thin_in, kh, kw], values);
        let pointwise = |out: usize| {
            Op::Conv2d(Conv2d {
                out_channels: out as u32,
                kernel: [1, 1],
                stride: [1, 1],
                dilation: [1, 1],
                pad: Padding::default(),
                groups: 1,
            })
        };
        // No bias comes before the core, so that its padding is zeros of the thin planes too.
        let links = [
            Link { suffix: ".in", tensor: first, op: pointwise(thin_in) },
            Link {
                suffix: ".core",
                tensor: core,
                op: Op::Conv2d(Conv2d { out_channels: thin_out as u32, ..conv }),
            },
            Link { suffix: "", tensor: last, op: pointwise(conv.out_channels as usize) },
        ];
        replace_layer(network, index, &links);
        replaced.push(name);
    }
    replaced.reverse();
    Ok(replaced)
}

/// The relations of one convolution without groups, as rows and columns of types.
struct Chain {
    /// Relations by the row, column and tap of their first element.
    relations: BTreeMap<[usize; 3], usize>,
    /// Types along the outputs, by their first row.
    rows: BTreeMap<usize, usize>,
    /// Types along the inputs, by their first column.
    cols: BTreeMap<usize, usize>,
}

impl Chain {
    fn of(factors: &Factors, tensor: TensorId) -> Option<Self> {
        let mut chain = Self { relations: BTreeMap::new(), rows: BTreeMap::new(), cols: BTreeMap::new() };
        for (l, r) in factors.group.relations.iter().enumerate().filter(|(_, r)| r.tensor == tensor) {
            let (row, rest) = (r.offset / r.row_stride, r.offset % r.row_stride);
            let (col, tap) = (rest / r.col_stride, rest % r.col_stride);
            chain.relations.insert([row, col, tap], l);
            chain.rows.insert(row, r.row);
            chain.cols.insert(col, r.col);
        }
        (!chain.relations.is_empty()).then_some(chain)
    }

    /// Latent dimensions of all types along an axis.
    fn rank(&self, factors: &Factors, axis: &BTreeMap<usize, usize>) -> usize {
        axis.values().map(|&of| factors.g[of].cols).sum()
    }

    /// Values of the three links but zeros beside the blocks of `G`.
    fn values(&self, factors: &Factors, taps: usize) -> [u64; 3] {
        let blocks = |axis: &BTreeMap<usize, usize>| axis.values().map(|&of| factors.g[of].data.len()).sum();
        let core = taps * self.rank(factors, &self.rows) * self.rank(factors, &self.cols);
        [blocks(&self.cols), core, blocks(&self.rows)].map(|n: usize| n as u64)
    }

    /// The cores of all relations as one kernel `[out, in, kh * kw]`.
    fn core(&self, factors: &Factors, taps: usize) -> Vec<f32> {
        let starts = |axis: &BTreeMap<usize, usize>| -> BTreeMap<usize, usize> {
            let mut next = 0;
            let start = |(&at, &of): (&usize, &usize)| {
                next += factors.g[of].cols;
                (at, next - factors.g[of].cols)
            };
            axis.iter().map(start).collect()
        };
        let (rows, cols) = (starts(&self.rows), starts(&self.cols));
        let width = self.rank(factors, &self.cols);
        let mut kernel = vec![0.0; self.rank(factors, &self.rows) * width * taps];
        for ([row, col, tap], &l) in &self.relations {
            let s = &factors.s[l];
            for (at, &value) in s.data.iter().enumerate() {
                let (i, j) = (rows[row] + at / s.cols, cols[col] + at % s.cols);
                kernel[(i * width + j) * taps + tap] = value;
            }
        }
        kernel
    }
}

/// The factors of the types along an axis, one below and beside the other, or its transpose.
fn block_diagonal(factors: &Factors, axis: &[usize], transposed: bool) -> Matrix {
    let blocks = axis.iter().map(|&of| &factors.g[of]);
    let (objects, rank) = blocks.clone().fold((0, 0), |(n, k), g| (n + g.rows, k + g.cols));
    let (rows, cols) = if transposed { (rank, objects) } else { (objects, rank) };
    let mut data = vec![0.0; rows * cols];
    let (mut first, mut latent) = (0, 0);
    for g in blocks {
        for (at, &value) in g.data.iter().enumerate() {
            let (i, k) = (first + at / g.cols, latent + at % g.cols);
            data[if transposed { k * cols + i } else { i * cols + k }] = value;
        }
        (first, latent) = (first + g.rows, latent + g.cols);
    }
    Matrix { rows, cols, data }
}

#[cfg(test)]
mod tests;
