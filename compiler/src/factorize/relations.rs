//! From a network to object types and relations between them.
//!
//! The objects are channels (or units) at a layer boundary. Ops that keep each channel to itself
//! pass objects on. An addition makes the channels that it adds one object, and so does a
//! selection, which moves channels and computes nothing. A concatenation puts axes end to end.
//! Types follow from that: the longest runs of objects that every axis of a group's weights holds
//! whole and in the same order. The axis of a weight is then a row of types, and the weight has
//! one relation for each pair of a row type with a column type. `README.md` draws it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::Rc;

use tfc_formats::network::{Network, TensorId};
use tfc_formats::op::{Conv2d, Op, Shape};

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
    /// The node that first computes them, for reports; with a range, `NAME[FROM..TO]`, where they
    /// are a part of its channels.
    pub name: String,
    /// Number of objects.
    pub size: usize,
}

/// A matrix between two types: element `(i, j)` is at `offset + i * row_stride + j * col_stride`
/// of its tensor. Rows are the tensor's first axis: the layer's outputs, or its inputs where it
/// is stored transposed. A convolution has one relation a tap, `W[:, :, y, x]`, and a grouped one as
/// many for each of its groups; where a group reads a single channel (depthwise) all of it is one
/// relation, channel x tap.
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

/// The groups of a network that have any weights, convolutions first. They share no type: a dense
/// layer that reads flattened planes relates to their elements, each with a profile of its own,
/// and even where the objects are the same channels their factors serve another purpose.
pub fn groups(network: &Network) -> Result<Vec<Group>, FactorizeError> {
    let shapes = network.shapes()?;
    let mut objects = Objects::default();
    let mut weights: BTreeMap<TensorId, Weight> = BTreeMap::new();
    let mut unsupported = Vec::new();
    let mut values: Vec<Axis> = vec![objects.add("input", network.input.c)];
    // Elements of planes are other objects than their channels.
    let mut elements: BTreeMap<usize, Axis> = BTreeMap::new();

    for (index, node) in network.nodes.iter().enumerate() {
        let source = node.inputs[0];
        let (x, channels) = (shapes[source], Rc::clone(&values[source]));
        let mut vector_of = |objects: &mut Objects| match x.is_vector() {
            true => Rc::clone(&channels),
            false => {
                let axis = elements.entry(source).or_insert_with(|| objects.add_elements(&node.name, x));
                Rc::clone(axis)
            }
        };
        let (output, blocks) = match node.op {
            Op::Conv2d(conv) => match network.selection(index) {
                Some(offset) => (objects.select(&node.name, &channels, conv.out_channels, offset), vec![]),
                None => convolution(&mut objects, &node.name, conv, &channels),
            },
            Op::Dense(dense) => {
                let input = vector_of(&mut objects);
                let output = objects.add(&node.name, dense.out_features);
                let (rows, cols) =
                    if dense.transposed { (input, Rc::clone(&output)) } else { (Rc::clone(&output), input) };
                (output, vec![Block { rows, cols, taps: 1 }])
            }
            Op::Flatten => (vector_of(&mut objects), vec![]),
            Op::Maxout { .. } => (objects.add(&node.name, shapes[index + 1].c), vec![]),
            Op::Concat => (node.inputs.iter().flat_map(|&v| values[v].iter().copied()).collect(), vec![]),
            Op::Add => {
                node.inputs.iter().for_each(|&v| objects.unite(&channels, &values[v]));
                (channels, vec![])
            }
            Op::MaxPool(_)
            | Op::AvgPool(_)
            | Op::GlobalAvgPool
            | Op::BatchNorm { .. }
            | Op::Lrn { .. }
            | Op::Activation(_)
            | Op::Softmax
            | Op::Dropout { .. } => (channels, vec![]),
        };
        if let (Some(tensor), Some(kind), false) =
            (network.prunable(index), GroupKind::of(&node.op), blocks.is_empty())
        {
            match weights.get(&tensor) {
                // One tensor that serves several nodes relates the same objects in all of them.
                Some(first)
                    if first.blocks.iter().map(Block::extents).eq(blocks.iter().map(Block::extents)) =>
                {
                    for (a, b) in first.blocks.iter().zip(&blocks) {
                        objects.unite(&a.rows, &b.rows);
                        objects.unite(&a.cols, &b.cols);
                    }
                }
                Some(_) => {
                    let name = &network.tensors[tensor].name;
                    unsupported
                        .push(format!("`{}` (other groups than another reader of `{name}`)", node.name));
                }
                None => {
                    weights.insert(tensor, Weight { kind, blocks, order: index });
                }
            }
        }
        values.push(output);
    }
    if !unsupported.is_empty() {
        return Err(FactorizeError::Unsupported(unsupported));
    }
    Ok([GroupKind::Conv, GroupKind::Dense]
        .into_iter()
        .map(|kind| objects.group(kind, &weights))
        .filter(|group| !group.relations.is_empty())
        .collect())
}

