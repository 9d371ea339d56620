//! Families of networks that the names and shapes of their tensors give away.
//!
//! To add one, add a file beside this one and a line to [`FAMILIES`].

mod alexnet;
mod autoencoder;
mod build;
mod cifar10_quick;
mod ds_cnn;
mod lenet5;
mod mlp;
mod mobilenet_v1;
mod mobilenet_v2;
mod nin;
mod resnet8;
mod resnet_cifar;
mod squeezenet;
mod vgg;

use std::format;
use std::string::String;

use super::graph::Graph;
use super::tensors::Tensors;
use crate::op::Shape;

/// A family of networks.
#[derive(Debug)]
pub struct Family {
    /// Name for messages.
    pub name: &'static str,
    /// Which tensors it is recognised by and what it computes.
    pub description: &'static str,
    /// Name of its standard member, for training from scratch.
    pub standard: &'static str,
    /// Name of a tensor that is subtracted from every sample, value by value, which
    /// [`Preprocess`](crate::preprocess::Preprocess) cannot tell.
    pub(super) mean_image: Option<&'static str>,
    /// The graph, if all tensors of a file have the names and ranks of this family, or the standard
    /// member if there is no file; the second argument is the input's shape, if it is known.
    /// Whether the shapes fit each other is found out when the graph takes its tensors.
    build: fn(Option<&Tensors<'_>>, Option<Shape>) -> Option<Graph>,
}

/// Every family; the first one that fits is taken.
pub const FAMILIES: &[Family] = &[
    lenet5::FAMILY,
    mlp::FAMILY,
    resnet_cifar::FAMILY,
    resnet8::FAMILY,
    mobilenet_v1::VISUAL_WAKE_WORDS,
    mobilenet_v1::FOLDED,
    ds_cnn::FAMILY,
    mobilenet_v2::FAMILY,
    autoencoder::FAMILY,
    squeezenet::CAFFE,
    squeezenet::TORCHVISION,
    alexnet::TORCHVISION,
    alexnet::CONVOLUTIONS,
    vgg::FAMILY,
    nin::CIFAR,
    nin::IMAGENET,
    cifar10_quick::CAFFE,
    cifar10_quick::RECTIFIED,
];

/// The family of these tensors and their graph.
pub fn recognise(tensors: &Tensors<'_>, input: Option<Shape>) -> Option<(&'static Family, Graph)> {
    FAMILIES.iter().find_map(|family| Some((family, (family.build)(Some(tensors), input)?)))
}

/// The standard member with this name.
pub fn standard(name: &str) -> Option<Graph> {
    let family = FAMILIES.iter().find(|family| family.standard == name)?;
    Some(Graph { name: name.into(), ..(family.build)(None, None)? })
}

/// All families, one a line, for messages.
pub(super) fn summary() -> String {
    FAMILIES.iter().map(|f| format!("\n  {}: {}", f.name, f.description)).collect()
}

#[cfg(test)]
mod tests;
