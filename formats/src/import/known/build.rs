//! Puts the graph of a family together: with the tensors of a file, whose sizes it takes, or
//! without, for the standard member.

use std::collections::BTreeSet;
use std::format;
use std::string::String;
use std::vec::Vec;

use crate::import::graph::Graph;
use crate::import::tensors::{Entry, Tensors};
use crate::network::ValueId;
use crate::op::{Activation, Conv2d, Dense, Op, Padding, Pool, Shape};
use crate::preprocess::{ChannelOrder, Resize};

/// A graph that grows at [`last`](Self::last). What adds a layer with tensors is `None` if the
/// file does not have them with the right rank and kernel; whether sizes chain is found out when
/// the graph takes its tensors.
pub(super) struct Builder<'t> {
    tensors: Option<&'t Tensors<'t>>,
    /// What all names begin with: "module." in files from PyTorch's `DataParallel`.
    prefix: &'static str,
    used: BTreeSet<&'t str>,
    graph: Graph,
    /// Of every value.
    shapes: Vec<Shape>,
    last: ValueId,
}

/// A convolution with the sizes of the standard member.
#[derive(Clone, Copy)]
pub(super) struct Conv {
    out: u32,
    kernel: [u16; 2],
    stride: u16,
    pad: Pad,
    groups: Groups,
    bias: bool,
}

#[derive(Clone, Copy)]
enum Pad {
    Each(u16),
    /// TensorFlow's SAME: outputs are inputs divided by the stride; an odd row goes to the end.
    Same,
}

#[derive(Clone, Copy)]
enum Groups {
    One,
    /// Two if the shapes say so.
    Two,
    Depthwise,
}

/// A convolution with bias, stride 1 and no padding.
pub(super) const fn conv(out: u32, kernel: u16) -> Conv {
    Conv { out, kernel: [kernel; 2], stride: 1, pad: Pad::Each(0), groups: Groups::One, bias: true }
}

/// A convolution of every channel on its own; it has as many outputs as inputs.
pub(super) const fn depthwise(kernel: u16) -> Conv {
    Conv { groups: Groups::Depthwise, ..conv(0, kernel) }
}

impl Conv {
    pub(super) const fn stride(self, stride: u16) -> Self {
        Self { stride, ..self }
    }

    /// Rows and columns of a kernel that is not square.
    pub(super) const fn kernel(self, kernel: [u16; 2]) -> Self {
        Self { kernel, ..self }
    }

    /// On all four sides.
    pub(super) const fn pad(self, pad: u16) -> Self {
        Self { pad: Pad::Each(pad), ..self }
    }

    /// TensorFlow's SAME padding.
    pub(super) const fn same(self) -> Self {
        Self { pad: Pad::Same, ..self }
    }

    /// Two groups where the weight's shape says so.
    pub(super) const fn paired(self) -> Self {
        Self { groups: Groups::Two, ..self }
    }

    /// The standard member has no bias.
    pub(super) const fn plain(self) -> Self {
        Self { bias: false, ..self }
    }
}

/// A window of `kernel x kernel` without padding.
pub(super) const fn window(kernel: u16, stride: u16) -> Pool {
    Pool {
        kernel: [kernel; 2],
        stride: [stride; 2],
        pad: Padding::same(0),
        ceil: false,
        count_include_pad: false,
    }
}

impl<'t> Builder<'t> {
    /// Begins at images of the standard shape, with as many channels as the convolution `first`
    /// reads, unless the input's shape is known.
    pub(super) fn new(
        tensors: Option<&'t Tensors<'t>>,
        input: Option<Shape>,
        first: &str,
        standard: [u32; 3],
    ) -> Self {
        let module = "module.";
        let wrapped = tensors.is_some_and(|t| t.iter().all(|e| e.name.starts_with(module)));
        let mut builder = Self {
            tensors,
            prefix: if wrapped { module } else { "" },
            used: BTreeSet::new(),
            graph: Graph::new(Shape::vector(1)),
            shapes: Vec::new(),
            last: 0,
        };
        let [c, h, w] = standard;
        let c = builder.shape_of(&format!("{first}.weight")).and_then(|s| s.get(1).copied()).unwrap_or(c);
        let input = input.unwrap_or(Shape { c, h, w });
        builder.graph.input = input;
        builder.shapes.push(input);
        builder
    }

    fn entry(&self, name: &str) -> Option<&'t Entry<'t>> {
        self.tensors?.get(&format!("{}{name}", self.prefix))
    }

    /// Shape of a file's tensor.
    pub(super) fn shape_of(&self, name: &str) -> Option<Vec<u32>> {
        self.entry(name)?.shape.iter().map(|&n| u32::try_from(n).ok()).collect()
    }

    /// Whether this is the standard member.
    pub(super) fn is_standard(&self) -> bool {
        self.tensors.is_none()
    }

