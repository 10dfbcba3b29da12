//! Units of normalisations: what their tasks need to know.

use super::{Slot, chain::Chain};

/// Groups of `len` elements, `inner` elements apart, shifted and scaled to mean 0 and variance 1, and the pass over them.
#[derive(Debug)]
pub(crate) struct NormalizeWork {
    pub(crate) chain: Chain,
    pub(crate) from: Slot,
    pub(crate) len: usize,
    pub(crate) outer: usize,
    pub(crate) inner: usize,
    /// Added to the variance.
    pub(crate) epsilon: f32,
    /// Groups of a task: one after the other where `inner` is 1, side by side elsewhere.
    pub(crate) share: usize,
}

impl NormalizeWork {
    /// Elements of the groups of a task.
    pub(crate) fn block(&self) -> usize {
        self.share * self.len
    }

    /// Elements of scratch for the statistics of groups that lie side by side.
    pub(crate) fn statistics(&self) -> usize {
        if self.inner == 1 { 0 } else { 2 * self.share }
    }
}
