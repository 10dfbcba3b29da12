//! Tasks of ops that read or write by index.

use super::{Context, chain::largest_lanes, elementwise::round_by};
use crate::{
    gemm::Source,
    plan::{
        DType, Place,
        function::Round,
        indexing::{ArgmaxWork, Data, GatherWork, Indices, OneHotWork, ScatterWork},
    },
    simd::{Lanes, MOST_LANES, widen_lanes},
};
use ane_ir::ops::scatter::Mode;

/// The index at `at`, which may be out of range.
///
/// # Safety
/// There must be as many.
#[inline(always)]
unsafe fn index(cx: &Context<'_>, indices: Indices, at: usize) -> i32 {
    // SAFETY: passed on from the caller; a slot of int32 holds i32.
    unsafe {
        match (indices.place, indices.dtype) {
            (Place::Slot(slot), DType::Int32) => *cx.slot(slot).cast::<i32>().add(at),
            (Place::Port(port, _), DType::Int32) => *cx.input::<i32>(port).add(at),
            (place, _) => cx.element(place, at) as i32,
        }
    }
}

/// The index at `at`, or the nearest one below `length`.
///
/// # Safety
/// As [`index`].
#[inline(always)]
unsafe fn clamped(cx: &Context<'_>, indices: Indices, at: usize, length: usize) -> usize {
    // SAFETY: passed on from the caller.
    let index = unsafe { index(cx, indices, at) };
    usize::try_from(index).unwrap_or(0).min(length - 1)
}

/// Copies words, or fp16 values as f32, from position `at` on.
///
/// # Safety
/// There must be as many as `out` has.
#[inline(always)]
unsafe fn copy<S: Lanes>(s: S, from: Source, at: usize, out: &mut [f32]) {
    // SAFETY: passed on from the caller.
    unsafe {
        match from {
            Source::F32(x) => std::ptr::copy_nonoverlapping(x.add(at), out.as_mut_ptr(), out.len()),
            Source::F16(x) => {
                widen_lanes(s, std::slice::from_raw_parts(x.add(at), out.len()), out);
            }
        }
    }
}

/// # Safety
/// As [`Context::run`].
#[inline(always)]
pub(super) unsafe fn gather<S: Lanes>(cx: &Context<'_>, s: S, work: &GatherWork, task: usize) {
    let from = cx.source(work.x);
    let first = task * work.share;
    for row in first..(first + work.share).min(work.rows) {
        let (block, at) = (row / work.each, row % work.each);
        let batch = block / work.outer;
        // SAFETY: the plan took all sizes from the operands' types; the row is this task's alone.
        unsafe {
            let index = clamped(cx, work.indices, batch * work.each + at, work.length);
            let to = cx.slot(work.to).add(row * work.inner);
            let out = std::slice::from_raw_parts_mut(to, work.inner);
            copy(s, from, (block * work.length + index) * work.inner, out);
        }
    }
}

/// # Safety
/// As [`Context::run`].
#[inline(always)]
pub(super) unsafe fn scatter<S: Lanes>(cx: &Context<'_>, s: S, work: &ScatterWork, task: usize) {
    let inner = work.inner;
    let tasks = work.length.div_ceil(work.share);
    let (block, first) = (task / tasks, task % tasks * work.share);
    let slices = work.share.min(work.length - first);
    let start = (block * work.length + first) * inner;
    let updates = cx.source(work.updates);
    // SAFETY: the plan took all sizes from the operands' types and sized the scratch by a slice; the slices of the
    // result are this task's alone.
    unsafe {
        let out = std::slice::from_raw_parts_mut(cx.slot(work.to).add(start), slices * inner);
        match work.data {
            Data::Splat(element) => out.fill(element),
            Data::At(place) => copy(s, cx.source(place), start, out),
        }
        let update = std::slice::from_raw_parts_mut(cx.scratch, inner);
        for at in 0..work.each {
            let index = clamped(cx, work.indices, at, work.length);
            let Some(slice) = index.checked_sub(first).filter(|&i| i < slices) else {
                continue;
            };
            copy(s, updates, (block * work.each + at) * inner, update);
            put(
                s,
                work.mode,
                &mut out[slice * inner..(slice + 1) * inner],
                update,
            );
        }
        round(s, work.round, out);
    }
}

