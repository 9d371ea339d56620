//! From the tensors of a file, whatever their type and wherever their values lie, to constants.

use std::collections::HashMap;
use std::format;
use std::io;
use std::path::{Component, Path};
use std::string::String;
use std::vec::Vec;

use half::{bf16, f16};
use memmap2::Mmap;

use super::constant::{Constant, Data, MAX_RANK, Reason, elements};
use super::error::OnnxError;
use super::proto::{EXTERNAL, TensorProto, data_type};
use crate::import::{ImportError, map};

/// Files that hold values of tensors, next to the model.
pub(super) struct External<'a> {
    model: &'a Path,
    files: HashMap<String, Mmap>,
    /// Bytes of those files that no tensor took yet: tensors do not overlap, so a short file that
    /// is claimed again and again would be an attack on memory.
    left: usize,
}

/// The values of a tensor, from the file itself or from one next to it.
pub(super) fn read(tensor: TensorProto, external: &mut External<'_>) -> Result<Constant, OnnxError> {
    let name = tensor.name.clone();
    let bytes = if tensor.data_location == EXTERNAL { Some(external.bytes(&tensor)?) } else { None };
    constant(tensor, bytes).map_err(|reason| OnnxError::Tensor { tensor: name, reason })
}

/// The values of a tensor in an attribute.
pub(super) fn inline(tensor: TensorProto) -> Result<Constant, Reason> {
    if tensor.data_location == EXTERNAL {
        return Err("its values are in another file".into());
    }
    constant(tensor, None)
}

fn constant(tensor: TensorProto, external: Option<&[u8]>) -> Result<Constant, Reason> {
    let (name, kind) = (tensor.name.clone(), tensor.data_type);
    let dims: Option<Vec<usize>> = tensor.dims.iter().map(|&d| usize::try_from(d).ok()).collect();
    let count = dims.as_deref().and_then(elements);
    if tensor.dims.len() > MAX_RANK {
        return Err(format!("it has {} dimensions", tensor.dims.len()));
    }
    let (Some(dims), Some(count)) = (dims, count) else {
        return Err(format!("its extents {:?} are not valid", tensor.dims));
    };
    let no_type = || format!("data type {kind} (of TensorProto.DataType) is not supported");
    let data = match external {
        Some(bytes) => decode(bytes, kind),
        None if !tensor.raw_data.is_empty() => decode(&tensor.raw_data, kind),
        None => typed(tensor),
    };
    let data = data.ok_or_else(no_type)?;
    if data.len() != count {
        return Err(format!("it has {} values, its extents {dims:?} ask for {count}", data.len()));
    }
    Ok(Constant { name, dims, data })
}

/// Little-endian values. Bytes that do not fill a value are left out, so that the count is wrong.
fn decode(bytes: &[u8], kind: i32) -> Option<Data> {
    use data_type as t;
    Some(match kind {
        t::FLOAT => Data::F32(values(bytes, f32::from_le_bytes)),
        t::DOUBLE => Data::F32(values(bytes, |b| f64::from_le_bytes(b) as f32)),
        t::FLOAT16 => Data::F32(values(bytes, |b| f16::from_le_bytes(b).to_f32())),
        t::BFLOAT16 => Data::F32(values(bytes, |b| bf16::from_le_bytes(b).to_f32())),
        t::INT64 => Data::I64(values(bytes, i64::from_le_bytes)),
        t::UINT64 => Data::I64(values(bytes, |b| saturating(u64::from_le_bytes(b)))),
        t::INT32 => Data::I64(values(bytes, |b| i32::from_le_bytes(b).into())),
        t::UINT32 => Data::I64(values(bytes, |b| u32::from_le_bytes(b).into())),
        t::INT16 => Data::I64(values(bytes, |b| i16::from_le_bytes(b).into())),
        t::UINT16 => Data::I64(values(bytes, |b| u16::from_le_bytes(b).into())),
        t::INT8 => Data::I64(values(bytes, |b| i8::from_le_bytes(b).into())),
        t::UINT8 | t::BOOL => Data::I64(values(bytes, |[b]: [u8; 1]| b.into())),
        _ => return None,
    })
}

