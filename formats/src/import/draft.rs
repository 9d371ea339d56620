//! Drafts of graph descriptions for `tfc graph`.

use std::format;
use std::path::Path;
use std::string::String;
use std::vec::Vec;

use super::graph::{self, Comments, Graph};
use super::tensors::{Entry, Layer, Tensors, natural};
use super::{ImportError, ImportOptions, load_bytes, map, parse};
use crate::op::{Activation, Conv2d, Dense, Op, Padding, Shape};

/// A description of the network in a file, as TOML. Where the architecture is known it is exact.
/// Otherwise it lists convolutions, dense layers and batch norms in natural order of their names,
/// with what the shapes leave open marked by comments that begin with `# ?`.
pub fn draft(path: &Path) -> Result<String, ImportError> {
    let bytes = map(path)?;
    match load_bytes(path, &bytes, &ImportOptions::default()) {
        Ok(network) => Ok(graph::to_toml(&network)),
        Err(ImportError::UnknownArchitecture { .. } | ImportError::Family { .. }) => {
            Ok(Draft::of(&parse(path, &bytes)?.tensors))
        }
        Err(error) => Err(error),
    }
}

/// Rows and columns of an input that nothing tells.
const GUESSED_EXTENT: u32 = 32;

struct Draft {
    graph: Graph,
    comments: Comments,
    /// Channels of the last value.
    channels: u32,
    /// Whether the last value has rows and columns.
    planes: bool,
    /// Layer that an activation may follow.
    pending: Option<String>,
}

/// What a layer's tensors look like; the order is that of the draft among equal names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Conv([u32; 4]),
    BatchNorm,
    Dense([u32; 2]),
}

impl Draft {
    fn of(tensors: &Tensors<'_>) -> String {
        let mut layers = Vec::new();
        let mut unused = Vec::new();
        for layer in tensors.layers() {
            match Kind::of(&layer) {
                Some(kind) => layers.push((kind, layer)),
                None => unused.extend(layer.params),
            }
        }
        // Dense layers end a network; `bn1` follows `conv1`.
        let key = |layer: &Layer<'_, '_>| layer.name.replace("bn", "conv");
        layers.sort_by(|(a, x), (b, y)| {
            let dense = |kind: &Kind| matches!(kind, Kind::Dense(_));
            dense(a).cmp(&dense(b)).then_with(|| natural(&key(x), &key(y))).then(a.cmp(b))
        });

        let mut draft = Self::start(layers.first().map(|(kind, _)| *kind));
        for (kind, layer) in &layers {
            match *kind {
                Kind::Conv(shape) => draft.conv(layer, shape),
                Kind::BatchNorm => draft.batch_norm(layer),
                Kind::Dense(shape) => draft.dense(layer, shape),
            }
            unused.extend(layer.params.iter().filter(|p| !draft.uses(p)));
        }
        draft.comments.tail =
            unused.iter().map(|e| format!("? not used: {} {:?}", e.name, e.shape)).collect();
        draft.graph.to_text(&draft.comments)
    }

    fn start(first: Option<Kind>) -> Self {
        let input = match first {
            Some(Kind::Dense([_, columns])) => Shape::vector(columns),
            Some(Kind::Conv([_, channels, ..])) => Shape::new(channels, GUESSED_EXTENT, GUESSED_EXTENT),
            Some(Kind::BatchNorm) | None => Shape::vector(1),
        };
        let mut comments = Comments::default();
        comments.head = [
            "A draft: the file does not tell how its tensors are connected. The layers are in natural",
            "order of their names; answer what is marked `?`, then give this file with --graph.",
        ]
        .map(String::from)
        .to_vec();
        if !input.is_vector() {
            comments.input.push("? rows and columns".into());
        }
        let planes = !input.is_vector();
        Self { graph: Graph::new(input), comments, channels: input.c, planes, pending: None }
    }

