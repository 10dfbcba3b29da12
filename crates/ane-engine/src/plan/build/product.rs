//! Units of matrix products, and of packing their operands.

use super::Builder;
use crate::{
    gemm::{self, ROWS, RowLayout, STRIP, SkipList},
    plan::{
        MatmulWork, PackWork, Packed, Place, Rows, SkipListWork, Slot, Work,
        chain_builder::ChainBuilder, lowering::Product,
    },
};
use ane_ir::{DType, Value};

/// Elements of a task of packing.
const PACK_SHARE: usize = 16 * 1024;
/// Largest block of a matrix product: 64 rows by 256 columns stay in a second-level cache with their operands.
const BLOCK_ROWS: usize = 64;
const BLOCK_COLUMNS: usize = 256;
/// Tasks from which on a product is shared well enough: zeros make some of them shorter than others.
const TASKS: usize = 8;
/// Columns of a product from which on skipping terms saves more than listing the others costs.
const WORTH_A_LIST: usize = 64;

impl Builder<'_> {
    /// A batch of products with the chain that finishes its blocks.
    pub(super) fn matmul(&mut self, product: &Product, mut c: ChainBuilder) {
        let &Product {
            operands: [x, y],
            leading: [ref bx, ref by],
            transpose_x,
            transpose_y,
            dims: ref d,
            ..
        } = product;
        let mut batch = Vec::with_capacity(d.batch.numel());
        let (sx, sy) = (
            bx.broadcast_strides(&d.batch),
            by.broadcast_strides(&d.batch),
        );
        for i in 0..d.batch.numel() {
            let mut rest = i;
            let (mut at_x, mut at_y) = (0, 0);
            for axis in (0..d.batch.rank()).rev() {
                let at = rest % d.batch.dims()[axis];
                rest /= d.batch.dims()[axis];
                at_x += at * sx[axis];
                at_y += at * sy[axis];
            }
            batch.push((at_x, at_y));
        }
        let panel = gemm::panel(self.options.isa);
        // The gradient of a layer's weights is a product of two operands that lie by columns, the right one being what
        // the layer was given. That is where the zeros are, and whole rows of them are left out, so its columns are
        // the rows that the kernel sees.
        let crossed = transpose_x && !transpose_y && d.m >= panel / 2;
        let row_side = if crossed {
            self.rows(y, by.numel(), d.n, d.k, true, d.m)
        } else {
            self.rows(x, bx.numel(), d.m, d.k, transpose_x, d.n)
        };
        let column_side = if crossed {
            self.pack(x, bx.numel(), d.m, d.k, (1, d.m), panel)
        } else {
            let lies = if transpose_y { (d.k, 1) } else { (1, d.n) };
            self.pack(y, by.numel(), d.n, d.k, lies, panel)
        };
        c.reads.extend([
            row_side.slot,
            row_side.skip_lists,
            row_side.dense_list,
            column_side.slot,
            column_side.magnitudes,
        ]);
        // Equal shares of an axis, in whole steps: a rest of one step would leave a thread idle.
        let share = |len: usize, most: usize, step: usize| {
            len.div_ceil(len.div_ceil(most)).next_multiple_of(step)
        };
        let (rows, columns, extra) = if crossed {
            (panel, share(d.n, 2 * BLOCK_COLUMNS, STRIP), STRIP * panel)
        } else {
            let columns = share(d.n, BLOCK_COLUMNS, panel);
            let mut rows = BLOCK_ROWS;
            while rows > STRIP && batch.len() * d.m.div_ceil(rows) * d.n.div_ceil(columns) < TASKS {
                rows /= 2;
            }
            (share(d.m, rows, ROWS), columns, 0)
        };
        let tasks = batch.len() * d.m.div_ceil(rows) * d.n.div_ceil(columns);
        self.need_scratch(&c.chain, rows * columns.min(d.n) + extra);
        let work = Work::Matmul(MatmulWork {
            chain: c.chain,
            m: d.m,
            n: d.n,
            k: d.k,
            rows,
            columns,
            crossed,
            row_side,
            column_side,
            batch,
        });
        self.push(work, tasks, c.reads, c.writes);
    }

    /// The row side of a product with `columns` columns: `vectors` of length `k` of `x`, which lie by columns or by rows.
    fn rows(
        &mut self,
        x: Value,
        batches: usize,
        vectors: usize,
        k: usize,
        by_columns: bool,
        columns: usize,
    ) -> Rows {
        let slot = self.in_arena(self.groups.root[x.index()]);
        let layout = if by_columns {
            RowLayout::Columns
        } else {
            RowLayout::Rows
        };
        let dense_list = self.dense_list(k);
        let skip_lists = if columns < WORTH_A_LIST {
            dense_list
        } else {
            self.skip_lists(slot, layout, batches, vectors, k)
        };
        Rows {
            slot,
            layout,
            skip_lists,
            dense_list,
        }
    }

    /// The constant list that skips nothing of depth `k`.
    fn dense_list(&mut self, k: usize) -> Slot {
        if let Some(&slot) = self.dense_lists.get(&k) {
            return slot;
        }
        let list = SkipList::dense(k);
        let slot = self.new_slot(list.len());
        self.built.constants.push((slot, list));
        self.dense_lists.insert(k, slot);
        slot
    }

    /// The slot of the skip lists of `rows`, shared by all products that read them.
    fn skip_lists(
        &mut self,
        rows: Slot,
        layout: RowLayout,
        matrices: usize,
        row_count: usize,
        k: usize,
    ) -> Slot {
        if let Some(&slot) = self.skip_lists.get(&(rows, layout, row_count, k)) {
            return slot;
        }
        let strips = matrices * row_count.div_ceil(STRIP);
        let out = self.new_slot(strips * SkipList::strip_space(k));
        let strips_per_task = (PACK_SHARE / (STRIP * k)).max(1);
        let work = Work::SkipLists(SkipListWork {
            rows,
            layout,
            row_count,
            k,
            strips,
            strips_per_task,
            out,
        });
        let tasks = strips.div_ceil(strips_per_task);
        self.push_late(work, tasks, (vec![rows], vec![out]), None);
        self.skip_lists.insert((rows, layout, row_count, k), out);
        out
    }

    /// The slot of the packed operand `x`, shared by all products that read it alike.
    fn pack(
        &mut self,
        x: Value,
        batches: usize,
        vectors: usize,
        k: usize,
        (stride, step): (usize, usize),
        width: usize,
    ) -> Packed {
        let root = self.groups.root[x.index()];
        let place = match self.place(root) {
            p @ (Place::Slot(_) | Place::Half(_) | Place::Port(_, DType::Fp16 | DType::Fp32)) => p,
            Place::Port(..) => Place::Slot(self.in_arena(root)),
        };
        let key = (place, stride, step, vectors, k, width);
        if let Some(&packed) = self.packed.get(&key) {
            return packed;
        }
        let per_batch = vectors.div_ceil(width);
        let groups = batches * per_batch;
        let out = Packed {
            slot: self.new_slot(groups * width * k),
            magnitudes: self.new_slot(groups),
        };
        let groups_per_task = (PACK_SHARE / (width * k)).max(1);
        let work = Work::Pack(PackWork {
            place,
            stride,
            step,
            vectors,
            k,
            width,
            groups,
            groups_per_task,
            batch_stride: vectors * k,
            out,
        });
        let (reads, port) = match place {
            Place::Slot(s) | Place::Half(s) => (vec![s], None),
            Place::Port(port, _) => (Vec::new(), Some(port)),
        };
        let tasks = groups.div_ceil(groups_per_task);
        self.push_late(work, tasks, (reads, vec![out.slot, out.magnitudes]), port);
        self.packed.insert(key, out);
        out
    }
}
