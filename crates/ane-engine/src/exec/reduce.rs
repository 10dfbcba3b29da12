//! Tasks of reductions.
//!
//! Results that lie side by side are summed lane by lane, each in the order of its terms. Where the terms lie side by
//! side they go to the lanes in turn, [`MANY`] of them and more to four vectors in turn. Running sums in fp16 always
//! run in order, since each step rounds. Which way a result goes depends on shapes alone.

use super::{Context, chain::largest_lanes, largest};
use crate::{
    plan::{DType, ReduceWork, Reduction, walk::Walk},
    simd::{Lanes, MOST_LANES, math},
};
use ane_ir::{Accumulate, Numerics};

/// Terms from which on four vectors of sums are kept, as one would wait for itself.
const MANY: usize = 1024;

/// Scratch of a reduction of `terms` terms in elements.
pub(crate) fn scratch(kind: Reduction, terms: usize) -> usize {
    match kind {
        Reduction::LogSumExp => terms,
        _ => terms.min(MANY),
    }
}

/// # Safety
/// As [`Context::run`].
#[inline(always)]
pub(super) unsafe fn reduce<S: Lanes>(cx: &Context<'_>, s: S, work: &ReduceWork, task: usize) {
    let numerics = &cx.execution.plan.0.options.numerics;
    let shares = work.results.div_ceil(work.share);
    let terms = &work.parts[task / shares];
    let first = task % shares * work.share;
    let last = (first + work.share).min(work.results);
    let lane_by_lane = work.kind != Reduction::LogSumExp && numerics.accumulate == Accumulate::Fp32;
    let store = |y: f32| match work.dtype {
        Some(dtype) => numerics.store(dtype, y),
        None => y,
    };
    // SAFETY: the plan made the walks from the operand's shape; results `first..last` of this part are this task's
    // alone.
    unsafe {
        let to = cx.slot(work.to).add(task / shares * work.results);
        let mut at = first;
        while at < last {
            let x = cx.slot(work.from).add(work.kept.position(at)).cast_const();
            let neighbours = work.kept.neighbours(at).min(last - at);
            let vectors = if lane_by_lane { neighbours / S::N } else { 0 };
            let out = std::slice::from_raw_parts_mut(to.add(at), last - at);
            let done = match vectors {
                0 => {
                    out[0] = store(one(cx, s, x, terms, work, numerics));
                    at += 1;
                    continue;
                }
                1..=3 => columns::<S, 1>(s, x, terms, work, out),
                4..=7 => columns::<S, 4>(s, x, terms, work, out),
                _ => columns::<S, 8>(s, x, terms, work, out),
            };
            for y in &mut out[..done] {
                *y = store(*y);
            }
            at += done;
        }
    }
}

/// `V` vectors of neighbouring results, and how many those are.
///
/// # Safety
/// The terms of all of them must be readable from `x` on.
#[inline(always)]
unsafe fn columns<S: Lanes, const V: usize>(
    s: S,
    x: *const f32,
    terms: &Walk,
    work: &ReduceWork,
    out: &mut [f32],
) -> usize {
    let kind = work.kind;
    let first = match kind {
        Reduction::Max => f32::NEG_INFINITY,
        Reduction::Min => f32::INFINITY,
        _ => 0.0,
    };
    let mut sums = [s.splat(first); V];
    let (len, stride) = terms.inner();
    for run in 0..terms.runs() {
        let mut row = x.wrapping_add(terms.run_start(run));
        for _ in 0..len {
            for (i, sum) in sums.iter_mut().enumerate() {
                // SAFETY: passed on from the caller.
                let v = s.load(unsafe { std::slice::from_raw_parts(row.add(i * S::N), S::N) });
                *sum = match kind {
                    Reduction::Max => s.select(s.or(s.gt(*sum, v), s.is_nan(*sum)), *sum, v),
                    Reduction::Min => s.select(s.or(s.gt(v, *sum), s.is_nan(*sum)), *sum, v),
                    _ if kind.squares() => s.add(*sum, s.mul(v, v)),
                    _ => s.add(*sum, v),
                };
            }
            row = row.wrapping_add(stride);
        }
    }
    for (sum, out) in sums.into_iter().zip(out.chunks_exact_mut(S::N)) {
        let y = match kind {
            Reduction::Mean => s.div(sum, s.splat(work.divisor)),
            Reduction::L2Norm | Reduction::RootOfSum => s.sqrt(sum),
            _ => sum,
        };
        s.store(out, y);
    }
    V * S::N
}

