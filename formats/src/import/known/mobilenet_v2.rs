//! MobileNetV2 (Sandler et al. 2018) of any width with torchvision's names.

use std::format;

use super::Family;
use super::build::{Builder, conv, depthwise};
use crate::import::graph::Graph;
use crate::import::tensors::Tensors;
use crate::op::{Activation, Op, Shape};

pub(super) const FAMILY: Family = Family {
    name: "MobileNetV2 (torchvision)",
    description: "features.0.0 [C, 3, 3, 3] and .0.1 (batch norm), features.N.conv for N = 1..17, \
                  features.18, classifier.1; ReLU6, inputs of 224x224 normalised by the colours of ImageNet",
    standard: "mobilenet_v2",
    mean_image: None,
    build,
};

const EPS: f32 = 1e-5;
const RELU6: Op = Op::Activation(Activation::Relu6);

/// Expansion, outputs, repetitions and first stride of each group of blocks (table 2 of the paper).
const GROUPS: [(u32, u32, u16, u16); 7] = [
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
];

fn build(tensors: Option<&Tensors<'_>>, input: Option<Shape>) -> Option<Graph> {
    let mut b = Builder::new(tensors, input, "features.0.0", [3, 224, 224]);
    b.conv("features.0.0", conv(32, 3).stride(2).pad(1).plain())?;
    b.batch_norm("features.0.1", EPS)?;
    b.then("features.0.2", RELU6);
    let mut index = 1;
    for (expansion, out, repetitions, first) in GROUPS {
        for repetition in 0..repetitions {
            let stride = if repetition == 0 { first } else { 1 };
            block(&mut b, &format!("features.{index}"), expansion, out, stride)?;
            index += 1;
        }
    }
    b.conv("features.18.0", conv(1280, 1).plain())?;
    b.batch_norm("features.18.1", EPS)?;
    b.then("features.18.2", RELU6);
    b.then("pool", Op::GlobalAvgPool);
    b.then("classifier.0", Op::Dropout { rate: 0.2 });
    b.dense("classifier.1", 1000)?;
    b.imagenet();
    b.finish()
}

/// An inverted residual: pointwise expansion, depthwise, pointwise without activation.
fn block(b: &mut Builder<'_>, name: &str, expansion: u32, out: u32, stride: u16) -> Option<()> {
    let (input, x) = (b.last(), b.shape());
    let mut part = 0;
    if expansion != 1 {
        b.conv(&format!("{name}.conv.0.0"), conv(x.c.saturating_mul(expansion), 1).plain())?;
        b.batch_norm(&format!("{name}.conv.0.1"), EPS)?;
        b.then(&format!("{name}.conv.0.2"), RELU6);
        part = 1;
    }
    b.conv(&format!("{name}.conv.{part}.0"), depthwise(3).stride(stride).pad(1).plain())?;
    b.batch_norm(&format!("{name}.conv.{part}.1"), EPS)?;
    b.then(&format!("{name}.conv.{part}.2"), RELU6);
    b.conv(&format!("{name}.conv.{}", part + 1), conv(out, 1).plain())?;
    b.batch_norm(&format!("{name}.conv.{}", part + 2), EPS)?;
    if stride == 1 && b.shape().c == x.c {
        b.join(&format!("{name}.add"), Op::Add, &[input, b.last()]);
    }
    Some(())
}
