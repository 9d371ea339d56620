//! AlexNet: as torchvision has it (Krizhevsky 2014), and the convolutions of Caffe's (Krizhevsky,
//! Sutskever, Hinton 2012).

use super::Family;
use super::build::{Builder, conv, window};
use crate::import::graph::Graph;
use crate::import::tensors::Tensors;
use crate::op::{Op, Shape};

pub(super) const TORCHVISION: Family = Family {
    name: "AlexNet (torchvision)",
    description: "features.0 [64, 3, 11, 11], features.3, .6, .8, .10, classifier.1, .4, .6; inputs of \
                  224x224 normalised by the colours of ImageNet",
    standard: "alexnet",
    mean_image: None,
    build: torchvision,
};

pub(super) const CONVOLUTIONS: Family = Family {
    name: "convolutions of AlexNet (Caffe)",
    description: "conv1 [96, 3, 11, 11] to conv5 and no dense layers; each a ReLU, pooling after 1, 2 and \
                  5, two groups in 2, 4 and 5 where the shapes say so; no normalisation between layers; \
                  inputs of 227x227, BGR bytes minus 104, 117, 123",
    standard: "alexnet_conv",
    mean_image: None,
    build: convolutions,
};

const POOL: Op = Op::MaxPool(window(3, 2));

fn torchvision(tensors: Option<&Tensors<'_>>, input: Option<Shape>) -> Option<Graph> {
    let mut b = Builder::new(tensors, input, "features.0", [3, 224, 224]);
    b.conv("features.0", conv(64, 11).stride(4).pad(2))?;
    b.relu("features.1");
    b.then("features.2", POOL);
    b.conv("features.3", conv(192, 5).pad(2))?;
    b.relu("features.4");
    b.then("features.5", POOL);
    b.conv("features.6", conv(384, 3).pad(1))?;
    b.relu("features.7");
    b.conv("features.8", conv(256, 3).pad(1))?;
    b.relu("features.9");
    b.conv("features.10", conv(256, 3).pad(1))?;
    b.relu("features.11");
    b.then("features.12", POOL);
    b.then("classifier.0", Op::Dropout { rate: 0.5 });
    b.dense("classifier.1", 4096)?;
    b.relu("classifier.2");
    b.then("classifier.3", Op::Dropout { rate: 0.5 });
    b.dense("classifier.4", 4096)?;
    b.relu("classifier.5");
    b.dense("classifier.6", 1000)?;
    b.imagenet();
    b.finish()
}

/// Nothing in the tensors tells Caffe's two versions apart, which normalise before and after
/// pooling; so the convolutions are taken without.
fn convolutions(tensors: Option<&Tensors<'_>>, input: Option<Shape>) -> Option<Graph> {
    let mut b = Builder::new(tensors, input, "conv1", [3, 227, 227]);
    b.conv("conv1", conv(96, 11).stride(4))?;
    b.relu("relu1");
    b.then("pool1", POOL);
    b.conv("conv2", conv(256, 5).pad(2).paired())?;
    b.relu("relu2");
    b.then("pool2", POOL);
    b.conv("conv3", conv(384, 3).pad(1))?;
    b.relu("relu3");
    b.conv("conv4", conv(384, 3).pad(1).paired())?;
    b.relu("relu4");
    b.conv("conv5", conv(256, 3).pad(1).paired())?;
    b.relu("relu5");
    b.then("pool5", POOL);
    b.imagenet_caffe();
    b.finish()
}
