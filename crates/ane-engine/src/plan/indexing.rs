//! Units of ops that read or write by index: what their tasks need to know.

use super::{DType, Place, Slot, function::Round};
use ane_ir::ops::scatter::Mode;

/// Whole numbers: i32 in a slot of int32, f32 in another slot, and as its dtype says in a port.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Indices {
    pub(crate) place: Place,
    pub(crate) dtype: DType,
}

/// Slices of `inner` neighbours copied from where an index says: `each` of them from each of `outer` blocks of `length`
/// in every batch, `rows` in all.
#[derive(Debug)]
pub(crate) struct GatherWork {
    /// Words of four bytes, or fp16 in a port.
    pub(crate) x: Place,
    pub(crate) indices: Indices,
    pub(crate) to: Slot,
    pub(crate) outer: usize,
    pub(crate) length: usize,
    pub(crate) inner: usize,
    pub(crate) each: usize,
    pub(crate) rows: usize,
    /// Slices of a task.
    pub(crate) share: usize,
}

/// What updates go to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Data {
    /// Elements of a tensor.
    At(Place),
    /// The same element everywhere.
    Splat(f32),
}

/// `each` slices of `inner` neighbours, put or added to where an index says in each of some blocks of `length`.
#[derive(Debug)]
pub(crate) struct ScatterWork {
    pub(crate) data: Data,
    pub(crate) indices: Indices,
    pub(crate) updates: Place,
    pub(crate) to: Slot,
    pub(crate) mode: Mode,
    pub(crate) round: Round,
    pub(crate) length: usize,
    pub(crate) inner: usize,
    pub(crate) each: usize,
    /// Slices of the result that a task writes: it takes their updates alone, in the order of the indices.
    pub(crate) share: usize,
}

/// `outer` blocks of `inner` indices as vectors of `size` elements.
#[derive(Debug)]
pub(crate) struct OneHotWork {
    pub(crate) indices: Indices,
    pub(crate) to: Slot,
    /// The bits of an element elsewhere and at the index.
    pub(crate) elements: [u32; 2],
    pub(crate) outer: usize,
    pub(crate) size: usize,
    pub(crate) inner: usize,
    /// Blocks of a task.
    pub(crate) share: usize,
}

/// The index of the first largest of `length` elements that are `inner` apart.
#[derive(Debug)]
pub(crate) struct ArgmaxWork {
    pub(crate) from: Slot,
    pub(crate) to: Slot,
    /// Whether the result is i32 and not f32.
    pub(crate) whole: bool,
    pub(crate) length: usize,
    pub(crate) inner: usize,
    pub(crate) results: usize,
    /// Results of a task.
    pub(crate) share: usize,
}
