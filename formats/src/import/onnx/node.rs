//! A node of the graph as it is converted: its attributes and what it reads.

use std::format;
use std::rc::Rc;
use std::string::String;

use super::constant::{Constant, MAX_RANK, Reason};
use super::feature::Feature;
use super::proto::{AttributeProto, NodeProto};

/// What a name of the graph stands for.
#[derive(Clone)]
pub(super) enum Value {
    /// Known now.
    Constant(Rc<Constant>),
    /// Computed from the network's input.
    Feature(Feature),
    /// Of a node that cannot be imported.
    Missing,
}

/// A node with its inputs. Those that are left out are `None`.
pub(super) struct Call<'a> {
    pub(super) proto: &'a NodeProto,
    /// Unique and never empty, unlike the one in the file.
    pub(super) name: String,
    pub(super) inputs: std::vec::Vec<Option<Value>>,
    pub(super) opset: i64,
}

impl Call<'_> {
    pub(super) fn op(&self) -> &str {
        &self.proto.op_type
    }

    /// An input that is computed from the network's input.
    pub(super) fn feature(&self, input: usize) -> Result<&Feature, Reason> {
        match self.inputs.get(input) {
            Some(Some(Value::Feature(feature))) => Ok(feature),
            Some(Some(_)) => Err(format!("input {input} is a constant")),
            _ => Err(format!("input {input} is missing")),
        }
    }

    /// An input that is known now, or `None` if it is left out.
    pub(super) fn optional(&self, input: usize) -> Result<Option<&Rc<Constant>>, Reason> {
        match self.inputs.get(input) {
            Some(Some(Value::Constant(constant))) => Ok(Some(constant)),
            Some(Some(_)) => Err(format!("input {input} is not a constant")),
            _ => Ok(None),
        }
    }

    /// An input that is known now.
    pub(super) fn constant(&self, input: usize) -> Result<&Rc<Constant>, Reason> {
        self.optional(input)?.ok_or_else(|| format!("input {input} is missing"))
    }

    pub(super) fn attribute(&self, name: &str) -> Option<&AttributeProto> {
        self.proto.attribute.iter().find(|a| a.name == name)
    }

    pub(super) fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |a| a.i)
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.int(name, 0) != 0
    }

    pub(super) fn float(&self, name: &str, default: f32) -> f32 {
        self.attribute(name).map_or(default, |a| a.f)
    }

    pub(super) fn ints(&self, name: &str) -> Option<&[i64]> {
        self.attribute(name).map(|a| a.ints.as_slice())
    }

    pub(super) fn text(&self, name: &str, default: &'static str) -> &str {
        self.attribute(name).map_or(default, |a| std::str::from_utf8(&a.s).unwrap_or("?"))
    }

    /// A few integers for each axis, which older operator sets have as an attribute and newer ones
    /// as an input.
    pub(super) fn ints_of(&self, name: &str, input: usize) -> Result<Option<&[i64]>, Reason> {
        let ints = match self.ints(name) {
            Some(ints) => Some(ints),
            None => self.optional(input)?.map(|c| c.ints()).transpose()?,
        };
        match ints {
            Some(ints) if ints.len() > 2 * MAX_RANK => Err(format!("its {name} are {} numbers", ints.len())),
            ints => Ok(ints),
        }
    }
}
