//! Ops that read or write by index.

use super::TYPED;
use crate::plan::pattern::is_view;
use ane_ir::{
    DType, Def, Graph, Node, Numerics, Value,
    ops::{
        Op, gather, one_hot,
        reduce_argmax::ReduceArgmax,
        scatter::{self, Mode},
    },
};

/// Slices of `inner` neighbours, `length` of them in each of `batches` · `outer` blocks of the operand; every batch has
/// `each` indices.
#[derive(Debug, Clone)]
pub(in crate::plan) struct Gather {
    pub(in crate::plan) x: Value,
    pub(in crate::plan) indices: Value,
    pub(in crate::plan) batches: usize,
    pub(in crate::plan) outer: usize,
    pub(in crate::plan) length: usize,
    pub(in crate::plan) inner: usize,
    pub(in crate::plan) each: usize,
}

/// Slices of `inner` neighbours, `length` of them in each of `outer` blocks of the data, into which `each` go by index.
#[derive(Debug, Clone)]
pub(in crate::plan) struct Scatter {
    pub(in crate::plan) data: Value,
    /// What the data are everywhere, where they need not be read.
    pub(in crate::plan) splat: Option<f32>,
    pub(in crate::plan) indices: Value,
    pub(in crate::plan) updates: Value,
    pub(in crate::plan) mode: Mode,
    pub(in crate::plan) outer: usize,
    pub(in crate::plan) length: usize,
    pub(in crate::plan) inner: usize,
    pub(in crate::plan) each: usize,
}

/// `outer` blocks of `inner` indices, each a vector of `size` elements.
#[derive(Debug, Clone)]
pub(in crate::plan) struct OneHot {
    pub(in crate::plan) indices: Value,
    /// The bits of an element elsewhere and at the index.
    pub(in crate::plan) elements: [u32; 2],
    pub(in crate::plan) outer: usize,
    pub(in crate::plan) size: usize,
    pub(in crate::plan) inner: usize,
}

/// `outer` blocks of `inner` results, each the index of one of `length` elements.
#[derive(Debug, Clone)]
pub(in crate::plan) struct Argmax {
    pub(in crate::plan) x: Value,
    pub(in crate::plan) outer: usize,
    pub(in crate::plan) length: usize,
    pub(in crate::plan) inner: usize,
}

fn product(lengths: &[usize]) -> usize {
    lengths.iter().product()
}

impl Gather {
    pub(super) fn of(graph: &Graph, node: &Node, op: &gather::Gather) -> Self {
        let (x, indices) = (node.operands[0], node.operands[1]);
        let (axis, batch) = op.axes(graph.ty(x), graph.ty(indices)).expect(TYPED);
        let lengths = graph.ty(x).shape.dims();
        Self {
            x,
            indices,
            batches: product(&lengths[..batch]),
            outer: product(&lengths[batch..axis]),
            length: lengths[axis],
            inner: product(&lengths[axis + 1..]),
            each: product(&graph.ty(indices).shape.dims()[batch..]),
        }
    }
}

impl Scatter {
    pub(super) fn of(graph: &Graph, node: &Node, op: &scatter::Scatter) -> Self {
        let &[data, indices, updates] = &node.operands[..] else {
            unreachable!("{TYPED}");
        };
        let shape = &graph.ty(data).shape;
        let axis = shape.axis(op.axis).expect(TYPED);
        let lengths = shape.dims();
        Self {
            data,
            splat: Self::splat(graph, node),
            indices,
            updates,
            mode: op.mode,
            outer: product(&lengths[..axis]),
            length: lengths[axis],
            inner: product(&lengths[axis + 1..]),
            each: graph.ty(indices).shape.numel(),
        }
    }

    /// What the data of `node` are everywhere, where its kernel does not read them.
    pub(super) fn splat(graph: &Graph, node: &Node) -> Option<f32> {
        let data = node.operands[0];
        splat(graph, data).filter(|_| graph.ty(data).dtype != DType::Int32)
    }
}

impl OneHot {
    pub(super) fn of(
        graph: &Graph,
        node: &Node,
        op: &one_hot::OneHot,
        numerics: &Numerics,
    ) -> Self {
        let indices = node.operands[0];
        let shape = op.shape(&graph.ty(indices).shape).expect(TYPED);
        let axis = shape.axis(op.axis).expect(TYPED);
        let [on, off] = op.values().map(|value| {
            let element = value.to_f64()[0];
            match value.ty().dtype {
                DType::Int32 => (element as i32).cast_unsigned(),
                dtype => numerics.store(dtype, element as f32).to_bits(),
            }
        });
        let lengths = shape.dims();
        Self {
            indices,
            elements: [off, on],
            outer: product(&lengths[..axis]),
            size: lengths[axis],
            inner: product(&lengths[axis + 1..]),
        }
    }
}

impl Argmax {
    pub(super) fn of(graph: &Graph, node: &Node, op: &ReduceArgmax) -> Self {
        let x = node.operands[0];
        let shape = &graph.ty(x).shape;
        let axis = op.axis_of(shape).expect(TYPED);
        let lengths = shape.dims();
        Self {
            x,
            outer: product(&lengths[..axis]),
            length: lengths[axis],
            inner: product(&lengths[axis + 1..]),
        }
    }
}

/// What all elements of `v` are, when that is known from the graph.
fn splat(graph: &Graph, mut v: Value) -> Option<f32> {
    while let Def::Result { node, .. } = graph.def(v) {
        let node = &graph.nodes()[node];
        match &node.op {
            op if is_view(op) => v = node.operands[0],
            Op::Fill(op) => return Some(op.element().to_f64()[0] as f32),
            _ => break,
        }
    }
    let literal = graph.literal(v)?;
    literal.splat_value().map(|value| value as f32)
}
