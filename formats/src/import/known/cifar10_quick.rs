//! The small network of Caffe's CIFAR-10 example (`examples/cifar10/cifar10_quick.prototxt`), and
//! the form with maximum poolings and rectifiers throughout.

use super::Family;
use super::build::{Builder, conv, window};
use crate::import::graph::Graph;
use crate::import::tensors::Tensors;
use crate::op::{Op, Padding, Pool, Shape};
use crate::preprocess::ChannelOrder;

pub(super) const CAFFE: Family = Family {
    name: "cifar10_quick (Caffe)",
    description: "conv1 to conv3 [out, in, 5, 5], ip1 and ip2, or fc1, fc2 and `input_mean`; 3x3 poolings, \
                  maximum, mean, mean; no activation between the dense layers; inputs 0..255 minus the \
                  mean image",
    standard: "cifar10_quick_caffe",
    mean_image: Some(INPUT_MEAN),
    build: caffe,
};

pub(super) const RECTIFIED: Family = Family {
    name: "cifar10_quick",
    description: "conv1 to conv3 [out, in, 5, 5], fc1, fc2; each convolution a ReLU and a 3x3 maximum, \
                  padded by 1, a ReLU between the dense layers; inputs normalised by the colours of CIFAR-10",
    standard: "cifar10_quick",
    mean_image: None,
    build: rectified,
};

const INPUT_MEAN: &str = "input_mean";

fn caffe(tensors: Option<&Tensors<'_>>, input: Option<Shape>) -> Option<Graph> {
    const MAX: Op = Op::MaxPool(Pool { ceil: true, ..window(3, 2) });
    const MEAN: Op = Op::AvgPool(Pool { ceil: true, ..window(3, 2) });
    let mut b = Builder::new(tensors, input, "conv1", [3, 32, 32]);
    let dense = if b.has("ip1.weight", true) { ["ip1", "ip2"] } else { ["fc1", "fc2"] };
    if dense[0] == "fc1" && !b.has(INPUT_MEAN, false) {
        return None;
    }
    b.take(INPUT_MEAN);
    b.conv("conv1", conv(32, 5).pad(2))?;
    b.then("pool1", MAX);
    b.relu("relu1");
    b.conv("conv2", conv(32, 5).pad(2))?;
    b.relu("relu2");
    b.then("pool2", MEAN);
    b.conv("conv3", conv(64, 5).pad(2))?;
    b.relu("relu3");
    b.then("pool3", MEAN);
    b.dense(dense[0], 64)?;
    b.dense(dense[1], 10)?;
    b.preprocess(1.0, &[], &[], ChannelOrder::Rgb);
    b.finish()
}

fn rectified(tensors: Option<&Tensors<'_>>, input: Option<Shape>) -> Option<Graph> {
    const MAX: Op = Op::MaxPool(Pool { pad: Padding::same(1), ..window(3, 2) });
    let mut b = Builder::new(tensors, input, "conv1", [3, 32, 32]);
    for (number, out) in [(1, 32), (2, 32), (3, 64)] {
        b.conv(&std::format!("conv{number}"), conv(out, 5).pad(2))?;
        b.relu(&std::format!("relu{number}"));
        b.then(&std::format!("pool{number}"), MAX);
    }
    b.dense("fc1", 64)?;
    b.relu("relu4");
    b.dense("fc2", 10)?;
    let (mean, std) = ([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]);
    b.preprocess(1.0 / 255.0, &mean, &std, ChannelOrder::Rgb);
    b.finish()
}
