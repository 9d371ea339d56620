//! The graph as a whole: which nodes count, in which order, and what cannot be imported.

use std::boxed::Box;
use std::collections::{HashMap, HashSet};
use std::format;
use std::path::Path;
use std::rc::Rc;
use std::string::String;
use std::vec::Vec;

use super::builder::Builder;
use super::constant::{Constant, Data, MAX_RANK, Reason};
use super::error::{OPSETS, OnnxError, Unsupported, UnsupportedNode};
use super::feature::Feature;
use super::node::{Call, Value};
use super::proto::{GraphProto, ModelProto, NodeProto};
use super::tensor::{self, External};
use super::{convert, fold, input};
use crate::import::{ImportError, ImportOptions, one_line};
use crate::network::Network;
use crate::op::Shape;
use crate::preprocess::Preprocess;

/// Values that constants and parameters may have for each byte of the file: weights are widened,
/// cast, transposed and taken, each time as a copy.
const VALUES_PER_BYTE: usize = 4;

/// Values beyond those: shape arithmetic and selections.
const SPARE: usize = 1 << 24;

/// The network of a model.
pub(super) fn network(
    model: ModelProto,
    path: &Path,
    file_len: usize,
    options: &ImportOptions<'_>,
) -> Result<Network, ImportError> {
    let fail = |error| ImportError::Onnx { path: path.into(), error: Box::new(error) };
    let opset = model.opset_import.iter().find(|o| is_onnx(&o.domain)).map(|o| o.version);
    let mut graph = model.graph.ok_or_else(|| fail(OnnxError::NoGraph))?;
    let opset = opset.filter(|v| OPSETS.contains(v)).ok_or_else(|| fail(OnnxError::Opset(opset)))?;
    let initializers = std::mem::take(&mut graph.initializer);
    let known: HashSet<&str> = initializers.iter().map(|t| t.name.as_str()).collect();
    // Old exporters list initializers as inputs too.
    let inputs: Vec<_> = graph.input.iter().filter(|i| !known.contains(i.name.as_str())).collect();
    let [info] = inputs[..] else {
        return Err(fail(OnnxError::Inputs(inputs.iter().map(|i| one_line(&i.name)).collect())));
    };
    let [output] = &graph.output[..] else {
        return Err(fail(OnnxError::Outputs(graph.output.iter().map(|o| one_line(&o.name)).collect())));
    };
    let feature = input::feature(info, &graph, options.input).map_err(fail)?;
    let live = Live::of(&graph, &output.name).map_err(fail)?;

    let mut external = External::beside(path);
    let mut values = HashMap::from([(info.name.clone(), Value::Feature(feature.clone()))]);
    for initializer in initializers {
        if live.uses.contains_key(&initializer.name) {
            let constant = tensor::read(initializer, &mut external).map_err(fail)?;
            define(&mut values, constant.name.clone(), Value::Constant(Rc::new(constant))).map_err(fail)?;
        }
    }
    let budget =
        file_len.saturating_add(external.len()).saturating_mul(VALUES_PER_BYTE).saturating_add(SPARE);
    let mut import = Import {
        opset,
        live,
        values,
        builder: Builder::new(empty(path, feature.shape, options), budget),
        unsupported: Vec::new(),
    };
    import.nodes(&graph).map_err(fail)?;
    if !import.unsupported.is_empty() {
        let (total, nodes) = (import.live.nodes.len(), import.unsupported);
        return Err(ImportError::Unsupported {
            path: path.into(),
            error: Unsupported { opset, total, nodes },
        });
    }
    let result = import.values.get(&output.name).cloned();
    let mut builder = import.builder;
    let output = result_id(result, &mut builder)
        .map_err(|reason| fail(OnnxError::Value { name: one_line(&output.name), reason }))?;
    Ok(builder.finish(output))
}

fn is_onnx(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx")
}

fn empty(path: &Path, input: Shape, options: &ImportOptions<'_>) -> Network {
    let mut preprocess = Preprocess::default();
    options.preprocess.apply(&mut preprocess);
    let name = path.file_stem().map(|s| one_line(&s.to_string_lossy())).unwrap_or_default();
    Network { name, input, preprocess, nodes: Vec::new(), tensors: Vec::new(), output: 0 }
}

/// The value that is the network's result. Images come out as channels, rows, columns even if
/// the model transposes them at its end.
fn result_id(result: Option<Value>, builder: &mut Builder) -> Result<usize, Reason> {
    match result {
        Some(Value::Feature(x)) if x.dims.len() == 2 && !x.is_chw() => {
            Err("its elements are in the order rows, columns, channels; only vectors are supported".into())
        }
        Some(Value::Feature(x)) => Ok(convert::compute(&x, builder)?.id),
        _ => Err("no node computes it from the input".into()),
    }
}

/// Each name is defined once.
fn define(values: &mut HashMap<String, Value>, name: String, value: Value) -> Result<(), OnnxError> {
    match values.insert(name.clone(), value) {
        None => Ok(()),
        Some(_) => Err(OnnxError::Duplicate(one_line(&name))),
    }
}

/// The nodes that the output depends on.
struct Live {
    /// In the order of the file.
    nodes: Vec<usize>,
    /// How often each value is read.
    uses: HashMap<String, usize>,
}

