//! The anomaly detection network of MLPerf Tiny (Banbury et al. 2021), an autoencoder of dense
//! layers.

use std::format;

use super::Family;
use super::build::Builder;
use crate::import::graph::Graph;
use crate::import::tensors::Tensors;
use crate::op::Shape;
use crate::preprocess::ChannelOrder;

pub(super) const FAMILY: Family = Family {
    name: "MLPerf Tiny autoencoder",
    description: "fc1 .. fc10, bn1 .. bn9, as many outputs as inputs; ReLU after each batch norm, eps 1e-3, \
                  inputs as they are",
    standard: "autoencoder",
    mean_image: None,
    build,
};

const LAYERS: [u32; 10] = [128, 128, 128, 128, 8, 128, 128, 128, 128, 640];

fn build(tensors: Option<&Tensors<'_>>, input: Option<Shape>) -> Option<Graph> {
    let mut b = Builder::new(tensors, input, "fc1", [640, 1, 1]);
    for (index, out) in (1..).zip(LAYERS) {
        b.dense(&format!("fc{index}"), out)?;
        if index < LAYERS.len() {
            b.batch_norm(&format!("bn{index}"), 1e-3)?;
            b.relu(&format!("relu{index}"));
        }
    }
    let reproduces = b.input().elements() == Some(b.shape().c);
    b.preprocess(1.0, &[], &[], ChannelOrder::Rgb);
    b.finish().filter(|_| reproduces)
}
