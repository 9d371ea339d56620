//! Models that are built here, encoded and imported.

mod errors;
mod eval;
mod hostile;
mod idioms;
mod layout;
mod operators;
mod weights;

use std::path::Path;
use std::string::String;
use std::vec::Vec;

use prost::Message;

pub(super) use super::error::OnnxError;
use super::error::Unsupported;
use super::proto::*;
use crate::import::{ImportError, ImportOptions, load_bytes};
use crate::network::Network;
use crate::op::Op;

/// A model with input `x` and output `y`.
#[derive(Clone)]
pub(super) struct Builder(ModelProto);

impl Builder {
    pub(super) fn new(opset: i64, input: &[i64]) -> Self {
        let value = |name: &str, dims: &[i64]| ValueInfoProto {
            name: name.into(),
            r#type: Some(TypeProto {
                tensor_type: Some(TensorType {
                    elem_type: data_type::FLOAT,
                    shape: Some(TensorShapeProto { dim: dims.iter().map(|&d| dimension(d)).collect() }),
                }),
            }),
        };
        let graph = GraphProto {
            input: Vec::from([value("x", input)]),
            output: Vec::from([value("y", &[])]),
            ..Default::default()
        };
        let opset_import = Vec::from([OperatorSetIdProto { domain: String::new(), version: opset }]);
        Self(ModelProto { ir_version: 8, graph: Some(graph), opset_import })
    }

    pub(super) fn graph(&mut self) -> &mut GraphProto {
        self.0.graph.as_mut().unwrap()
    }

    pub(super) fn model(&mut self) -> &mut ModelProto {
        &mut self.0
    }

    /// A float initializer; values 0.25, 0.5, ... if none are given.
    pub(super) fn floats(mut self, name: &str, dims: &[i64], values: &[f32]) -> Self {
        self.graph().initializer.push(floats(name, dims, values));
        self
    }

    pub(super) fn weight(self, name: &str, dims: &[i64]) -> Self {
        let values: Vec<f32> = (1..=dims.iter().product()).map(|i: i64| i as f32 * 0.25).collect();
        self.floats(name, dims, &values)
    }

    /// A vector of integers.
    pub(super) fn ints(mut self, name: &str, values: &[i64]) -> Self {
        self.graph().initializer.push(ints_tensor(name, values));
        self
    }

    pub(super) fn node(self, op: &str, inputs: &[&str], output: &str) -> Self {
        self.node_with(op, inputs, output, Vec::new())
    }

    pub(super) fn node_with(
        mut self,
        op: &str,
        inputs: &[&str],
        output: &str,
        attribute: Vec<AttributeProto>,
    ) -> Self {
        self.graph().node.push(NodeProto {
            input: inputs.iter().map(|&i| i.into()).collect(),
            output: Vec::from([output.into()]),
            op_type: op.into(),
            attribute,
            ..Default::default()
        });
        self
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.0.encode_to_vec()
    }

    pub(super) fn load(&self) -> Result<Network, ImportError> {
        load(&self.bytes())
    }

    pub(super) fn network(&self) -> Network {
        self.load().unwrap()
    }

    /// The op of the only node.
    pub(super) fn op(&self) -> Op {
        let ops = self.ops();
        assert_eq!(ops.len(), 1, "{ops:?}");
        ops[0]
    }

    pub(super) fn ops(&self) -> Vec<Op> {
        self.network().nodes.iter().map(|n| n.op).collect()
    }

    /// The nodes that cannot be imported.
    pub(super) fn unsupported(&self) -> Unsupported {
        match self.load() {
            Err(ImportError::Unsupported { error, .. }) => error,
            other => panic!("{other:?}"),
        }
    }

    /// Why the only node that is not supported is not.
    pub(super) fn reason(&self) -> String {
        let nodes = self.unsupported().nodes;
        assert_eq!(nodes.len(), 1, "{nodes:?}");
        nodes[0].reason.clone()
    }
}

pub(super) fn load(bytes: &[u8]) -> Result<Network, ImportError> {
    load_bytes(Path::new("dir/small.onnx"), bytes, &ImportOptions::default())
}

/// A size, or a symbol for 0.
fn dimension(size: i64) -> Dimension {
    let value = match size {
        0 => DimensionValue::Param("N".into()),
        n => DimensionValue::Value(n),
    };
    Dimension { value: Some(value) }
}

pub(super) fn floats(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: dims.to_vec(),
        data_type: data_type::FLOAT,
        raw_data: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        ..Default::default()
    }
}

pub(super) fn ints_tensor(name: &str, values: &[i64]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: Vec::from([values.len() as i64]),
        data_type: data_type::INT64,
        raw_data: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        ..Default::default()
    }
}

pub(super) fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: name.into(), i, ..Default::default() }
}

pub(super) fn ints(name: &str, ints: &[i64]) -> AttributeProto {
    AttributeProto { name: name.into(), ints: ints.to_vec(), ..Default::default() }
}

pub(super) fn float(name: &str, f: f32) -> AttributeProto {
    AttributeProto { name: name.into(), f, ..Default::default() }
}

pub(super) fn text(name: &str, s: &str) -> AttributeProto {
    AttributeProto { name: name.into(), s: s.into(), ..Default::default() }
}

pub(super) fn value(t: TensorProto) -> AttributeProto {
    AttributeProto { name: "value".into(), t: Some(t), ..Default::default() }
}
