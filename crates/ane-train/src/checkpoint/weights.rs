//! The fp32 weights beside a checkpoint: a safetensors file that other programs read.

use super::{CheckpointError, replace_file};
use crate::{
    model::{Kept, KeptValues},
    store::NamedWeight,
};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::{Map, Value};
use std::{collections::BTreeMap, path::Path};

/// Where a safetensors header keeps its metadata.
const METADATA: &str = "__metadata__";

/// Writes fp32 weights under PyTorch's names and what else belongs to the `state_dict`, with `metadata` for who reads
/// them.
///
/// # Errors
/// When the file cannot be written; the old one is intact then.
pub fn write_weights(
    path: &Path,
    weights: &[NamedWeight],
    kept: &[Kept],
    metadata: &BTreeMap<String, String>,
) -> Result<(), CheckpointError> {
    let file = encode(weights, kept, metadata).map_err(|reason| CheckpointError::Body {
        path: path.to_owned(),
        reason,
    })?;
    replace_file(path, &file)
}

/// Most bytes of a file of weights.
const LARGEST: u64 = 64 << 30;

/// Reads the tensors of real numbers in a safetensors file: names, dimensions and fp32 values.
///
/// # Errors
/// When it cannot be read, or is no safetensors file.
pub fn read_weights(path: &Path) -> Result<Vec<NamedWeight>, CheckpointError> {
    let bytes = ane_files::read(path, LARGEST).map_err(|e| CheckpointError::Io {
        action: "read",
        path: path.to_owned(),
        source: e.into(),
    })?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| CheckpointError::Body {
        path: path.to_owned(),
        reason: format!("it is no safetensors file: {e}"),
    })?;
    let mut all = Vec::new();
    for (name, tensor) in file.tensors() {
        let data = tensor.data();
        let half = |of: fn([u8; 2]) -> f32| data.as_chunks().0.iter().map(|&b| of(b)).collect();
        let values: Vec<f32> = match tensor.dtype() {
            Dtype::F32 => data
                .as_chunks()
                .0
                .iter()
                .map(|&b| f32::from_le_bytes(b))
                .collect(),
            Dtype::F16 => half(|b| half::f16::from_le_bytes(b).to_f32()),
            Dtype::BF16 => half(|b| half::bf16::from_le_bytes(b).to_f32()),
            // Counters and the like.
            _ => continue,
        };
        all.push((name.clone(), tensor.shape().to_vec(), values));
    }
    Ok(all)
}

fn encode(
    weights: &[NamedWeight],
    kept: &[Kept],
    metadata: &BTreeMap<String, String>,
) -> Result<Vec<u8>, String> {
    let floats = |x: &[f32]| -> Vec<u8> { x.iter().flat_map(|v| v.to_le_bytes()).collect() };
    let mut tensors: Vec<(&str, Dtype, &[usize], Vec<u8>)> = weights
        .iter()
        .map(|(name, shape, x)| (name.as_str(), Dtype::F32, shape.as_slice(), floats(x)))
        .collect();
    for tensor in kept {
        let (dtype, bytes) = match &tensor.values {
            KeptValues::Fp32(x) => (Dtype::F32, floats(x)),
            KeptValues::Int64(x) => (Dtype::I64, x.iter().flat_map(|v| v.to_le_bytes()).collect()),
            KeptValues::Bool(x) => (Dtype::BOOL, x.iter().map(|&v| u8::from(v)).collect()),
            KeptValues::SameAs(path) => {
                let same = weights.iter().find(|(name, ..)| name == path);
                let (_, _, x) = same.ok_or_else(|| format!("`{path}` is no weight"))?;
                (Dtype::F32, floats(x))
            }
        };
        tensors.push((&tensor.path, dtype, &tensor.shape, bytes));
    }
    let views = tensors
        .iter()
        .map(|(name, dtype, shape, data)| {
            TensorView::new(*dtype, shape.to_vec(), data).map(|v| (*name, v))
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| e.to_string())?;
    let file = safetensors::serialize(views, None).map_err(|e| e.to_string())?;
    with_metadata(&file, metadata).ok_or_else(|| "its header is not what it should be".to_owned())
}

/// The file with `metadata` in its header, in order: the library takes it from a hash map, which has another order each
/// time, and a run that is repeated writes the same bytes. The header is its length (u64, little-endian), JSON, and spaces
/// up to a multiple of 8; offsets of tensors count from its end.
fn with_metadata(file: &[u8], metadata: &BTreeMap<String, String>) -> Option<Vec<u8>> {
    let (length, rest) = file.split_first_chunk::<8>()?;
    let (header, tensors) = rest.split_at_checked(u64::from_le_bytes(*length).try_into().ok()?)?;
    let mut header: Map<String, Value> = serde_json::from_slice(header).ok()?;
    header.insert(METADATA.to_owned(), serde_json::to_value(metadata).ok()?);
    let mut header = serde_json::to_vec(&header).ok()?;
    header.resize(header.len().next_multiple_of(8), b' ');
    let length = (header.len() as u64).to_le_bytes();
    Some([&length[..], &header, tensors].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_and_what_they_mean_are_read_by_the_library() {
        let weights = vec![
            ("0.weight".to_owned(), vec![2, 1], vec![1.5, -2.0]),
            ("0.bias".to_owned(), vec![1], vec![0.25]),
        ];
        let text = |x: &str| x.to_owned();
        let metadata = BTreeMap::from([
            (text("class_names"), text("[\"a \\\"quoted\\\" name\"]")),
            (text("architecture"), text("1-2")),
        ]);
        let kept = [
            Kept {
                path: text("steps"),
                shape: Vec::new(),
                values: KeptValues::Int64([7].into()),
            },
            Kept {
                path: text("head.bias"),
                shape: vec![1],
                values: KeptValues::SameAs(text("0.bias")),
            },
        ];
        let file = encode(&weights, &kept, &metadata).unwrap();
        assert_eq!(file, encode(&weights, &kept, &metadata).unwrap());
        let (size, head) = SafeTensors::read_metadata(&file).unwrap();
        assert_eq!(size % 8, 0);
        let read: BTreeMap<_, _> = head.metadata().clone().unwrap().into_iter().collect();
        assert_eq!(read, metadata);
        let tensors = SafeTensors::deserialize(&file).unwrap();
        let weight = tensors.tensor("0.weight").unwrap();
        assert_eq!(weight.shape(), [2, 1]);
        assert_eq!(weight.data()[..4], 1.5_f32.to_le_bytes());
        assert_eq!(
            tensors.tensor("0.bias").unwrap().data(),
            0.25_f32.to_le_bytes()
        );
        let steps = tensors.tensor("steps").unwrap();
        assert_eq!((steps.dtype(), steps.shape()), (Dtype::I64, &[][..]));
        assert_eq!(steps.data(), 7_i64.to_le_bytes());
        let tied = tensors.tensor("head.bias").unwrap();
        assert_eq!(tied.data(), 0.25_f32.to_le_bytes());
    }
}
