//! SqueezeNet 1.0 and 1.1 (Iandola et al. 2016), with Caffe's and with torchvision's names.

use std::format;
use std::string::String;

use super::Family;
use super::build::{Builder, conv, window};
use crate::import::graph::Graph;
use crate::import::tensors::Tensors;
use crate::op::{Op, Pool, Shape};

pub(super) const CAFFE: Family = Family {
    name: "SqueezeNet (Caffe)",
    description: "conv1 [96, 3, 7, 7] (1.0) or [64, 3, 3, 3] (1.1), fireN.squeeze1x1, .expand1x1, \
                  .expand3x3 for N = 2..9, conv10; inputs of 227x227, BGR bytes minus 104, 117, 123",
    standard: "squeezenet1_1",
    mean_image: None,
    build: caffe,
};

pub(super) const TORCHVISION: Family = Family {
    name: "SqueezeNet (torchvision)",
    description: "features.0 [96, 3, 7, 7] (1.0) or [64, 3, 3, 3] (1.1), features.N.squeeze, .expand1x1, \
                  .expand3x3, classifier.1; inputs of 224x224 normalised by the colours of ImageNet",
    standard: "squeezenet1_1_torchvision",
    mean_image: None,
    build: torchvision,
};

/// Outputs of the squeezing layers; each expanding layer has four times as many.
const SQUEEZED: [u32; 8] = [16, 16, 32, 32, 48, 48, 64, 64];

const POOL: Op = Op::MaxPool(Pool { ceil: true, ..window(3, 2) });

/// What differs between the versions.
struct Version {
    outputs: u32,
    kernel: u16,
    /// Fire modules, from 0, that a pooling follows.
    pools: [usize; 2],
    /// Zeros around the input of Caffe's last convolution, which count in the mean after it.
    last_pad: u16,
}

impl Version {
    fn of(b: &Builder<'_>, first: &str) -> Option<Self> {
        match b.shape_of(&format!("{first}.weight")).as_deref() {
            Some([_, _, 7, 7]) => Some(Self { outputs: 96, kernel: 7, pools: [2, 6], last_pad: 1 }),
            None if !b.is_standard() => None,
            Some([_, _, 3, 3]) | None => Some(Self { outputs: 64, kernel: 3, pools: [1, 3], last_pad: 0 }),
            Some(_) => None,
        }
    }
}

fn caffe(tensors: Option<&Tensors<'_>>, input: Option<Shape>) -> Option<Graph> {
    let mut b = Builder::new(tensors, input, "conv1", [3, 227, 227]);
    let version = Version::of(&b, "conv1")?;
    b.conv("conv1", conv(version.outputs, version.kernel).stride(2))?;
    b.relu("relu_conv1");
    b.then("pool1", POOL);
    for (index, squeezed) in SQUEEZED.into_iter().enumerate() {
        let number = index + 2;
        fire(&mut b, &format!("fire{number}"), "squeeze1x1", squeezed)?;
        if version.pools.contains(&index) {
            b.then(&format!("pool{number}"), POOL);
        }
    }
    b.then("drop9", Op::Dropout { rate: 0.5 });
    b.conv("conv10", conv(1000, 1).pad(version.last_pad))?;
    b.relu("relu_conv10");
    b.then("pool10", Op::GlobalAvgPool);
    b.imagenet_caffe();
    b.finish()
}

fn torchvision(tensors: Option<&Tensors<'_>>, input: Option<Shape>) -> Option<Graph> {
    let mut b = Builder::new(tensors, input, "features.0", [3, 224, 224]);
    let version = Version::of(&b, "features.0")?;
    b.conv("features.0", conv(version.outputs, version.kernel).stride(2))?;
    b.relu("features.1");
    b.then("features.2", POOL);
    let mut number = 3;
    let mut next = || -> String {
        number += 1;
        format!("features.{}", number - 1)
    };
    for (index, squeezed) in SQUEEZED.into_iter().enumerate() {
        fire(&mut b, &next(), "squeeze", squeezed)?;
        if version.pools.contains(&index) {
            b.then(&next(), POOL);
        }
    }
    b.then("classifier.0", Op::Dropout { rate: 0.5 });
    b.conv("classifier.1", conv(1000, 1))?;
    b.relu("classifier.2");
    b.then("classifier.3", Op::GlobalAvgPool);
    b.imagenet();
    b.finish()
}

/// A squeezing 1x1 convolution, then 1x1 and 3x3 ones side by side.
fn fire(b: &mut Builder<'_>, name: &str, squeeze: &str, squeezed: u32) -> Option<()> {
    b.conv(&format!("{name}.{squeeze}"), conv(squeezed, 1))?;
    b.relu(&format!("{name}.relu_squeeze"));
    let narrow = b.last();
    b.conv(&format!("{name}.expand1x1"), conv(4 * squeezed, 1))?;
    b.relu(&format!("{name}.relu_expand1x1"));
    let left = b.last();
    b.go_to(narrow);
    b.conv(&format!("{name}.expand3x3"), conv(4 * squeezed, 3).pad(1))?;
    b.relu(&format!("{name}.relu_expand3x3"));
    b.join(&format!("{name}.concat"), Op::Concat, &[left, b.last()]);
    Some(())
}
