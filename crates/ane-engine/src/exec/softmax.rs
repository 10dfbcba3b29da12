//! Tasks of softmax: rows are brought together where their elements lie apart.

use super::{
    Context,
    chain::largest_lanes,
    elementwise::round_by,
    reduce::{exponentials, gather, sum},
};
use crate::{plan::SoftmaxWork, simd::Lanes};

/// # Safety
/// As [`Context::run`].
#[inline(always)]
pub(super) unsafe fn softmax<S: Lanes>(cx: &Context<'_>, s: S, work: &SoftmaxWork, task: usize) {
    let numerics = &cx.execution.plan.0.options.numerics;
    let first = task * work.share;
    let (len, stride) = work.row.inner();
    for index in first..(first + work.share).min(work.rows.len()) {
        let start = work.rows.position(index);
        // SAFETY: the plan made the walks from the shape of operand and result; the rows are this task's alone, and
        // the scratch has the elements of one.
        unsafe {
            let to = cx.slot(work.to).add(start);
            let row = if stride == 1 { to } else { cx.scratch };
            let row = std::slice::from_raw_parts_mut(row, len);
            gather(cx.slot(work.from).add(start), &work.row, 0, row);
            let max = largest_lanes(s, row, f32::NEG_INFINITY);
            exponentials(s, row, max);
            let total = s.splat(sum(s, row, Some(work.dtype), numerics));
            let whole = len / S::N * S::N;
            for c in row[..whole].chunks_exact_mut(S::N) {
                let y = round_by(s, work.round, s.div(s.load(c), total));
                s.store(c, y);
            }
            let mut lanes = [1.0; 16];
            let rest = &mut row[whole..];
            lanes[..rest.len()].copy_from_slice(rest);
            let y = round_by(s, work.round, s.div(s.load(&lanes), total));
            s.store(&mut lanes, y);
            rest.copy_from_slice(&lanes[..rest.len()]);
            if stride != 1 {
                for (i, &y) in row.iter().enumerate() {
                    *to.add(i * stride) = y;
                }
            }
        }
    }
}