/// One result.
///
/// # Safety
/// The terms must be readable from `x` on, the scratch be this thread's.
#[inline(always)]
unsafe fn one<S: Lanes>(
    cx: &Context<'_>,
    s: S,
    x: *const f32,
    terms: &Walk,
    work: &ReduceWork,
    numerics: &Numerics,
) -> f32 {
    let (len, stride) = terms.inner();
    // SAFETY: passed on from the caller; the plan sized the scratch by `scratch`.
    unsafe {
        match work.kind {
            Reduction::Max | Reduction::Min => extreme(s, x, terms, work.kind),
            Reduction::LogSumExp => {
                let row = std::slice::from_raw_parts_mut(cx.scratch, terms.len());
                gather(x, terms, 0, row);
                let max = largest(row);
                if max.is_infinite() {
                    return max;
                }
                exponentials(s, row, max);
                max + sum(s, row, work.dtype, numerics).ln()
            }
            kind => {
                let total = if stride == 1 && terms.runs() == 1 && !kind.squares() {
                    let x = std::slice::from_raw_parts(x.add(terms.offset), len);
                    sum(s, x, work.dtype, numerics)
                } else if terms.len() <= MANY {
                    let row = std::slice::from_raw_parts_mut(cx.scratch, terms.len());
                    gather_terms(x, terms, kind, 0, row);
                    sum(s, row, work.dtype, numerics)
                } else {
                    strided_sum(cx, s, x, terms, work, numerics)
                };
                match kind {
                    Reduction::Mean => total / work.divisor,
                    Reduction::L2Norm | Reduction::RootOfSum => total.sqrt(),
                    _ => total,
                }
            }
        }
    }
}

/// The largest or smallest term, lane by lane where they lie side by side. Zeros of both signs are equal, so the one
/// that comes last is looked for in order.
///
/// # Safety
/// As [`one`].
#[inline(always)]
unsafe fn extreme<S: Lanes>(s: S, x: *const f32, terms: &Walk, kind: Reduction) -> f32 {
    let (len, stride) = terms.inner();
    let largest = kind == Reduction::Max;
    if stride == 1 && terms.runs() == 1 {
        // SAFETY: passed on from the caller.
        let x = unsafe { std::slice::from_raw_parts(x.add(terms.offset), len) };
        let found = if largest {
            largest_lanes(s, x, f32::NEG_INFINITY)
        } else {
            smallest_lanes(s, x)
        };
        if found != 0.0 {
            return found;
        }
    }
    // SAFETY: passed on from the caller.
    unsafe {
        if largest {
            fold(x, terms, f32::NEG_INFINITY, |so_far, x| so_far > x)
        } else {
            fold(x, terms, f32::INFINITY, |so_far, x| so_far < x)
        }
    }
}

/// Smallest element, NaN if one is.
#[inline(always)]
fn smallest_lanes<S: Lanes>(s: S, x: &[f32]) -> f32 {
    let mut chunks = x.chunks_exact(S::N);
    let mut lanes = s.splat(f32::INFINITY);
    for c in &mut chunks {
        let v = s.load(c);
        let keep = s.or(s.gt(v, lanes), s.is_nan(lanes));
        lanes = s.select(keep, lanes, v);
    }
    let mut each = [0.0; MOST_LANES];
    s.store(&mut each, lanes);
    let all = each[..S::N].iter().chain(chunks.remainder());
    all.copied().fold(
        f32::INFINITY,
        |a, b| if a.is_nan() || a < b { a } else { b },
    )
}

/// One after the other: what is kept while `wins` says so, and once it is no number.
///
/// # Safety
/// As [`one`].
#[inline(always)]
unsafe fn fold(x: *const f32, terms: &Walk, first: f32, wins: impl Fn(f32, f32) -> bool) -> f32 {
    let (len, stride) = terms.inner();
    let mut so_far = first;
    for run in 0..terms.runs() {
        let row = x.wrapping_add(terms.run_start(run));
        for i in 0..len {
            // SAFETY: passed on from the caller.
            let x = unsafe { *row.add(i * stride) };
            so_far = if so_far.is_nan() || wins(so_far, x) {
                so_far
            } else {
                x
            };
        }
    }
    so_far
}

/// As [`gather`], squared where the reduction is of squares.
///
/// # Safety
/// As [`gather`].
#[inline(always)]
unsafe fn gather_terms(
    x: *const f32,
    terms: &Walk,
    kind: Reduction,
    first: usize,
    out: &mut [f32],
) {
    // SAFETY: passed on from the caller.
    unsafe { gather(x, terms, first, out) };
    if kind.squares() {
        out.iter_mut().for_each(|x| *x *= *x);
    }
}

/// Terms from number `first` on, as many as `out` has.
///
/// # Safety
/// They must be readable from `x` on.
#[inline(always)]
pub(super) unsafe fn gather(x: *const f32, terms: &Walk, first: usize, out: &mut [f32]) {
    let (len, stride) = terms.inner();
    let mut done = 0;
    while done < out.len() {
        let at = first + done;
        let n = (len - at % len).min(out.len() - done);
        let x = x.wrapping_add(terms.position(at));
        for (i, y) in out[done..done + n].iter_mut().enumerate() {
            // SAFETY: passed on from the caller.
            *y = unsafe { *x.add(i * stride) };
        }
        done += n;
    }
}

/// Sum of the terms of one result.
#[inline(always)]
pub(super) fn sum<S: Lanes>(s: S, x: &[f32], dtype: Option<DType>, numerics: &Numerics) -> f32 {
    if numerics.accumulate == Accumulate::Stepwise {
        return stepwise(0.0, x, dtype, numerics);
    }
    sum_in_any_order(s, x)
}