/// The output of a convolution and the blocks of its weight.
fn convolution(objects: &mut Objects, name: &str, conv: Conv2d, input: &Axis) -> (Axis, Vec<Block>) {
    let taps = usize::from(conv.kernel[0]) * usize::from(conv.kernel[1]);
    let groups = conv.groups as usize;
    let inputs = input.len() / groups;
    if groups > 1 && inputs == 1 {
        // Each output channel depends on one input channel; where there are as many, it is that
        // channel still.
        let same = conv.out_channels == conv.groups;
        let output = if same { Rc::clone(input) } else { objects.add(name, conv.out_channels) };
        let window = objects.add(&format!("{name} taps"), taps as u32);
        return (Rc::clone(&output), vec![Block { rows: output, cols: window, taps: 1 }]);
    }
    let output = objects.add(name, conv.out_channels);
    let rows = output.chunks(output.len() / groups);
    let block = |(rows, cols): (&[usize], &[usize])| Block { rows: rows.into(), cols: cols.into(), taps };
    let blocks = rows.zip(input.chunks(inputs)).map(block).collect();
    (output, blocks)
}

/// Objects that follow one another along an axis.
type Axis = Rc<[usize]>;

/// A part of a weight tensor that is a matrix for each tap: element `(i, j)` of tap `t` is at
/// `(i * columns + j) * taps + t` of it. A tensor is its blocks one after the other.
struct Block {
    rows: Axis,
    cols: Axis,
    taps: usize,
}

impl Block {
    fn extents(&self) -> [usize; 3] {
        [self.rows.len(), self.cols.len(), self.taps]
    }
}

/// The blocks of a weight tensor, one for each group of a convolution.
struct Weight {
    kind: GroupKind,
    blocks: Vec<Block>,
    order: usize,
}

/// Objects while it is found out which of them are the same: a union-find forest in which the
/// earliest member is the root.
#[derive(Default)]
struct Objects {
    parent: Vec<usize>,
    /// First objects of the nodes that made them, with their names.
    makers: BTreeMap<usize, String>,
}

impl Objects {
    fn add(&mut self, name: &str, count: u32) -> Axis {
        let first = self.parent.len();
        self.parent.extend(first..first + count as usize);
        self.makers.insert(first, name.to_owned());
        (first..self.parent.len()).collect()
    }

    fn add_elements(&mut self, reader: &str, shape: Shape) -> Axis {
        self.add(&format!("input of {reader}"), shape.elements().unwrap_or(0))
    }

    /// New objects, but those from `offset` on are the input's.
    fn select(&mut self, name: &str, input: &[usize], count: u32, offset: u32) -> Axis {
        let output = self.add(name, count);
        self.unite(&output[offset as usize..], input);
        output
    }

    fn root(&self, mut of: usize) -> usize {
        while self.parent[of] != of {
            of = self.parent[of];
        }
        of
    }

    /// Makes objects at the same place one.
    fn unite(&mut self, a: &[usize], b: &[usize]) {
        for (&a, &b) in a.iter().zip(b) {
            let (a, b) = (self.root(a), self.root(b));
            let first = a.min(b);
            // Both are roots; shortens the path to them as well.
            (self.parent[a], self.parent[b]) = (first, first);
        }
    }

