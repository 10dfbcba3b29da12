//! Batches as a safetensors file: tensors as `0.x`, in raw bits, and what else there is to a batch as metadata.

use crate::data::{Batch, Values};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Name of the metadata.
const BATCHES: &str = "batches";

/// What a batch has besides its tensors.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    position: (u64, usize),
    rows: usize,
    present: usize,
    /// f32 bits of what each example weighs.
    weights: Vec<u32>,
    /// f32 bits.
    divisor: u32,
}

/// The bytes of the file.
pub(super) fn encode(batches: &[Batch]) -> Result<Vec<u8>, String> {
    let heads: Vec<Head> = batches
        .iter()
        .map(|b| Head {
            position: b.position,
            rows: b.rows(),
            present: b.present(),
            weights: b.weights().iter().map(|w| w.to_bits()).collect(),
            divisor: b.divisor.to_bits(),
        })
        .collect();
    let mut tensors: Vec<(String, Dtype, usize, Vec<u8>)> = Vec::new();
    for (i, batch) in batches.iter().enumerate() {
        for name in batch.names() {
            let Some(values) = batch.get(name) else {
                continue;
            };
            let (dtype, bytes) = match values {
                Values::Fp16(x) => (Dtype::F16, x.iter().flat_map(|v| v.to_le_bytes()).collect()),
                Values::Int32(x) => (Dtype::I32, x.iter().flat_map(|v| v.to_le_bytes()).collect()),
                Values::UInt8(x) => (Dtype::U8, x.clone()),
            };
            tensors.push((format!("{i}.{name}"), dtype, values.len(), bytes));
        }
    }
    let views = tensors
        .iter()
        .map(|(name, dtype, len, bytes)| {
            TensorView::new(*dtype, vec![*len], bytes).map(|view| (name.as_str(), view))
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| e.to_string())?;
    let heads = serde_json::to_string(&heads).map_err(|e| e.to_string())?;
    let metadata = HashMap::from([(BATCHES.to_owned(), heads)]);
    safetensors::serialize(views, Some(metadata)).map_err(|e| e.to_string())
}

/// The batches of such a file, or what is wrong with it.
pub(super) fn decode(bytes: &[u8]) -> Result<Vec<Batch>, String> {
    let (_, head) = SafeTensors::read_metadata(bytes).map_err(|e| e.to_string())?;
    let heads = head.metadata().as_ref().and_then(|m| m.get(BATCHES));
    let heads = heads.ok_or("its metadata say nothing of batches")?;
    let heads: Vec<Head> = serde_json::from_str(heads).map_err(|e| e.to_string())?;
    let mut batches = Vec::with_capacity(heads.len());
    for head in &heads {
        if head.present > head.rows || head.weights.len() != head.present {
            let (present, rows, weights) = (head.present, head.rows, head.weights.len());
            return Err(format!(
                "a batch of {rows} rows has {present} examples and {weights} weights"
            ));
        }
        let mut batch = Batch::new(head.rows, head.present);
        let weights: Vec<f32> = head.weights.iter().map(|&w| f32::from_bits(w)).collect();
        batch.weigh(&weights);
        batch.position = head.position;
        batch.divisor = f32::from_bits(head.divisor);
        batches.push(batch);
    }
    let tensors = SafeTensors::deserialize(bytes).map_err(|e| e.to_string())?;
    for (name, view) in tensors.tensors() {
        let at = name.split_once('.').and_then(|(i, tensor)| {
            let i: usize = i.parse().ok()?;
            Some((batches.get_mut(i)?, tensor))
        });
        let (batch, tensor) = at.ok_or_else(|| format!("tensor `{name}` is of no batch"))?;
        let data = view.data();
        let values = match view.dtype() {
            Dtype::F16 => Values::Fp16(
                data.as_chunks::<2>()
                    .0
                    .iter()
                    .map(|c| u16::from_le_bytes(*c))
                    .collect(),
            ),
            Dtype::I32 => Values::Int32(
                data.as_chunks::<4>()
                    .0
                    .iter()
                    .map(|c| i32::from_le_bytes(*c))
                    .collect(),
            ),
            Dtype::U8 => Values::UInt8(data.to_vec()),
            other => return Err(format!("tensor `{name}` is {other:?}")),
        };
        batch.set(tensor, values);
    }
    Ok(batches)
}
