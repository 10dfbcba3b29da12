//! Filling planes: channels copied out of an operand with zeros between the rows, phases apart.

use crate::{
    gemm::Source,
    plan::{
        convolution::{Image, SLACK},
        window::Planes,
    },
    simd::{Isa, Kernel, Lanes, MOST_LANES, dispatch},
};
use half::f16;

/// Planes to fill, channel after channel.
pub(super) struct Fill<'a> {
    pub(super) planes: &'a Planes,
    pub(super) image: &'a Image,
    /// The operand in memory.
    pub(super) source: Source,
    /// Where the first image and channel start in it.
    pub(super) at: usize,
    /// From a channel to the next.
    pub(super) channel: usize,
    pub(super) channels: usize,
    /// From an image of a plane to the next.
    pub(super) behind: usize,
    /// Images there are, at most those of a plane.
    pub(super) images: usize,
    /// The row of lanes that the planes start with.
    pub(super) row: usize,
    /// Where the planes go, with the slack of whole vectors behind them.
    pub(super) out: *mut f32,
}

impl Fill<'_> {
    /// Fills the planes and returns the largest magnitude that was read, NaN if that is in it.
    ///
    /// # Safety
    /// The operand must be readable where its strides lead, the planes writable with the slack behind them.
    pub(super) unsafe fn run(self, isa: Isa) -> f32 {
        dispatch(isa, self)
    }
}

impl Kernel for Fill<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Lanes>(self, s: S) -> f32 {
        // SAFETY: `Fill::run` is unsafe to call, with the condition that these accesses are within bounds.
        unsafe {
            match self.source {
                Source::F32(x) => self.fill(s, x, |x| s.load(x), |x| x),
                Source::F16(x) => {
                    self.fill(s, x, |x| s.load_f16(x), |x| f16::from_bits(x).to_f32())
                }
            }
        }
    }
}

impl Fill<'_> {
    /// # Safety
    /// As [`Fill::run`].
    #[inline(always)]
    unsafe fn fill<S: Lanes, T: Copy + Default>(
        &self,
        s: S,
        x: *const T,
        load: impl Fn(&[T]) -> S::V,
        convert: impl Fn(T) -> f32,
    ) -> f32 {
        let p = self.planes;
        let mut largest = s.splat(0.0);
        // Planes are written from front to back, so whole vectors may reach into what follows.
        let mut to = self.out;
        for channel in 0..self.channels {
            for &(phase_y, phase_x) in &p.phases {
                let end = to.wrapping_add(p.len);
                let columns = p.columns.min(p.x.data_in(phase_x));
                let rows = p.data_rows.min(p.y.data_in(phase_y));
                let step = self.image.column * p.x.data_step;
                // SAFETY: passed on from the caller.
                unsafe {
                    to = zeros(s, to, p.lead);
                    for image in 0..p.images {
                        let above = if image == 0 { p.above } else { 0 };
                        for row in 0..above + p.image_rows {
                            let data = (self.row + row).checked_sub(above);
                            let data = data.filter(|&d| d < rows && image < self.images);
                            let Some(data) = data else {
                                to = zeros(s, to, p.pitch);
                                continue;
                            };
                            let at = self.at
                                + channel * self.channel
                                + image * self.behind
                                + (data * p.y.data_step + phase_y) * self.image.row
                                + phase_x * self.image.column;
                            for i in (0..columns).step_by(S::N) {
                                let v = match step {
                                    1 => self.load(s, x, at + i, &load),
                                    2 => {
                                        let first = self.load(s, x, at + 2 * i, &load);
                                        let second = self.load(s, x, at + 2 * i + S::N, &load);
                                        s.every_second(first, second)
                                    }
                                    _ => {
                                        let mut lanes = [0.0; MOST_LANES];
                                        let count = S::N.min(columns - i);
                                        for (l, lane) in lanes.iter_mut().enumerate().take(count) {
                                            *lane = convert(*x.add(at + (i + l) * step));
                                        }
                                        s.load(&lanes)
                                    }
                                };
                                s.store(std::slice::from_raw_parts_mut(to.add(i), S::N), v);
                                largest = s.max_magnitude(largest, v);
                            }
                            zeros(s, to.add(columns), p.pitch - columns);
                            to = to.add(p.pitch);
                        }
                    }
                    zeros(s, to, end.offset_from(to).unsigned_abs());
                }
                to = end;
            }
        }
        // SAFETY: passed on from the caller.
        unsafe { zeros(s, to, SLACK - S::N) };
        s.reduce_max(largest)
    }
}

impl Fill<'_> {
    /// A vector from element `at` on, with zeros where the operand has ended.
    ///
    /// # Safety
    /// As [`Fill::run`].
    #[inline(always)]
    unsafe fn load<S: Lanes, T: Copy + Default>(
        &self,
        s: S,
        x: *const T,
        at: usize,
        load: &impl Fn(&[T]) -> S::V,
    ) -> S::V {
        let there = self.image.elements.saturating_sub(at);
        if there >= S::N {
            // SAFETY: passed on from the caller.
            return load(unsafe { std::slice::from_raw_parts(x.add(at), S::N) });
        }
        if there == 0 {
            return s.splat(0.0);
        }
        let mut lanes = [T::default(); MOST_LANES];
        // SAFETY: passed on from the caller.
        let rest = unsafe { std::slice::from_raw_parts(x.add(at), there) };
        lanes[..there].copy_from_slice(rest);
        load(&lanes)
    }
}

/// Writes at least `n` zeros, in whole vectors, and returns where they end.
///
/// # Safety
/// Whole vectors must be writable.
#[inline(always)]
unsafe fn zeros<S: Lanes>(s: S, to: *mut f32, n: usize) -> *mut f32 {
    for i in (0..n).step_by(S::N) {
        // SAFETY: passed on from the caller.
        s.store(
            unsafe { std::slice::from_raw_parts_mut(to.add(i), S::N) },
            s.splat(0.0),
        );
    }
    to.wrapping_add(n)
}
