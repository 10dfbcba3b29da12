//! Kernels of convolutions: both read a plane in vectors at one distance per tap, without bringing patches into columns.
//!
//! [`Sweep`] adds up weights times what all taps read, for a block of channels and some vectors of lanes: results and
//! their gradient. [`Dots`] adds up one plane times another along all lanes, for a block of rows and some taps: the
//! gradient of the weights.

use super::{ROWS, tile::MOST_VECTORS, tile::vectors};
use crate::simd::{Lanes, MOST_LANES};

/// `out[row, lane] = Σ_term weights[term, row] · data[lane + offsets[term]] + bias[row]`, for at most a block of rows and
/// a panel of lanes, in this order.
pub(crate) struct Sweep<'a> {
    /// A block of rows for every term, one after the other.
    pub(crate) weights: *const f32,
    pub(crate) row_count: usize,
    pub(crate) bias: [f32; ROWS],
    /// What the first lane would read at distance zero.
    pub(crate) data: *const f32,
    pub(crate) offsets: &'a [u32],
    /// Vectors of lanes, at most those of a panel.
    pub(crate) vectors: usize,
    pub(crate) out: *mut f32,
    /// Distance of rows of the result.
    pub(crate) out_stride: usize,
}

impl Sweep<'_> {
    /// Computes whole vectors of lanes.
    ///
    /// # Safety
    /// The weights must have a block for every offset, the data be readable at every offset in whole vectors, and the
    /// result be writable likewise.
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
    /// As [`Sweep::run`].
    #[inline(always)]
    unsafe fn of_rows<S: Lanes, const R: usize>(self, s: S) {
        // SAFETY: passed on from the caller.
        unsafe {
            match self.vectors {
                1 => self.accumulate::<S, R, 1>(s),
                2 => self.accumulate::<S, R, 2>(s),
                3 => self.accumulate::<S, R, 3>(s),
                _ => self.accumulate::<S, R, MOST_VECTORS>(s),
            }
        }
    }

    /// # Safety
    /// As [`Sweep::run`].
    #[inline(always)]
    unsafe fn accumulate<S: Lanes, const R: usize, const V: usize>(self, s: S) {
        // No panel is that wide: told to the compiler, so that it makes no such kernel.
        if V > vectors(S::N) {
            debug_assert!(false, "{V} vectors of {} lanes", S::N);
            return;
        }
        let mut sums = [[s.splat(0.0); V]; R];
        for (term, &offset) in self.offsets.iter().enumerate() {
            // SAFETY: passed on from the caller.
            unsafe {
                let data = std::slice::from_raw_parts(self.data.add(offset as usize), V * S::N);
                let data: [S::V; V] = std::array::from_fn(|v| s.load(&data[v * S::N..]));
                let weights = self.weights.add(term * ROWS);
                for (r, sums) in sums.iter_mut().enumerate() {
                    let w = s.splat(*weights.add(r));
                    for (sum, &x) in sums.iter_mut().zip(&data) {
                        *sum = s.mul_add(w, x, *sum);
                    }
                }
            }
        }
        for (r, sums) in sums.into_iter().enumerate() {
            // SAFETY: passed on from the caller.
            let out = unsafe {
                std::slice::from_raw_parts_mut(self.out.add(r * self.out_stride), V * S::N)
            };
            let bias = s.splat(self.bias[r]);
            for (out, sum) in out.chunks_exact_mut(S::N).zip(sums) {
                s.store(out, s.add(sum, bias));
            }
        }
    }
}

/// Taps of a [`Dots`] for lanes `n` wide.
pub(crate) const fn dot_taps(n: usize) -> usize {
    vectors(n)
}

/// `Σ_lane rows[row, lane] · data[lane + offsets[tap]]` for at most a block of rows and a few taps.
///
/// Every lane of a vector adds up its own, and the sums of the lanes are added in order at the end.
pub(crate) struct Dots<'a> {
    pub(crate) rows: *const f32,
    /// Distance of rows.
    pub(crate) stride: usize,
    pub(crate) row_count: usize,
    pub(crate) data: *const f32,
    /// At most [`dot_taps`].
    pub(crate) offsets: &'a [u32],
    /// Lanes of a row, in whole vectors.
    pub(crate) lanes: usize,
}

/// Sums of [`Dots`], tap after tap for every row.
pub(crate) type DotSums = [[f32; MOST_VECTORS]; ROWS];

