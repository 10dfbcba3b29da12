//! Units of matrix products, and of packing their operands.

use super::Builder;
use crate::{
    gemm::Gemm,
    plan::{
        MatmulWork, PackWork, Place, Rows, Slot, Work, chain_builder::ChainBuilder, group::Groups,
    },
};
use ane_ir::{DType, Shape, Value, ops::Op};

/// Elements of a task of packing.
const PACK_SHARE: usize = 16 * 1024;
/// Largest block of a matrix product: 48 rows by 256 columns stay in a second-level cache with their operands.
const BLOCK_ROWS: usize = 48;
const BLOCK_COLUMNS: usize = 256;

impl Builder<'_> {
    /// The product `head` with the chain that finishes its blocks.
    pub(super) fn matmul(&mut self, head: Value, mut c: ChainBuilder) {
        let (node, _) = Groups::definition(self.graph, head).expect("a head is a result");
        let n = &self.graph.nodes()[node];
        let Op::Matmul(op) = &n.op else {
            unreachable!("heads are matmuls")
        };
        let (tx, ty) = (self.graph.ty(n.operands[0]), self.graph.ty(n.operands[1]));
        let d = op
            .dims(tx, ty)
            .expect("the node was typed when it was made");
        let leading = |s: &Shape| Shape::new(&s.dims()[..s.rank() - 2]);
        let (bx, by) = (leading(&tx.shape), leading(&ty.shape));
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
        let (gemm, x, y) = (self.gemm, n.operands[0], n.operands[1]);
        let left = if op.transpose_x {
            Rows {
                slot: self.pack(x, bx.numel(), d.m, d.k, (1, d.m), gemm.block),
                per_matrix: d.m.next_multiple_of(gemm.block),
                layout: gemm.packed_rows(),
            }
        } else {
            Rows {
                slot: self.in_arena(self.groups.root[x.index()]),
                per_matrix: d.m,
                layout: Gemm::plain_rows(d.k),
            }
        };
        let (stride, step) = if op.transpose_y { (d.k, 1) } else { (1, d.n) };
        let packed_columns = self.pack(y, by.numel(), d.n, d.k, (stride, step), gemm.panel);
        c.reads.extend([left.slot, packed_columns]);
        let rows = (BLOCK_ROWS / gemm.block * gemm.block).max(gemm.block);
        // Equal shares of the columns, whole panels each: a rest of one panel would leave a thread idle.
        let shares = d.n.div_ceil(BLOCK_COLUMNS);
        let columns = d.n.div_ceil(shares).next_multiple_of(gemm.panel);
        let tasks = batch.len() * d.m.div_ceil(rows) * d.n.div_ceil(columns);
        self.need_scratch(&c.chain, rows * columns.min(d.n));
        let work = Work::Matmul(MatmulWork {
            chain: c.chain,
            m: d.m,
            n: d.n,
            k: d.k,
            rows,
            columns,
            left,
            packed_columns,
            batch,
        });
        self.push(work, tasks, c.reads, c.writes);
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
    ) -> Slot {
        let root = self.groups.root[x.index()];
        let place = match self.place(root) {
            p @ (Place::Slot(_) | Place::Port(_, DType::Fp16 | DType::Fp32)) => p,
            Place::Port(..) => Place::Slot(self.in_arena(root)),
        };
        let key = (place, stride, step, vectors, k, width);
        if let Some(&slot) = self.packed.get(&key) {
            return slot;
        }
        let per_batch = vectors.div_ceil(width);
        let groups = batches * per_batch;
        let out = self.new_slot(groups * width * k);
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
        let reads = match place {
            Place::Slot(s) => vec![s],
            Place::Port(..) => Vec::new(),
        };
        self.push(work, groups.div_ceil(groups_per_task), reads, vec![out]);
        self.packed.insert(key, out);
        out
    }
}
