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

/// What becomes of an image that has not the network's rows and columns. The host does it, where
/// images are decoded; raw samples of a device have the right size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resize {
    /// It is an error.
    #[default]
    Refuse,
    /// Its centre is cut out.
    Crop,
    /// The shorter side becomes so long, the longer one in proportion; then the centre is cut out.
    Shorter(u16),
    /// Resized to these rows and columns; then the centre is cut out.
    Exact([u16; 2]),
}

impl core::fmt::Display for Resize {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Refuse => f.write_str("none"),
            Self::Crop => f.write_str("crop"),
            Self::Shorter(side) => write!(f, "{side}"),
            Self::Exact([rows, columns]) => write!(f, "{rows}x{columns}"),
        }
    }
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
    /// What becomes of images of another size.
    pub resize: Resize,
}

impl Default for Preprocess {
    fn default() -> Self {
        Self {
            scale: 1.0 / 255.0,
            mean: heapless::Vec::new(),
            std: heapless::Vec::new(),
            order: ChannelOrder::Rgb,
            layout: Layout::Chw,
            resize: Resize::Refuse,
        }
    }
}

impl Preprocess {
    /// Input that is taken as it is.
    pub fn identity() -> Self {
        Self { scale: 1.0, ..Self::default() }
    }

    /// Whether all numbers are finite, deviations and sides are not 0, and the counts of means and
    /// deviations are 0, 1 or `channels`.
    pub fn is_valid(&self, channels: u32) -> bool {
        let count = |n: usize| n <= 1 || n as u32 == channels;
        self.scale.is_finite()
            && count(self.mean.len())
            && count(self.std.len())
            && self.mean.iter().all(|m| m.is_finite())
            && self.std.iter().all(|s| s.is_finite() && *s != 0.0)
            && !matches!(self.resize, Resize::Shorter(0) | Resize::Exact([0, _] | [_, 0]))
    }

    /// `x = raw * factor + offset` for channel `c` of the network's input.
    pub fn affine(&self, c: usize) -> (f32, f32) {
        let of = |v: &[f32], none: f32| v.get(c).or(v.first()).copied().unwrap_or(none);
        let (mean, std) = (of(&self.mean, 0.0), of(&self.std, 1.0));
        (self.scale / std, -mean / std)
    }
}
