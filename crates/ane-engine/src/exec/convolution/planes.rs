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
        let step = self.image.column * self.planes.x.data_step;
        // SAFETY: `Fill::run` is unsafe to call, with the condition that these accesses are within bounds.
        unsafe {
            match (self.source, step) {
                (Source::F32(x), 1) => self.fill::<S, f32, 1>(s, x),
                (Source::F32(x), 2) => self.fill::<S, f32, 2>(s, x),
                (Source::F32(x), _) => self.fill::<S, f32, 0>(s, x),
                (Source::F16(x), 1) => self.fill::<S, u16, 1>(s, x),
                (Source::F16(x), 2) => self.fill::<S, u16, 2>(s, x),
                (Source::F16(x), _) => self.fill::<S, u16, 0>(s, x),
            }
        }
    }
}

/// An element of an operand.
trait Element: Copy + Default {
    fn load<S: Lanes>(s: S, x: &[Self]) -> S::V;
    fn convert(self) -> f32;
}

impl Element for f32 {
    #[inline(always)]
    fn load<S: Lanes>(s: S, x: &[Self]) -> S::V {
        s.load(x)
    }
    #[inline(always)]
    fn convert(self) -> f32 {
        self
    }
}

/// The bits of fp16.
impl Element for u16 {
    #[inline(always)]
    fn load<S: Lanes>(s: S, x: &[Self]) -> S::V {
        s.load_f16(x)
    }
    #[inline(always)]
    fn convert(self) -> f32 {
        f16::from_bits(self).to_f32()
    }
}

impl Fill<'_> {
    /// Elements of a row lie `STEP` apart, or as far as the operand says where that is 0.
    ///
    /// # Safety
    /// As [`Fill::run`].
    #[inline(always)]
    unsafe fn fill<S: Lanes, T: Element, const STEP: usize>(&self, s: S, x: *const T) -> f32 {
        let p = self.planes;
        let mut largest = s.splat(0.0);
        // Planes are written from front to back, so whole vectors may reach into what follows.
        let mut to = self.out;
        for channel in 0..self.channels {
            for &(phase_y, phase_x) in &p.phases {
                let end = to.wrapping_add(p.len);
                let columns = p.columns.min(p.x.data_in(phase_x));
                let rows = p.data_rows.min(p.y.data_in(phase_y));
                let row_step = p.y.data_step * self.image.row;
                let first = self.at
                    + channel * self.channel
                    + phase_y * self.image.row
                    + phase_x * self.image.column;
                // Elements behind the first one that whole vectors of a row reach.
                let reach = columns.next_multiple_of(S::N) * STEP;
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
                            let at = first + image * self.behind + data * row_step;
                            if STEP == 0 || at + reach > self.image.elements {
                                largest = self.row_by_elements(s, x, at, columns, to, largest);
                            } else {
                                let mut from = x.add(at);
                                for i in (0..columns).step_by(S::N) {
                                    let load = |at: usize| {
                                        T::load(s, std::slice::from_raw_parts(from.add(at), S::N))
                                    };
                                    let v = match STEP {
                                        1 => load(0),
                                        _ => s.every_second(load(0), load(S::N)),
                                    };
                                    s.store(std::slice::from_raw_parts_mut(to.add(i), S::N), v);
                                    largest = s.max_magnitude(largest, v);
                                    from = from.wrapping_add(STEP * S::N);
                                }
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

    /// A row of any step, or at the end of the operand; folds its magnitudes into `largest`.
    ///
    /// A function of its own, so that the loop over the other rows keeps its registers.
    ///
    /// # Safety
    /// As [`Fill::run`].
    #[inline(never)]
    unsafe fn row_by_elements<S: Lanes, T: Element>(
        &self,
        s: S,
        x: *const T,
        at: usize,
        columns: usize,
        to: *mut f32,
        mut largest: S::V,
    ) -> S::V {
        let step = self.image.column * self.planes.x.data_step;
        for i in (0..columns).step_by(S::N) {
            let mut lanes = [0.0; MOST_LANES];
            let count = S::N.min(columns - i);
            for (l, lane) in lanes.iter_mut().enumerate().take(count) {
                // SAFETY: passed on from the caller: the operand has the elements of the row.
                *lane = unsafe { (*x.add(at + (i + l) * step)).convert() };
            }
            let v = s.load(&lanes);
            // SAFETY: passed on from the caller.
            s.store(
                unsafe { std::slice::from_raw_parts_mut(to.add(i), S::N) },
                v,
            );
            largest = s.max_magnitude(largest, v);
        }
        largest
    }
}

/// Writes at least `n` zeros, in whole vectors and at least one, and returns where they end.
///
/// # Safety
/// Whole vectors must be writable.
#[inline(always)]
unsafe fn zeros<S: Lanes>(s: S, to: *mut f32, n: usize) -> *mut f32 {
    let zero = |at: usize| {
        // SAFETY: passed on from the caller.
        let to = unsafe { std::slice::from_raw_parts_mut(to.add(at), S::N) };
        s.store(to, s.splat(0.0));
    };
    // Few are wanted as a rule: the first vector is no loop, of which the compiler would make a call.
    zero(0);
    for at in (S::N..n).step_by(S::N) {
        zero(at);
    }
    to.wrapping_add(n)
}
