//! Units of ops that read or write by index.

use super::{Builder, SHARE};
use crate::plan::{
    DType, Place, Work,
    function::Round,
    indexing::{ArgmaxWork, Data, GatherWork, Indices, OneHotWork, ScatterWork},
    lowering::{Argmax, Gather, OneHot, Scatter},
};
use ane_ir::{Node, Value};

/// Tasks that rows which are written by index are shared by, at most: each looks at all indices.
const SCATTER_TASKS: usize = 16;

impl Builder<'_> {
    pub(super) fn gather(&mut self, node: &Node, gather: &Gather) {
        let x = self.in_words(gather.x);
        let indices = self.indices(gather.indices);
        let to = self.slot(node.results[0]);
        let rows = gather.batches * gather.outer * gather.each;
        let share = (SHARE / gather.inner).max(1);
        let reads = [x, indices.place]
            .into_iter()
            .filter_map(Place::slot)
            .collect();
        let work = GatherWork {
            x,
            indices,
            to,
            outer: gather.outer,
            length: gather.length,
            inner: gather.inner,
            each: gather.each,
            rows,
            share,
        };
        self.push(Work::Gather(work), rows.div_ceil(share), reads, vec![to]);
    }

    pub(super) fn scatter(&mut self, node: &Node, scatter: &Scatter) {
        let y = node.results[0];
        let updates = self.in_words(scatter.updates);
        let indices = self.indices(scatter.indices);
        let mut reads = vec![updates, indices.place];
        let data = match scatter.splat {
            Some(element) => Data::Splat(element),
            None => {
                let place = self.in_words(scatter.data);
                reads.push(place);
                Data::At(place)
            }
        };
        let to = self.slot(y);
        let least = (SHARE / scatter.inner).max(1);
        let share = scatter.length.div_ceil(SCATTER_TASKS).max(least);
        let reads = reads.into_iter().filter_map(Place::slot).collect();
        let work = ScatterWork {
            data,
            indices,
            updates,
            to,
            mode: scatter.mode,
            round: Round::of(self.stored(y), true, &self.options.numerics),
            length: scatter.length,
            inner: scatter.inner,
            each: scatter.each,
            share,
        };
        self.need(scatter.inner);
        let tasks = scatter.outer * scatter.length.div_ceil(share);
        self.push(Work::Scatter(work), tasks, reads, vec![to]);
    }

    pub(super) fn one_hot(&mut self, node: &Node, one_hot: &OneHot) {
        let indices = self.indices(one_hot.indices);
        let to = self.slot(node.results[0]);
        let block = one_hot.size * one_hot.inner;
        let share = (SHARE / block).max(1);
        let work = OneHotWork {
            indices,
            to,
            elements: one_hot.elements,
            outer: one_hot.outer,
            size: one_hot.size,
            inner: one_hot.inner,
            share,
        };
        let reads = indices.place.slot().into_iter().collect();
        let tasks = one_hot.outer.div_ceil(share);
        self.push(Work::OneHot(work), tasks, reads, vec![to]);
    }

    pub(super) fn argmax(&mut self, node: &Node, argmax: &Argmax) {
        let y = node.results[0];
        let from = self.in_arena(self.groups.root[argmax.x.index()]);
        let to = self.slot(y);
        let results = argmax.outer * argmax.inner;
        let share = (SHARE / argmax.length).max(1);
        let work = ArgmaxWork {
            from,
            to,
            whole: self.graph.ty(y).dtype == DType::Int32,
            length: argmax.length,
            inner: argmax.inner,
            results,
            share,
        };
        let tasks = results.div_ceil(share);
        self.push(Work::Argmax(work), tasks, vec![from], vec![to]);
    }

    /// Where elements of `v` are in words of four bytes, or fp16.
    fn in_words(&mut self, v: Value) -> Place {
        let root = self.groups.root[v.index()];
        match self.place(root) {
            place @ (Place::Slot(_)
            | Place::Half(_)
            | Place::Port(_, DType::Fp16 | DType::Fp32 | DType::Int32)) => place,
            Place::Port(..) => Place::Slot(self.in_arena(root)),
        }
    }

    fn indices(&mut self, v: Value) -> Indices {
        Indices {
            place: self.place(self.groups.root[v.index()]),
            dtype: self.graph.ty(v).dtype,
        }
    }
}
