//! Units of reductions and of softmax.

use super::{Builder, SHARE};
use crate::{
    exec::reduction_scratch,
    plan::{
        ReduceWork, Reduction, Slot, SoftmaxWork, Work, function::Round, lowering::ChannelSums,
        walk::Walk,
    },
};
use ane_ir::{Accumulate, Node, Value};

/// Columns of a task at least, where results lie side by side: enough vectors to add in turn.
const COLUMNS: usize = 64;
/// Terms from which on few results are shared by several tasks, each of which reduces a part of them.
const LONG: usize = 8 * 1024;
/// Tasks that such a reduction is cut into.
const TASKS: usize = 16;

impl Builder<'_> {
    pub(super) fn reduction(&mut self, node: &Node, kind: Reduction, axes: &[usize]) {
        let (x, y) = (node.operands[0], node.results[0]);
        let (kept, reduced) = self.walks(x, axes);
        let (results, terms) = (kept.len(), reduced.len());
        let from = self.in_arena(self.groups.root[x.index()]);
        let to = self.slot(y);
        let work = ReduceWork {
            kind,
            divisor: terms as f32,
            dtype: Some(self.stored(y)),
            from,
            to,
            share: share(&kept, terms),
            parts: vec![reduced],
            results,
            kept,
        };
        let in_any_order =
            self.options.numerics.accumulate == Accumulate::Fp32 && kind != Reduction::LogSumExp;
        let tasks = results.div_ceil(work.share);
        if in_any_order && terms >= LONG && tasks < TASKS {
            self.long_reduction(work, tasks);
        } else {
            self.push_reduction(work);
        }
    }

    /// Parts of the terms reduced by tasks of their own, and then what those made, in order.
    fn long_reduction(&mut self, whole: ReduceWork, tasks: usize) {
        let reduced = &whole.parts[0];
        let lengths = reduced.axes.iter().enumerate();
        let (axis, &(len, _)) = lengths
            .max_by_key(|(_, a)| a.0)
            .expect("a walk has an axis");
        let chunk = len.div_ceil(TASKS.div_ceil(tasks));
        let parts = (0..len).step_by(chunk);
        let parts: Vec<Walk> = parts
            .map(|start| reduced.part(axis, start, chunk.min(len - start)))
            .collect();
        let partial = self.new_slot(parts.len() * whole.results);
        let results = whole.results;
        let (of_parts, of_all) = whole.kind.in_parts();
        let last = ReduceWork {
            kind: of_all,
            from: partial,
            kept: Walk::new(0, &[results], &[1]),
            parts: vec![Walk::new(0, &[parts.len()], &[results])],
            share: results,
            ..whole
        };
        self.push_reduction(ReduceWork {
            kind: of_parts,
            dtype: None,
            to: partial,
            parts,
            ..whole
        });
        self.push_reduction(last);
    }

    /// What the tasks of a pass summed by channel, added up in order.
    pub(super) fn total(&mut self, y: Value, sums: &ChannelSums, partial: Slot, tasks: usize) {
        let to = self.slot(y);
        let channels = sums.channels;
        self.push_reduction(ReduceWork {
            kind: if sums.mean {
                Reduction::Mean
            } else {
                Reduction::Sum
            },
            divisor: sums.terms as f32,
            dtype: Some(self.graph.ty(y).dtype),
            from: partial,
            to,
            kept: Walk::new(0, &[channels], &[1]),
            parts: vec![Walk::new(0, &[tasks], &[channels])],
            results: channels,
            share: channels,
        });
    }

    fn push_reduction(&mut self, work: ReduceWork) {
        let longest = work.parts.iter().map(Walk::len).max().unwrap_or(0);
        self.need(reduction_scratch(work.kind, longest));
        let tasks = work.parts.len() * work.results.div_ceil(work.share);
        let (reads, writes) = (vec![work.from], vec![work.to]);
        self.push(Work::Reduce(work), tasks, reads, writes);
    }

    pub(super) fn softmax(&mut self, node: &Node, axis: usize) {
        let (x, y) = (node.operands[0], node.results[0]);
        let (rows, row) = self.walks(x, &[axis]);
        let from = self.in_arena(self.groups.root[x.index()]);
        let to = self.slot(y);
        let dtype = self.stored(y);
        let share = (SHARE / row.len()).max(1);
        let tasks = rows.len().div_ceil(share);
        self.need(row.len());
        let work = Work::Softmax(SoftmaxWork {
            dtype,
            round: Round::of(dtype, true, &self.options.numerics),
            from,
            to,
            rows,
            row,
            share,
        });
        self.push(work, tasks, vec![from], vec![to]);
    }

    /// The axes of `x` that are not in `axes`, and those that are.
    fn walks(&self, x: Value, axes: &[usize]) -> (Walk, Walk) {
        let shape = &self.graph.ty(x).shape;
        let strides = shape.strides();
        let over = |inside: bool| {
            let chosen = (0..shape.rank()).filter(|axis| axes.contains(axis) == inside);
            let (dims, strides): (Vec<usize>, Vec<usize>) = chosen
                .map(|axis| (shape.dims()[axis], strides[axis]))
                .unzip();
            Walk::new(0, &dims, &strides)
        };
        (over(false), over(true))
    }
}

/// Results of a task.
fn share(kept: &Walk, terms: usize) -> usize {
    let least = match kept.inner() {
        (len, 1) => len.min(COLUMNS),
        _ => 1,
    };
    (SHARE / terms).max(least)
}
