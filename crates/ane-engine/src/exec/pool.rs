//! Tasks of pools: a window's rows are pooled lane by lane, one result each, and then its columns.

use super::{Context, chain};
use crate::{
    plan::pool::{MaxPoolGradientWork, PoolWork, Pooling},
    simd::{Kernel, Lanes, MOST_LANES, dispatch},
};

/// Pools some planes.
///
/// # Safety
/// As [`Context::run`].
pub(super) unsafe fn pool(cx: &Context<'_>, work: &PoolWork, task: usize) {
    let [y, x] = &work.axes;
    let first = task * work.share;
    let planes = work.share.min(work.planes - first);
    let windows = y.output * x.output;
    // SAFETY: the plan sized the scratch and the operand; the part of the result is this task's alone.
    unsafe {
        let block = cx.scratch.add(work.row());
        dispatch(
            cx.isa,
            Planes {
                work,
                from: cx.slot(work.from).add(first * y.input * x.input),
                planes,
                row: cx.scratch,
                out: block,
            },
        );
        let run = chain::Run {
            cx,
            chain: &work.chain,
            registers: block.add(work.block()),
            task,
            prefetch_distance: work.chain.tile(),
        };
        run.prepare();
        run.block(whole(first * windows, planes * windows), block);
    }
}

/// Neighbouring elements.
fn whole(start: usize, len: usize) -> chain::Block {
    chain::Block {
        start,
        rows: 1,
        stride: 0,
        len,
    }
}

/// Planes to pool, made with the promise of [`pool`].
struct Planes<'a> {
    work: &'a PoolWork,
    from: *const f32,
    planes: usize,
    /// A row with its padding.
    row: *mut f32,
    out: *mut f32,
}

impl Kernel for Planes<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        // SAFETY: made under the condition of `pool`.
        unsafe {
            match &self.work.kind {
                Pooling::Max => {
                    let largest = |a, b| s.select(s.or(s.gt(a, b), s.is_nan(a)), a, b);
                    self.pool(s, f32::NEG_INFINITY, largest);
                }
                Pooling::Mean(counts) => {
                    self.pool(s, 0.0, |a, b| s.add(a, b));
                    self.divide(s, counts);
                }
            }
        }
    }
}

impl Planes<'_> {
    /// # Safety
    /// As [`pool`].
    #[inline(always)]
    unsafe fn pool<S: Lanes>(&self, s: S, padding: f32, both: impl Fn(S::V, S::V) -> S::V) {
        let [y, x] = &self.work.axes;
        // SAFETY: passed on from the caller; whole vectors of results reach into rows that are written later.
        unsafe {
            std::slice::from_raw_parts_mut(self.row, self.work.row()).fill(padding);
            for plane in 0..self.planes {
                let image = self.from.add(plane * y.input * x.input);
                for row in 0..y.output {
                    let out = self.out.add((plane * y.output + row) * x.output);
                    let rows = (0..y.kernel).filter_map(|k| y.position(row, k));
                    for (at, from) in rows.enumerate() {
                        let to = self.row.add(x.before);
                        std::ptr::copy_nonoverlapping(image.add(from * x.input), to, x.input);
                        for window in (0..x.output).step_by(S::N) {
                            let mut pooled = self.covered(s, window, 0);
                            for k in 1..x.kernel {
                                pooled = both(pooled, self.covered(s, window, k));
                            }
                            let out = std::slice::from_raw_parts_mut(out.add(window), S::N);
                            if at > 0 {
                                pooled = both(s.load(out), pooled);
                            }
                            s.store(out, pooled);
                        }
                    }
                }
            }
        }
    }

    /// Element `k` of the windows from `window` on.
    ///
    /// # Safety
    /// As [`pool`].
    #[inline(always)]
    unsafe fn covered<S: Lanes>(&self, s: S, window: usize, k: usize) -> S::V {
        let x = &self.work.axes[1];
        let at = window * x.stride + k * x.dilation;
        // SAFETY: passed on from the caller; the row was sized for whole vectors of windows.
        unsafe {
            let from = self.row.add(at).cast_const();
            let load = |i| s.load(std::slice::from_raw_parts(from.add(i), S::N));
            match x.stride {
                1 => load(0),
                2 => s.every_second(load(0), load(S::N)),
                stride => {
                    let mut lanes = [0.0; MOST_LANES];
                    for (i, lane) in lanes.iter_mut().enumerate().take(S::N) {
                        *lane = *from.add(i * stride);
                    }
                    s.load(&lanes)
                }
            }
        }
    }

    /// Divides sums by how many elements they are of.
    ///
    /// # Safety
    /// As [`pool`].
    #[inline(always)]
    unsafe fn divide<S: Lanes>(&self, s: S, counts: &[f32]) {
        let [y, x] = &self.work.axes;
        let windows = y.output * x.output;
        for plane in 0..self.planes {
            // SAFETY: passed on from the caller.
            let out =
                unsafe { std::slice::from_raw_parts_mut(self.out.add(plane * windows), windows) };
            if let [count] = counts {
                let (all, count) = (out.len() / S::N * S::N, *count);
                for sum in out[..all].chunks_exact_mut(S::N) {
                    s.store(sum, s.div(s.load(sum), s.splat(count)));
                }
                for sum in &mut out[all..] {
                    *sum /= count;
                }
            } else {
                for (sum, count) in out.iter_mut().zip(counts) {
                    *sum /= count;
                }
            }
        }
    }
}

