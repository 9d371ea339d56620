//! From the text of a description to a [`Graph`].

use std::collections::BTreeMap;
use std::format;
use std::string::String;
use std::vec::Vec;

use serde::Deserialize;
use toml::Table;

use super::super::{PreprocessOverrides, is_printable, one_line};
use super::attributes::{self, Attributes, Context};
use super::{Graph, GraphError, GraphNode, Tensors};
use crate::network::ValueId;
use crate::op::Shape;
use crate::preprocess::Preprocess;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    name: Option<String>,
    output: Option<String>,
    #[serde(default)]
    input: InputText,
    #[serde(default)]
    preprocess: PreprocessOverrides,
    #[serde(default)]
    node: Vec<NodeText>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct InputText {
    name: Option<String>,
    shape: Option<Vec<u32>>,
}

#[derive(Deserialize)]
struct NodeText {
    name: Option<String>,
    op: String,
    inputs: Option<Vec<String>>,
    /// Checked against the op.
    #[serde(flatten)]
    attributes: Table,
}

impl Graph {
    /// Parses a description. Sizes that it leaves out are taken from the weights in `tensors`.
    /// `input` replaces the shape that it states.
    pub fn parse(
        text: &str,
        tensors: Option<&Tensors<'_>>,
        input: Option<Shape>,
    ) -> Result<Self, GraphError> {
        let document: Document = toml::from_str(text).map_err(|e| syntax(text, &e))?;
        let shape = match (input, document.input.shape.as_deref()) {
            (Some(shape), _) => shape,
            (None, Some(&[n])) => Shape::vector(n),
            (None, Some(&[c, h, w])) => Shape::new(c, h, w),
            (None, Some(other)) => return Err(GraphError::InputShape(other.to_vec())),
            (None, None) => return Err(GraphError::NoInput),
        };
        let mut preprocess = Preprocess::default();
        document.preprocess.apply(&mut preprocess);
        let mut graph = Self { preprocess, ..Self::new(shape) };
        graph.name = printable(document.name.unwrap_or_default())?;

        let input = document.input.name.unwrap_or_else(|| "input".into());
        let mut values: BTreeMap<String, ValueId> = BTreeMap::from([(input, 0)]);
        for (index, node) in document.node.into_iter().enumerate() {
            let node = node.resolve(index, &values, tensors)?;
            values.insert(node.name.clone(), index + 1);
            graph.nodes.push(node);
        }
        graph.output = match document.output {
            Some(name) => *values.get(&name).ok_or(GraphError::UnknownOutput(name))?,
            None => graph.nodes.len(),
        };
        Ok(graph)
    }
}

impl NodeText {
    fn resolve(
        self,
        index: usize,
        values: &BTreeMap<String, ValueId>,
        tensors: Option<&Tensors<'_>>,
    ) -> Result<GraphNode, GraphError> {
        let name = printable(self.name.unwrap_or_else(|| format!("{}_{}", self.op, index + 1)))?;
        let value = |input: String| match values.get(&input) {
            Some(&value) => Ok(value),
            None => Err(GraphError::UnknownInput { node: name.clone(), input }),
        };
        let inputs = match self.inputs {
            Some(inputs) => inputs.into_iter().map(value).collect::<Result<_, _>>()?,
            None => std::vec![index],
        };
        let context = Context { node: &name, tensors };
        let Attributes { op, params, select } = attributes::read(&self.op, self.attributes, &context)?;
        let params = params.into_iter().map(printable).collect::<Result<_, _>>()?;
        Ok(GraphNode { op, inputs, params, name, select })
    }
}

fn printable(name: String) -> Result<String, GraphError> {
    if is_printable(&name) { Ok(name) } else { Err(GraphError::Name(name)) }
}

fn syntax(text: &str, error: &toml::de::Error) -> GraphError {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    GraphError::Toml { line: before.matches('\n').count() + 1, message: one_line(error.message()) }
}