/// [`sum`] by lanes.
#[inline(always)]
pub(super) fn sum_in_any_order<S: Lanes>(s: S, x: &[f32]) -> f32 {
    if x.len() > MANY {
        let whole = x.len() / (4 * S::N) * (4 * S::N);
        let sums = four_sums(s, [s.splat(0.0); 4], &x[..whole]);
        return finish(s, sums, &x[whole..]);
    }
    let whole = x.len() / S::N * S::N;
    let mut sum = s.splat(0.0);
    for c in x[..whole].chunks_exact(S::N) {
        sum = s.add(sum, s.load(c));
    }
    x[whole..].iter().fold(s.reduce_sum(sum), |acc, &x| acc + x)
}

/// Sum of squares by lanes, in four vectors in turn.
#[inline(always)]
pub(super) fn sum_of_squares<S: Lanes>(s: S, x: &[f32]) -> f32 {
    let mut sums = [s.splat(0.0); 4];
    let mut chunks = x.chunks_exact(4 * S::N);
    for c in &mut chunks {
        for (i, sum) in sums.iter_mut().enumerate() {
            let v = s.load(&c[i * S::N..]);
            *sum = s.add(*sum, s.mul(v, v));
        }
    }
    let [a, b, c, d] = sums;
    let sum = s.reduce_sum(s.add(s.add(a, b), s.add(c, d)));
    chunks.remainder().iter().fold(sum, |acc, x| acc + x * x)
}

/// [`sum`] of more than [`MANY`] terms that lie apart, brought together block by block.
///
/// # Safety
/// As [`one`].
#[inline(always)]
unsafe fn strided_sum<S: Lanes>(
    cx: &Context<'_>,
    s: S,
    x: *const f32,
    terms: &Walk,
    work: &ReduceWork,
    numerics: &Numerics,
) -> f32 {
    let (kind, dtype) = (work.kind, work.dtype);
    let (len, stride) = terms.inner();
    let all = terms.len();
    let in_order = numerics.accumulate == Accumulate::Stepwise;
    let mut sums = [s.splat(0.0); 4];
    let mut so_far = 0.0;
    // SAFETY: passed on from the caller.
    unsafe {
        if stride == 1 && len.is_multiple_of(4 * S::N) && !in_order && !kind.squares() {
            for run in 0..terms.runs() {
                let x = std::slice::from_raw_parts(x.add(terms.run_start(run)), len);
                sums = four_sums(s, sums, x);
            }
            return finish(s, sums, &[]);
        }
        let mut done = 0;
        while done < all {
            let n = MANY.min(all - done);
            let block = std::slice::from_raw_parts_mut(cx.scratch, n);
            gather_terms(x, terms, kind, done, block);
            done += n;
            if in_order {
                so_far = stepwise(so_far, block, dtype, numerics);
            } else if n == MANY {
                sums = four_sums(s, sums, block);
            } else {
                let whole = n / (4 * S::N) * (4 * S::N);
                sums = four_sums(s, sums, &block[..whole]);
                return finish(s, sums, &block[whole..]);
            }
        }
    }
    if in_order {
        so_far
    } else {
        finish(s, sums, &[])
    }
}

fn stepwise(so_far: f32, x: &[f32], dtype: Option<DType>, numerics: &Numerics) -> f32 {
    x.iter().fold(so_far, |acc, &x| match dtype {
        Some(dtype) => numerics.store(dtype, acc + x),
        None => acc + x,
    })
}

/// Adds terms to four vectors in turn; their number is a multiple of the lanes of four.
#[inline(always)]
fn four_sums<S: Lanes>(s: S, mut sums: [S::V; 4], x: &[f32]) -> [S::V; 4] {
    for c in x.chunks_exact(4 * S::N) {
        for (i, sum) in sums.iter_mut().enumerate() {
            *sum = s.add(*sum, s.load(&c[i * S::N..]));
        }
    }
    sums
}

#[inline(always)]
fn finish<S: Lanes>(s: S, [a, b, c, d]: [S::V; 4], rest: &[f32]) -> f32 {
    let sum = s.add(s.add(a, b), s.add(c, d));
    rest.iter().fold(s.reduce_sum(sum), |acc, &x| acc + x)
}

/// exp(x − max) of every element.
#[inline(always)]
pub(super) fn exponentials<S: Lanes>(s: S, row: &mut [f32], max: f32) {
    let max = s.splat(max);
    let whole = row.len() / S::N * S::N;
    for c in row[..whole].chunks_exact_mut(S::N) {
        let y = math::exp(s, s.sub(s.load(c), max));
        s.store(c, y);
    }
    let rest = &mut row[whole..];
    let mut lanes = [0.0_f32; 16];
    lanes[..rest.len()].copy_from_slice(rest);
    let y = math::exp(s, s.sub(s.load(&lanes), max));
    s.store(&mut lanes, y);
    let n = rest.len();
    rest.copy_from_slice(&lanes[..n]);
}
