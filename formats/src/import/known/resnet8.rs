//! The image classification network of MLPerf Tiny (Banbury et al. 2021), a Keras ResNet of three
//! blocks.

use std::format;

use super::Family;
use super::build::{Builder, conv};
use crate::import::graph::Graph;
use crate::import::tensors::Tensors;
use crate::op::{Op, Shape};
use crate::preprocess::ChannelOrder;

pub(super) const FAMILY: Family = Family {
    name: "MLPerf Tiny ResNet-8",
    description: "conv1 [16, 3, 3, 3], bn1, layerS.conv1, .bn1, .conv2, .bn2 and perhaps .downsample (a \
                  1x1 convolution) for S = 1, 2, 3, fc; TensorFlow's SAME padding, eps 1e-3, inputs 0..255",
    standard: "resnet8",
    mean_image: None,
    build,
};

const EPS: f32 = 1e-3;

fn build(tensors: Option<&Tensors<'_>>, input: Option<Shape>) -> Option<Graph> {
    let mut b = Builder::new(tensors, input, "conv1", [3, 32, 32]);
    b.conv("conv1", conv(16, 3).same())?;
    b.batch_norm("bn1", EPS)?;
    b.relu("relu1");
    for stage in 1..=3 {
        let name = format!("layer{stage}");
        let out = 8 << stage;
        let stride = if stage > 1 { 2 } else { 1 };
        let mut shortcut = b.last();
        b.conv(&format!("{name}.conv1"), conv(out, 3).stride(stride).same())?;
        b.batch_norm(&format!("{name}.bn1"), EPS)?;
        b.relu(&format!("{name}.relu1"));
        b.conv(&format!("{name}.conv2"), conv(out, 3).same())?;
        b.batch_norm(&format!("{name}.bn2"), EPS)?;
        let main = b.last();
        if b.has(&format!("{name}.downsample.weight"), stage > 1) {
            b.go_to(shortcut);
            b.conv(&format!("{name}.downsample"), conv(out, 1).stride(stride).same())?;
            shortcut = b.last();
        }
        b.join(&format!("{name}.add"), Op::Add, &[main, shortcut]);
        b.relu(&format!("{name}.relu2"));
    }
    b.then("pool", Op::GlobalAvgPool);
    b.dense("fc", 10)?;
    b.preprocess(1.0, &[], &[], ChannelOrder::Rgb);
    b.finish()
}
