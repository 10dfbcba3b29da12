//! The kernel: a block of rows times a panel of columns, accumulated in registers.

use crate::simd::{Lanes, MOST_LANES};

/// Rows of a block.
pub(crate) const ROWS: usize = 4;
/// Most vectors of a panel.
pub(super) const MOST_VECTORS: usize = 4;

/// Columns of a panel on lanes `n` wide: sums, a row of the panel and a factor fit the registers, 32 where vectors have 16
/// lanes and 16 of 8 lanes elsewhere. Sixty-four, not all that would fit, because they divide what layers are wide.
pub(super) const fn columns(n: usize) -> usize {
    n * vectors(n)
}

pub(super) const fn vectors(n: usize) -> usize {
    if n == MOST_LANES { MOST_VECTORS } else { 3 }
}

/// `out[rows, columns] = rows · columns` for at most a block of rows and one packed panel of columns.
pub(crate) struct Tile<'a> {
    /// The first row.
    pub(crate) rows: *const f32,
    /// Distances of neighbouring elements of a row, and of neighbouring rows.
    pub(crate) strides: (usize, usize),
    pub(crate) row_count: usize,
    /// The panel.
    pub(crate) columns: *const f32,
    pub(crate) column_count: usize,
    /// The positions along the depth that are not skipped, in order.
    pub(crate) depths: &'a [u32],
    pub(crate) out: *mut f32,
    /// Distance of rows of the result.
    pub(crate) out_stride: usize,
}

impl Tile<'_> {
    /// Multiplies.
    ///
    /// # Safety
    /// Rows and panel must be readable at all depths, and the result writable.
    #[inline(always)]
    pub(crate) unsafe fn run<S: Lanes>(self, s: S) {
        // SAFETY: passed on from the caller.
        unsafe {
            match self.row_count {
                1 => self.of_rows::<S, 1>(s),
                2 => self.of_rows::<S, 2>(s),
                3 => self.of_rows::<S, 3>(s),
                _ => self.of_rows::<S, ROWS>(s),
            }
        }
    }

    /// # Safety
    /// As [`Tile::run`].
    #[inline(always)]
    unsafe fn of_rows<S: Lanes, const R: usize>(self, s: S) {
        // SAFETY: passed on from the caller.
        unsafe {
            match self.column_count.div_ceil(S::N) {
                1 => self.accumulate::<S, R, 1>(s),
                2 => self.accumulate::<S, R, 2>(s),
                3 => self.accumulate::<S, R, 3>(s),
                _ => self.accumulate::<S, R, MOST_VECTORS>(s),
            }
        }
    }

    /// # Safety
    /// As [`Tile::run`].
    #[inline(always)]
    unsafe fn accumulate<S: Lanes, const R: usize, const V: usize>(self, s: S) {
        // No panel is that wide: told to the compiler, so that it makes no such kernel.
        if V > vectors(S::N) {
            debug_assert!(false, "{V} vectors of {} lanes", S::N);
            return;
        }
        let (step, stride) = self.strides;
        let mut sums = [[s.splat(0.0); V]; R];
        for &p in self.depths {
            let p = p as usize;
            // SAFETY: passed on from the caller.
            unsafe {
                let columns = self.columns.add(p * columns(S::N));
                let columns = std::slice::from_raw_parts(columns, V * S::N);
                let rows = self.rows.add(p * step);
                let columns: [S::V; V] = std::array::from_fn(|v| s.load(&columns[v * S::N..]));
                for (r, sums) in sums.iter_mut().enumerate() {
                    let x = s.splat(*rows.add(r * stride));
                    for (sum, &column) in sums.iter_mut().zip(&columns) {
                        *sum = s.mul_add(x, column, *sum);
                    }
                }
            }
        }
        for (r, sums) in sums.into_iter().enumerate() {
            // SAFETY: passed on from the caller.
            let out = unsafe {
                std::slice::from_raw_parts_mut(self.out.add(r * self.out_stride), self.column_count)
            };
            for (out, sum) in out.chunks_mut(S::N).zip(sums) {
                if out.len() == S::N {
                    s.store(out, sum);
                } else {
                    let mut lanes = [0.0; MOST_LANES];
                    s.store(&mut lanes, sum);
                    out.copy_from_slice(&lanes[..out.len()]);
                }
            }
        }
    }
}
