//! What a caller may say about a file.

use std::path::Path;

use serde::Deserialize;

use crate::op::Shape;
use crate::preprocess::{ChannelOrder, Layout, MAX_CHANNELS, Preprocess, Resize};

/// What the caller knows better than the file. Nothing by default.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions<'a> {
    /// A `graph.toml` to use in place of what the file tells.
    pub graph: Option<&'a Path>,
    /// Shape of one input sample, in place of what graph or tensors tell.
    pub input: Option<Shape>,
    /// Changes to the preprocessing of the graph or, if it states none, of the default.
    pub preprocess: PreprocessOverrides,
}

/// The fields of [`Preprocess`] that are stated; the others stay as they are. Also the
/// `[preprocess]` table of a graph description.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreprocessOverrides {
    /// Multiplies the raw value.
    pub scale: Option<f32>,
    /// Subtracted after scaling: none, one for all channels, or one a channel.
    pub mean: Option<heapless::Vec<f32, MAX_CHANNELS>>,
    /// Divides at the end: none, one for all channels, or one a channel.
    pub std: Option<heapless::Vec<f32, MAX_CHANNELS>>,
    /// Order of the colour channels that the network expects.
    pub order: Option<ChannelOrder>,
    /// Order of the axes of raw samples.
    pub layout: Option<Layout>,
    /// What becomes of images of another size.
    pub resize: Option<Resize>,
}

impl PreprocessOverrides {
    /// Replaces what is stated.
    pub fn apply(&self, preprocess: &mut Preprocess) {
        let Preprocess { scale, mean, std, order, layout, resize } = preprocess;
        replace(scale, &self.scale);
        replace(mean, &self.mean);
        replace(std, &self.std);
        replace(order, &self.order);
        replace(layout, &self.layout);
        replace(resize, &self.resize);
    }
}

fn replace<T: Clone>(field: &mut T, stated: &Option<T>) {
    if let Some(value) = stated {
        field.clone_from(value);
    }
}
