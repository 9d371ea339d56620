//! From a network to object types and relations between them.
//!
//! The objects are channels (or units) at a layer boundary. Ops that keep each channel to itself
//! pass a type on, a residual addition unites the types of its inputs, and a concatenation is a
//! row of types, so that the layer after it has one relation with each.

use std::collections::BTreeMap;
use std::fmt;

use tfc_formats::network::{Network, TensorId};
use tfc_formats::op::{Op, Shape};

use super::FactorizeError;

/// Which weights are factorized together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GroupKind {
    /// Convolutions.
    Conv,
    /// Dense layers.
    Dense,
}

impl GroupKind {
    /// The group of an op's weight, or `None` for ops without one.
    pub const fn of(op: &Op) -> Option<Self> {
        match op {
            Op::Conv2d(_) => Some(GroupKind::Conv),
            Op::Dense(_) => Some(GroupKind::Dense),
            _ => None,
        }
    }
}

impl fmt::Display for GroupKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            GroupKind::Conv => "convolution",
            GroupKind::Dense => "dense",
        })
    }
}

/// A set of channels or units with one latent profile each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectType {
    /// The node that first computes them, for reports.
    pub name: String,
    /// Number of objects.
    pub size: usize,
}

/// A matrix between two types: element `(i, j)` is at `offset + i * row_stride + j * col_stride`
/// of its tensor. Rows are the tensor's first axis: the layer's outputs, or its inputs where it
/// is stored transposed. A convolution has one relation a tap, `W[:, :, y, x]`; a depthwise one
/// has a single relation, channel x tap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relation {
    /// Tensor that holds it.
    pub tensor: TensorId,
    /// Index of the row type in [`Group::types`].
    pub row: usize,
    /// Index of the column type in [`Group::types`].
    pub col: usize,
    /// Index of its first element.
    pub offset: usize,
    /// Elements from one row to the next.
    pub row_stride: usize,
    /// Elements from one column to the next.
    pub col_stride: usize,
}

/// Relations that are factorized at the same time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Which weights these are.
    pub kind: GroupKind,
    /// Object types in the order of the graph.
    pub types: Vec<ObjectType>,
    /// Relations in the order of the graph.
    pub relations: Vec<Relation>,
}

impl Group {
    /// Positions of a relation's elements in its tensor, row-major.
    pub fn positions(&self, relation: &Relation) -> impl Iterator<Item = usize> + use<> {
        let (rows, cols) = (self.types[relation.row].size, self.types[relation.col].size);
        let Relation { offset, row_stride, col_stride, .. } = *relation;
        (0..rows).flat_map(move |i| (0..cols).map(move |j| offset + i * row_stride + j * col_stride))
    }

    /// A relation as a row-major matrix.
    pub fn values(&self, network: &Network, relation: &Relation) -> Vec<f32> {
        let data = &network.tensors[relation.tensor].data;
        self.positions(relation).map(|at| data[at]).collect()
    }
}

/// The groups of a network that have any weights, convolutions first. They share no type: what
/// flattening makes of channels are other objects.
pub fn groups(network: &Network) -> Result<Vec<Group>, FactorizeError> {
    let shapes = network.shapes()?;
    let mut types = Types::default();
    let mut weights: BTreeMap<TensorId, Weight> = BTreeMap::new();
    let mut unsupported = Vec::new();
    let mut values: Vec<Blocks> = vec![types.add("input", network.input.c)];
    // Elements of planes are other objects than their channels.
    let mut elements: BTreeMap<usize, Blocks> = BTreeMap::new();

    for (index, node) in network.nodes.iter().enumerate() {
        let source = node.inputs[0];
        let (x, blocks) = (shapes[source], values[source].clone());
        let mut vector_of = |types: &mut Types| match x.is_vector() {
            true => blocks.clone(),
            false => elements.entry(source).or_insert_with(|| types.add_elements(&node.name, x)).clone(),
        };
        let mut united = true;
        let (output, axes, taps) = match node.op {
            Op::Conv2d(conv) => {
                let taps = u32::from(conv.kernel[0]) * u32::from(conv.kernel[1]);
                if conv.groups == 1 {
                    let output = types.add(&node.name, conv.out_channels);
                    (output.clone(), Some([output, blocks]), taps as usize)
                } else if conv.groups == x.c && conv.out_channels == x.c {
                    let window = types.add(&format!("{} taps", node.name), taps);
                    (blocks.clone(), Some([blocks, window]), 1)
                } else {
                    unsupported.push(format!("`{}` (grouped conv2d)", node.name));
                    (types.add(&node.name, conv.out_channels), None, 1)
                }
            }
            Op::Dense(dense) => {
                let input = vector_of(&mut types);
                let output = types.add(&node.name, dense.out_features);
                let axes = if dense.transposed { [input, output.clone()] } else { [output.clone(), input] };
                (output, Some(axes), 1)
            }
            Op::Flatten => (vector_of(&mut types), None, 1),
            Op::Maxout { .. } => (types.add(&node.name, shapes[index + 1].c), None, 1),
            Op::Concat => (node.inputs.iter().flat_map(|&v| values[v].clone()).collect(), None, 1),
            Op::Add => {
                united = node.inputs.iter().all(|&v| types.unite(&blocks, &values[v]));
                (blocks, None, 1)
            }
            Op::MaxPool(_)
            | Op::AvgPool(_)
            | Op::GlobalAvgPool
            | Op::BatchNorm { .. }
            | Op::Lrn { .. }
            | Op::Activation(_)
            | Op::Softmax
            | Op::Dropout { .. } => (blocks, None, 1),
        };
        if let (Some(tensor), Some(axes), Some(kind)) =
            (network.prunable(index), axes, GroupKind::of(&node.op))
        {
            match weights.get(&tensor) {
                // One tensor that serves several nodes is one relation.
                Some(first) => {
                    let same = first.taps == taps;
                    united = same && first.axes.iter().zip(&axes).all(|(a, b)| types.unite(a, b));
                }
                None => {
                    weights.insert(tensor, Weight { kind, axes, taps, order: index });
                }
            }
        }
        if !united {
            unsupported.push(format!("`{}` ({} of differing concatenations)", node.name, node.op.name()));
        }
        values.push(output);
    }
    if !unsupported.is_empty() {
        return Err(FactorizeError::Unsupported(unsupported));
    }
    Ok([GroupKind::Conv, GroupKind::Dense]
        .into_iter()
        .map(|kind| types.group(kind, &weights))
        .filter(|group| !group.relations.is_empty())
        .collect())
}

