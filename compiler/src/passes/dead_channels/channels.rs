//! Sets of channels that can only be removed together.

use tfc_formats::network::{Network, ValueId};
use tfc_formats::op::{Op, Shape};

/// The channels of all values in a union-find forest; a set is known by its root.
pub(super) struct Channels {
    /// Index of the first channel of each value, and the number of all.
    first: Vec<usize>,
    parent: Vec<usize>,
}

impl Channels {
    pub(super) fn of(network: &Network, shapes: &[Shape]) -> Self {
        let mut first = vec![0];
        first.extend(shapes.iter().scan(0, |end, shape| {
            *end += shape.c as usize;
            Some(*end)
        }));
        let mut channels = Self { parent: (0..first[shapes.len()]).collect(), first };
        for (index, node) in network.nodes.iter().enumerate() {
            channels.unite_through(node.op, &node.inputs, index + 1, shapes);
        }
        // From now on every channel knows its root.
        for channel in 0..channels.parent.len() {
            channels.parent[channel] = channels.root(channel);
        }
        channels
    }

    fn unite_through(&mut self, op: Op, inputs: &[ValueId], output: ValueId, shapes: &[Shape]) {
        let x = shapes[inputs[0]];
        let (c, out) = (x.c as usize, shapes[output].c as usize);
        match op {
            // A group goes as a whole; each of a depthwise convolution has one channel.
            Op::Conv2d(conv) if conv.groups > 1 => {
                let (inside, outside) = (c / conv.groups as usize, out / conv.groups as usize);
                for group in 0..conv.groups as usize {
                    let first = (output, group * outside);
                    (0..inside).for_each(|i| self.unite((inputs[0], group * inside + i), first));
                    (1..outside).for_each(|o| self.unite((output, group * outside + o), first));
                }
            }
            Op::Conv2d(_) | Op::Dense(_) | Op::Lrn { .. } | Op::Softmax => {}
            Op::Concat => {
                let mut at = 0;
                for &input in inputs {
                    let c = shapes[input].c as usize;
                    (0..c).for_each(|i| self.unite((input, i), (output, at + i)));
                    at += c;
                }
            }
            Op::Maxout { pieces } => {
                (0..c).for_each(|i| self.unite((inputs[0], i), (output, i / usize::from(pieces))));
            }
            Op::Flatten => {
                let plane = x.h as usize * x.w as usize;
                (0..out).for_each(|o| self.unite((inputs[0], o / plane), (output, o)));
            }
            Op::Add
            | Op::MaxPool(_)
            | Op::AvgPool(_)
            | Op::GlobalAvgPool
            | Op::BatchNorm { .. }
            | Op::Activation(_)
            | Op::Dropout { .. } => {
                for &input in inputs {
                    (0..c).for_each(|i| self.unite((input, i), (output, i)));
                }
            }
        }
    }

    fn root(&self, mut channel: usize) -> usize {
        while self.parent[channel] != channel {
            channel = self.parent[channel];
        }
        channel
    }

    /// The earlier root becomes that of both.
    fn unite(&mut self, a: (ValueId, usize), b: (ValueId, usize)) {
        let [a, b] = [a, b].map(|(value, channel)| self.root(self.first[value] + channel));
        self.parent[a.max(b)] = a.min(b);
    }

    /// Number of channels, which sets are below.
    pub(super) fn len(&self) -> usize {
        self.parent.len()
    }

    /// Set of a channel.
    pub(super) fn set(&self, value: ValueId, channel: usize) -> usize {
        self.parent[self.first[value] + channel]
    }

    /// Sets of all channels of a value in order.
    pub(super) fn sets(&self, value: ValueId) -> impl Iterator<Item = usize> + '_ {
        self.parent[self.first[value]..self.first[value + 1]].iter().copied()
    }
}
