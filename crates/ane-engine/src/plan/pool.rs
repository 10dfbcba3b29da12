//! Units of pools and of the gradient of the largest element.

use super::{Slot, chain::Chain};
use ane_ir::ops::support::window::WindowAxis;

/// What becomes of the elements of a window.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Pooling {
    /// The largest.
    Max,
    /// The sum divided by a count: one for all windows, or one for each window of a plane.
    Mean(Vec<f32>),
}

/// A pool over planes and the pass over its results.
#[derive(Debug)]
pub(crate) struct PoolWork {
    pub(crate) chain: Chain,
    pub(crate) kind: Pooling,
    pub(crate) from: Slot,
    /// Rows and columns.
    pub(crate) axes: [WindowAxis; 2],
    pub(crate) planes: usize,
    /// Planes of a task.
    pub(crate) share: usize,
}

/// What every element of an image gets from the windows in which it is the first that is largest, and the pass over it.
#[derive(Debug)]
pub(crate) struct MaxPoolGradientWork {
    pub(crate) chain: Chain,
    pub(crate) x: Slot,
    /// One element for every window.
    pub(crate) ct: Slot,
    /// Rows and columns.
    pub(crate) axes: [WindowAxis; 2],
    pub(crate) planes: usize,
    /// Planes of a task.
    pub(crate) share: usize,
}

impl PoolWork {
    /// Elements of a row with the padding that its windows cover, and what whole vectors read beyond them.
    pub(crate) fn row(&self) -> usize {
        let x = &self.axes[1];
        let windows = x.output.next_multiple_of(crate::simd::MOST_LANES) * x.stride + x.kernel;
        (x.before + x.input).max(windows) + 2 * crate::simd::MOST_LANES
    }

    /// Elements of the results of a task, and what whole vectors write beyond them.
    pub(crate) fn block(&self) -> usize {
        self.share * self.axes[0].output * self.axes[1].output + crate::simd::MOST_LANES
    }
}
