//! Sparse tensors of a file that has no type for them: `NAME.values`, `NAME.indices` (columns),
//! `NAME.indptr` and `NAME.shape` are the CSR matrix `[shape[0], product of the rest]` of a tensor
//! that the rest of the importer sees as `NAME.weight`.

use std::boxed::Box;
use std::collections::BTreeMap;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use ::safetensors::Dtype;

use super::tensors::{Data, Entry};

const PARTS: [&str; 4] = ["values", "indices", "indptr", "shape"];

/// Most elements a stored value or row may stand for, so that a small file cannot ask for much
/// memory. Pruned layers have one value in ten to one in a hundred.
const MAX_EXPANSION: usize = 1024;

/// A matrix whose structure was checked.
#[derive(Debug)]
pub(super) struct Csr<'a> {
    values: Entry<'a>,
    /// Columns, row by row.
    indices: Vec<usize>,
    /// Where each row begins, and where the last one ends.
    indptr: Vec<usize>,
    columns: usize,
}

/// Replaces the parts of each sparse tensor by the tensor. An error is one line that names it.
pub(super) fn gather(entries: Vec<Entry<'_>>) -> Result<Vec<Entry<'_>>, String> {
    let mut rest: BTreeMap<String, Entry<'_>> = entries.into_iter().map(|e| (e.name.clone(), e)).collect();
    let names: Vec<String> =
        rest.keys().filter_map(|name| name.strip_suffix(".indptr")).map(ToString::to_string).collect();
    for layer in names {
        let name = format!("{layer}.weight");
        if PARTS.iter().any(|part| !rest.contains_key(&format!("{layer}.{part}"))) || rest.contains_key(&name)
        {
            continue;
        }
        let [Some(values), Some(indices), Some(indptr), Some(shape)] =
            PARTS.map(|part| rest.remove(&format!("{layer}.{part}")))
        else {
            continue;
        };
        let shape = integers(&shape)?;
        let csr = Csr::new(&shape, values, integers(&indices)?, integers(&indptr)?)
            .map_err(|reason| format!("sparse tensor `{layer}` {reason}"))?;
        rest.insert(name.clone(), Entry { name, shape, data: Data::Csr(Box::new(csr)) });
    }
    Ok(rest.into_values().collect())
}

impl<'a> Csr<'a> {
    fn new(
        shape: &[usize],
        values: Entry<'a>,
        indices: Vec<usize>,
        indptr: Vec<usize>,
    ) -> Result<Self, &'static str> {
        let [rows, rest @ ..] = shape else { return Err("has no extents") };
        let columns = rest.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        let elements = columns.and_then(|c| c.checked_mul(*rows));
        let (Some(columns), Some(elements)) = (columns, elements) else { return Err("is too large") };
        if rows.checked_add(1) != Some(indptr.len()) {
            return Err("needs one more entry in `indptr` than rows");
        }
        if values.shape != [indices.len()] {
            return Err("needs as many values as indices");
        }
        if indptr.first() != Some(&0) || indptr.last() != Some(&indices.len()) || !indptr.is_sorted() {
            return Err("needs `indptr` to rise from 0 to the number of values");
        }
        if indices.iter().any(|&column| column >= columns) {
            return Err("has an index beyond its columns");
        }
        let stored = indices.len().saturating_add(*rows);
        if elements > stored.saturating_mul(MAX_EXPANSION) {
            return Err("stores fewer than one value in 1024");
        }
        Ok(Self { values, indices, indptr, columns })
    }

    /// The entry of the values, which says their type.
    pub(super) fn values(&self) -> &Entry<'a> {
        &self.values
    }

    /// All elements, given the stored values as f32. Values of one position add up.
    pub(super) fn expand(&self, values: &[f32]) -> Vec<f32> {
        let rows = self.indptr.len().saturating_sub(1);
        let mut data = std::vec![0.0; rows * self.columns];
        for (row, range) in data.chunks_exact_mut(self.columns.max(1)).zip(self.indptr.windows(2)) {
            for at in range[0]..range[1] {
                row[self.indices[at]] += values[at];
            }
        }
        data
    }
}

