//! Families of networks that the names and shapes of their tensors give away.
//!
//! To add one, add a file beside this one and a line to [`FAMILIES`].

mod lenet5;
mod mlp;

use std::string::String;
use std::vec::Vec;

use super::graph::Graph;
use super::tensors::Tensors;
use crate::op::Shape;

/// A family of networks.
#[derive(Debug)]
pub struct Family {
    /// Name for messages.
    pub name: &'static str,
    /// Which tensors it is recognised by and what it computes.
    pub description: &'static str,
    /// Name of its standard member, for training from scratch.
    pub standard: &'static str,
    /// The standard member.
    graph: fn() -> Graph,
    /// The graph, if all tensors of a file have the names and ranks of this family; the second
    /// argument is the input's shape, if it is known. Whether the shapes fit each other is found
    /// out when the graph takes its tensors.
    recognise: fn(&Tensors<'_>, Option<Shape>) -> Option<Graph>,
}

/// Every family; the first one that fits is taken.
pub const FAMILIES: &[Family] = &[lenet5::FAMILY, mlp::FAMILY];

/// The family of these tensors and their graph.
pub fn recognise(tensors: &Tensors<'_>, input: Option<Shape>) -> Option<(&'static Family, Graph)> {
    FAMILIES.iter().find_map(|family| Some((family, (family.recognise)(tensors, input)?)))
}

/// The standard member with this name.
pub fn standard(name: &str) -> Option<Graph> {
    let family = FAMILIES.iter().find(|family| family.standard == name)?;
    Some(Graph { name: name.into(), ..(family.graph)() })
}

/// All families on one line, for messages.
pub(super) fn summary() -> String {
    FAMILIES.iter().map(|f| std::format!("{} ({})", f.name, f.description)).collect::<Vec<_>>().join("; ")
}
