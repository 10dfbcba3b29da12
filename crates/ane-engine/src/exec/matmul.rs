//! Tasks of matrix products: packing, and blocks of the result with the pass that finishes them.

use super::{Context, chain};
use crate::{
    gemm::{Gemm, Pack, Source},
    plan::{MatmulWork, PackWork},
};

/// # Safety
/// As [`Context::run`].
pub(super) unsafe fn pack(cx: &Context<'_>, work: &PackWork, task: usize) {
    let per_batch = work.vectors.div_ceil(work.width);
    let first = task * work.groups_per_task;
    for group in first..(first + work.groups_per_task).min(work.groups) {
        let (batch, within) = (group / per_batch, group % per_batch);
        let vector = within * work.width;
        let at = batch * work.batch_stride + vector * work.stride;
        let source = match cx.source(work.place) {
            Source::F32(x) => Source::F32(x.wrapping_add(at)),
            Source::F16(x) => Source::F16(x.wrapping_add(at)),
        };
        let pack = Pack {
            source,
            stride: work.stride,
            step: work.step,
            count: work.width.min(work.vectors - vector),
            k: work.k,
            width: work.width,
            out: cx.slot(work.out).wrapping_add(group * work.width * work.k),
        };
        // SAFETY: the plan sized the operand and the slot; the group is this task's alone.
        unsafe { pack.run(cx.isa) };
    }
}

/// # Safety
/// As [`Context::run`].
pub(super) unsafe fn multiply(cx: &Context<'_>, work: &MatmulWork, task: usize) {
    let gemm = Gemm::of(cx.isa);
    let row_blocks = work.m.div_ceil(work.rows);
    let column_blocks = work.n.div_ceil(work.columns);
    let batch = task / (row_blocks * column_blocks);
    let row = task / column_blocks % row_blocks * work.rows;
    let column = task % column_blocks * work.columns;
    let rows = work.rows.min(work.m - row);
    let columns = work.columns.min(work.n - column);
    let (at_x, at_y) = work.batch[batch];
    let padded_n = work.n.next_multiple_of(gemm.panel);
    // SAFETY: the plan sized the operands by these strides and the scratch by the largest block; the block of the
    // result is this task's alone.
    unsafe {
        let left = cx
            .slot(work.left.slot)
            .add((at_x * work.left.per_matrix + row) * work.k);
        let packed_columns = cx
            .slot(work.packed_columns)
            .add((at_y * padded_n + column) * work.k);
        let block = cx.scratch;
        let registers = cx.scratch.add(work.rows * work.columns.min(work.n));
        for j in (0..columns).step_by(gemm.panel) {
            gemm.multiply(
                rows,
                gemm.panel.min(columns - j),
                work.k,
                (left, work.left.layout),
                packed_columns.add(j * work.k),
                block.add(j),
                columns,
            );
        }
        let run = chain::Run {
            cx,
            chain: &work.chain,
            registers,
            task,
            ahead: if columns == work.n {
                work.chain.tile()
            } else {
                work.n
            },
        };
        run.prepare();
        let start = (batch * work.m + row) * work.n + column;
        if columns == work.n {
            run.range(start, rows * columns, block);
        } else {
            for r in 0..rows {
                run.range(start + r * work.n, columns, block.add(r * columns));
            }
        }
    }
}