fn values<const N: usize, T>(bytes: &[u8], one: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.chunks_exact(N).filter_map(|chunk| chunk.try_into().ok()).map(one).collect()
}

fn saturating(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Values in the field of their type.
fn typed(tensor: TensorProto) -> Option<Data> {
    use data_type as t;
    // The low half of an i32 holds the bits of a 16-bit float.
    let bits =
        |values: Vec<i32>, to_f32: fn(u16) -> f32| values.into_iter().map(|v| to_f32(v as u16)).collect();
    Some(match tensor.data_type {
        t::FLOAT => Data::F32(tensor.float_data),
        t::DOUBLE => Data::F32(tensor.double_data.into_iter().map(|v| v as f32).collect()),
        t::FLOAT16 => Data::F32(bits(tensor.int32_data, |v| f16::from_bits(v).to_f32())),
        t::BFLOAT16 => Data::F32(bits(tensor.int32_data, |v| bf16::from_bits(v).to_f32())),
        t::INT64 => Data::I64(tensor.int64_data),
        t::UINT32 | t::UINT64 => Data::I64(tensor.uint64_data.into_iter().map(saturating).collect()),
        t::INT32 | t::INT16 | t::UINT16 | t::INT8 | t::UINT8 | t::BOOL => {
            Data::I64(tensor.int32_data.into_iter().map(i64::from).collect())
        }
        _ => return None,
    })
}

impl<'a> External<'a> {
    pub(super) fn beside(model: &'a Path) -> Self {
        Self { model, files: HashMap::new(), left: 0 }
    }

    /// Bytes of all files that were read.
    pub(super) fn len(&self) -> usize {
        self.files.values().map(|f| f.len()).sum()
    }

    /// The bytes of a tensor, from the entries `location`, `offset` and `length`.
    fn bytes(&mut self, tensor: &TensorProto) -> Result<&[u8], OnnxError> {
        let wrong = |reason: String| OnnxError::Tensor { tensor: tensor.name.clone(), reason };
        let entry = |key: &str| tensor.external_data.iter().find(|e| e.key == key).map(|e| e.value.as_str());
        let number = |key: &str| {
            let parse = |text: &str| text.trim().parse::<usize>();
            entry(key).map(parse).transpose().map_err(|_| wrong(format!("its {key} is not a number")))
        };
        let location =
            entry("location").ok_or_else(|| wrong("the file with its values is not named".into()))?;
        let inside = Path::new(location).components().all(|c| matches!(c, Component::Normal(_)));
        if !inside || location.is_empty() || location.chars().any(char::is_control) {
            return Err(wrong(format!("its file {location:?} is not in the model's directory")));
        }
        if !self.files.contains_key(location) {
            let path = self.model.with_file_name("").join(location);
            let file = map(&path).map_err(|error| OnnxError::ExternalFile {
                tensor: tensor.name.clone(),
                location: location.into(),
                source: match error {
                    ImportError::Read { source, .. } => source,
                    other => io::Error::other(other),
                },
            })?;
            self.left = self.left.saturating_add(file.len());
            self.files.insert(location.into(), file);
        }
        let file = self.files.get(location).map_or(&[][..], |f| f);
        let offset = number("offset")?.unwrap_or(0);
        let length = number("length")?.unwrap_or(file.len().saturating_sub(offset));
        let bytes = offset.checked_add(length).and_then(|end| file.get(offset..end)).ok_or_else(|| {
            wrong(format!("{length} bytes at {offset} are not in `{location}`, which has {}", file.len()))
        })?;
        self.left = self
            .left
            .checked_sub(length)
            .ok_or_else(|| wrong(format!("tensors claim more bytes than `{location}` has")))?;
        Ok(bytes)
    }
}