impl Live {
    fn of(graph: &GraphProto, output: &str) -> Result<Self, OnnxError> {
        let mut producer = HashMap::new();
        for (index, node) in graph.node.iter().enumerate() {
            for name in node.output.iter().filter(|name| !name.is_empty()) {
                if producer.insert(name.as_str(), index).is_some() {
                    return Err(OnnxError::Duplicate(one_line(name)));
                }
            }
        }
        let mut uses = HashMap::from([(String::from(output), 1)]);
        let mut found = std::vec![false; graph.node.len()];
        let mut open = Vec::from([output]);
        while let Some(name) = open.pop() {
            let Some(&index) = producer.get(name) else { continue };
            if std::mem::replace(&mut found[index], true) {
                continue;
            }
            for input in graph.node[index].input.iter().filter(|name| !name.is_empty()) {
                *uses.entry(input.clone()).or_default() += 1;
                open.push(input);
            }
        }
        Ok(Self { nodes: (0..found.len()).filter(|&index| found[index]).collect(), uses })
    }
}

struct Import {
    opset: i64,
    live: Live,
    values: HashMap<String, Value>,
    builder: Builder,
    unsupported: Vec<UnsupportedNode>,
}

impl Import {
    fn nodes(&mut self, graph: &GraphProto) -> Result<(), OnnxError> {
        for index in self.live.nodes.clone() {
            let node = &graph.node[index];
            let wanted = match node.name.as_str() {
                "" => format!("{}_{index}", node.op_type.to_lowercase()),
                name => name.into(),
            };
            let name = self.builder.node_name(&wanted);
            let value = match self.node(node, &name) {
                Ok(value) => value,
                Err(reason) => {
                    self.reject(node, name, reason);
                    Value::Missing
                }
            };
            for (at, output) in node.output.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
                let value = if at == 0 { value.clone() } else { Value::Missing };
                define(&mut self.values, output.clone(), value)?;
            }
        }
        Ok(())
    }

    fn reject(&mut self, node: &NodeProto, name: String, reason: Reason) {
        let op = match node.domain.as_str() {
            domain if is_onnx(domain) => one_line(&node.op_type),
            domain => one_line(&format!("{domain}.{}", node.op_type)),
        };
        self.unsupported.push(UnsupportedNode { node: name, op, reason: one_line(&reason) });
    }

    fn node(&mut self, node: &NodeProto, name: &str) -> Result<Value, Reason> {
        let op = node.op_type.as_str();
        if !is_onnx(&node.domain) {
            return Err("operators of other domains than ai.onnx are not supported".into());
        }
        let known = op == "Constant" || convert::converter(op).is_some() || fold::folder(op).is_some();
        if !known {
            return Err("this operator is not supported".into());
        }
        if let Some(at) = (1..node.output.len()).find(|&at| self.live.uses.contains_key(&node.output[at])) {
            return Err(format!("its output {at} is used; only the first one is supported"));
        }
        let inputs = node.input.iter().map(|input| self.input(input)).collect::<Result<Vec<_>, _>>()?;
        if inputs.iter().any(|input| matches!(input, Some(Value::Missing))) {
            return Ok(Value::Missing);
        }
        let mut call = Call { proto: node, name: name.into(), inputs, opset: self.opset };
        let folded = match op {
            "Constant" => Some(constant(&call)),
            _ => fold::fold(&call, &mut self.builder),
        };
        let (value, rank) = match folded {
            Some(constant) => {
                let mut constant = constant?;
                if constant.name.is_empty() {
                    constant.name = node.output.first().cloned().unwrap_or_default();
                }
                let rank = constant.dims.len();
                (Value::Constant(Rc::new(constant)), rank)
            }
            None => {
                let feature: Feature = convert::convert(&mut call, &mut self.builder)?;
                let rank = feature.dims.len();
                (Value::Feature(feature), rank)
            }
        };
        if rank > MAX_RANK {
            return Err(format!("its result has {rank} dimensions"));
        }
        Ok(value)
    }

    /// What an input's name stands for; an empty name is an input that is left out.
    fn input(&self, name: &str) -> Result<Option<Value>, Reason> {
        if name.is_empty() {
            return Ok(None);
        }
        let mut value =
            self.values.get(name).cloned().ok_or_else(|| format!("no node before it computes `{name}`"))?;
        if let Value::Feature(feature) = &mut value {
            feature.shared |= self.live.uses.get(name).is_some_and(|&uses| uses > 1);
        }
        Ok(Some(value))
    }
}

/// The value of a `Constant`, in one of several attributes.
fn constant(call: &Call<'_>) -> Result<Constant, Reason> {
    let scalar = |data| Constant { name: String::new(), dims: Vec::new(), data };
    let vector = |data: Data| Constant { dims: Vec::from([data.len()]), ..scalar(data) };
    let [attribute] = &call.proto.attribute[..] else { return Err("it has not one value".into()) };
    match attribute.name.as_str() {
        "value" => tensor::inline(attribute.t.clone().unwrap_or_default()),
        "value_int" => Ok(scalar(Data::I64(Vec::from([attribute.i])))),
        "value_float" => Ok(scalar(Data::F32(Vec::from([attribute.f])))),
        "value_ints" => Ok(vector(Data::I64(attribute.ints.clone()))),
        "value_floats" => Ok(vector(Data::F32(attribute.floats.clone()))),
        other => Err(format!("its attribute {other:?} is not supported")),
    }
}
