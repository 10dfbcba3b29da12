//! Tasks of reductions and of softmax.
//!
//! Sums run in the order of their terms where several results lie side by side, and in `N` interleaved sums where the
//! terms do; running sums in fp16 always run in order, since each step rounds.

use super::{Context, largest};
use crate::{
    plan::{DType, ReduceWork, Reduction},
    simd::{Lanes, math},
};
use ane_ir::{Accumulate, Numerics};

/// # Safety
/// As [`Context::run`].
#[inline(always)]
pub(super) unsafe fn reduce<S: Lanes>(cx: &Context<'_>, s: S, work: &ReduceWork, task: usize) {
    let numerics = &cx.execution.plan.0.options.numerics;
    let first = task * work.share;
    let last = (first + work.share).min(work.bases.len());
    let len = work.within.len();
    // SAFETY: the plan made the offsets from the operand's shape; results `first..last` are this task's alone.
    unsafe {
        let from = cx.slot(work.from);
        let to = cx.slot(work.to);
        let mut at = first;
        while at < last {
            let side_by_side = (1..S::N)
                .take_while(|i| at + i < last && work.bases[at + i] == work.bases[at] + i)
                .count()
                + 1;
            if side_by_side == S::N && len > 1 && simple_sum(work, numerics) {
                let x = from.add(work.bases[at]);
                let mut sum = s.splat(0.0);
                for &w in &work.within {
                    let row = std::slice::from_raw_parts(x.add(w), S::N);
                    sum = s.add(sum, s.load(row));
                }
                if work.kind == Reduction::Mean {
                    sum = s.div(sum, s.splat(len as f32));
                }
                let out = std::slice::from_raw_parts_mut(to.add(at), S::N);
                s.store(out, sum);
                for y in out {
                    *y = numerics.store(work.dtype, *y);
                }
                at += S::N;
                continue;
            }
            let row = std::slice::from_raw_parts_mut(cx.scratch, len);
            for (x, &w) in row.iter_mut().zip(&work.within) {
                *x = *from.add(work.bases[at] + w);
            }
            if work.kind == Reduction::Softmax {
                softmax(s, row, work.dtype, numerics);
                for (&y, &w) in row.iter().zip(&work.within) {
                    *to.add(work.bases[at] + w) = y;
                }
            } else {
                *to.add(at) = numerics.store(work.dtype, one(s, row, work, numerics));
            }
            at += 1;
        }
    }
}

/// Whether sums of neighbours may be taken lane by lane.
fn simple_sum(work: &ReduceWork, numerics: &Numerics) -> bool {
    matches!(work.kind, Reduction::Sum | Reduction::Mean) && numerics.accumulate == Accumulate::Fp32
}

#[inline(always)]
fn one<S: Lanes>(s: S, row: &mut [f32], work: &ReduceWork, numerics: &Numerics) -> f32 {
    match work.kind {
        Reduction::Sum => sum(s, row, work.dtype, numerics),
        Reduction::Mean => sum(s, row, work.dtype, numerics) / row.len() as f32,
        Reduction::Max => largest(row),
        Reduction::LogSumExp => {
            let max = largest(row);
            if max.is_infinite() {
                return max;
            }
            exponentials(s, row, max);
            max + sum(s, row, work.dtype, numerics).ln()
        }
        Reduction::Softmax => unreachable!("softmax keeps its elements"),
    }
}

#[inline(always)]
fn sum<S: Lanes>(s: S, row: &[f32], dtype: DType, numerics: &Numerics) -> f32 {
    if numerics.accumulate == Accumulate::Stepwise {
        return row
            .iter()
            .fold(0.0, |acc, &x| numerics.store(dtype, acc + x));
    }
    let mut chunks = row.chunks_exact(S::N);
    let mut lanes = s.splat(0.0);
    for c in &mut chunks {
        lanes = s.add(lanes, s.load(c));
    }
    chunks
        .remainder()
        .iter()
        .fold(s.reduce_sum(lanes), |acc, &x| acc + x)
}

/// exp(x − max) of every element.
#[inline(always)]
fn exponentials<S: Lanes>(s: S, row: &mut [f32], max: f32) {
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

#[inline(always)]
fn softmax<S: Lanes>(s: S, row: &mut [f32], dtype: DType, numerics: &Numerics) {
    let max = largest(row);
    exponentials(s, row, max);
    let total = sum(s, row, dtype, numerics);
    for y in row {
        *y = numerics.store(dtype, *y / total);
    }
}
