//! Folders to work in, networks and files to put there, and the command line run in them.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;

use serde_json::{Value, json};
use tempfile::TempDir;
use tfc::device::cpu::Cpu;
use tfc::prune::Masks;
use tfc::train::{Augment, BatchNorm, Control, Data, Optimizer, Schedule, TrainOptions, train};
use tfc_formats::dataset;
use tfc_formats::import;
use tfc_formats::network::{Network, Node, Tensor, TensorId, ValueId};
use tfc_formats::op::{Activation, Conv2d, Dense, Op, Padding, Pool, Shape};
use tfc_formats::preprocess::Preprocess;

/// A small data set of 28 x 28 digits.
pub(crate) const DIGITS: &str = "builtin:digits?train=400&test=150";

/// A temporary folder, which commands run in.
pub(crate) struct Folder(TempDir);

/// What a command did.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), bytes).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    pub(crate) fn save(&self, name: &str, network: &Network) {
        import::save(network, &self.path(name)).unwrap();
    }

    /// Names of what is in the folder itself, hidden files included.
    pub(crate) fn names(&self) -> Vec<String> {
        let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        let mut names: Vec<String> = fs::read_dir(self.0.path()).unwrap().map(name).collect();
        names.sort();
        names
    }

    /// A command with these arguments, separated by spaces, to be run in the folder.
    pub(crate) fn command(&self, args: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tfc-under-test"));
        command.current_dir(self.0.path()).args(args.split_whitespace());
        command
    }

    pub(crate) fn tfc(&self, args: &str) -> Outcome {
        self.command(args).output().unwrap().into()
    }

    /// Runs a command that is to succeed.
    pub(crate) fn done(&self, args: &str) -> Outcome {
        let outcome = self.tfc(args);
        assert_eq!(outcome.status, Some(0), "{args}: {outcome:?}");
        outcome
    }

    /// What a command that is to succeed prints as JSON.
    pub(crate) fn json(&self, args: &str) -> Value {
        serde_json::from_str(&self.done(&format!("{args} --format json")).stdout).unwrap()
    }
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

/// Pseudo-random numbers (SplitMix64, Steele et al. 2014).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0 to below 1.
    pub(crate) fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 24) as f32
    }

    /// Values from -1 to below 1.
    pub(crate) fn values(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| 2.0 * self.unit() - 1.0).collect()
    }
}

/// A network under construction.
pub(crate) struct Sketch {
    pub(crate) network: Network,
    pub(crate) random: Random,
}

impl Sketch {
    pub(crate) fn new(input: Shape, seed: u64) -> Self {
        let network = Network {
            name: "sketch".into(),
            input,
            preprocess: Preprocess::default(),
            nodes: Vec::new(),
            tensors: Vec::new(),
            output: 0,
        };
        Self { network, random: Random(seed) }
    }

    pub(crate) fn tensor(&mut self, shape: &[usize], data: Vec<f32>) -> TensorId {
        let name = format!("t{}", self.network.tensors.len());
        self.network.tensors.push(Tensor { name, shape: shape.into(), data });
        self.network.tensors.len() - 1
    }

    /// Adds a node, which becomes the output.
    pub(crate) fn node(&mut self, op: Op, inputs: &[ValueId], params: Vec<TensorId>) -> ValueId {
        let name = format!("{}{}", op.name(), self.network.nodes.len());
        self.network.nodes.push(Node { name, op, inputs: inputs.into(), params });
        self.network.output = self.network.nodes.len();
        self.network.output
    }

    /// Adds a convolution or dense node with a weight and a bias that keep magnitudes.
    pub(crate) fn weighted(&mut self, op: Op, input: ValueId) -> ValueId {
        let x = self.network.shapes().unwrap()[input];
        let (rows, cols) = op.weight_shape(x).unwrap();
        let (rows, cols) = (rows as usize, cols as usize);
        let (shape, outputs, fan_in) = match op {
            Op::Conv2d(conv) => {
                let [kh, kw] = conv.kernel.map(usize::from);
                (vec![rows, cols / (kh * kw), kh, kw], rows, cols)
            }
            Op::Dense(dense) if dense.transposed => (vec![rows, cols], cols, rows),
            _ => (vec![rows, cols], rows, cols),
        };
        let bound = (3.0 / fan_in as f32).sqrt();
        let data = self.random.values(rows * cols).into_iter().map(|v| bound * v).collect();
        let weight = self.tensor(&shape, data);
        let bias = self.random.values(outputs);
        let bias = self.tensor(&[outputs], bias);
        self.node(op, &[input], vec![weight, bias])
    }

