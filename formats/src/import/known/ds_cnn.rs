//! DS-CNN (Zhang et al. 2017, "Hello Edge: Keyword Spotting on Microcontrollers") of any width, as the
//! keyword spotting network of MLPerf Tiny (Banbury et al. 2021).

use std::format;

use super::Family;
use super::build::{Builder, conv, depthwise, window};
use crate::import::graph::Graph;
use crate::import::tensors::Tensors;
use crate::op::{Op, Pool, Shape};
use crate::preprocess::ChannelOrder;

pub(super) const FAMILY: Family = Family {
    name: "MLPerf Tiny DS-CNN",
    description: "conv1 [C, 1, 10, 4], bn1, blocks.N.dw, .bn_dw, .pw, .bn_pw for N = 0..3, fc; TensorFlow's \
                  SAME padding, ReLU, eps 1e-3, inputs of 49x10 (MFCC) as they are",
    standard: "ds_cnn",
    mean_image: None,
    build,
};

const EPS: f32 = 1e-3;

fn build(tensors: Option<&Tensors<'_>>, input: Option<Shape>) -> Option<Graph> {
    let mut b = Builder::new(tensors, input, "conv1", [1, 49, 10]);
    b.conv("conv1", conv(64, 1).kernel([10, 4]).stride(2).same())?;
    b.batch_norm("bn1", EPS)?;
    b.relu("relu1");
    b.then("dropout1", Op::Dropout { rate: 0.2 });
    for index in 0..4 {
        let name = |part: &str| format!("blocks.{index}.{part}");
        b.conv(&name("dw"), depthwise(3).same())?;
        b.batch_norm(&name("bn_dw"), EPS)?;
        b.relu(&name("relu_dw"));
        b.conv(&name("pw"), conv(64, 1))?;
        b.batch_norm(&name("bn_pw"), EPS)?;
        b.relu(&name("relu_pw"));
    }
    b.then("dropout2", Op::Dropout { rate: 0.4 });
    // Half of the input, rounded down where SAME rounds up: the last of 25 rows is in no window.
    let kernel = [b.input().h, b.input().w].map(|n| u16::try_from(n / 2).unwrap_or(u16::MAX));
    b.then("pool", Op::AvgPool(Pool { kernel, stride: kernel, count_include_pad: true, ..window(1, 1) }));
    b.dense("fc", 12)?;
    b.preprocess(1.0, &[], &[], ChannelOrder::Rgb);
    b.finish()
}