    fn push(&mut self, name: &str, op: Op, params: &[Option<&Entry<'_>>], comments: Vec<String>) {
        let params = params.iter().flatten().map(|e| e.name.clone()).collect();
        self.graph.push(name, op, params);
        self.comments.nodes.push(comments);
    }

    fn conv(&mut self, layer: &Layer<'_, '_>, [out, channels, rows, columns]: [u32; 4]) {
        self.activation();
        let mut comments = Vec::from([String::from("? stride, pad; a pooling after it")]);
        let depthwise = channels == 1 && self.channels == out;
        let groups = if depthwise { out } else { 1 };
        if channels.checked_mul(groups) != Some(self.channels) {
            comments
                .push(format!("? inputs: it reads {channels} channels, not the {} before it", self.channels));
        }
        // The padding that keeps the extents of odd kernels.
        let [y, x] = [rows, columns].map(|k| u16::try_from(k / 2).unwrap_or(0));
        let op = Op::Conv2d(Conv2d {
            out_channels: out,
            kernel: [rows, columns].map(|k| u16::try_from(k).unwrap_or(u16::MAX)),
            stride: [1; 2],
            dilation: [1; 2],
            pad: Padding { top: y, left: x, bottom: y, right: x },
            groups,
        });
        self.push(layer.name, op, &[layer.param("weight"), layer.param("bias")], comments);
        self.after(layer, out, true);
    }

    fn dense(&mut self, layer: &Layer<'_, '_>, [out, columns]: [u32; 2]) {
        self.activation();
        let mut comments = Vec::new();
        if self.planes && columns == self.channels {
            let question = "? or other poolings that leave one value a channel";
            self.push(&format!("{}.pool", layer.name), Op::GlobalAvgPool, &[], Vec::from([question.into()]));
        } else if self.planes && self.channels != 0 && columns.is_multiple_of(self.channels) {
            let plane = columns / self.channels;
            comments.push(format!(
                "? it reads {} planes of {plane} values: strides and poolings above must leave that",
                self.channels
            ));
        } else if columns != self.channels {
            comments
                .push(format!("? inputs: it reads {columns} values, not the {} before it", self.channels));
        }
        let op = Op::Dense(Dense { out_features: out, transposed: false });
        self.push(layer.name, op, &[layer.param("weight"), layer.param("bias")], comments);
        self.after(layer, out, false);
    }

    fn batch_norm(&mut self, layer: &Layer<'_, '_>) {
        let params = ["weight", "bias", "running_mean", "running_var"].map(|p| layer.param(p));
        self.push(layer.name, Op::BatchNorm { eps: 1e-5 }, &params, Vec::from(["? eps".into()]));
    }

    fn after(&mut self, layer: &Layer<'_, '_>, channels: u32, planes: bool) {
        (self.channels, self.planes) = (channels, planes);
        self.pending = Some(layer.name.into());
    }

    /// Before another layer: what may come between.
    fn activation(&mut self) {
        if let Some(layer) = self.pending.take() {
            let question = format!("? the activation after {layer}, or none");
            let relu = Op::Activation(Activation::Relu);
            self.push(&format!("{layer}.relu"), relu, &[], Vec::from([question]));
        }
    }

    fn uses(&self, entry: &Entry<'_>) -> bool {
        self.graph.nodes.last().is_some_and(|node| node.params.contains(&entry.name))
    }
}

impl Kind {
    fn of(layer: &Layer<'_, '_>) -> Option<Self> {
        let shape = &layer.param("weight")?.shape;
        let extents: Vec<u32> = shape.iter().map(|&n| u32::try_from(n).ok()).collect::<Option<_>>()?;
        match extents[..] {
            [out, channels, rows, columns] => Some(Kind::Conv([out, channels, rows, columns])),
            [out, columns] => Some(Kind::Dense([out, columns])),
            [_] => {
                let all = ["bias", "running_mean", "running_var"].iter().all(|p| layer.param(p).is_some());
                all.then_some(Kind::BatchNorm)
            }
            _ => None,
        }
    }
}