    /// Whether the file has this tensor; the standard member has what `standard` says.
    pub(super) fn has(&self, name: &str, standard: bool) -> bool {
        if self.is_standard() { standard } else { self.entry(name).is_some() }
    }

    /// How many of the tensors `name(first)`, `name(first + 1)`, ... the file has.
    pub(super) fn count(&self, first: u32, standard: u32, name: impl Fn(u32) -> String) -> u32 {
        if self.is_standard() {
            return standard;
        }
        (first..).take_while(|&index| self.entry(&name(index)).is_some()).count() as u32
    }

    /// The numbers N, ascending, for which the file has a weight "STEM.N.weight" of this rank.
    pub(super) fn numbers(&self, stem: &str, rank: usize, standard: &[u32]) -> Vec<u32> {
        let Some(tensors) = self.tensors else { return standard.to_vec() };
        let number = |e: &Entry<'_>| {
            let name = e.name.strip_prefix(self.prefix)?.strip_prefix(stem)?.strip_prefix('.')?;
            name.strip_suffix(".weight")?.parse().ok().filter(|_| e.shape.len() == rank)
        };
        let mut numbers: Vec<u32> = tensors.iter().filter_map(number).collect();
        // "+1" is a number, too, but sorts like a word.
        numbers.sort_unstable();
        numbers
    }

    /// The value that the next layer reads.
    pub(super) fn last(&self) -> ValueId {
        self.last
    }

    /// Goes on from another value.
    pub(super) fn go_to(&mut self, value: ValueId) {
        self.last = value;
    }

    /// Shape of [`last`](Self::last).
    pub(super) fn shape(&self) -> Shape {
        self.shapes[self.last]
    }

    /// Shape of the network's input.
    pub(super) fn input(&self) -> Shape {
        self.graph.input
    }

    /// Appends a convolution with the tensors "NAME.weight" and perhaps "NAME.bias".
    pub(super) fn conv(&mut self, name: &str, conv: Conv) -> Option<()> {
        let x = self.shape();
        let weight = format!("{name}.weight");
        let standard_groups = match conv.groups {
            Groups::One => 1,
            Groups::Two => 2,
            Groups::Depthwise => x.c,
        };
        let (mut out, mut groups) = (conv.out, standard_groups);
        if let Groups::Depthwise = conv.groups {
            out = x.c;
        }
        if !self.is_standard() {
            let [o, per_group, rows, columns] = self.shape_of(&weight)?[..] else { return None };
            if [rows, columns] != conv.kernel.map(u32::from) {
                return None;
            }
            out = o;
            if matches!(conv.groups, Groups::Two) && per_group.checked_mul(2) != Some(x.c) {
                groups = 1;
            }
        }
        let (top, bottom) = conv.pads(0, x.h);
        let (left, right) = conv.pads(1, x.w);
        let op = Op::Conv2d(Conv2d {
            out_channels: out,
            kernel: conv.kernel,
            stride: [conv.stride; 2],
            dilation: [1; 2],
            pad: Padding { top, left, bottom, right },
            groups,
        });
        let bias = format!("{name}.bias");
        let params = if self.has(&bias, conv.bias) { Vec::from([weight, bias]) } else { Vec::from([weight]) };
        self.layer(name, op, params)
    }

    /// Appends a dense layer, after flattening what is no vector, with the tensors "NAME.weight" and perhaps "NAME.bias".
    pub(super) fn dense(&mut self, name: &str, standard: u32) -> Option<()> {
        let weight = format!("{name}.weight");
        let out_features = if self.is_standard() {
            standard
        } else {
            let [out, _] = self.shape_of(&weight)?[..] else { return None };
            out
        };
        if !self.shape().is_vector() {
            self.then("flatten", Op::Flatten);
        }
        let bias = format!("{name}.bias");
        let params = if self.has(&bias, true) { Vec::from([weight, bias]) } else { Vec::from([weight]) };
        self.layer(name, Op::Dense(Dense { out_features, transposed: false }), params)
    }

    /// Appends a batch norm with PyTorch's names.
    pub(super) fn batch_norm(&mut self, name: &str, eps: f32) -> Option<()> {
        // A counter that only training reads.
        if let Some(counter) = self.entry(&format!("{name}.num_batches_tracked")) {
            self.used.insert(&counter.name);
        }
        let params = ["weight", "bias", "running_mean", "running_var"].map(|p| format!("{name}.{p}"));
        self.layer(name, Op::BatchNorm { eps }, params.to_vec())
    }

    /// Appends an op without tensors.
    pub(super) fn then(&mut self, name: &str, op: Op) {
        self.join(name, op, &[self.last]);
    }

    /// Appends a ReLU.
    pub(super) fn relu(&mut self, name: &str) {
        self.then(name, Op::Activation(Activation::Relu));
    }

    /// Appends an op without tensors that reads several values.
    pub(super) fn join(&mut self, name: &str, op: Op, values: &[ValueId]) {
        self.node(name, op, values, Vec::new());
    }

    /// Appends the shortcut without weights of He et al. 2015 (option A): a stride of 2, and the
    /// channels in the middle of `out` ones.
    pub(super) fn select(&mut self, name: &str, out: u32, stride: u16) {
        let offset = out.saturating_sub(self.shape().c) / 2;
        let op = Op::Conv2d(Conv2d {
            out_channels: out,
            kernel: [1; 2],
            stride: [stride; 2],
            dilation: [1; 2],
            pad: Padding::default(),
            groups: 1,
        });
        self.node(name, op, &[self.last], Vec::from([format!("{name}.weight")]));
        if let Some(node) = self.graph.nodes.last_mut() {
            node.select = Some(offset);
        }
    }

    /// States how samples become inputs, if there is a mean for every channel.
    pub(super) fn preprocess(&mut self, scale: f32, mean: &[f32], std: &[f32], order: ChannelOrder) {
        if mean.len() > 1 && mean.len() as u32 != self.graph.input.c {
            return;
        }
        let preprocess = &mut self.graph.preprocess;
        preprocess.scale = scale;
        preprocess.mean = mean.iter().copied().collect();
        preprocess.std = std.iter().copied().collect();
        preprocess.order = order;
    }

    /// Images as torchvision evaluates networks of ImageNet.
    pub(super) fn imagenet(&mut self) {
        self.imagenet_colours();
        self.resize(256);
    }

    /// Bytes / 255, normalised by the colours of ImageNet as torchvision does.
    pub(super) fn imagenet_colours(&mut self) {
        let (mean, std) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
        self.preprocess(1.0 / 255.0, &mean, &std, ChannelOrder::Rgb);
    }

    /// Bytes in the order blue, green, red minus the mean colour of ImageNet, as Caffe does.
    pub(super) fn imagenet_caffe(&mut self) {
        self.preprocess(1.0, &[104.0, 117.0, 123.0], &[], ChannelOrder::Bgr);
        self.resize(256);
    }

    /// Makes the shorter side of images so long, of which the centre is taken, if the input is at most
    /// that and more than half of it: a smaller one was trained on other images.
    pub(super) fn resize(&mut self, shorter: u16) {
        let input = self.graph.input;
        let side = u32::from(shorter);
        if input.h.max(input.w) <= side && 2 * input.h.min(input.w) > side {
            self.graph.preprocess.resize = Resize::Shorter(shorter);
        }
    }

    /// Counts a tensor that is no parameter as used.
    pub(super) fn take(&mut self, name: &str) {
        if let Some(entry) = self.entry(name) {
            self.used.insert(&entry.name);
        }
    }

    /// The graph; `None` if the file has more tensors than it uses.
    pub(super) fn finish(self) -> Option<Graph> {
        let all = self.tensors.is_none_or(|t| t.iter().count() == self.used.len());
        all.then_some(self.graph)
    }

    /// Appends a node with tensors that the file must have.
    fn layer(&mut self, name: &str, op: Op, params: Vec<String>) -> Option<()> {
        let mut names = params;
        if !self.is_standard() {
            for param in &mut names {
                let entry = self.entry(param)?;
                let vector = !matches!(op, Op::Conv2d(_) | Op::Dense(_)) || param.ends_with(".bias");
                if vector && entry.shape.len() != 1 {
                    return None;
                }
                self.used.insert(&entry.name);
                param.clone_from(&entry.name);
            }
        }
        self.node(name, op, &[self.last], names);
        Some(())
    }

    fn node(&mut self, name: &str, op: Op, inputs: &[ValueId], params: Vec<String>) {
        self.graph.push(name, op, params);
        let shapes: Vec<Shape> = inputs.iter().map(|&value| self.shapes[value]).collect();
        if let Some(node) = self.graph.nodes.last_mut() {
            node.inputs = inputs.to_vec();
        }
        // What does not fit is reported when the network is checked.
        self.shapes.push(op.output_shape(&shapes).unwrap_or(self.shapes[self.last]));
        self.last = self.graph.output;
    }
}

impl Conv {
    /// Zeros before and after an axis (rows or columns) of `n`.
    fn pads(&self, axis: usize, n: u32) -> (u16, u16) {
        match self.pad {
            Pad::Each(pad) => (pad, pad),
            Pad::Same => {
                let (kernel, stride) = (u32::from(self.kernel[axis]), u32::from(self.stride));
                let covered =
                    n.div_ceil(stride).saturating_sub(1).saturating_mul(stride).saturating_add(kernel);
                // Less than the kernel, which has 16 bits.
                let total = covered.saturating_sub(n) as u16;
                (total / 2, total - total / 2)
            }
        }
    }
}