/// Gives the first largest element of every window the window's cotangent.
///
/// # Safety
/// As [`Context::run`].
pub(super) unsafe fn max_pool_gradient(cx: &Context<'_>, work: &MaxPoolGradientWork, task: usize) {
    let [y, x] = &work.axes;
    let first = task * work.share;
    let planes = work.share.min(work.planes - first);
    let (image, windows) = (y.input * x.input, y.output * x.output);
    // SAFETY: the plan sized the scratch and the operands; the part of the result is this task's alone.
    unsafe {
        let block = cx.scratch;
        let elements = cx.slot(work.x).add(first * image);
        let ct = cx.slot(work.ct).add(first * windows);
        dispatch(
            cx.isa,
            Gradient {
                work,
                elements: std::slice::from_raw_parts(elements, planes * image),
                ct: std::slice::from_raw_parts(ct, planes * windows),
                to: std::slice::from_raw_parts_mut(block, planes * image),
            },
        );
        let run = chain::Run {
            cx,
            chain: &work.chain,
            registers: block.add(work.share * image),
            task,
            prefetch_distance: work.chain.tile(),
        };
        run.prepare();
        run.block(whole(first * image, planes * image), block);
    }
}

/// What elements of some planes get from their windows.
struct Gradient<'a> {
    work: &'a MaxPoolGradientWork,
    elements: &'a [f32],
    ct: &'a [f32],
    to: &'a mut [f32],
}

impl Kernel for Gradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        let work = self.work;
        let (image, windows) = work.axes.iter().fold((1, 1), |(image, windows), a| {
            (image * a.input, windows * a.output)
        });
        let pairs = work.axes.iter().all(|a| a.tiles() && a.kernel == 2);
        let planes = self.elements.chunks_exact(image);
        let cotangents = self.ct.chunks_exact(windows);
        for ((elements, ct), to) in planes.zip(cotangents).zip(self.to.chunks_exact_mut(image)) {
            to.fill(0.0);
            if pairs {
                give_in_pairs(s, work, elements, ct, to);
            } else {
                give(work, elements, ct, to);
            }
        }
    }
}