    fn group(&self, kind: GroupKind, weights: &BTreeMap<TensorId, Weight>) -> Group {
        let mut members: Vec<_> = weights.iter().filter(|(_, w)| w.kind == kind).collect();
        members.sort_by_key(|(_, w)| w.order);
        let roots = |axis: &Axis| -> Vec<usize> { axis.iter().map(|&o| self.root(o)).collect() };
        let blocks: Vec<(TensorId, usize, [Vec<usize>; 2])> = members
            .iter()
            .flat_map(|(tensor, weight)| weight.blocks.iter().map(|b| (**tensor, b)))
            .map(|(tensor, b)| (tensor, b.taps, [roots(&b.rows), roots(&b.cols)]))
            .collect();
        let runs = Runs::of(blocks.iter().flat_map(|(_, _, axes)| axes).map(Vec::as_slice));

        let mut types: BTreeMap<usize, usize> = BTreeMap::new();
        for (_, _, axes) in &blocks {
            types.extend(axes.iter().flat_map(|axis| runs.split(axis)).map(|run| (run[0], run.len())));
        }
        let index: BTreeMap<usize, usize> = types.keys().enumerate().map(|(i, &first)| (first, i)).collect();
        let mut relations = Vec::new();
        let (mut last, mut start) = (None, 0);
        for (tensor, taps, [rows, cols]) in &blocks {
            if last.replace(*tensor) != Some(*tensor) {
                start = 0;
            }
            let mut first_row = 0;
            for row in runs.split(rows) {
                let mut first_col = 0;
                for col in runs.split(cols) {
                    relations.extend((0..*taps).map(|tap| Relation {
                        tensor: *tensor,
                        row: index[&row[0]],
                        col: index[&col[0]],
                        offset: start + (first_row * cols.len() + first_col) * taps + tap,
                        row_stride: cols.len() * taps,
                        col_stride: *taps,
                    }));
                    first_col += col.len();
                }
                first_row += row.len();
            }
            start += rows.len() * cols.len() * taps;
        }
        let types = types.iter().map(|(&first, &size)| ObjectType { name: self.name(first, size), size });
        Group { kind, types: types.collect(), relations }
    }

    /// What to call the type that begins with an object.
    fn name(&self, first: usize, size: usize) -> String {
        let Some((&start, name)) = self.makers.range(..=first).next_back() else { return String::new() };
        let end = self.makers.range(first + 1..).next().map_or(self.parent.len(), |(&next, _)| next);
        if (start, end) == (first, first + size) {
            return name.clone();
        }
        format!("{name}[{}..{}]", first - start, first - start + size)
    }
}

/// Which objects always follow one another.
struct Runs(BTreeSet<usize>);

impl Runs {
    /// An object begins a run unless the same object comes before it wherever it occurs, and it
    /// comes after that one wherever that occurs.
    fn of<'a>(axes: impl Iterator<Item = &'a [usize]>) -> Self {
        let mut before: BTreeMap<usize, BTreeSet<Option<usize>>> = BTreeMap::new();
        let mut after = before.clone();
        for axis in axes {
            let places = axis.iter().map(|&object| Some(object));
            let shifted = std::iter::once(None).chain(places.clone());
            for (a, b) in shifted.zip(places.chain([None])) {
                if let Some(b) = b {
                    before.entry(b).or_default().insert(a);
                }
                if let Some(a) = a {
                    after.entry(a).or_default().insert(b);
                }
            }
        }
        let only =
            |of: &BTreeSet<Option<usize>>| if of.len() == 1 { of.first().copied().flatten() } else { None };
        let continues = |object: usize, before: &BTreeSet<_>| {
            only(before).is_some_and(|a| after.get(&a).and_then(only) == Some(object))
        };
        Self(before.iter().filter(|&(&object, before)| !continues(object, before)).map(|(&o, _)| o).collect())
    }

    /// The runs that an axis is made of.
    fn split<'a>(&self, axis: &'a [usize]) -> impl Iterator<Item = &'a [usize]> + use<'a, '_> {
        axis.chunk_by(|_, next| !self.0.contains(next))
    }
}

#[cfg(test)]
mod tests;
