//! VGG (Simonyan, Zisserman 2014) of any depth with torchvision's names, with and without batch
//! norms.

use std::format;
use std::string::String;
use std::vec::Vec;

use super::Family;
use super::build::{Builder, conv, window};
use crate::import::graph::Graph;
use crate::import::tensors::Tensors;
use crate::op::{Op, Shape};

pub(super) const FAMILY: Family = Family {
    name: "VGG (torchvision)",
    description: "features.N [out, in, 3, 3], perhaps a batch norm at N + 1; a gap in N is a pooling; \
                  classifier or classifier.N; inputs normalised by the colours of ImageNet if there are \
                  1000 classes",
    standard: "vgg16",
    mean_image: None,
    build,
};

/// Index and outputs of VGG-16's convolutions.
const VGG16: [(u32, u32); 13] = [
    (0, 64),
    (2, 64),
    (5, 128),
    (7, 128),
    (10, 256),
    (12, 256),
    (14, 256),
    (17, 512),
    (19, 512),
    (21, 512),
    (24, 512),
    (26, 512),
    (28, 512),
];

fn build(tensors: Option<&Tensors<'_>>, input: Option<Shape>) -> Option<Graph> {
    let mut b = Builder::new(tensors, input, "features.0", [3, 224, 224]);
    let layers = layers(&b)?;
    let dense = b.numbers("classifier", 2, &[0, 3, 6]);
    let dense: Vec<(u32, String)> = dense.into_iter().map(|n| (n, format!("classifier.{n}"))).collect();
    let dense = if dense.is_empty() { Vec::from([(0, "classifier".into())]) } else { dense };
    if let (Some(tensors), None) = (tensors, input) {
        let poolings = layers.iter().filter(|l| l.pool).count();
        let (extent, first) = (extent(&b, &layers, &dense, poolings)?, b.input());
        b = Builder::new(Some(tensors), Some(Shape { h: extent, w: extent, ..first }), "features.0", [0; 3]);
    }
    for layer in layers {
        let name = |offset: u32| format!("features.{}", layer.index + offset);
        b.conv(&name(0), conv(layer.out, 3).pad(1))?;
        let norm = u32::from(layer.norm);
        if layer.norm {
            b.batch_norm(&name(1), 1e-5)?;
        }
        b.relu(&name(1 + norm));
        if layer.pool {
            b.then(&name(2 + norm), Op::MaxPool(window(2, 2)));
        }
    }
    classifier(&mut b, &dense)?;
    if b.shape().c == 1000 {
        b.imagenet();
    }
    b.finish()
}

struct Layer {
    index: u32,
    out: u32,
    norm: bool,
    pool: bool,
}

/// The convolutions. Modules are numbered one by one: a batch norm and a ReLU follow each, and
/// where one number is left over, a pooling.
fn layers(b: &Builder<'_>) -> Option<Vec<Layer>> {
    let indices = b.numbers("features", 4, &VGG16.map(|(index, _)| index));
    // Numbers of the modules after the last convolution must exist.
    indices.last()?.checked_add(3)?;
    let mut layers = Vec::with_capacity(indices.len());
    for (at, &index) in indices.iter().enumerate() {
        let norm = b.has(&format!("features.{}.running_mean", index + 1), false);
        let modules = 2 + u32::from(norm);
        let pool = match indices.get(at + 1) {
            Some(next) => match next.checked_sub(index)?.checked_sub(modules)? {
                0 => false,
                1 => true,
                _ => return None,
            },
            None => true,
        };
        let out = VGG16.get(at).map_or(0, |(_, out)| *out);
        layers.push(Layer { index, out, norm, pool });
    }
    (layers.first()?.index == 0).then_some(layers)
}

/// Rows and columns of the square input that leaves the columns of the first dense layer.
fn extent(b: &Builder<'_>, layers: &[Layer], dense: &[(u32, String)], poolings: usize) -> Option<u32> {
    let [_, columns] = b.shape_of(&format!("{}.weight", dense.first()?.1))?[..] else { return None };
    let last = b.shape_of(&format!("features.{}.weight", layers.last()?.index))?;
    let channels = *last.first()?;
    let plane = columns.checked_div(channels)?;
    let side = plane.isqrt();
    if side == 0 || side * side != plane || !columns.is_multiple_of(channels) {
        return None;
    }
    side.checked_mul(2u32.checked_pow(u32::try_from(poolings).ok()?)?)
}

/// Dense layers with a ReLU after each but the last, and dropout where the numbers leave room.
fn classifier(b: &mut Builder<'_>, dense: &[(u32, String)]) -> Option<()> {
    for (at, (index, name)) in dense.iter().enumerate() {
        b.dense(name, if at + 1 == dense.len() { 1000 } else { 4096 })?;
        if let Some((next, _)) = dense.get(at + 1) {
            b.relu(&format!("classifier.{}", index + 1));
            match next - index {
                2 => {}
                3 => b.then(&format!("classifier.{}", index + 2), Op::Dropout { rate: 0.5 }),
                _ => return None,
            }
        }
    }
    Some(())
}
