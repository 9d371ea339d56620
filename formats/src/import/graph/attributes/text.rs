//! The fields of a node as they are read.

use std::string::String;

use serde::Deserialize;

use crate::op::{Conv2d, Op, Padding, Pool};

#[derive(Clone, Copy, Deserialize)]
#[serde(untagged, expecting = "expected one number from 0 to 65535, or two: [rows, columns]")]
pub(super) enum Pair {
    Both(u16),
    Each([u16; 2]),
}

impl Pair {
    pub(super) fn get(self) -> [u16; 2] {
        match self {
            Pair::Both(n) => [n, n],
            Pair::Each(pair) => pair,
        }
    }
}

fn one() -> Pair {
    Pair::Both(1)
}

#[derive(Clone, Copy, Deserialize)]
#[serde(
    untagged,
    expecting = "expected pad as one number from 0 to 65535, [vertical, horizontal] or [top, left, bottom, right]"
)]
pub(super) enum Pad {
    Same(u16),
    Two([u16; 2]),
    Four([u16; 4]),
}

impl Default for Pad {
    fn default() -> Self {
        Pad::Same(0)
    }
}

impl Pad {
    fn get(self) -> Padding {
        let [top, left, bottom, right] = match self {
            Pad::Same(n) => [n; 4],
            Pad::Two([y, x]) => [y, x, y, x],
            Pad::Four(sides) => sides,
        };
        Padding { top, left, bottom, right }
    }
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected bias as a tensor's name, true or false")]
pub(super) enum Bias {
    Named(String),
    Is(bool),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConvText {
    pub(super) weight: Option<String>,
    pub(super) bias: Option<Bias>,
    pub(super) out_channels: Option<u32>,
    pub(super) kernel: Option<Pair>,
    #[serde(default = "one")]
    pub(super) stride: Pair,
    #[serde(default = "one")]
    pub(super) dilation: Pair,
    #[serde(default)]
    pub(super) pad: Pad,
    #[serde(default = "one_group")]
    pub(super) groups: u32,
    pub(super) select: Option<u32>,
}

fn one_group() -> u32 {
    1
}

impl ConvText {
    pub(super) fn op(&self, out_channels: u32, kernel: [u16; 2]) -> Op {
        Op::Conv2d(Conv2d {
            out_channels,
            kernel,
            stride: self.stride.get(),
            dilation: self.dilation.get(),
            pad: self.pad.get(),
            groups: self.groups,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DenseText {
    pub(super) weight: Option<String>,
    pub(super) bias: Option<Bias>,
    pub(super) out_features: Option<u32>,
    #[serde(default)]
    pub(super) transposed: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PoolText {
    pub(super) kernel: Pair,
    pub(super) stride: Option<Pair>,
    #[serde(default)]
    pub(super) pad: Pad,
    #[serde(default)]
    pub(super) ceil: bool,
    pub(super) count_include_pad: Option<bool>,
}

impl PoolText {
    pub(super) fn pool(self, count_include_pad: bool) -> Pool {
        Pool {
            kernel: self.kernel.get(),
            stride: self.stride.unwrap_or(self.kernel).get(),
            pad: self.pad.get(),
            ceil: self.ceil,
            count_include_pad: self.count_include_pad.unwrap_or(count_include_pad),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct BatchNormText {
    pub(super) eps: f32,
    pub(super) gamma: Option<String>,
    pub(super) beta: Option<String>,
    pub(super) mean: Option<String>,
    pub(super) var: Option<String>,
}

impl Default for BatchNormText {
    fn default() -> Self {
        Self { eps: 1e-5, gamma: None, beta: None, mean: None, var: None }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LrnText {
    pub(super) size: u16,
    #[serde(default = "lrn_alpha")]
    pub(super) alpha: f32,
    #[serde(default = "lrn_beta")]
    pub(super) beta: f32,
    #[serde(default = "lrn_bias")]
    pub(super) bias: f32,
}

fn lrn_alpha() -> f32 {
    1e-4
}

fn lrn_beta() -> f32 {
    0.75
}

fn lrn_bias() -> f32 {
    1.0
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LeakyReluText {
    #[serde(default = "leaky_relu_alpha")]
    pub(super) alpha: f32,
}

fn leaky_relu_alpha() -> f32 {
    0.01
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HardSigmoidText {
    #[serde(default = "hard_sigmoid_alpha")]
    pub(super) alpha: f32,
}

fn hard_sigmoid_alpha() -> f32 {
    1.0 / 6.0
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MaxoutText {
    pub(super) pieces: u16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DropoutText {
    #[serde(default = "dropout_rate")]
    pub(super) rate: f32,
}

fn dropout_rate() -> f32 {
    0.5
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoFields {}
