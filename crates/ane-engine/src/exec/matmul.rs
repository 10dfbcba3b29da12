//! Tasks of matrix products: packing, skip lists, and blocks of the result with the pass that finishes them.

use super::{
    Context, chain,
    transpose::{ToBlock, ToPort, Transpose},
};
use crate::{
    gemm::{self, Pack, ROWS, STRIP, SkipList, Source, Tile},
    plan::{
        MatmulWork, PackWork, SkipListWork,
        chain::{Instr, Src},
    },
    simd::{Kernel, Lanes, dispatch},
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
            out: cx
                .slot(work.out.slot)
                .wrapping_add(group * work.width * work.k),
        };
        // SAFETY: the plan sized the operand and the slots; the group is this task's alone.
        unsafe { *cx.slot(work.out.magnitudes).add(group) = pack.run(cx.isa) };
    }
}

/// # Safety
/// As [`Context::run`].
#[inline(always)]
pub(super) unsafe fn skip_lists<S: Lanes>(
    cx: &Context<'_>,
    s: S,
    work: &SkipListWork,
    task: usize,
) {
    let per_matrix = work.row_count.div_ceil(STRIP);
    let first = task * work.strips_per_task;
    for strip in first..(first + work.strips_per_task).min(work.strips) {
        let (matrix, row) = (strip / per_matrix, strip % per_matrix * STRIP);
        let at = matrix * work.row_count * work.k + work.layout.start(row, work.k);
        // SAFETY: the plan sized the operand and the slot; the lists are this task's alone.
        unsafe {
            SkipList::find(
                s,
                cx.slot(work.rows).add(at),
                work.layout.strides(work.row_count, work.k),
                STRIP.min(work.row_count - row),
                work.k,
                cx.slot(work.out).add(strip * SkipList::strip_space(work.k)),
            );
        }
    }
}

/// A part of a product as its kernel sees it: rows times the columns of one panel, both of one matrix of the batch.
///
/// Enters the instruction set anew, so that what holds the sums in registers is a function of its own.
struct Part<'a> {
    cx: &'a Context<'a>,
    work: &'a MatmulWork,
    row_matrix: usize,
    /// The first row, which starts a block.
    row: usize,
    row_count: usize,
    column_matrix: usize,
    /// The first column, which starts a panel.
    column: usize,
    column_count: usize,
    out: *mut f32,
    out_stride: usize,
}

impl Part<'_> {
    /// # Safety
    /// `out` must be writable for all rows.
    unsafe fn multiply(self) {
        dispatch(self.cx.isa, self);
    }
}

impl Kernel for Part<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        let (cx, work) = (self.cx, self.work);
        let (rows, panel) = (&work.row_side, gemm::panel(cx.isa));
        let (all_rows, all_columns) = if work.crossed {
            (work.n, work.m)
        } else {
            (work.m, work.n)
        };
        let group = self.column_matrix * all_columns.div_ceil(panel) + self.column / panel;
        // SAFETY: the plan sized operands, lists and magnitudes by these strides, and `multiply` is unsafe to call
        // with the condition that the result is writable.
        unsafe {
            let columns = cx.slot(work.column_side.slot).add(group * panel * work.k);
            let finite = (*cx.slot(work.column_side.magnitudes).add(group)).is_finite();
            let listed = finite && rows.skip_lists != rows.dense_list;
            let matrix = cx.slot(rows.slot).add(self.row_matrix * all_rows * work.k);
            for at in (0..self.row_count).step_by(ROWS) {
                let row = self.row + at;
                let list = if listed {
                    let strip = self.row_matrix * all_rows.div_ceil(STRIP) + row / STRIP;
                    let lists = cx
                        .slot(rows.skip_lists)
                        .add(strip * SkipList::strip_space(work.k));
                    lists.add(row % STRIP / ROWS * SkipList::space(work.k))
                } else {
                    cx.slot(rows.dense_list)
                };
                let tile = Tile {
                    rows: matrix.add(rows.layout.start(row, work.k)),
                    strides: rows.layout.strides(all_rows, work.k),
                    row_count: ROWS.min(self.row_count - at),
                    columns,
                    column_count: self.column_count,
                    depths: SkipList::at(list),
                    out: self.out.add(at * self.out_stride),
                    out_stride: self.out_stride,
                };
                tile.run(s);
            }
        }
    }
}

/// # Safety
/// As [`Context::run`].
#[inline(always)]
pub(super) unsafe fn multiply<S: Lanes>(cx: &Context<'_>, s: S, work: &MatmulWork, task: usize) {
    let panel = gemm::panel(cx.isa);
    let row_blocks = work.m.div_ceil(work.rows);
    let column_blocks = work.n.div_ceil(work.columns);
    let batch = task / (row_blocks * column_blocks);
    let row = task / column_blocks % row_blocks * work.rows;
    let column = task % column_blocks * work.columns;
    let rows = work.rows.min(work.m - row);
    let columns = work.columns.min(work.n - column);
    let (left, right) = work.batch[batch];
    let (row_matrix, column_matrix) = if work.crossed {
        (right, left)
    } else {
        (left, right)
    };
    let part = |row, row_count, column, column_count, out, out_stride| Part {
        cx,
        work,
        row_matrix,
        row,
        row_count,
        column_matrix,
        column,
        column_count,
        out,
        out_stride,
    };
    // SAFETY: the plan sized the scratch by the largest block; the block of the result is this task's alone.
    unsafe {
        let block = cx.scratch;
        let mut registers = block.add(work.rows * work.columns.min(work.n));
        if work.crossed {
            let strip = registers;
            registers = strip.add(STRIP * panel);
            let transposed = |at: usize| {
                let count = STRIP.min(columns - at);
                part(column + at, count, row, rows, strip, panel).multiply();
                Transpose {
                    from: strip,
                    stride: panel,
                    rows: count,
                    columns: rows,
                    to: at,
                }
            };
            if let [
                Instr::GradientOutput {
                    from: Src::Head,
                    limit,
                    port,
                    partial,
                },
            ] = work.chain.instrs[..]
            {
                let start = (batch * work.m + row) * work.n + column;
                let mut sink = ToPort::<S> {
                    out: cx.output::<u16>(port).add(start),
                    stride: work.n,
                    limit: s.splat(limit),
                    largest: s.splat(0.0),
                };
                for at in (0..columns).step_by(STRIP) {
                    transposed(at).run(s, &mut sink);
                }
                *cx.slot(partial).add(task) = s.reduce_max(sink.largest);
                return;
            }
            let mut sink = ToBlock {
                out: block,
                stride: columns,
            };
            for at in (0..columns).step_by(STRIP) {
                transposed(at).run(s, &mut sink);
            }
        } else {
            for j in (0..columns).step_by(panel) {
                let count = panel.min(columns - j);
                part(row, rows, column + j, count, block.add(j), columns).multiply();
            }
        }
        let run = chain::Run {
            cx,
            chain: &work.chain,
            registers,
            task,
            prefetch_distance: if columns == work.n {
                work.chain.tile()
            } else {
                work.n
            },
        };
        run.prepare();
        let start = (batch * work.m + row) * work.n + column;
        let of_result = if columns == work.n {
            chain::Block {
                start,
                rows: 1,
                stride: 0,
                len: rows * columns,
            }
        } else {
            chain::Block {
                start,
                rows,
                stride: work.n,
                len: columns,
            }
        };
        run.block(of_result, block);
    }
}
