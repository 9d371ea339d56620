//! The fields that a node may have, by op, with their defaults.

mod text;

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use serde::de::DeserializeOwned;
use toml::Table;

use super::super::one_line;
use super::{GraphError, Tensors};
use crate::op::{Activation, Dense, Op};
use text::{
    BatchNormText, Bias, ConvText, DenseText, DropoutText, HardSigmoidText, LeakyReluText, LrnText,
    MaxoutText, NoFields, Pair, PoolText,
};

/// Every op by name.
pub(super) const OPS: [&str; Op::EXAMPLES.len()] = {
    let mut names = [""; Op::EXAMPLES.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = Op::EXAMPLES[at].name();
        at += 1;
    }
    names
};

/// The node whose fields are read, and where its tensors are.
pub(super) struct Context<'a> {
    pub(super) node: &'a str,
    pub(super) tensors: Option<&'a Tensors<'a>>,
}

/// What the fields of a node say: as in [`GraphNode`](super::GraphNode).
pub(super) struct Attributes {
    pub(super) op: Op,
    pub(super) params: Vec<String>,
    pub(super) select: Option<u32>,
}

/// Reads the fields of a node with this op.
pub(super) fn read(op: &str, fields: Table, context: &Context<'_>) -> Result<Attributes, GraphError> {
    let field = |message: String| context.field(op, &message);
    let mut select = None;
    let (op, params) = match op {
        "conv2d" => {
            let text: ConvText = parse(fields).map_err(field)?;
            select = text.select;
            if select.is_some() { context.selection(text)? } else { context.conv(text)? }
        }
        "dense" => context.dense(parse(fields).map_err(field)?)?,
        "batch_norm" => context.batch_norm(parse(fields).map_err(field)?),
        _ => {
            let parsed = plain(op, fields).map_err(field)?;
            let unknown = || GraphError::UnknownOp { node: context.node.into(), op: op.into() };
            (parsed.ok_or_else(unknown)?, Vec::new())
        }
    };
    if numbers(&op).iter().all(|n| n.is_finite()) {
        Ok(Attributes { op, params, select })
    } else {
        Err(context.field(op.name(), "all numbers must be finite"))
    }
}

/// The ops without tensors; `None` if there is no such op.
fn plain(op: &str, fields: Table) -> Result<Option<Op>, String> {
    Ok(Some(match op {
        "max_pool" => Op::MaxPool(parse::<PoolText>(fields)?.pool(false)),
        "avg_pool" => Op::AvgPool(parse::<PoolText>(fields)?.pool(true)),
        "lrn" => {
            let LrnText { size, alpha, beta, bias } = parse(fields)?;
            Op::Lrn { size, alpha, beta, bias }
        }
        "leaky_relu" => {
            let LeakyReluText { alpha } = parse(fields)?;
            Op::Activation(Activation::LeakyRelu { alpha })
        }
        "hard_sigmoid" => {
            let HardSigmoidText { alpha } = parse(fields)?;
            Op::Activation(Activation::HardSigmoid { alpha })
        }
        "maxout" => {
            let MaxoutText { pieces } = parse(fields)?;
            Op::Maxout { pieces }
        }
        "dropout" => {
            let DropoutText { rate } = parse(fields)?;
            Op::Dropout { rate }
        }
        _ => {
            let Some(op) = fieldless(op) else { return Ok(None) };
            let NoFields {} = parse(fields)?;
            op
        }
    }))
}

fn fieldless(op: &str) -> Option<Op> {
    Some(match op {
        "relu" => Op::Activation(Activation::Relu),
        "relu6" => Op::Activation(Activation::Relu6),
        "sigmoid" => Op::Activation(Activation::Sigmoid),
        "tanh" => Op::Activation(Activation::Tanh),
        "hard_swish" => Op::Activation(Activation::HardSwish),
        "global_avg_pool" => Op::GlobalAvgPool,
        "add" => Op::Add,
        "concat" => Op::Concat,
        "flatten" => Op::Flatten,
        "softmax" => Op::Softmax,
        _ => return None,
    })
}

fn parse<T: DeserializeOwned>(fields: Table) -> Result<T, String> {
    fields.try_into().map_err(|e: toml::de::Error| e.message().to_string())
}

fn numbers(op: &Op) -> Vec<f32> {
    match *op {
        Op::BatchNorm { eps } => std::vec![eps],
        Op::Lrn { alpha, beta, bias, .. } => std::vec![alpha, beta, bias],
        Op::Activation(Activation::LeakyRelu { alpha } | Activation::HardSigmoid { alpha }) => {
            std::vec![alpha]
        }
        Op::Dropout { rate } => std::vec![rate],
        _ => Vec::new(),
    }
}