impl Dots<'_> {
    /// Computes the sums; those beyond the rows and taps there are mean nothing.
    ///
    /// # Safety
    /// Rows must be readable for all lanes, the data at every offset too.
    #[inline(always)]
    pub(crate) unsafe fn run<S: Lanes>(self, s: S) -> DotSums {
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
    /// As [`Dots::run`].
    #[inline(always)]
    unsafe fn of_rows<S: Lanes, const R: usize>(self, s: S) -> DotSums {
        // SAFETY: passed on from the caller.
        unsafe {
            match self.offsets.len() {
                1 => self.accumulate::<S, R, 1>(s),
                2 => self.accumulate::<S, R, 2>(s),
                3 => self.accumulate::<S, R, 3>(s),
                _ => self.accumulate::<S, R, MOST_VECTORS>(s),
            }
        }
    }

    /// # Safety
    /// As [`Dots::run`].
    #[inline(always)]
    unsafe fn accumulate<S: Lanes, const R: usize, const T: usize>(self, s: S) -> DotSums {
        let mut result = [[0.0; MOST_VECTORS]; ROWS];
        // There are not that many taps: told to the compiler, so that it makes no such kernel.
        if T > dot_taps(S::N) {
            debug_assert!(false, "{T} taps of {} lanes", S::N);
            return result;
        }
        let mut sums = [[s.splat(0.0); T]; R];
        // SAFETY: passed on from the caller.
        let (rows, taps): ([*const f32; R], [*const f32; T]) = unsafe {
            (
                std::array::from_fn(|r| self.rows.add(r * self.stride)),
                std::array::from_fn(|t| self.data.add(self.offsets[t] as usize)),
            )
        };
        for lane in (0..self.lanes).step_by(S::N) {
            let load = |x: *const f32| {
                // SAFETY: passed on from the caller.
                let x = unsafe { std::slice::from_raw_parts(x.wrapping_add(lane), S::N) };
                s.load(x)
            };
            let data: [S::V; T] = taps.map(load);
            for (row, sums) in rows.into_iter().zip(&mut sums) {
                let row = load(row);
                for (sum, &x) in sums.iter_mut().zip(&data) {
                    *sum = s.mul_add(row, x, *sum);
                }
            }
        }
        // Transposed, the lanes of all sums lie in one vector each, and adding those adds up every sum.
        let mut flat = [s.splat(0.0); MOST_LANES];
        let mut totals = [0.0; MOST_LANES];
        let per_turn = S::N / T;
        for (at, some) in sums.chunks(per_turn).enumerate() {
            for (r, sums) in some.iter().enumerate() {
                flat[r * T..(r + 1) * T].copy_from_slice(sums);
            }
            let lanes = s.transpose(flat);
            let total = lanes[1..S::N].iter().fold(lanes[0], |a, &b| s.add(a, b));
            s.store(&mut totals, total);
            for r in 0..some.len() {
                result[at * per_turn + r][..T].copy_from_slice(&totals[r * T..(r + 1) * T]);
            }
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Isa, Kernel, dispatch};

    /// Small whole numbers, so that every order of additions gives the same.
    fn number(i: usize) -> f32 {
        (i * 7 % 11) as f32 - 5.0
    }

    struct Case {
        rows: usize,
        vectors: usize,
    }

    impl Kernel for Case {
        type Output = ();

        #[inline(always)]
        fn run<S: Lanes>(self, s: S) {
            let lanes = self.vectors * S::N;
            let offsets = [0, 3, 1, 17, 4];
            let data: Vec<f32> = (0..lanes + 17).map(number).collect();
            let weights: Vec<f32> = (0..offsets.len() * ROWS).map(|i| number(i + 3)).collect();
            if self.vectors <= vectors(S::N) {
                let mut out = vec![f32::NAN; ROWS * lanes];
                let sweep = Sweep {
                    weights: weights.as_ptr(),
                    row_count: self.rows,
                    bias: [1.0, 2.0, 3.0, 4.0],
                    data: data.as_ptr(),
                    offsets: &offsets,
                    vectors: self.vectors,
                    out: out.as_mut_ptr(),
                    out_stride: lanes,
                };
                // SAFETY: everything was sized for it above.
                unsafe { sweep.run(s) };
                for (r, out) in out.chunks(lanes).enumerate() {
                    for (lane, &y) in out.iter().enumerate() {
                        let of = |(t, &o): (usize, &u32)| {
                            weights[t * ROWS + r] * data[lane + o as usize]
                        };
                        let sum: f32 = offsets.iter().enumerate().map(of).sum();
                        if r < self.rows {
                            assert_eq!(
                                y,
                                (r + 1) as f32 + sum,
                                "{} {} {r} {lane}",
                                self.rows,
                                S::N
                            );
                        } else {
                            assert!(y.is_nan(), "rows that are not there stay as they were");
                        }
                    }
                }
            }
            let planes: Vec<f32> = (0..ROWS * lanes).map(|i| number(i + 5)).collect();
            for taps in 1..=dot_taps(S::N) {
                let dots = Dots {
                    rows: planes.as_ptr(),
                    stride: lanes,
                    row_count: self.rows,
                    data: data.as_ptr(),
                    offsets: &offsets[..taps],
                    lanes,
                };
                // SAFETY: everything was sized for it above.
                let found = unsafe { dots.run(s) };
                for r in 0..self.rows {
                    for t in 0..taps {
                        let of = |l: usize| planes[r * lanes + l] * data[l + offsets[t] as usize];
                        assert_eq!(
                            found[r][t],
                            (0..lanes).map(of).sum::<f32>(),
                            "{taps} {r} {t}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn kernels_add_up_all_rows_taps_and_lanes() {
        for isa in Isa::ALL.into_iter().filter(|i| i.available()) {
            for rows in 1..=ROWS {
                for vectors in 1..=MOST_VECTORS {
                    dispatch(isa, Case { rows, vectors });
                }
            }
        }
    }
}