/// What becomes of elements and their updates.
#[inline(always)]
fn put<S: Lanes>(s: S, mode: Mode, x: &mut [f32], update: &[f32]) {
    let larger = |x: f32, u: f32| if x > u || x.is_nan() { x } else { u };
    let smaller = |x: f32, u: f32| if x < u || x.is_nan() { x } else { u };
    match mode {
        Mode::Add => {
            let whole = x.len() / S::N * S::N;
            for (x, u) in x[..whole]
                .chunks_exact_mut(S::N)
                .zip(update.chunks_exact(S::N))
            {
                s.store(x, s.add(s.load(x), s.load(u)));
            }
            x[whole..]
                .iter_mut()
                .zip(&update[whole..])
                .for_each(|(x, u)| *x += u);
        }
        Mode::Sub => x.iter_mut().zip(update).for_each(|(x, u)| *x -= u),
        Mode::Mul => x.iter_mut().zip(update).for_each(|(x, u)| *x *= u),
        Mode::Div => x.iter_mut().zip(update).for_each(|(x, u)| *x /= u),
        Mode::Max => x
            .iter_mut()
            .zip(update)
            .for_each(|(x, u)| *x = larger(*x, *u)),
        Mode::Min => x
            .iter_mut()
            .zip(update)
            .for_each(|(x, u)| *x = smaller(*x, *u)),
        Mode::Update => x.copy_from_slice(update),
    }
}

/// Rounds every element.
#[inline(always)]
fn round<S: Lanes>(s: S, round: Round, x: &mut [f32]) {
    if round == Round::Keep {
        return;
    }
    let whole = x.len() / S::N * S::N;
    for x in x[..whole].chunks_exact_mut(S::N) {
        s.store(x, round_by(s, round, s.load(x)));
    }
    let rest = &mut x[whole..];
    let mut lanes = [0.0; MOST_LANES];
    lanes[..rest.len()].copy_from_slice(rest);
    let rounded = round_by(s, round, s.load(&lanes));
    s.store(&mut lanes, rounded);
    rest.copy_from_slice(&lanes[..rest.len()]);
}

/// # Safety
/// As [`Context::run`].
pub(super) unsafe fn one_hot(cx: &Context<'_>, work: &OneHotWork, task: usize) {
    let [off, on] = work.elements;
    let first = task * work.share;
    let blocks = work.share.min(work.outer - first);
    let block = work.size * work.inner;
    // SAFETY: the plan took all sizes from the operands' types; the blocks of the result are this task's alone. The
    // words of a slot may be those of any dtype.
    unsafe {
        let to = cx.slot(work.to).cast::<u32>().add(first * block);
        let out = std::slice::from_raw_parts_mut(to, blocks * block);
        out.fill(off);
        for (i, out) in out.chunks_exact_mut(block).enumerate() {
            for j in 0..work.inner {
                let index = index(cx, work.indices, (first + i) * work.inner + j);
                if let Some(position) = usize::try_from(index).ok().filter(|&p| p < work.size) {
                    out[position * work.inner + j] = on;
                }
            }
        }
    }
}

/// # Safety
/// As [`Context::run`].
#[inline(always)]
pub(super) unsafe fn argmax<S: Lanes>(cx: &Context<'_>, s: S, work: &ArgmaxWork, task: usize) {
    let first = task * work.share;
    for result in first..(first + work.share).min(work.results) {
        let start = result / work.inner * work.length * work.inner + result % work.inner;
        // SAFETY: the plan took all sizes from the operand's type; the result is this task's alone, and its slot holds
        // i32 where the plan says so.
        unsafe {
            let x = cx.slot(work.from).add(start).cast_const();
            let best = if work.inner == 1 {
                first_largest(s, std::slice::from_raw_parts(x, work.length))
            } else {
                let element = |i: usize| *x.add(i * work.inner);
                (1..work.length).fold(0, |best, i| {
                    let (leader, next) = (element(best), element(i));
                    let wins = !leader.is_nan() && (next > leader || next.is_nan());
                    if wins { i } else { best }
                })
            };
            let to = cx.slot(work.to).add(result);
            if work.whole {
                *to.cast::<i32>() = i32::try_from(best).unwrap_or(i32::MAX);
            } else {
                *to = best as f32;
            }
        }
    }
}

/// Where the first largest element is, or the first that is no number.
#[inline(always)]
fn first_largest<S: Lanes>(s: S, x: &[f32]) -> usize {
    let largest = largest_lanes(s, x, f32::NEG_INFINITY);
    let found = if largest.is_nan() {
        x.iter().position(|x| x.is_nan())
    } else {
        x.iter().position(|&x| x == largest)
    };
    found.unwrap_or(0)
}
