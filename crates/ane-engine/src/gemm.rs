//! Matrix products: packing, sparse skip lists, and the kernel that adds them up.
//!
//! The kernel adds up all terms of an element in the order of the depth, one fused multiply-add each where the machine
//! has it, and skips only terms that are zero for a whole block of rows: an element's bits depend on its row, its
//! column and the depth alone, not on blocks, panels, lists or threads.

mod pack;
mod skip_list;
mod tile;
mod window;

pub(crate) use pack::{Pack, Source};
pub(crate) use skip_list::SkipList;
pub(crate) use tile::{ROWS, Tile};
pub(crate) use window::{Dots, Sweep, dot_taps};

use crate::simd::{Isa, Kernel, Lanes, dispatch};

/// Columns of a packed panel for `isa`, as the kernel compiled for it has them.
pub(crate) fn panel(isa: Isa) -> usize {
    dispatch(isa, PanelColumns)
}

struct PanelColumns;

impl Kernel for PanelColumns {
    type Output = usize;

    #[inline(always)]
    fn run<S: Lanes>(self, _: S) -> usize {
        tile::columns(S::N)
    }
}

/// Rows of a strip: a few blocks of the kernel, as wide as a cache line.
pub(crate) const STRIP: usize = 4 * ROWS;

/// How the rows that the kernel reads lie in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum RowLayout {
    /// Row after row.
    Rows,
    /// As the columns of a matrix: side by side.
    Columns,
}

impl RowLayout {
    /// Where row `row` starts, of depth `k`.
    pub(crate) fn start(self, row: usize, k: usize) -> usize {
        match self {
            Self::Rows => row * k,
            Self::Columns => row,
        }
    }

    /// Distances of neighbouring elements of a row, and of neighbouring rows, where `rows` have the depth `k`.
    pub(crate) fn strides(self, rows: usize, k: usize) -> (usize, usize) {
        match self {
            Self::Rows => (1, k),
            Self::Columns => (rows, 1),
        }
    }
}
