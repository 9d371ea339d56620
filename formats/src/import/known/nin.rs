//! Network in Network (Lin, Chen, Yan 2013) with the names of Caffe's model zoo: for CIFAR and for
//! ImageNet.

use super::Family;
use super::build::{Builder, Conv, conv, window};
use crate::import::graph::Graph;
use crate::import::tensors::Tensors;
use crate::op::{Op, Pool, Shape};

pub(super) const CIFAR: Family = Family {
    name: "Network in Network (CIFAR)",
    description: "conv1 [192, 3, 5, 5], cccp1, cccp2, conv2, cccp3, cccp4, conv3, cccp5, cccp6, a ReLU \
                  after each; inputs of 32x32",
    standard: "nin_cifar",
    mean_image: None,
    build: cifar,
};

pub(super) const IMAGENET: Family = Family {
    name: "Network in Network (ImageNet)",
    description: "conv1 [96, 3, 11, 11], cccp1, cccp2, conv2, cccp3, cccp4, conv3, cccp5, cccp6, \
                  conv4-1024, cccp7-1024, cccp8-1024, a ReLU after each; inputs of 224x224, BGR bytes \
                  minus 104, 117, 123",
    standard: "nin_imagenet",
    mean_image: None,
    build: imagenet,
};

const MAX: Op = Op::MaxPool(Pool { ceil: true, ..window(3, 2) });
const MEAN: Op = Op::AvgPool(Pool { ceil: true, ..window(3, 2) });
const DROPOUT: Op = Op::Dropout { rate: 0.5 };

fn cifar(tensors: Option<&Tensors<'_>>, input: Option<Shape>) -> Option<Graph> {
    let mut b = Builder::new(tensors, input, "conv1", [3, 32, 32]);
    stage(&mut b, [("conv1", conv(192, 5).pad(2)), ("cccp1", conv(160, 1)), ("cccp2", conv(96, 1))])?;
    b.then("pool1", MAX);
    b.then("drop1", DROPOUT);
    stage(&mut b, [("conv2", conv(192, 5).pad(2)), ("cccp3", conv(192, 1)), ("cccp4", conv(192, 1))])?;
    b.then("pool2", MEAN);
    b.then("drop2", DROPOUT);
    stage(&mut b, [("conv3", conv(192, 3).pad(1)), ("cccp5", conv(192, 1)), ("cccp6", conv(10, 1))])?;
    b.then("pool3", Op::GlobalAvgPool);
    b.finish()
}

fn imagenet(tensors: Option<&Tensors<'_>>, input: Option<Shape>) -> Option<Graph> {
    let mut b = Builder::new(tensors, input, "conv1", [3, 224, 224]);
    stage(&mut b, [("conv1", conv(96, 11).stride(4)), ("cccp1", conv(96, 1)), ("cccp2", conv(96, 1))])?;
    b.then("pool1", MAX);
    stage(&mut b, [("conv2", conv(256, 5).pad(2)), ("cccp3", conv(256, 1)), ("cccp4", conv(256, 1))])?;
    b.then("pool2", MAX);
    stage(&mut b, [("conv3", conv(384, 3).pad(1)), ("cccp5", conv(384, 1)), ("cccp6", conv(384, 1))])?;
    b.then("pool3", MAX);
    b.then("drop", DROPOUT);
    stage(
        &mut b,
        [("conv4-1024", conv(1024, 3).pad(1)), ("cccp7-1024", conv(1024, 1)), ("cccp8-1024", conv(1000, 1))],
    )?;
    b.then("pool4", Op::GlobalAvgPool);
    b.imagenet_caffe();
    b.finish()
}

/// A convolution and two 1x1 ones ("cascaded cross channel parametric pooling").
fn stage(b: &mut Builder<'_>, layers: [(&str, Conv); 3]) -> Option<()> {
    for (name, conv) in layers {
        b.conv(name, conv)?;
        b.relu(&std::format!("relu_{name}"));
    }
    Some(())
}
