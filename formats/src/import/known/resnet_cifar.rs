//! Residual networks for CIFAR (He, Zhang, Ren, Sun 2015, section 4.2).

use std::format;

use super::Family;
use super::build::{Builder, conv};
use crate::import::graph::Graph;
use crate::import::tensors::Tensors;
use crate::op::{Op, Shape};
use crate::preprocess::ChannelOrder;

pub(super) const FAMILY: Family = Family {
    name: "CIFAR ResNet",
    description: "conv1 [16, 3, 3, 3], bn1, layerS.B.conv1, .bn1, .conv2, .bn2 for three stages S of any \
                  number of blocks B, linear or fc; shortcuts layerS.0.downsample or .shortcut (a 1x1 \
                  convolution and a batch norm) or none, then every second row and column, channels \
                  padded with zeros",
    standard: "resnet20",
    mean_image: None,
    build,
};

const EPS: f32 = 1e-5;

fn build(tensors: Option<&Tensors<'_>>, input: Option<Shape>) -> Option<Graph> {
    let mut b = Builder::new(tensors, input, "conv1", [3, 32, 32]);
    // Names as in github.com/akamaster/pytorch_resnet_cifar10, and as in torchvision.
    let head = if b.has("linear.weight", true) { "linear" } else { "fc" };
    let mut projections = false;
    b.conv("conv1", conv(16, 3).pad(1).plain())?;
    b.batch_norm("bn1", EPS)?;
    b.relu("relu");
    for stage in 1..=3 {
        let blocks = b.count(0, 3, |block| format!("layer{stage}.{block}.conv1.weight"));
        if blocks == 0 {
            return None;
        }
        for index in 0..blocks {
            let stride = if stage > 1 && index == 0 { 2 } else { 1 };
            projections |= block(&mut b, &format!("layer{stage}.{index}"), 8 << stage, stride)?;
        }
    }
    b.then("pool", Op::GlobalAvgPool);
    b.dense(head, 10)?;
    if head == "linear" {
        b.imagenet_colours();
    } else if projections {
        // Distiller's networks.
        b.preprocess(1.0 / 255.0, &[0.5; 3], &[0.5; 3], ChannelOrder::Rgb);
    }
    b.finish()
}

/// Two convolutions and a shortcut; whether that has weights.
fn block(b: &mut Builder<'_>, name: &str, out: u32, stride: u16) -> Option<bool> {
    let (input, channels) = (b.last(), b.shape().c);
    b.conv(&format!("{name}.conv1"), conv(out, 3).stride(stride).pad(1).plain())?;
    b.batch_norm(&format!("{name}.bn1"), EPS)?;
    b.relu(&format!("{name}.relu1"));
    b.conv(&format!("{name}.conv2"), conv(out, 3).pad(1).plain())?;
    b.batch_norm(&format!("{name}.bn2"), EPS)?;
    let (main, out) = (b.last(), b.shape().c);
    b.go_to(input);
    let projection = ["downsample", "shortcut"]
        .map(|s| format!("{name}.{s}"))
        .into_iter()
        .find(|s| b.has(&format!("{s}.0.weight"), false));
    if let Some(shortcut) = &projection {
        b.conv(&format!("{shortcut}.0"), conv(out, 1).stride(stride).plain())?;
        b.batch_norm(&format!("{shortcut}.1"), EPS)?;
    } else if stride != 1 || out != channels {
        if channels.checked_mul(2) != Some(out) || out % 4 != 0 {
            return None;
        }
        b.select(&format!("{name}.shortcut"), out, stride);
    }
    b.join(&format!("{name}.add"), Op::Add, &[main, b.last()]);
    b.relu(&format!("{name}.relu2"));
    Some(projection.is_some())
}
