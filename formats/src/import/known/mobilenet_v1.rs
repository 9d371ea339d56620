//! MobileNetV1 (Howard et al. 2017) of any width: as the visual wake words network of MLPerf Tiny
//! (Banbury et al. 2021) with its batch norms, and with batch norms folded.

use std::format;

use super::Family;
use super::build::{Builder, conv, depthwise};
use crate::import::graph::Graph;
use crate::import::tensors::Tensors;
use crate::op::{Activation, Op, Shape};
use crate::preprocess::ChannelOrder;

pub(super) const VISUAL_WAKE_WORDS: Family = Family {
    name: "MLPerf Tiny MobileNetV1",
    description: "conv1 [C, 3, 3, 3], bn1, blocks.N.dw, .bn_dw, .pw, .bn_pw for N = 0..12, fc; \
                  TensorFlow's SAME padding, ReLU, eps 1e-3, inputs of 96x96 divided by 255",
    standard: "mobilenet_v1_vww",
    mean_image: None,
    build: visual_wake_words,
};

pub(super) const FOLDED: Family = Family {
    name: "MobileNetV1 without batch norms",
    description: "layer00_conv [C, 3, 3, 3], then layerNN_dw [C, 1, 3, 3] and layerNN_conv [D, C, 1, 1] in \
                  turn up to layer26, layer27_conv [classes, C, 1, 1]; TensorFlow's SAME padding, ReLU6, \
                  inputs of 128x128, (byte - 128) / 128",
    standard: "mobilenet_v1",
    mean_image: None,
    build: folded,
};

/// Stride of each depthwise convolution, and outputs of the pointwise one after it at full width.
const BLOCKS: [(u16, u32); 13] = [
    (1, 64),
    (2, 128),
    (1, 128),
    (2, 256),
    (1, 256),
    (2, 512),
    (1, 512),
    (1, 512),
    (1, 512),
    (1, 512),
    (1, 512),
    (2, 1024),
    (1, 1024),
];

fn visual_wake_words(tensors: Option<&Tensors<'_>>, input: Option<Shape>) -> Option<Graph> {
    const EPS: f32 = 1e-3;
    let mut b = Builder::new(tensors, input, "conv1", [3, 96, 96]);
    b.conv("conv1", conv(8, 3).stride(2).same())?;
    b.batch_norm("bn1", EPS)?;
    b.relu("relu1");
    for (index, (stride, out)) in BLOCKS.into_iter().enumerate() {
        let name = |part: &str| format!("blocks.{index}.{part}");
        b.conv(&name("dw"), depthwise(3).stride(stride).same())?;
        b.batch_norm(&name("bn_dw"), EPS)?;
        b.relu(&name("relu_dw"));
        b.conv(&name("pw"), conv(out / 4, 1))?;
        b.batch_norm(&name("bn_pw"), EPS)?;
        b.relu(&name("relu_pw"));
    }
    b.then("pool", Op::GlobalAvgPool);
    b.dense("fc", 2)?;
    b.finish()
}

fn folded(tensors: Option<&Tensors<'_>>, input: Option<Shape>) -> Option<Graph> {
    const RELU6: Op = Op::Activation(Activation::Relu6);
    let mut b = Builder::new(tensors, input, "layer00_conv", [3, 128, 128]);
    b.conv("layer00_conv", conv(8, 3).stride(2).same())?;
    b.then("layer00_relu6", RELU6);
    let layers = (1..).step_by(2).zip(BLOCKS);
    for (layer, (stride, out)) in layers {
        let pointwise = layer + 1;
        b.conv(&format!("layer{layer:02}_dw"), depthwise(3).stride(stride).same())?;
        b.then(&format!("layer{layer:02}_relu6"), RELU6);
        b.conv(&format!("layer{pointwise:02}_conv"), conv(out / 4, 1))?;
        b.then(&format!("layer{pointwise:02}_relu6"), RELU6);
    }
    b.then("pool", Op::GlobalAvgPool);
    b.conv("layer27_conv", conv(1001, 1))?;
    b.preprocess(1.0, &[128.0], &[128.0], ChannelOrder::Rgb);
    // The middle 7/8 of an image, as TensorFlow's evaluation takes it.
    b.resize(146);
    b.finish()
}
