//! Raw weights: a file per storage, and tensors that lie in it by offset and strides.

use super::{
    Pt2Error,
    archive::Archive,
    json::{Payloads, SymInt, TensorMeta},
    parse,
};
use crate::aten::Dtype;
use std::{collections::HashMap, sync::Arc};

/// Largest tensor of which several elements may be one of the storage, as an expanded buffer's are.
const LARGEST_EXPANDED: usize = 1 << 24;

/// The elements of a tensor, row by row.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Real numbers.
    Real(Arc<[f32]>),
    /// Whole numbers.
    Whole(Arc<[i64]>),
    /// Truth values.
    Truth(Arc<[bool]>),
}

/// A tensor of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredTensor {
    /// Length of every axis.
    pub shape: Vec<usize>,
    /// Its elements.
    pub values: Values,
    /// Whether it is a parameter that gradients are asked for.
    pub requires_grad: bool,
    /// Where it lies: tensors of equal place are one tensor under several names.
    pub place: Place,
}

/// The storage of a tensor, and where in it the tensor begins.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// Name of the storage.
    pub storage: String,
    /// Elements before its first.
    pub offset: usize,
    /// Steps of its axes, in elements.
    pub strides: Vec<usize>,
}

/// The element type of a number in PyTorch's schema.
pub(super) fn dtype_of(number: u32) -> Dtype {
    match number {
        1 => Dtype::UInt8,
        2 => Dtype::Int8,
        3 => Dtype::Int16,
        4 => Dtype::Int32,
        5 => Dtype::Int64,
        6 => Dtype::Float16,
        7 => Dtype::Float32,
        8 => Dtype::Float64,
        12 => Dtype::Bool,
        13 => Dtype::BFloat16,
        _ => Dtype::Other,
    }
}

fn bytes_of(dtype: Dtype) -> Option<usize> {
    Some(match dtype {
        Dtype::Bool | Dtype::Int8 | Dtype::UInt8 => 1,
        Dtype::Float16 | Dtype::BFloat16 | Dtype::Int16 => 2,
        Dtype::Float32 | Dtype::Int32 => 4,
        Dtype::Float64 | Dtype::Int64 => 8,
        Dtype::Other => return None,
    })
}

/// All tensors of a folder, by the names that its index gives them.
pub(super) fn read(
    archive: &mut Archive,
    folder: &str,
    index: &str,
) -> Result<HashMap<String, StoredTensor>, Pt2Error> {
    let index = format!("data/{folder}/{index}");
    if !archive.has(&index) {
        // Older versions have their weights in a pickle.
        return match archive.has(&format!("data/{folder}/model.pt"))
            || archive.has("weights/model.pt")
        {
            true => Err(Pt2Error::Pickled),
            false => Err(Pt2Error::Missing { name: index }),
        };
    }
    let text = archive.text(&index)?;
    let payloads: Payloads = parse(&index, &text)?;
    let mut storages: HashMap<String, Arc<Vec<u8>>> = HashMap::new();
    let mut tensors = HashMap::new();
    // In an order of their own, so that the first of several errors is always the same.
    let mut all: Vec<_> = payloads.config.into_iter().collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    for (path, payload) in all {
        if payload.use_pickle {
            return Err(Pt2Error::Pickled);
        }
        let Some(meta) = payload.tensor_meta else {
            continue;
        };
        let storage = match storages.get(&payload.path_name) {
            Some(storage) => storage.clone(),
            None => {
                let name = format!("data/{folder}/{}", payload.path_name);
                let bytes = Arc::new(archive.part(&name, u64::MAX)?);
                storages.insert(payload.path_name.clone(), bytes.clone());
                bytes
            }
        };
        let tensor =
            tensor(&meta, payload.path_name, &storage).map_err(|reason| Pt2Error::Tensor {
                path: path.clone(),
                reason,
            })?;
        tensors.insert(path, tensor);
    }
    Ok(tensors)
}

fn whole(size: &SymInt) -> Result<usize, String> {
    match size {
        SymInt::AsInt(n) => usize::try_from(*n).map_err(|_| format!("has {n} as a size")),
        SymInt::AsExpr { .. } => Err("has a size that is open".to_owned()),
    }
}

fn tensor(meta: &TensorMeta, storage: String, bytes: &[u8]) -> Result<StoredTensor, String> {
    let dtype = dtype_of(meta.dtype);
    let width = bytes_of(dtype)
        .ok_or_else(|| format!("has elements of type {} of the schema", meta.dtype))?;
    let sizes = |of: &[SymInt]| of.iter().map(whole).collect::<Result<Vec<_>, _>>();
    let (shape, strides) = (sizes(&meta.sizes)?, sizes(&meta.strides)?);
    let offset = whole(&meta.storage_offset)?;
    if shape.len() != strides.len() {
        return Err(format!(
            "has {} axes and {} strides",
            shape.len(),
            strides.len()
        ));
    }
    let held = bytes.len() / width;
    let outside = || format!("lies outside of its storage of {held} elements");
    let count = shape.iter().try_fold(1_usize, |n, &s| n.checked_mul(s));
    let count = count
        .filter(|&n| n <= held.max(LARGEST_EXPANDED))
        .ok_or_else(outside)?;
    let last = shape
        .iter()
        .zip(&strides)
        .try_fold(offset, |at, (&size, &stride)| {
            at.checked_add(size.saturating_sub(1).checked_mul(stride)?)
        });
    if count > 0 && last.is_none_or(|last| last >= held) {
        return Err(outside());
    }
    let positions = positions(&shape, &strides, offset, count);
    let element = |at: usize| &bytes[at * width..][..width];
    let values = match dtype {
        Dtype::Bool => Values::Truth(positions.map(|at| bytes[at] != 0).collect()),
        d if d.is_integer() => Values::Whole(positions.map(|at| integer(d, element(at))).collect()),
        d => Values::Real(positions.map(|at| number(d, element(at))).collect()),
    };
    Ok(StoredTensor {
        shape,
        values,
        requires_grad: meta.requires_grad,
        place: Place {
            storage,
            offset,
            strides,
        },
    })
}

/// Positions of the elements in the storage, row by row.
fn positions<'a>(
    shape: &'a [usize],
    strides: &'a [usize],
    offset: usize,
    count: usize,
) -> impl Iterator<Item = usize> + 'a {
    (0..count).map(move |mut i| {
        let mut at = offset;
        for (&size, &stride) in shape.iter().zip(strides).rev() {
            at += i % size * stride;
            i /= size;
        }
        at
    })
}

/// Little-endian bytes as an array of this width; other widths are not asked for.
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut all = [0; N];
    for (to, from) in all.iter_mut().zip(bytes) {
        *to = *from;
    }
    all
}

fn integer(dtype: Dtype, bytes: &[u8]) -> i64 {
    match dtype {
        Dtype::UInt8 => i64::from(bytes[0]),
        Dtype::Int8 => i64::from(i8::from_le_bytes(array(bytes))),
        Dtype::Int16 => i64::from(i16::from_le_bytes(array(bytes))),
        Dtype::Int32 => i64::from(i32::from_le_bytes(array(bytes))),
        _ => i64::from_le_bytes(array(bytes)),
    }
}

fn number(dtype: Dtype, bytes: &[u8]) -> f32 {
    match dtype {
        Dtype::Float16 => half::f16::from_le_bytes(array(bytes)).to_f32(),
        Dtype::BFloat16 => half::bf16::from_le_bytes(array(bytes)).to_f32(),
        Dtype::Float64 => f64::from_le_bytes(array(bytes)) as f32,
        _ => f32::from_le_bytes(array(bytes)),
    }
}
