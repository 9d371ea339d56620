//! A training run on disk, to be continued to the same bytes.
//!
//! The file is `TFCK`, a version (u32), the CRC-32 of the rest (u32), all little-endian, and then a
//! [`Checkpoint`] in postcard.

use std::fs;
use std::path::Path;

use crc::{CRC_32_ISO_HDLC, CRC_64_XZ, Crc, Table};
use serde::{Deserialize, Serialize};
use tfc_formats::artifact::{FileError, write_file};
use tfc_formats::dataset::Samples;
use tfc_formats::network::Network;

use super::stats::Sums;
use super::{Data, EpochStats, TrainError, TrainOptions};
use crate::prune::Masks;

const MAGIC: [u8; 4] = *b"TFCK";
const VERSION: u32 = 1;
const HEADER: usize = 12;

/// Everything that a run needs to go on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    pub(super) inputs: Fingerprint,
    /// Epoch to continue in, from 0, and steps of it that are done.
    pub(super) epoch: usize,
    pub(super) step: usize,
    /// Whether the masks changed at its start.
    pub(super) pruned: bool,
    /// Seconds spent in that epoch.
    pub(super) seconds: f64,
    pub(super) sums: Sums,
    /// The device's own sums.
    pub(super) stats: [f32; 2],
    /// By tensor.
    pub(super) weights: Vec<Vec<f32>>,
    pub(super) masks: Masks,
    /// By parameter, by state buffer.
    pub(super) states: Vec<Vec<Vec<f32>>>,
    pub(super) best: Option<Best>,
    pub(super) epochs: Vec<EpochStats>,
}

/// The best epoch since the masks last changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Best {
    /// Position in the history.
    pub(super) epoch: usize,
    /// By tensor.
    pub(super) weights: Vec<Vec<f32>>,
}

/// Hashes of what a run was started with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fingerprint {
    options: u64,
    network: u64,
    weights: u64,
    masks: u64,
    train: u64,
    validation: u64,
    teacher: u64,
}

impl Fingerprint {
    pub(super) fn new(network: &Network, masks: &Masks, data: &Data<'_>, options: &TrainOptions) -> Self {
        Self {
            options: structure(options),
            network: graph(network),
            weights: weights(network),
            masks: structure(masks),
            train: samples(data.train),
            validation: samples(data.validation),
            teacher: data.teacher.map_or(0, |t| graph(t) ^ weights(t).rotate_left(1)),
        }
    }

    /// What differs, or `None`.
    fn difference(&self, other: &Self) -> Option<String> {
        let parts = [
            ("options", self.options == other.options),
            ("network", self.network == other.network),
            ("initial weights", self.weights == other.weights),
            ("masks", self.masks == other.masks),
            ("training data", self.train == other.train),
            ("validation data", self.validation == other.validation),
            ("teacher", self.teacher == other.teacher),
        ];
        let different: Vec<_> = parts.iter().filter(|(_, same)| !same).map(|(what, _)| *what).collect();
        (!different.is_empty()).then(|| different.join(", "))
    }
}

static CRC64: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_XZ);
static CRC32: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISO_HDLC);

/// Hash of anything that can be serialized, by its postcard bytes.
fn structure(value: &impl Serialize) -> u64 {
    // Serializing plain data into a growing vector cannot fail.
    postcard::to_stdvec(value).map_or(0, |bytes| CRC64.checksum(&bytes))
}

fn graph(network: &Network) -> u64 {
    let nodes: Vec<_> = network.nodes.iter().map(|n| (n.op, &n.inputs, &n.params)).collect();
    let shapes: Vec<_> = network.tensors.iter().map(|t| &t.shape).collect();
    structure(&(network.input, &network.preprocess, nodes, shapes, network.output))
}

fn weights(network: &Network) -> u64 {
    let mut digest = CRC64.digest();
    network.tensors.iter().for_each(|t| digest.update(bytemuck::cast_slice(&t.data)));
    digest.finalize()
}

fn samples(samples: &Samples) -> u64 {
    let mut digest = CRC64.digest();
    digest.update(bytemuck::bytes_of(&structure(&(samples.shape, samples.classes))));
    digest.update(&samples.data);
    digest.update(bytemuck::cast_slice(&samples.labels));
    digest.finalize()
}

/// A file of this content.
pub(super) fn with_header(body: &[u8]) -> Vec<u8> {
    [&MAGIC, &VERSION.to_le_bytes(), &CRC32.checksum(body).to_le_bytes(), body].concat()
}

impl Checkpoint {
    /// Replaces the file at once or not at all.
    pub(super) fn write(&self, path: &Path) -> Result<(), TrainError> {
        let failed = |reason: String| TrainError::Checkpoint { path: path.to_owned(), reason };
        let body = postcard::to_stdvec(self).map_err(|e| failed(e.to_string()))?;
        write_file(path, &with_header(&body)).map_err(|e| match e {
            FileError::Io { error, .. } => failed(format!("cannot be written: {error}")),
            other => failed(other.to_string()),
        })
    }

    /// Reads the checkpoint of a run that was started with these inputs.
    pub(super) fn read(path: &Path, inputs: &Fingerprint) -> Result<Self, TrainError> {
        let failed = |reason: String| TrainError::Checkpoint { path: path.to_owned(), reason };
        let bytes = fs::read(path)
            .map_err(|e| failed(format!("cannot be read: {e}; start again without --resume")))?;
        let checkpoint =
            Self::parse(&bytes).map_err(|r| failed(format!("{r}; start again without --resume")))?;
        match checkpoint.inputs.difference(inputs) {
            Some(what) => Err(failed(format!(
                "it was written by a run with other inputs: {what}; repeat that run's arguments, or start again without --resume"
            ))),
            None => Ok(checkpoint),
        }
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        let (header, body) = bytes.split_at_checked(HEADER).ok_or("it is too short for a checkpoint")?;
        if header[..4] != MAGIC {
            return Err("it is not a checkpoint");
        }
        if header[4..8] != VERSION.to_le_bytes() {
            return Err("it was written by another version");
        }
        if header[8..] != CRC32.checksum(body).to_le_bytes() {
            return Err("it is damaged (its checksum is wrong)");
        }
        // Vectors grow as their elements are read, so a length that lies costs no memory.
        match postcard::take_from_bytes(body) {
            Ok((checkpoint, [])) => Ok(checkpoint),
            _ => Err("its content is not a checkpoint's"),
        }
    }
}
