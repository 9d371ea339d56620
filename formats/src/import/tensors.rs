//! Named tensors of a file as they lie there, converted to f32 when they are taken.

use std::boxed::Box;
use std::cmp::Ordering;
use std::string::{String, ToString};
use std::vec::Vec;

use ::safetensors::Dtype;
use half::{bf16, f16};
use thiserror::Error;

use super::csr::{self, Csr};
use crate::network::Tensor;

/// Tensors of one file in natural order of their names (`fc2` before `fc10`).
#[derive(Debug, Default)]
pub struct Tensors<'a> {
    entries: Vec<Entry<'a>>,
}

/// One tensor of a file.
#[derive(Debug)]
pub struct Entry<'a> {
    /// Name, unique in the file.
    pub name: String,
    /// Extents.
    pub shape: Vec<usize>,
    pub(super) data: Data<'a>,
}

#[derive(Debug)]
pub(super) enum Data<'a> {
    F32(&'a [f32]),
    Bytes(Dtype, &'a [u8]),
    Csr(Box<Csr<'a>>),
}

/// Tensors whose names are alike up to the last dot: the parameters of one layer.
#[derive(Debug)]
pub struct Layer<'t, 'a> {
    /// The names up to the last dot; empty for names without one.
    pub name: &'t str,
    /// The tensors, by natural order of name.
    pub params: Vec<&'t Entry<'a>>,
}

/// A tensor of a data type that is not supported.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("tensor `{tensor}` has data type {dtype}; only F32, F16, BF16 and F64 are supported")]
pub struct DtypeError {
    /// Tensor's name.
    pub tensor: String,
    /// Its data type.
    pub dtype: String,
}

impl<'a> Tensors<'a> {
    /// Little-endian tensors of a file; each holds as many bytes as shape and type say. An error
    /// is one line about a sparse tensor that is none.
    pub(super) fn from_bytes(
        tensors: impl Iterator<Item = (String, Vec<usize>, Dtype, &'a [u8])>,
    ) -> Result<Self, String> {
        let entry = |(name, shape, dtype, bytes)| Entry { name, shape, data: Data::Bytes(dtype, bytes) };
        Ok(Self::sorted(csr::gather(tensors.map(entry).collect())?))
    }

    fn sorted(mut entries: Vec<Entry<'a>>) -> Self {
        entries.sort_by(|a, b| natural(&a.name, &b.name));
        Self { entries }
    }

    /// The tensor with this name.
    pub fn get(&self, name: &str) -> Option<&Entry<'a>> {
        let at = self.entries.binary_search_by(|e| natural(&e.name, name)).ok()?;
        self.entries.get(at)
    }

    /// All tensors in natural order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Entry<'a>> {
        self.entries.iter()
    }

    /// Tensors grouped by the layer that they belong to, in natural order.
    pub fn layers(&self) -> Vec<Layer<'_, 'a>> {
        let mut entries: Vec<(&str, &Entry<'a>)> = self.entries.iter().map(|e| (e.layer(), e)).collect();
        entries.sort_by(|a, b| natural(a.0, b.0).then_with(|| natural(&a.1.name, &b.1.name)));
        let mut layers: Vec<Layer<'_, 'a>> = Vec::new();
        for (name, entry) in entries {
            match layers.last_mut() {
                Some(layer) if layer.name == name => layer.params.push(entry),
                _ => layers.push(Layer { name, params: std::vec![entry] }),
            }
        }
        layers
    }
}

impl<'a> From<&'a [Tensor]> for Tensors<'a> {
    fn from(tensors: &'a [Tensor]) -> Self {
        let entry =
            |t: &'a Tensor| Entry { name: t.name.clone(), shape: t.shape.clone(), data: Data::F32(&t.data) };
        Self::sorted(tensors.iter().map(entry).collect())
    }
}

impl<'a> Entry<'a> {
    /// Name up to the last dot.
    fn layer(&self) -> &str {
        self.name.rsplit_once('.').map_or("", |(layer, _)| layer)
    }

    /// The values as f32. F64 is rounded; what is too large becomes infinite.
    pub fn to_tensor(&self) -> Result<Tensor, DtypeError> {
        let data = match &self.data {
            Data::F32(values) => values.to_vec(),
            Data::Csr(csr) => csr.expand(&csr.values().to_tensor()?.data),
            Data::Bytes(Dtype::F32, bytes) => convert(bytes, f32::from_le_bytes),
            Data::Bytes(Dtype::F16, bytes) => convert(bytes, |b| f16::from_le_bytes(b).to_f32()),
            Data::Bytes(Dtype::BF16, bytes) => convert(bytes, |b| bf16::from_le_bytes(b).to_f32()),
            Data::Bytes(Dtype::F64, bytes) => convert(bytes, |b| f64::from_le_bytes(b) as f32),
            Data::Bytes(dtype, _) => {
                return Err(DtypeError { tensor: self.name.clone(), dtype: dtype.to_string() });
            }
        };
        Ok(Tensor { name: self.name.clone(), shape: self.shape.clone(), data })
    }
}

impl<'t, 'a> Layer<'t, 'a> {
    /// The parameter whose name ends in `.suffix`.
    pub fn param(&self, suffix: &str) -> Option<&'t Entry<'a>> {
        self.params.iter().copied().find(|e| e.name.rsplit_once('.').is_some_and(|(_, s)| s == suffix))
    }
}

fn convert<const N: usize>(bytes: &[u8], one: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes.chunks_exact(N).filter_map(|chunk| chunk.try_into().ok()).map(one).collect()
}

/// Order in which runs of digits count as numbers.
pub(super) fn natural(a: &str, b: &str) -> Ordering {
    tokens(a).cmp(tokens(b)).then_with(|| a.cmp(b))
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Token<'a> {
    /// Length and digits, without leading zeros.
    Number(usize, &'a str),
    Char(char),
}

fn tokens(text: &str) -> impl Iterator<Item = Token<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            rest = &rest[first.len_utf8()..];
            return Some(Token::Char(first));
        }
        let (number, tail) = rest.split_at(digits);
        rest = tail;
        let number = number.trim_start_matches('0');
        Some(Token::Number(number.len(), number))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensors<'a>(names: &[&str]) -> Tensors<'a> {
        Tensors::from_bytes(names.iter().map(|n| (n.to_string(), std::vec![0], Dtype::F32, &[][..]))).unwrap()
    }

    #[test]
    fn names_are_in_natural_order_and_found() {
        let names = ["fc10.weight", "fc2.weight", "fc1.bias", "fc02.weight", "fc", "é9", "é10"];
        let t = tensors(&names);
        let order: Vec<_> = t.iter().map(|e| e.name.as_str()).collect();
        assert_eq!(order, ["fc", "fc1.bias", "fc02.weight", "fc2.weight", "fc10.weight", "é9", "é10"]);
        for name in names {
            assert_eq!(t.get(name).unwrap().name, name);
        }
        assert!(t.get("fc3.weight").is_none());
    }

    #[test]
    fn layers_stay_together() {
        let t = tensors(&["a.weight", "a.bias", "a.b.weight", "a2.weight", "a10.weight", "scale"]);
        let layers: Vec<_> = t.layers().iter().map(|l| (l.name, l.params.len())).collect();
        assert_eq!(layers, [("", 1), ("a", 2), ("a2", 1), ("a10", 1), ("a.b", 1)]);
        assert_eq!(t.layers()[1].param("bias").unwrap().name, "a.bias");
        assert!(t.layers()[1].param("scale").is_none());
    }

    #[test]
    fn data_types_convert() {
        let values = [1.5f32, -0.25, 0.0, 1024.0];
        let f16s: Vec<u8> = values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect();
        let bf16s: Vec<u8> = values.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect();
        let f32s: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let f64s: Vec<u8> = values.iter().flat_map(|v| f64::from(*v).to_le_bytes()).collect();
        let files = [(Dtype::F16, &f16s), (Dtype::BF16, &bf16s), (Dtype::F32, &f32s), (Dtype::F64, &f64s)];
        for (dtype, bytes) in files {
            let one = [(String::from("t"), std::vec![4], dtype, &bytes[..])];
            let t = Tensors::from_bytes(one.into_iter()).unwrap();
            assert_eq!(t.get("t").unwrap().to_tensor().unwrap().data, values, "{dtype}");
        }
        let ints =
            Tensors::from_bytes([(String::from("n"), std::vec![1], Dtype::I64, &[0u8; 8][..])].into_iter())
                .unwrap();
        let error = ints.get("n").unwrap().to_tensor().unwrap_err();
        assert_eq!(error, DtypeError { tensor: "n".into(), dtype: "I64".into() });
    }
}
