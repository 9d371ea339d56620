//! The network while it grows.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::format;
use std::rc::Rc;
use std::string::{String, ToString};
use std::vec::Vec;

use super::constant::{Constant, Reason};
use super::feature::{Feature, Span};
use crate::import::one_line;
use crate::network::{Network, Node, Tensor, TensorId, ValueId};
use crate::op::{Op, Shape};

pub(super) struct Builder {
    pub(super) network: Network,
    shapes: Vec<Shape>,
    node_names: Names,
    tensor_names: Names,
    /// Tensors that are constants as they are; holding those keeps their addresses unique.
    taken: HashMap<Taken, (TensorId, Rc<Constant>)>,
    /// Selections that were computed, with the value that holds the result.
    pub(super) selected: HashMap<(ValueId, [Span; 3]), (ValueId, Shape)>,
    /// The last value that is `scale x + shift` of a file's own arithmetic.
    pub(super) affine: Option<ValueId>,
    budget: usize,
}

/// Address and shape.
type Taken = (*const Constant, Vec<usize>);

/// Names that are in use, with the next number for each that was asked for again.
#[derive(Default)]
struct Names(HashMap<String, u32>);

impl Names {
    fn unique(&mut self, wanted: &str) -> String {
        let wanted = one_line(wanted);
        let mut name = wanted.clone();
        loop {
            match self.0.entry(name) {
                Entry::Vacant(slot) => {
                    let name = slot.key().clone();
                    slot.insert(1);
                    return name;
                }
                Entry::Occupied(_) => {
                    let next = self.0.entry(wanted.clone()).or_insert(1);
                    *next += 1;
                    name = format!("{wanted}_{next}");
                }
            }
        }
    }
}

impl Builder {
    /// `budget`: values that constants and parameters may have in all.
    pub(super) fn new(network: Network, budget: usize) -> Self {
        let shapes = std::vec![network.input];
        Self {
            network,
            shapes,
            node_names: Names::default(),
            tensor_names: Names::default(),
            taken: HashMap::new(),
            selected: HashMap::new(),
            affine: None,
            budget,
        }
    }

    /// Asks for memory for this many values: a small file must not be able to ask for much.
    pub(super) fn charge(&mut self, values: usize) -> Result<(), Reason> {
        self.budget =
            self.budget.checked_sub(values).ok_or("constants take much more memory than the file")?;
        Ok(())
    }

    pub(super) fn node_name(&mut self, wanted: &str) -> String {
        self.node_names.unique(wanted)
    }

    /// Changes the shape of the network's input. False if a node reads it already.
    pub(super) fn reshape_input(&mut self, shape: Shape) -> bool {
        let free = self.network.nodes.is_empty();
        if free {
            self.network.input = shape;
            self.shapes[0] = shape;
        }
        free
    }

    /// Appends a node.
    pub(super) fn push(
        &mut self,
        name: String,
        op: Op,
        inputs: Vec<ValueId>,
        params: Vec<TensorId>,
    ) -> Result<(ValueId, Shape), Reason> {
        let shapes: Vec<Shape> = inputs.iter().filter_map(|&v| self.shapes.get(v).copied()).collect();
        let shape = op.output_shape(&shapes).map_err(|error| {
            let shapes: Vec<String> = shapes.iter().map(ToString::to_string).collect();
            format!("{error}; input shapes are {}", shapes.join(", "))
        })?;
        self.network.nodes.push(Node { name, op, inputs, params });
        self.shapes.push(shape);
        Ok((self.network.nodes.len(), shape))
    }

    /// Appends a node that neither moves elements nor has parameters.
    pub(super) fn map(&mut self, name: &str, op: Op, x: &Feature) -> Result<Feature, Reason> {
        let (id, shape) = self.push(name.into(), op, std::vec![x.id], Vec::new())?;
        Ok(x.like(id, shape))
    }

    /// The node that computes a value, if no one else reads that.
    pub(super) fn producer(&mut self, x: &Feature) -> Option<&mut Node> {
        let node = x.id.checked_sub(1).filter(|_| !x.shared && x.selection.is_none())?;
        self.network.nodes.get_mut(node)
    }

    /// The network of the nodes and tensors that this value needs; it becomes the output.
    pub(super) fn finish(mut self, output: ValueId) -> Network {
        let network = &mut self.network;
        let mut needed = std::vec![false; network.nodes.len() + 1];
        needed[output] = true;
        for (at, node) in network.nodes.iter().enumerate().rev().filter(|(at, _)| *at < output) {
            if needed[at + 1] {
                node.inputs.iter().for_each(|&input| needed[input] = true);
            }
        }
        needed[0] = true;
        let values = renumbered(&needed);
        let mut at = 0..;
        network.nodes.retain(|_| at.next().is_some_and(|at: usize| needed[at + 1]));
        let mut used = std::vec![false; network.tensors.len()];
        network.nodes.iter().flat_map(|node| &node.params).for_each(|&id| used[id] = true);
        let ids = renumbered(&used);
        let mut at = 0..;
        network.tensors.retain(|_| at.next().is_some_and(|at: usize| used[at]));
        for node in &mut network.nodes {
            node.inputs.iter_mut().for_each(|value| *value = values[*value]);
            node.params.iter_mut().for_each(|id| *id = ids[*id]);
        }
        network.output = values[output];
        self.network
    }

    /// A parameter that is a constant of the file; one constant makes one tensor, however many
    /// nodes use it.
    pub(super) fn tensor(&mut self, constant: &Rc<Constant>, shape: &[usize]) -> Result<TensorId, Reason> {
        let key = (Rc::as_ptr(constant), shape.to_vec());
        if let Some((id, _)) = self.taken.get(&key) {
            return Ok(*id);
        }
        let id = self.new_tensor(&constant.name, shape.to_vec(), constant.floats()?.to_vec())?;
        self.taken.insert(key, (id, constant.clone()));
        Ok(id)
    }

    /// A parameter of its own.
    pub(super) fn new_tensor(
        &mut self,
        name: &str,
        shape: Vec<usize>,
        data: Vec<f32>,
    ) -> Result<TensorId, Reason> {
        self.charge(data.len())?;
        let name = self.tensor_names.unique(name);
        self.network.tensors.push(Tensor { name, shape, data });
        Ok(self.network.tensors.len() - 1)
    }
}

/// The position of each kept element among those that are kept.
fn renumbered(kept: &[bool]) -> Vec<usize> {
    kept.iter()
        .scan(0, |next, &kept| {
            let at = *next;
            *next += usize::from(kept);
            Some(at)
        })
        .collect()
}