    pub(crate) fn dense(&mut self, input: ValueId, out_features: u32) -> ValueId {
        self.weighted(Op::Dense(Dense { out_features, transposed: false }), input)
    }

    pub(crate) fn relu(&mut self, input: ValueId) -> ValueId {
        self.node(Op::Activation(Activation::Relu), &[input], Vec::new())
    }

    pub(crate) fn finish(self) -> Network {
        self.network.check().unwrap();
        self.network
    }
}

/// A perceptron of random weights for digits.
pub(crate) fn perceptron(hidden: &[u32]) -> Network {
    let mut sketch = Sketch::new(Shape::vector(784), 1);
    let mut value = 0;
    for &units in hidden {
        value = sketch.dense(value, units);
        value = sketch.relu(value);
    }
    sketch.dense(value, 10);
    sketch.finish()
}

/// A small convolutional network of random weights for digits.
pub(crate) fn convolutional() -> Network {
    let mut sketch = Sketch::new(Shape::new(1, 28, 28), 2);
    let value = sketch.weighted(
        Op::Conv2d(Conv2d {
            out_channels: 4,
            kernel: [5, 5],
            stride: [2, 2],
            dilation: [1, 1],
            pad: Padding::same(2),
            groups: 1,
        }),
        0,
    );
    let value = sketch.relu(value);
    let pool = Pool {
        kernel: [2, 2],
        stride: [2, 2],
        pad: Padding::default(),
        ceil: false,
        count_include_pad: false,
    };
    let value = sketch.node(Op::MaxPool(pool), &[value], Vec::new());
    let value = sketch.node(Op::Flatten, &[value], Vec::new());
    let value = sketch.dense(value, 24);
    let value = sketch.relu(value);
    sketch.dense(value, 10);
    sketch.finish()
}

/// A network that was trained for some seconds, made once for all tests.
pub(crate) fn trained() -> &'static Network {
    static TRAINED: OnceLock<Network> = OnceLock::new();
    TRAINED.get_or_init(|| {
        let data = dataset::load(DIGITS).unwrap();
        let options = TrainOptions {
            epochs: 6,
            batch: 16,
            optimizer: Optimizer::Adam,
            rate: 0.003,
            decay: 0.0,
            schedule: Schedule::Cosine,
            batch_norm: BatchNorm::Updated,
            augment: Augment::default(),
            seed: 1,
            distill: None,
        };
        let stop = AtomicBool::new(false);
        let mut control = Control { progress: &mut |_| {}, stop: &stop, checkpoint: None, resume: false };
        let mut network = convolutional();
        let masks = Masks::keep_all(&network);
        let samples = Data { train: &data.train, validation: &data.test, teacher: None };
        train(&Cpu, &mut network, masks, samples, &options, &mut |_, _| Ok(None), &mut control).unwrap();
        network
    })
}

/// A safetensors file of these tensors, without a graph.
pub(crate) fn safetensors(tensors: &[(&str, &[usize], &[f32])]) -> Vec<u8> {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, shape, values) in tensors {
        let start = data.len();
        data.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        let entry = json!({ "dtype": "F32", "shape": shape, "data_offsets": [start, data.len()] });
        header.insert((*name).to_owned(), entry);
    }
    let header = Value::Object(header).to_string();
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat()
}

/// An IDX file of bytes.
pub(crate) fn idx(dims: &[u32], data: &[u8]) -> Vec<u8> {
    let dims: Vec<u8> = dims.iter().flat_map(|d| d.to_be_bytes()).collect();
    [&[0, 0, 8, (dims.len() / 4) as u8], dims.as_slice(), data].concat()
}

/// Writes a data set of black images of `side x side`.
pub(crate) fn idx_folder(folder: &Folder, name: &str, side: u32, train: &[u8], test: &[u8]) {
    for (split, labels) in [("train", train), ("t10k", test)] {
        let n = labels.len() as u32;
        let images = idx(&[n, side, side], &vec![0; (n * side * side) as usize]);
        folder.write(&format!("{name}/{split}-images-idx3-ubyte"), &images);
        folder.write(&format!("{name}/{split}-labels-idx1-ubyte"), &idx(&[n], labels));
    }
}
