//! Bringing an operand of a product into the order in which the kernel reads it.

use crate::simd::{Isa, Kernel, Lanes, MOST_LANES, dispatch, widen_lanes};

/// Elements of an operand in memory.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source {
    /// f32 elements.
    F32(*const f32),
    /// fp16 bit patterns.
    F16(*const u16),
}

/// Packs `count` vectors of length `k` into one group `[k][width]`. What fills up the last vector of lanes is finite and
/// means nothing, since the kernel stores no result of it; the rest of the width is neither written nor read.
///
/// Vector `i`, element `p` is read at `i · stride + p · step`.
pub(crate) struct Pack {
    /// Where the first vector starts.
    pub(crate) source: Source,
    /// Distance of vectors.
    pub(crate) stride: usize,
    /// Distance of elements of a vector.
    pub(crate) step: usize,
    /// Vectors there are, at most `width`.
    pub(crate) count: usize,
    /// Length of a vector.
    pub(crate) k: usize,
    /// Vectors of a group.
    pub(crate) width: usize,
    /// The group, `k · width` elements.
    pub(crate) out: *mut f32,
}

impl Pack {
    /// Packs, and returns the largest magnitude of what it packed, NaN if that is in it.
    ///
    /// # Safety
    /// The source may be read where the strides lead, the group may be written.
    pub(crate) unsafe fn run(self, isa: Isa) -> f32 {
        dispatch(isa, self)
    }
}

impl Kernel for Pack {
    type Output = f32;

    #[inline(always)]
    fn run<S: Lanes>(self, s: S) -> f32 {
        // SAFETY: `Pack::run` is unsafe to call, with the condition that these accesses are within bounds.
        let largest = unsafe {
            let out = std::slice::from_raw_parts_mut(self.out, self.k * self.width);
            // The kernel reads whole vectors.
            if !self.count.is_multiple_of(S::N) {
                out.fill(0.0);
            }
            match self.source {
                Source::F32(x) if self.stride == 1 => {
                    self.copy_rows(s, x, |x| s.load(x), |row, out| out.copy_from_slice(row))
                }
                Source::F16(x) if self.stride == 1 => {
                    self.copy_rows(s, x, |x| s.load_f16(x), |row, out| widen_lanes(s, row, out))
                }
                Source::F32(x) if self.step == 1 => self.transpose(s, x, |x| s.load(x), |&x| x),
                Source::F16(x) if self.step == 1 => self.transpose(
                    s,
                    x,
                    |x| s.load_f16(x),
                    |&x| half::f16::from_bits(x).to_f32(),
                ),
                Source::F32(x) => self.gather(s, |at| *x.add(at)),
                Source::F16(x) => self.gather(s, |at| half::f16::from_bits(*x.add(at)).to_f32()),
            }
        };
        s.reduce_max(largest)
    }
}

impl Pack {
    /// Elements of neighbouring vectors lie side by side: whole rows of the group are copied.
    ///
    /// # Safety
    /// As [`Pack::run`].
    #[inline(always)]
    unsafe fn copy_rows<S: Lanes, T>(
        &self,
        s: S,
        x: *const T,
        load: impl Fn(&[T]) -> S::V,
        convert: impl Fn(&[T], &mut [f32]),
    ) -> S::V {
        let mut largest = s.splat(0.0);
        for p in 0..self.k {
            let (from, to) = (p * self.step, p * self.width);
            // SAFETY: see `run`.
            let (row, out) = unsafe {
                (
                    std::slice::from_raw_parts(x.add(from), self.count),
                    std::slice::from_raw_parts_mut(self.out.add(to), self.count),
                )
            };
            let whole = self.count / S::N * S::N;
            let (row, row_rest) = row.split_at(whole);
            let (out, out_rest) = out.split_at_mut(whole);
            for (row, out) in row.chunks_exact(S::N).zip(out.chunks_exact_mut(S::N)) {
                let v = load(row);
                s.store(out, v);
                largest = s.max_magnitude(largest, v);
            }
            if !row_rest.is_empty() {
                convert(row_rest, out_rest);
                let mut lanes = [0.0; MOST_LANES];
                lanes[..out_rest.len()].copy_from_slice(out_rest);
                largest = s.max_magnitude(largest, s.load(&lanes));
            }
        }
        largest
    }

    /// Elements of a vector lie side by side: they go through squares that are transposed in registers, so that the
    /// strided side of the copy touches each line once.
    ///
    /// # Safety
    /// As [`Pack::run`].
    #[inline(always)]
    unsafe fn transpose<S: Lanes, T>(
        &self,
        s: S,
        x: *const T,
        load: impl Fn(&[T]) -> S::V,
        convert: impl Fn(&T) -> f32,
    ) -> S::V {
        let mut largest = s.splat(0.0);
        for p0 in (0..self.k).step_by(S::N) {
            let depth = S::N.min(self.k - p0);
            for i0 in (0..self.count).step_by(S::N) {
                let vectors = S::N.min(self.count - i0);
                if depth == S::N && i0 + S::N <= self.width {
                    // The number of rounds is a constant, so that the square stays in registers.
                    let mut rows = [s.splat(0.0); MOST_LANES];
                    for (i, row) in rows.iter_mut().enumerate().take(S::N) {
                        if i >= vectors {
                            continue;
                        }
                        let from = (i0 + i) * self.stride + p0;
                        // SAFETY: see `run`.
                        *row = load(unsafe { std::slice::from_raw_parts(x.add(from), S::N) });
                        largest = s.max_magnitude(largest, *row);
                    }
                    for (p, column) in s.transpose(rows).into_iter().enumerate().take(S::N) {
                        let to = (p0 + p) * self.width + i0;
                        // SAFETY: the row of the group goes on that far.
                        let to = unsafe { std::slice::from_raw_parts_mut(self.out.add(to), S::N) };
                        s.store(to, column);
                    }
                    continue;
                }
                for i in i0..i0 + vectors {
                    for p in p0..p0 + depth {
                        // SAFETY: see `run`.
                        unsafe {
                            let element = convert(&*x.add(i * self.stride + p));
                            *self.out.add(p * self.width + i) = element;
                            largest = s.max_magnitude(largest, s.splat(element));
                        }
                    }
                }
            }
        }
        largest
    }

    /// # Safety
    /// As [`Pack::run`].
    #[inline(always)]
    unsafe fn gather<S: Lanes>(&self, s: S, at: impl Fn(usize) -> f32) -> S::V {
        let mut largest = s.splat(0.0);
        for p in 0..self.k {
            for i in 0..self.count {
                let element = at(i * self.stride + p * self.step);
                // SAFETY: see `run`.
                unsafe { *self.out.add(p * self.width + i) = element };
                largest = s.max_magnitude(largest, s.splat(element));
            }
        }
        largest
    }
}
