//! How raw samples become the network's input: `x = (raw * scale - mean[c]) / std[c]`.

use serde::{Deserialize, Serialize};

/// Most channels whose mean and deviation can be stated.
pub const MAX_CHANNELS: usize = 4;

/// Order of colour channels that the network expects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelOrder {
    /// As the sample has them (red first for images).
    #[default]
    Rgb,
    /// Reversed.
    Bgr,
}

/// Order of the axes of a raw sample as a user hands it over. Inside, everything is [`Chw`](Layout::Chw).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Planes one after the other.
    #[default]
    Chw,
    /// Channels interleaved.
    Hwc,
}

/// Preprocessing of one sample, stored in the artifact so that nobody needs to repeat it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preprocess {
    /// Multiplies the raw value; 1/255 for bytes by default.
    pub scale: f32,
    /// Subtracted after scaling: none, one for all channels, or one a channel.
    pub mean: heapless::Vec<f32, MAX_CHANNELS>,
    /// Divides at the end: none, one for all channels, or one a channel; never 0.
    pub std: heapless::Vec<f32, MAX_CHANNELS>,
    /// Order of the colour channels that the network expects.
    pub order: ChannelOrder,
    /// Order of the axes of raw samples.
    pub layout: Layout,
}

impl Default for Preprocess {
    fn default() -> Self {
        Self {
            scale: 1.0 / 255.0,
            mean: heapless::Vec::new(),
            std: heapless::Vec::new(),
            order: ChannelOrder::Rgb,
            layout: Layout::Chw,
        }
    }
}

impl Preprocess {
    /// Input that is taken as it is.
    pub fn identity() -> Self {
        Self { scale: 1.0, ..Self::default() }
    }

    /// Whether all numbers are finite, deviations are not 0, and the counts of means and
    /// deviations are 0, 1 or `channels`.
    pub fn is_valid(&self, channels: u32) -> bool {
        let count = |n: usize| n <= 1 || n as u32 == channels;
        self.scale.is_finite()
            && count(self.mean.len())
            && count(self.std.len())
            && self.mean.iter().all(|m| m.is_finite())
            && self.std.iter().all(|s| s.is_finite() && *s != 0.0)
    }

    /// `x = raw * factor + offset` for channel `c` of the network's input.
    pub fn affine(&self, c: usize) -> (f32, f32) {
        let of = |v: &[f32], none: f32| v.get(c).or(v.first()).copied().unwrap_or(none);
        let (mean, std) = (of(&self.mean, 0.0), of(&self.std, 1.0));
        (self.scale / std, -mean / std)
    }
}