/// [`give`] where the windows are two by two and lie side by side: a vector of them at a time.
#[inline(always)]
fn give_in_pairs<S: Lanes>(
    s: S,
    work: &MaxPoolGradientWork,
    elements: &[f32],
    ct: &[f32],
    to: &mut [f32],
) {
    let [y, x] = &work.axes;
    for row in 0..y.output {
        for first in (0..x.output).step_by(S::N) {
            let count = S::N.min(x.output - first);
            let start = |k: usize| (2 * row + k) * x.input + 2 * first;
            // One more than two vectors, as the second elements of pairs are read from the second one on.
            let mut rows = [[0.0; 2 * MOST_LANES + 1]; 2];
            for (k, lanes) in rows.iter_mut().enumerate() {
                let at = start(k);
                lanes[..2 * count].copy_from_slice(&elements[at..at + 2 * count]);
            }
            let mut cotangents = [0.0; MOST_LANES];
            let window = row * x.output + first;
            cotangents[..count].copy_from_slice(&ct[window..window + count]);
            let cotangent = s.load(&cotangents);
            let of = |k: usize| {
                let lanes = &rows[k / 2][k % 2..];
                s.every_second(s.load(lanes), s.load(&lanes[S::N..]))
            };
            let covered = [of(0), of(1), of(2), of(3)];
            let (mut largest, mut at) = (covered[0], s.splat(0.0));
            let mut no_number = s.is_nan(covered[0]);
            for (k, &element) in covered.iter().enumerate().skip(1) {
                let wins = s.gt(element, largest);
                largest = s.select(wins, element, largest);
                at = s.select(wins, s.splat(k as f32), at);
                no_number = s.or(no_number, s.is_nan(element));
            }
            let zero = s.splat(0.0);
            if s.nonzero(s.select(no_number, s.splat(1.0), zero)) != 0 {
                for column in first..first + count {
                    give_one(work, elements, ct, to, (row, column));
                }
                continue;
            }
            for k in 0..2 {
                let mut pair = [[0.0; MOST_LANES]; 2];
                for (of, lanes) in pair.iter_mut().enumerate() {
                    let here = s.eq(at, s.splat((2 * k + of) as f32));
                    s.store(lanes, s.select(here, cotangent, zero));
                }
                let [left, right] = pair;
                let at = start(k);
                let to = to[at..at + 2 * count].chunks_exact_mut(2);
                for (to, (left, right)) in to.zip(left.into_iter().zip(right)) {
                    to.copy_from_slice(&[left, right]);
                }
            }
        }
    }
}

/// [`max_pool_gradient`] of one plane.
fn give(work: &MaxPoolGradientWork, elements: &[f32], ct: &[f32], to: &mut [f32]) {
    let [y, x] = &work.axes;
    for row in 0..y.output {
        for column in 0..x.output {
            give_one(work, elements, ct, to, (row, column));
        }
    }
}

/// [`max_pool_gradient`] of one window.
fn give_one(
    work: &MaxPoolGradientWork,
    elements: &[f32],
    ct: &[f32],
    to: &mut [f32],
    (row, column): (usize, usize),
) {
    let [y, x] = &work.axes;
    // Nothing is added to what windows do not share, so that a cotangent of −0 stays one.
    let shared = [y, x].iter().any(|a| a.stride < a.extent());
    let ct = ct[row * x.output + column];
    let covered = || {
        let rows = (0..y.kernel).filter_map(|k| y.position(row, k));
        rows.flat_map(|r| {
            let columns = (0..x.kernel).filter_map(|k| x.position(column, k));
            columns.map(move |c| r * x.input + c)
        })
    };
    let mut give = |at: usize| to[at] = if shared { to[at] + ct } else { ct };
    let mut largest = None;
    for at in covered() {
        let element = elements[at];
        // What is no number equals nothing, and every element of its window gets the cotangent.
        if element.is_nan() {
            covered().for_each(&mut give);
            return;
        }
        if largest.is_none_or(|l: usize| element > elements[l]) {
            largest = Some(at);
        }
    }
    if let Some(at) = largest {
        give(at);
    }
}