/// Whole numbers that are not negative, of any integer type.
fn integers(entry: &Entry<'_>) -> Result<Vec<usize>, String> {
    fn all<const N: usize, T: TryInto<usize>>(bytes: &[u8], one: fn([u8; N]) -> T) -> Option<Vec<usize>> {
        bytes.chunks_exact(N).map(|chunk| one(chunk.try_into().ok()?).try_into().ok()).collect()
    }
    let Data::Bytes(dtype, bytes) = entry.data else {
        return Err(format!("tensor `{}` is sparse", entry.name));
    };
    let found = match dtype {
        Dtype::U8 => all(bytes, u8::from_le_bytes),
        Dtype::I8 => all(bytes, i8::from_le_bytes),
        Dtype::U16 => all(bytes, u16::from_le_bytes),
        Dtype::I16 => all(bytes, i16::from_le_bytes),
        Dtype::U32 => all(bytes, u32::from_le_bytes),
        Dtype::I32 => all(bytes, i32::from_le_bytes),
        Dtype::U64 => all(bytes, u64::from_le_bytes),
        Dtype::I64 => all(bytes, i64::from_le_bytes),
        _ => return Err(format!("tensor `{}` has data type {dtype}, expected integers", entry.name)),
    };
    found.ok_or_else(|| format!("tensor `{}` holds a number that is negative or too large", entry.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `[2, 1, 1, 3]`: 0 5 7 / 9 0 0.
    fn parts() -> Vec<(&'static str, Dtype, Vec<u8>)> {
        fn bytes<const N: usize>(values: impl IntoIterator<Item = [u8; N]>) -> Vec<u8> {
            values.into_iter().flatten().collect()
        }
        Vec::from([
            ("a.values", Dtype::F32, bytes([5f32, 7.0, 9.0].map(f32::to_le_bytes))),
            ("a.indices", Dtype::U16, bytes([1u16, 2, 0].map(u16::to_le_bytes))),
            ("a.indptr", Dtype::U32, bytes([0u32, 2, 3].map(u32::to_le_bytes))),
            ("a.shape", Dtype::I64, bytes([2i64, 1, 1, 3].map(i64::to_le_bytes))),
        ])
    }

    fn gathered<'a>(parts: &'a [(&'static str, Dtype, Vec<u8>)]) -> Result<Vec<Entry<'a>>, String> {
        let entry = |(name, dtype, bytes): &'a (&'static str, Dtype, Vec<u8>)| {
            let size = match dtype {
                Dtype::U16 => 2,
                Dtype::I64 => 8,
                _ => 4,
            };
            let shape = std::vec![bytes.len() / size];
            Entry { name: name.to_string(), shape, data: Data::Bytes(*dtype, bytes) }
        };
        gather(parts.iter().map(entry).collect())
    }

    #[test]
    fn sparse_tensors_expand() {
        let parts = parts();
        let entries = gathered(&parts).unwrap();
        assert_eq!(entries.len(), 1);
        let tensor = entries[0].to_tensor().unwrap();
        assert_eq!((tensor.name.as_str(), &tensor.shape[..]), ("a.weight", &[2, 1, 1, 3][..]));
        assert_eq!(tensor.data, [0.0, 5.0, 7.0, 9.0, 0.0, 0.0]);
    }

    #[test]
    fn parts_alone_stay_as_they_are() {
        let mut parts = parts();
        parts.pop();
        assert_eq!(gathered(&parts).unwrap().len(), 3);
        parts.extend(self::parts().pop());
        parts.push(("a.weight", Dtype::F32, Vec::new()));
        assert_eq!(gathered(&parts).unwrap().len(), 5);
    }

    #[test]
    fn damaged_structure_names_the_tensor() {
        let u32s = |values: &[u32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        let i64s = |values: &[i64]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        for (part, bytes, reason) in [
            (2, u32s(&[0, 3]), "sparse tensor `a` needs one more entry in `indptr` than rows"),
            (2, u32s(&[0, 4, 3]), "sparse tensor `a` needs `indptr` to rise from 0 to the number of values"),
            (2, u32s(&[0, 2, 2]), "sparse tensor `a` needs `indptr` to rise from 0 to the number of values"),
            (0, u32s(&[0, 0]), "sparse tensor `a` needs as many values as indices"),
            (3, i64s(&[2, 2]), "sparse tensor `a` has an index beyond its columns"),
            (3, i64s(&[]), "sparse tensor `a` has no extents"),
            (3, i64s(&[2, -3]), "tensor `a.shape` holds a number that is negative or too large"),
            (3, i64s(&[2, i64::MAX, 3]), "sparse tensor `a` is too large"),
            (3, i64s(&[2, 1 << 40]), "sparse tensor `a` stores fewer than one value in 1024"),
        ] {
            let mut parts = parts();
            parts[part].2 = bytes;
            assert_eq!(gathered(&parts).unwrap_err(), reason);
        }
        let mut parts = parts();
        parts[2].1 = Dtype::F32;
        assert_eq!(gathered(&parts).unwrap_err(), "tensor `a.indptr` has data type F32, expected integers");
    }
}
