//! Tensors of a `state_dict` that are no weights: counters, masks, and other names of a weight.

use std::sync::Arc;

/// A tensor that is written beside the weights as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// PyTorch's name in the `state_dict`, such as `bn1.num_batches_tracked`.
    pub path: String,
    /// PyTorch's shape; no axes for a scalar.
    pub shape: Vec<usize>,
    /// Its elements.
    pub values: KeptValues,
}

/// The elements of a [`Kept`].
#[derive(Debug, Clone, PartialEq)]
pub enum KeptValues {
    /// Real numbers.
    Fp32(Arc<[f32]>),
    /// Whole numbers.
    Int64(Arc<[i64]>),
    /// Truth values.
    Bool(Arc<[bool]>),
    /// Those of the parameter or buffer with this path: a tied weight under another name.
    SameAs(String),
}