/// Types whose objects follow one another along an axis.
type Blocks = Vec<usize>;

/// How a weight tensor lies between types: element `(i, j)` of tap `t` is at
/// `(i * columns + j) * taps + t`.
struct Weight {
    kind: GroupKind,
    axes: [Blocks; 2],
    taps: usize,
    order: usize,
}

/// Types while they are found: a union-find forest in which the earliest member is the root.
#[derive(Default)]
struct Types {
    types: Vec<ObjectType>,
    parent: Vec<usize>,
}

impl Types {
    fn add(&mut self, name: &str, size: u32) -> Blocks {
        self.types.push(ObjectType { name: name.to_owned(), size: size as usize });
        self.parent.push(self.parent.len());
        vec![self.parent.len() - 1]
    }

    fn add_elements(&mut self, reader: &str, shape: Shape) -> Blocks {
        self.add(&format!("input of {reader}"), shape.elements().unwrap_or(0))
    }

    fn root(&self, mut of: usize) -> usize {
        while self.parent[of] != of {
            of = self.parent[of];
        }
        of
    }

    /// Makes the types of both axes the same, or returns false where their sizes differ.
    fn unite(&mut self, a: &[usize], b: &[usize]) -> bool {
        if !a.iter().map(|&t| self.types[t].size).eq(b.iter().map(|&t| self.types[t].size)) {
            return false;
        }
        for (&a, &b) in a.iter().zip(b) {
            let (a, b) = (self.root(a), self.root(b));
            self.parent[a.max(b)] = a.min(b);
        }
        true
    }

    fn group(&self, kind: GroupKind, weights: &BTreeMap<TensorId, Weight>) -> Group {
        let mut members: Vec<_> = weights.iter().filter(|(_, w)| w.kind == kind).collect();
        members.sort_by_key(|(_, w)| w.order);
        let mut roots: Vec<usize> =
            members.iter().flat_map(|(_, w)| w.axes.iter().flatten()).map(|&t| self.root(t)).collect();
        roots.sort_unstable();
        roots.dedup();

        let index = |block: usize| roots.binary_search(&self.root(block)).unwrap_or_else(|at| at);
        let mut relations = Vec::new();
        for (tensor, weight) in members {
            let [rows, cols] = &weight.axes;
            let columns: usize = cols.iter().map(|&t| self.types[t].size).sum();
            let mut first_row = 0;
            for &row in rows {
                let mut first_col = 0;
                for &col in cols {
                    relations.extend((0..weight.taps).map(|tap| Relation {
                        tensor: *tensor,
                        row: index(row),
                        col: index(col),
                        offset: (first_row * columns + first_col) * weight.taps + tap,
                        row_stride: columns * weight.taps,
                        col_stride: weight.taps,
                    }));
                    first_col += self.types[col].size;
                }
                first_row += self.types[row].size;
            }
        }
        Group { kind, types: roots.iter().map(|&t| self.types[t].clone()).collect(), relations }
    }
}

#[cfg(test)]
mod tests;
