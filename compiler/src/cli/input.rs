//! Flags that say how a trained network is read; shared by all verbs that read one.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Result;
use tfc_formats::import::{self, ImportOptions, PreprocessOverrides};
use tfc_formats::network::Network;
use tfc_formats::op::Shape;
use tfc_formats::preprocess::{ChannelOrder, Layout, MAX_CHANNELS, Resize};

/// Where the graph and the preprocessing come from, if not from the file.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Network")]
pub(super) struct InputArgs {
    /// Description of the graph, where the tensors' names and shapes do not tell it; `tfc graph` drafts one.
    #[arg(long, value_name = "FILE")]
    graph: Option<PathBuf>,
    /// Shape of one input sample, e.g. 1x28x28.
    #[arg(long, value_name = "CxHxW", value_parser = shape)]
    input_shape: Option<Shape>,
    /// Raw inputs are multiplied by this; a number or a fraction such as 1/255.
    #[arg(long, value_name = "NUMBER", value_parser = fraction)]
    scale: Option<f32>,
    /// Subtracted after scaling: one number, or one a channel.
    #[arg(long, value_name = "NUMBERS", value_parser = numbers, allow_hyphen_values = true)]
    mean: Option<Numbers>,
    /// Divides at the end: one number, or one a channel.
    #[arg(long, value_name = "NUMBERS", value_parser = numbers)]
    std: Option<Numbers>,
    /// Order of colour channels that the network expects: rgb or bgr.
    #[arg(long, value_name = "ORDER", value_parser = order)]
    order: Option<ChannelOrder>,
    /// Order of the axes of raw samples: chw or hwc.
    #[arg(long, value_name = "LAYOUT", value_parser = layout)]
    layout: Option<Layout>,
    /// Images of another size: 256 resizes their shorter side, 256x256 rows and columns, both bilinear with
    /// antialiasing, then the centre is taken; crop only takes the centre; none refuses them
    /// [default: what the architecture is known for, or none].
    #[arg(long, value_name = "SIDE", value_parser = resize)]
    resize: Option<Resize>,
}

type Numbers = heapless::Vec<f32, MAX_CHANNELS>;

impl InputArgs {
    /// Reads a network with these flags.
    pub(super) fn load(&self, path: &Path) -> Result<Network> {
        Ok(import::load(path, &self.options())?)
    }

    /// The flags as the importer takes them.
    pub(super) fn options(&self) -> ImportOptions<'_> {
        ImportOptions {
            graph: self.graph.as_deref(),
            input: self.input_shape,
            preprocess: PreprocessOverrides {
                scale: self.scale,
                mean: self.mean.clone(),
                std: self.std.clone(),
                order: self.order,
                layout: self.layout,
                resize: self.resize,
            },
        }
    }
}

/// A count of something that there must be at least one of.
pub(super) fn count(text: &str) -> Result<usize, String> {
    /// Far more than anybody waits for, and far from overflowing when counts are multiplied.
    const MOST: usize = 1_000_000_000;
    let fault = || format!("expected a whole number from 1 to {MOST}");
    text.parse().ok().filter(|n| (1..=MOST).contains(n)).ok_or_else(fault)
}

fn shape(text: &str) -> Result<Shape, String> {
    let extents: Vec<u32> = text.split('x').map(u32::from_str).collect::<Result<_, _>>().unwrap_or_default();
    let shape = match extents[..] {
        [c, h, w] => Shape::new(c, h, w),
        [n] => Shape::vector(n),
        _ => Shape::vector(0),
    };
    let fault = || "expected channels x rows x columns such as 3x32x32, or a length".to_owned();
    shape.elements().filter(|n| *n > 0).map(|_| shape).ok_or_else(fault)
}

fn fraction(text: &str) -> Result<f32, String> {
    let number = |text: &str| text.trim().parse::<f32>().map_err(|_| format!("`{text}` is not a number"));
    match text.split_once('/') {
        Some((above, below)) => Ok(number(above)? / number(below)?),
        None => number(text),
    }
}

fn numbers(text: &str) -> Result<Numbers, String> {
    let numbers = text.split(',').map(fraction).collect::<Result<Vec<f32>, _>>()?;
    Numbers::from_slice(&numbers).map_err(|_| format!("at most {MAX_CHANNELS} numbers, separated by commas"))
}

fn order(text: &str) -> Result<ChannelOrder, String> {
    match text {
        "rgb" => Ok(ChannelOrder::Rgb),
        "bgr" => Ok(ChannelOrder::Bgr),
        _ => Err("expected rgb or bgr".into()),
    }
}

fn layout(text: &str) -> Result<Layout, String> {
    match text {
        "chw" => Ok(Layout::Chw),
        "hwc" => Ok(Layout::Hwc),
        _ => Err("expected chw or hwc".into()),
    }
}

fn resize(text: &str) -> Result<Resize, String> {
    let sides: Option<Vec<u16>> = text.split('x').map(|n| n.parse().ok().filter(|n| *n > 0)).collect();
    match (text, sides.as_deref()) {
        ("none", _) => Ok(Resize::Refuse),
        ("crop", _) => Ok(Resize::Crop),
        (_, Some(&[side])) => Ok(Resize::Shorter(side)),
        (_, Some(&[rows, columns])) => Ok(Resize::Exact([rows, columns])),
        _ => Err("expected a side such as 256, rows x columns such as 32x32, crop or none".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_and_numbers() {
        assert_eq!(shape("3x32x32"), Ok(Shape::new(3, 32, 32)));
        assert_eq!(shape("784"), Ok(Shape::vector(784)));
        for bad in ["", "0", "3x32", "3x0x1", "axbxc", "-1", "65536x65536x2"] {
            assert!(shape(bad).is_err(), "{bad}");
        }
        assert_eq!(fraction("1/256"), Ok(0.00390625));
        assert_eq!(numbers("0.5, 1/4").unwrap().as_slice(), [0.5, 0.25]);
        assert!(numbers("1,2,3,4,5").is_err());
        assert!(fraction("x").is_err());
        for (text, expected) in [
            ("256", Resize::Shorter(256)),
            ("32x48", Resize::Exact([32, 48])),
            ("crop", Resize::Crop),
            ("none", Resize::Refuse),
        ] {
            assert_eq!(resize(text), Ok(expected));
            assert_eq!(expected.to_string(), text);
        }
        for bad in ["", "0", "3x0", "1x2x3", "65536", "-1", "x"] {
            assert!(resize(bad).is_err(), "{bad}");
        }
    }
}
