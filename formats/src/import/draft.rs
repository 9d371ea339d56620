//! Drafts of graph descriptions for `tfc graph`.

use std::collections::BTreeSet;
use std::format;
use std::path::Path;
use std::string::String;
use std::vec::Vec;

use super::graph::{self, Comments, Graph};
use super::tensors::{Entry, Layer, Tensors, natural};
use super::{Format, ImportError, ImportOptions, format as file_format, load_bytes, map, safetensors};
use crate::op::{Activation, Conv2d, Dense, Op, Padding, Shape};

/// A description of the network in a file, as TOML. Where the architecture is known it is exact.
/// Otherwise it lists convolutions, dense layers and batch norms in natural order of their names,
/// with what the shapes leave open marked by comments that begin with `# ?`.
pub fn draft(path: &Path) -> Result<String, ImportError> {
    let bytes = map(path)?;
    match load_bytes(path, &bytes, &ImportOptions::default()) {
        Ok(network) if file_format(path, &bytes)? == Format::Onnx => {
            let head = "Tensors have the names of the ONNX model; give this file with --graph beside it.";
            let comments = Comments { head: Vec::from([head.into()]), ..Default::default() };
            Ok(Graph::from(&network).to_text(&comments))
        }
        Ok(network) => Ok(graph::to_toml(&network)),
        Err(ImportError::UnknownArchitecture { .. } | ImportError::Family { .. }) => {
            Ok(Draft::of(&safetensors::parse(path, &bytes)?.tensors))
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

/// What a layer's tensors look like.
#[derive(Clone, Copy, PartialEq, Eq)]
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
        in_order(&mut layers);
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
        let head = [
            "A draft: the file does not tell how its tensors are connected. The layers are in natural",
            "order of their names; answer what is marked `?`, then give this file with --graph.",
        ];
        let mut comments = Comments { head: head.map(String::from).to_vec(), ..Default::default() };
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

/// Natural order of names, but dense layers end a network, and `bn1` or `bn_a` follows the layer
/// whose name is otherwise the same.
fn in_order(layers: &mut [(Kind, Layer<'_, '_>)]) {
    let place = |layer: &Layer<'_, '_>| {
        ["bn", "conv", "fc", "_"].iter().fold(String::from(layer.name), |name, word| name.replace(word, ""))
    };
    let places = |wanted: fn(Kind) -> bool| -> BTreeSet<String> {
        layers.iter().filter(|(kind, _)| wanted(*kind)).map(|(_, layer)| place(layer)).collect()
    };
    let convs = places(|kind| matches!(kind, Kind::Conv(_)));
    let dense = places(|kind| matches!(kind, Kind::Dense(_)));
    let at_end = |kind: Kind, place: &str| match kind {
        Kind::Conv(_) => false,
        Kind::Dense(_) => true,
        Kind::BatchNorm => dense.contains(place) && !convs.contains(place),
    };
    layers.sort_by(|(a, x), (b, y)| {
        let (p, q) = (place(x), place(y));
        at_end(*a, &p)
            .cmp(&at_end(*b, &q))
            .then_with(|| natural(&p, &q))
            .then((*a == Kind::BatchNorm).cmp(&(*b == Kind::BatchNorm)))
    });
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::import::tests::file;
    use crate::import::{load, untrained};

    /// Drafts a file, then loads the file with its draft.
    fn drafted(shapes: &[(&str, &[usize])]) -> (String, Result<Vec<String>, ImportError>) {
        let dir = tempfile::tempdir().unwrap();
        let (model, graph) = (dir.path().join("m.safetensors"), dir.path().join("graph.toml"));
        fs::write(&model, file(shapes)).unwrap();
        let text = draft(&model).unwrap();
        fs::write(&graph, &text).unwrap();
        let network = load(&model, &ImportOptions { graph: Some(&graph), ..Default::default() });
        (text, network.map(|n| n.nodes.into_iter().map(|n| n.name).collect()))
    }

    #[test]
    fn known_architectures_are_exact() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.safetensors");
        let network = untrained("lenet5", &ImportOptions::default()).unwrap();
        crate::import::save(&network, &path).unwrap();
        assert_eq!(draft(&path).unwrap(), graph::to_toml(&network));
        let (text, _) = drafted(&[("a.weight", &[2, 3])]);
        assert!(!text.contains('?'), "{text}");
    }

    #[test]
    fn guesses_that_chain_load() {
        let (text, nodes) = drafted(&[
            ("bn1.weight", &[4]),
            ("bn1.bias", &[4]),
            ("bn1.running_mean", &[4]),
            ("bn1.running_var", &[4]),
            ("conv1.weight", &[4, 3, 3, 3]),
            ("conv2.weight", &[4, 1, 3, 3]),
            ("fc.weight", &[5, 4]),
            ("fc.bias", &[5]),
            ("layer10.conv.weight", &[4, 4, 1, 1]),
            ("position", &[7]),
        ]);
        let order = [
            "conv1",
            "bn1",
            "conv1.relu",
            "conv2",
            "conv2.relu",
            "layer10.conv",
            "layer10.conv.relu",
            "fc.pool",
            "fc",
        ];
        assert_eq!(nodes.unwrap(), order);
        assert!(text.contains("groups = 4"), "{text}");
        for question in [
            "# ? rows and columns",
            "# ? stride",
            "# ? the activation after conv1",
            "# ? not used: position [7]",
        ] {
            assert!(text.contains(question), "{question}: {text}");
        }
    }

    #[test]
    fn guesses_that_do_not_chain_say_so() {
        let (text, result) = drafted(&[
            ("conv1.weight", &[4, 1, 5, 5]),
            ("conv2.weight", &[6, 8, 5, 5]),
            ("fc1.weight", &[5, 96]),
            ("fc2.weight", &[5, 7]),
        ]);
        for question in [
            "# ? inputs: it reads 8 channels, not the 4 before it",
            "# ? it reads 6 planes of 16 values",
            "# ? inputs: it reads 7 values, not the 5 before it",
        ] {
            assert!(text.contains(question), "{question}: {text}");
        }
        assert!(matches!(result, Err(ImportError::Network { .. })));
    }

    #[test]
    fn what_a_family_cannot_take_is_drafted() {
        let (text, result) = drafted(&[("a.weight", &[3, 2]), ("b.weight", &[3, 5])]);
        assert!(text.contains("# ? inputs: it reads 5 values"), "{text}");
        assert!(matches!(result, Err(ImportError::Network { .. })));
    }

    #[test]
    fn dense_layers_have_batch_norms_too() {
        let norm =
            |name: &str| ["weight", "bias", "running_mean", "running_var"].map(|p| format!("{name}.{p}"));
        let names = [norm("bn1"), norm("bn2")].concat();
        let mut shapes: Vec<(&str, &[usize])> = names.iter().map(|n| (n.as_str(), &[3][..])).collect();
        shapes.extend([("fc1.weight", &[3, 4][..]), ("fc2.weight", &[3, 3][..])]);
        assert_eq!(drafted(&shapes).1.unwrap(), ["fc1", "bn1", "fc1.relu", "fc2", "bn2"]);
    }
}
