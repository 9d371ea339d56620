//! The fields of a node as they are written.

use std::string::{String, ToString};
use std::vec::Vec;

use toml::Value;

use super::GraphNode;
use crate::op::{Activation, Conv2d, Dense, Op, Padding, Pool};

/// The fields of a node, in the order in which they are written. Defaults are left out, except
/// those that depend on a file's tensors.
pub(super) fn fields(node: &GraphNode) -> Vec<(&'static str, Value)> {
    let mut fields = Fields::default();
    match node.op {
        Op::Conv2d(Conv2d { out_channels, kernel, stride, dilation, pad, groups }) => {
            fields.put("out_channels", true, out_channels);
            fields.put("kernel", true, pair(kernel));
            fields.put("stride", stride != [1, 1], pair(stride));
            fields.put("dilation", dilation != [1, 1], pair(dilation));
            fields.put("pad", !pad.is_zero(), padding(pad));
            fields.put("groups", groups != 1, groups);
            match node.select {
                Some(offset) => {
                    fields.put("weight", true, node.params.first().map_or("", String::as_str));
                    fields.put("select", true, offset);
                }
                None => fields.weights(&node.params),
            }
        }
        Op::Dense(Dense { out_features, transposed }) => {
            fields.put("out_features", true, out_features);
            fields.put("transposed", transposed, transposed);
            fields.weights(&node.params);
        }
        Op::MaxPool(pool) => fields.pool(pool, false),
        Op::AvgPool(pool) => fields.pool(pool, true),
        Op::BatchNorm { eps } => {
            fields.put("eps", true, number(eps));
            for (role, name) in ["gamma", "beta", "mean", "var"].into_iter().zip(&node.params) {
                fields.put(role, true, name.as_str());
            }
        }
        Op::Lrn { size, alpha, beta, bias } => {
            fields.put("size", true, i64::from(size));
            fields.put("alpha", true, number(alpha));
            fields.put("beta", true, number(beta));
            fields.put("bias", true, number(bias));
        }
        Op::Activation(Activation::LeakyRelu { alpha } | Activation::HardSigmoid { alpha }) => {
            fields.put("alpha", true, number(alpha));
        }
        Op::Maxout { pieces } => fields.put("pieces", true, i64::from(pieces)),
        Op::Dropout { rate } => fields.put("rate", true, number(rate)),
        Op::Activation(_) | Op::GlobalAvgPool | Op::Add | Op::Concat | Op::Flatten | Op::Softmax => {}
    }
    fields.0
}

#[derive(Default)]
struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    fn put(&mut self, key: &'static str, stated: bool, value: impl Into<Value>) {
        if stated {
            self.0.push((key, value.into()));
        }
    }

    fn weights(&mut self, params: &[String]) {
        self.put("weight", true, params.first().map_or("", String::as_str));
        self.put("bias", true, params.get(1).map_or(Value::Boolean(false), |b| b.as_str().into()));
    }

    fn pool(&mut self, pool: Pool, count_include_pad: bool) {
        self.put("kernel", true, pair(pool.kernel));
        self.put("stride", true, pair(pool.stride));
        self.put("pad", !pool.pad.is_zero(), padding(pool.pad));
        self.put("ceil", pool.ceil, pool.ceil);
        let differs = pool.count_include_pad != count_include_pad;
        self.put("count_include_pad", differs, pool.count_include_pad);
    }
}

fn pair([y, x]: [u16; 2]) -> Value {
    if y == x { i64::from(y).into() } else { [y, x].map(i64::from).to_vec().into() }
}

fn padding(pad: Padding) -> Value {
    if pad == Padding::same(pad.top) {
        return i64::from(pad.top).into();
    }
    [pad.top, pad.left, pad.bottom, pad.right].map(i64::from).to_vec().into()
}

/// The shortest decimal that reads back as the same f32: 0.1, not 0.10000000149.
pub(super) fn number(value: f32) -> Value {
    Value::Float(value.to_string().parse().unwrap_or(f64::from(value)))
}
