//! Transposing crossed products on their way to the block of the result or straight to a port.

use super::chain;
use crate::simd::{Lanes, MOST_LANES};

/// `from[rows, columns]` on its way to be `[columns, rows]`, at most a strip of rows at a time.
pub(super) struct Transpose {
    pub(super) from: *const f32,
    /// Distance of rows.
    pub(super) stride: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Where the first row goes: a column of the sink.
    pub(super) to: usize,
}

/// Where columns go.
pub(super) trait Sink<S: Lanes> {
    /// The first `n` lanes of `v` are elements from `column` on of row `row`.
    ///
    /// # Safety
    /// The sink must have them.
    unsafe fn put(&mut self, s: S, row: usize, column: usize, v: S::V, n: usize);
}

impl Transpose {
    /// # Safety
    /// The rows must be readable in whole vectors, those that fill up the last square too, and the sink have their
    /// elements.
    #[inline(always)]
    pub(super) unsafe fn run<S: Lanes>(self, s: S, sink: &mut impl Sink<S>) {
        for r in (0..self.rows).step_by(S::N) {
            let n = S::N.min(self.rows - r);
            for c in (0..self.columns).step_by(S::N) {
                let mut square = [s.splat(0.0); MOST_LANES];
                for (i, row) in square.iter_mut().enumerate().take(S::N) {
                    let at = (r + i) * self.stride + c;
                    // SAFETY: passed on from the caller.
                    *row = s.load(unsafe { std::slice::from_raw_parts(self.from.add(at), S::N) });
                }
                let columns = s.transpose(square).into_iter().enumerate();
                for (i, v) in columns.take(S::N.min(self.columns - c)) {
                    // SAFETY: passed on from the caller.
                    unsafe { sink.put(s, c + i, self.to + r, v, n) };
                }
            }
        }
    }
}

/// The block of the result, for the rest of the chain.
pub(super) struct ToBlock {
    pub(super) out: *mut f32,
    pub(super) stride: usize,
}

impl<S: Lanes> Sink<S> for ToBlock {
    #[inline(always)]
    unsafe fn put(&mut self, s: S, row: usize, column: usize, v: S::V, n: usize) {
        // SAFETY: passed on from the caller.
        let out =
            unsafe { std::slice::from_raw_parts_mut(self.out.add(row * self.stride + column), n) };
        if n == S::N {
            s.store(out, v);
        } else {
            let mut lanes = [0.0; MOST_LANES];
            s.store(&mut lanes, v);
            out.copy_from_slice(&lanes[..n]);
        }
    }
}

/// An output port, as [`Instr::GradientOutput`](crate::plan::chain::Instr::GradientOutput) has it when it is all that the chain does: the block is never written.
pub(super) struct ToPort<S: Lanes> {
    pub(super) out: *mut u16,
    pub(super) stride: usize,
    pub(super) limit: S::V,
    /// Largest magnitude so far.
    pub(super) largest: S::V,
}

impl<S: Lanes> Sink<S> for ToPort<S> {
    #[inline(always)]
    unsafe fn put(&mut self, s: S, row: usize, column: usize, v: S::V, n: usize) {
        // SAFETY: passed on from the caller.
        let out =
            unsafe { std::slice::from_raw_parts_mut(self.out.add(row * self.stride + column), n) };
        if n == S::N {
            self.largest = chain::gradient_output_vector(s, v, self.limit, out, self.largest);
        } else {
            let (mut wide, mut narrow) = ([0.0; MOST_LANES], [0; MOST_LANES]);
            s.store(&mut wide, v);
            wide[n..].fill(0.0);
            let v = s.load(&wide);
            self.largest =
                chain::gradient_output_vector(s, v, self.limit, &mut narrow, self.largest);
            out.copy_from_slice(&narrow[..n]);
        }
    }
}