impl Context<'_> {
    fn conv(&self, mut text: ConvText) -> Result<(Op, Vec<String>), GraphError> {
        let weight = self.named(text.weight.take(), "weight");
        let (out_channels, kernel) = match (text.out_channels, text.kernel) {
            (Some(out), Some(kernel)) => (out, kernel.get()),
            (out, kernel) => {
                let expected = "[out, in / groups, rows, columns]";
                let shape = self.weight_shape("conv2d", &weight, "`out_channels` and `kernel`")?;
                let sizes = match *shape {
                    [out, _, rows, columns] => (|| {
                        Some((u32::try_from(out).ok()?, [rows.try_into().ok()?, columns.try_into().ok()?]))
                    })(),
                    _ => None,
                };
                let (o, k) = sizes.ok_or_else(|| self.misshapen("conv2d", &weight, shape, expected))?;
                (out.unwrap_or(o), kernel.map_or(k, Pair::get))
            }
        };
        let op = text.op(out_channels, kernel);
        Ok((op, self.with_bias(weight, text.bias)))
    }

    /// A convolution whose weight is made.
    fn selection(&self, text: ConvText) -> Result<(Op, Vec<String>), GraphError> {
        let plain = text.kernel.is_none_or(|k| k.get() == [1; 2]) && text.groups == 1;
        if !plain || matches!(text.bias, Some(Bias::Named(_) | Bias::Is(true))) {
            return Err(self.field("conv2d", "`select` goes with a 1x1 kernel, one group and no bias"));
        }
        let Some(out_channels) = text.out_channels else {
            return Err(self.field("conv2d", "with `select`, `out_channels` must be stated"));
        };
        let op = text.op(out_channels, [1; 2]);
        Ok((op, std::vec![self.named(text.weight, "weight")]))
    }

    fn dense(&self, text: DenseText) -> Result<(Op, Vec<String>), GraphError> {
        let weight = self.named(text.weight, "weight");
        let out_features = match text.out_features {
            Some(out) => out,
            None => {
                let shape = self.weight_shape("dense", &weight, "`out_features`")?;
                let out = match (shape, text.transposed) {
                    (&[out, _], false) | (&[_, out], true) => u32::try_from(out).ok(),
                    _ => None,
                };
                let expected = if text.transposed { "[in, out]" } else { "[out, in]" };
                out.ok_or_else(|| self.misshapen("dense", &weight, shape, expected))?
            }
        };
        let op = Op::Dense(Dense { out_features, transposed: text.transposed });
        Ok((op, self.with_bias(weight, text.bias)))
    }

    fn batch_norm(&self, text: BatchNormText) -> (Op, Vec<String>) {
        let params = std::vec![
            self.named(text.gamma, "weight"),
            self.named(text.beta, "bias"),
            self.named(text.mean, "running_mean"),
            self.named(text.var, "running_var"),
        ];
        (Op::BatchNorm { eps: text.eps }, params)
    }

    fn named(&self, stated: Option<String>, suffix: &str) -> String {
        stated.unwrap_or_else(|| format!("{}.{suffix}", self.node))
    }

    fn with_bias(&self, weight: String, bias: Option<Bias>) -> Vec<String> {
        let default = self.named(None, "bias");
        let bias = match bias {
            Some(Bias::Named(name)) => Some(name),
            Some(Bias::Is(true)) => Some(default),
            Some(Bias::Is(false)) => None,
            None => Some(default).filter(|name| self.tensors.is_none_or(|t| t.get(name).is_some())),
        };
        core::iter::once(weight).chain(bias).collect()
    }

    fn weight_shape(&self, op: &str, weight: &str, fields: &str) -> Result<&[usize], GraphError> {
        let Some(tensors) = self.tensors else {
            return Err(self.field(op, &format!("without a trained weight, {fields} must be stated")));
        };
        match tensors.get(weight) {
            Some(entry) => Ok(&entry.shape),
            None => Err(GraphError::MissingTensor { node: self.node.into(), tensor: weight.into() }),
        }
    }

    fn misshapen(
        &self,
        op: &'static str,
        tensor: &str,
        found: &[usize],
        expected: &'static str,
    ) -> GraphError {
        let (node, tensor, found) = (self.node.into(), tensor.into(), found.to_vec());
        GraphError::WeightShape { node, op, tensor, found, expected }
    }

    fn field(&self, op: &str, message: &str) -> GraphError {
        GraphError::Field { node: self.node.into(), op: op.into(), message: one_line(message) }
    }
}
