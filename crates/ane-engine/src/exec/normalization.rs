//! Tasks of normalisations: mean and variance of a group while it is in the nearest cache, then the pass over what was
//! normalised.

use super::{Context, chain, reduce};
use crate::{
    plan::normalization::NormalizeWork,
    simd::{Kernel, Lanes, dispatch},
};

/// Normalises some groups.
///
/// # Safety
/// As [`Context::run`].
pub(super) unsafe fn normalize(cx: &Context<'_>, work: &NormalizeWork, task: usize) {
    let block = cx.scratch;
    let (start, rows, stride, len) = if work.inner == 1 {
        let first = task * work.share;
        let groups = work.share.min(work.outer - first);
        (first * work.len, 1, 0, groups * work.len)
    } else {
        let tasks = work.inner.div_ceil(work.share);
        let first = task % tasks * work.share;
        let columns = work.share.min(work.inner - first);
        let start = task / tasks * work.len * work.inner + first;
        (start, work.len, work.inner, columns)
    };
    // SAFETY: the plan sized the scratch and the operand; the part of the result is this task's alone.
    unsafe {
        let from = cx.slot(work.from).add(start).cast_const();
        let statistics = block.add(work.block());
        if work.inner == 1 {
            let from = std::slice::from_raw_parts(from, len);
            let out = std::slice::from_raw_parts_mut(block, len);
            dispatch(cx.isa, Rows { work, from, out });
        } else {
            let columns = Columns {
                work,
                from,
                out: std::slice::from_raw_parts_mut(block, rows * len),
                mean: std::slice::from_raw_parts_mut(statistics, len),
                scale: std::slice::from_raw_parts_mut(statistics.add(len), len),
            };
            dispatch(cx.isa, columns);
        }
        let run = chain::Run {
            cx,
            chain: &work.chain,
            registers: statistics.add(work.statistics()),
            task,
            prefetch_distance: work.chain.tile(),
        };
        run.prepare();
        let of_result = chain::Block {
            start,
            rows,
            stride,
            len,
        };
        run.block(of_result, block);
    }
}

/// Groups that lie one after the other.
struct Rows<'a> {
    work: &'a NormalizeWork,
    from: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        let len = self.work.len;
        for (x, out) in self
            .from
            .chunks_exact(len)
            .zip(self.out.chunks_exact_mut(len))
        {
            let mean = reduce::sum_in_any_order(s, x) / len as f32;
            let whole = len / S::N * S::N;
            let center = s.splat(mean);
            for (x, out) in x[..whole]
                .chunks_exact(S::N)
                .zip(out.chunks_exact_mut(S::N))
            {
                s.store(out, s.sub(s.load(x), center));
            }
            for (x, out) in x[whole..].iter().zip(&mut out[whole..]) {
                *out = x - mean;
            }
            let variance = reduce::sum_of_squares(s, out) / len as f32;
            let deviation = (variance + self.work.epsilon).sqrt();
            let divisor = s.splat(deviation);
            for out in out[..whole].chunks_exact_mut(S::N) {
                s.store(out, s.div(s.load(out), divisor));
            }
            for out in &mut out[whole..] {
                *out /= deviation;
            }
        }
    }
}

/// Groups that lie side by side: a statistic for every column.
struct Columns<'a> {
    work: &'a NormalizeWork,
    /// Rows that are [`NormalizeWork::inner`] apart.
    from: *const f32,
    /// Rows without gaps.
    out: &'a mut [f32],
    mean: &'a mut [f32],
    /// What the columns are divided by.
    scale: &'a mut [f32],
}

impl Kernel for Columns<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        let (work, columns) = (self.work, self.mean.len());
        let count = work.len as f32;
        // SAFETY: `normalize` made it of the first row of an operand that has all of them.
        let row = |i: usize| unsafe {
            std::slice::from_raw_parts(self.from.add(i * work.inner), columns)
        };
        self.mean.fill(0.0);
        for i in 0..work.len {
            let x = row(i);
            let mut at = 0;
            while at + S::N <= columns {
                let mean = &mut self.mean[at..at + S::N];
                s.store(mean, s.add(s.load(mean), s.load(&x[at..])));
                at += S::N;
            }
            for (mean, x) in self.mean[at..].iter_mut().zip(&x[at..]) {
                *mean += x;
            }
        }
        for mean in &mut *self.mean {
            *mean /= count;
        }
        self.scale.fill(0.0);
        for (i, out) in self.out.chunks_exact_mut(columns).enumerate() {
            let x = row(i);
            let mut at = 0;
            while at + S::N <= columns {
                let centred = s.sub(s.load(&x[at..]), s.load(&self.mean[at..]));
                s.store(&mut out[at..], centred);
                let squares = &mut self.scale[at..at + S::N];
                s.store(squares, s.add(s.load(squares), s.mul(centred, centred)));
                at += S::N;
            }
            for j in at..columns {
                out[j] = x[j] - self.mean[j];
                self.scale[j] += out[j] * out[j];
            }
        }
        for scale in &mut *self.scale {
            *scale = (*scale / count + work.epsilon).sqrt();
        }
        for out in self.out.chunks_exact_mut(columns) {
            let mut at = 0;
            while at + S::N <= columns {
                let quotient = s.div(s.load(&out[at..]), s.load(&self.scale[at..]));
                s.store(&mut out[at..], quotient);
                at += S::N;
            }
            for (out, scale) in out[at..].iter_mut().zip(&self.scale[at..]) {
                *out /= scale;
            }
        }
    }
}
