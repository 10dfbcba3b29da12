//! Units of work from groups.

mod product;

use super::{
    JoinPart, JoinWork, Options, Place, ReduceWork, Reduction, Slot, Unit, Work,
    chain::{Chain, Ew, Instr, Round, Src, TILE, Uniform, Walk},
    chain_builder::ChainBuilder,
    elementwise::elementwise,
    group::{Class, Groups},
    join::join,
};
use crate::{gemm::RowLayout, plan::Packed};
use ane_ir::{DType, Graph, Literal, TensorType, Value, ops::Op};
use std::collections::HashMap;

/// Elements of a task of an elementwise pass: large enough that taking a task costs nothing, small enough to share.
const SHARE: usize = 16 * TILE;

/// Everything but levels and addresses.
#[derive(Debug, Default)]
pub(super) struct Built {
    pub(super) units: Vec<Unit>,
    /// Elements of every slot.
    pub(super) slots: Vec<usize>,
    pub(super) constants: Vec<(Slot, Vec<f32>)>,
    pub(super) scratch: usize,
}

pub(super) fn build(graph: &Graph, groups: &Groups, options: &Options) -> Built {
    let mut b = Builder {
        graph,
        groups,
        options,
        built: Built::default(),
        slot_of: vec![None; graph.values().len()],
        packed: HashMap::new(),
        terms: HashMap::new(),
        all_terms: HashMap::new(),
        ports: vec![Vec::new(); graph.values().len()],
    };
    for (port, &v) in graph.outputs().iter().enumerate() {
        b.ports[groups.root[v.index()].index()].push((port, v));
    }
    for (i, group) in groups.groups.iter().enumerate() {
        if !group.members.is_empty() {
            b.group(i);
        }
    }
    for (i, node) in graph.nodes().iter().enumerate() {
        if groups.class[i] == Class::Alone {
            b.alone(node);
        }
    }
    b.remaining_ports();
    b.built
}

type PackKey = (Place, usize, usize, usize, usize, usize);
type TermsKey = (Slot, RowLayout, usize, usize);

struct Builder<'a> {
    graph: &'a Graph,
    groups: &'a Groups,
    options: &'a Options,
    built: Built,
    slot_of: Vec<Option<Slot>>,
    packed: HashMap<PackKey, Packed>,
    /// Lists of the rows in a slot.
    terms: HashMap<TermsKey, Slot>,
    /// Lists of all terms, by depth.
    all_terms: HashMap<usize, Slot>,
    /// Output ports of every root.
    ports: Vec<Vec<(usize, Value)>>,
}

impl Builder<'_> {
    fn numel(&self, v: Value) -> usize {
        self.graph.ty(v).shape.numel()
    }

    fn new_slot(&mut self, elements: usize) -> Slot {
        self.built.slots.push(elements);
        self.built.slots.len() - 1
    }

    /// The slot that holds `root`, made on first use.
    fn slot(&mut self, root: Value) -> Slot {
        if let Some(slot) = self.slot_of[root.index()] {
            return slot;
        }
        let slot = self.new_slot(self.numel(root));
        self.slot_of[root.index()] = Some(slot);
        if let Some(literal) = self.graph.literal(root) {
            let elements = literal.to_f64().into_iter().map(|x| x as f32).collect();
            self.built.constants.push((slot, elements));
        }
        slot
    }

    /// Where `root` is read: its port or its slot.
    fn place(&mut self, root: Value) -> Place {
        match self.graph.inputs().iter().position(|&v| v == root) {
            Some(port) => Place::Port(port, self.graph.ty(root).dtype),
            None => Place::Slot(self.slot(root)),
        }
    }

    /// `root` in the arena, brought there from its port if need be.
    fn in_arena(&mut self, root: Value) -> Slot {
        let place = self.place(root);
        let Place::Port(..) = place else {
            return self.slot(root);
        };
        let known = self.slot_of[root.index()].is_some();
        let slot = self.slot(root);
        if !known {
            let shape = self.graph.ty(root).shape.clone();
            let mut c = ChainBuilder::new(shape.clone());
            let to = c.register();
            c.load(place, Walk::broadcast(&shape, &shape), to);
            c.chain.instrs.push(Instr::Store {
                from: Src::Reg(to),
                to: slot,
            });
            c.writes.push(slot);
            self.push_chain(c);
        }
        slot
    }

    fn push(&mut self, work: Work, tasks: usize, reads: Vec<Slot>, writes: Vec<Slot>) {
        self.built.units.push(Unit {
            work,
            tasks,
            reads,
            writes,
        });
    }

    fn push_chain(&mut self, c: ChainBuilder) {
        let elements = c.shape.numel();
        let tasks = elements.div_ceil(SHARE);
        self.need_scratch(&c.chain, 0);
        let work = Work::Chain {
            chain: c.chain,
            elements,
            share: SHARE,
        };
        self.push(work, tasks, c.reads, c.writes);
    }

    fn need_scratch(&mut self, chain: &Chain, extra: usize) {
        let needed = chain.scratch() + extra;
        self.built.scratch = self.built.scratch.max(needed);
    }

    fn group(&mut self, index: usize) {
        let group = &self.groups.groups[index];
        let mut c = ChainBuilder::new(group.shape.clone());
        for (i, &v) in group.members.iter().enumerate() {
            if let Some((node, _)) = Groups::definition(self.graph, v) {
                for x in &self.graph.nodes()[node].operands {
                    c.last_use.insert(self.groups.root[x.index()], i);
                }
            }
        }
        // Maxima that end the chain, and the slots of their partial results.
        let mut maxima: Vec<(Value, Option<Slot>)> = Vec::new();
        for (i, &v) in group.members.iter().enumerate() {
            let (node, _) = Groups::definition(self.graph, v).expect("members are results");
            if self.groups.class[node] == Class::Largest {
                if !maxima.iter().any(|(w, _)| *w == v) {
                    maxima.push((v, None));
                }
                continue;
            }
            let src = self.compute(&mut c, index, v);
            c.registers.insert(v, src);
            if self.groups.leaves_group(self.graph, v) {
                let to = self.slot(v);
                c.chain.instrs.push(Instr::Store { from: src, to });
                c.writes.push(to);
            }
            for &(port, out) in &self.ports[v.index()] {
                let dtype = self.graph.ty(out).dtype;
                c.chain.instrs.push(Instr::Export {
                    from: src,
                    port,
                    dtype,
                });
            }
            let read_by_largest = |w: &Value| {
                Groups::definition(self.graph, *w).is_some_and(|(n, _)| {
                    self.groups.class[n] == Class::Largest
                        && self.groups.root[self.graph.nodes()[n].operands[0].index()] == v
                })
            };
            for &w in group.members.iter().filter(|w| read_by_largest(w)) {
                let partial = self.new_slot(0);
                c.fold_largest(src, partial);
                c.writes.push(partial);
                maxima.push((w, Some(partial)));
            }
            c.release(i);
        }
        // Values read by a maximum but computed elsewhere come in through a load.
        for (w, partial) in &mut maxima {
            if partial.is_none() {
                let (node, _) = Groups::definition(self.graph, *w).expect("members are results");
                let src = self.operand(&mut c, index, self.graph.nodes()[node].operands[0]);
                let slot = self.new_slot(0);
                c.fold_largest(src, slot);
                c.writes.push(slot);
                *partial = Some(slot);
            }
        }
        c.drop_unread_magnitudes();
        join(&mut c.chain.instrs);
        match group.head {
            Some(head) => self.matmul(head, c),
            None => self.push_chain(c),
        }
        let tasks = self.built.units.last().map_or(0, |u| u.tasks);
        for (w, partial) in maxima {
            let partial = partial.expect("set above");
            self.built.slots[partial] = tasks;
            let out = self.slot(w);
            let work = Work::LargestOf {
                partial,
                count: tasks,
                out,
            };
            self.push(work, 1, vec![partial], vec![out]);
        }
    }

    /// Emits what computes `v` and says where it is.
    fn compute(&mut self, c: &mut ChainBuilder, group: usize, v: Value) -> Src {
        let (node, index) = Groups::definition(self.graph, v).expect("members are results");
        let n = &self.graph.nodes()[node];
        let numerics = &self.options.numerics;
        let dtype = self.graph.ty(v).dtype;
        match &n.op {
            Op::Matmul(_) => {
                let f = match (numerics.matmul_limit, dtype) {
                    (Some(limit), DType::Fp16) => Ew::Cliff(limit),
                    _ => Ew::Copy,
                };
                let round = Round::of(dtype, true, numerics);
                if (f, round) == (Ew::Copy, Round::Keep) {
                    return Src::Head;
                }
                let to = c.register();
                c.compute(f, round, to, &[Src::Head]);
                Src::Reg(to)
            }
            Op::Transpose(_) | Op::SliceBySize(_) | Op::Split(_) => {
                let to = c.register();
                let (walk, cliff) = self.movement(node, index);
                let place = self.place(self.groups.root[n.operands[0].index()]);
                c.load(place, walk, to);
                if let Some(limit) = cliff {
                    c.compute(Ew::Cliff(limit), Round::Keep, to, &[Src::Reg(to)]);
                }
                Src::Reg(to)
            }
            op => {
                let (f, inexact) =
                    elementwise(op, self.graph.ty(n.operands[0]).dtype, self.options);
                let xs: Vec<Src> = n
                    .operands
                    .iter()
                    .map(|&x| self.operand(c, group, x))
                    .collect();
                let to = c.register();
                c.compute(f, Round::of(dtype, inexact, numerics), to, &xs);
                Src::Reg(to)
            }
        }
    }

    /// Where an operand of a member of `group` is: a register, the arena itself, or freshly loaded.
    fn operand(&mut self, c: &mut ChainBuilder, group: usize, x: Value) -> Src {
        let root = self.groups.root[x.index()];
        let shape = self.graph.ty(x).shape.clone();
        if self.groups.of[root.index()] == Some(group)
            && shape == c.shape
            && let Some(&src) = c.registers.get(&root)
        {
            return src;
        }
        if let Some(value) = self.graph.literal(root).and_then(|l| l.splat_value()) {
            return c.uniform(Uniform::Constant((value as f32).to_bits()));
        }
        let walk = Walk::broadcast(&shape, &c.shape);
        let place = self.place(root);
        if walk.is_uniform() {
            return c.uniform(Uniform::Element(place, walk.offset));
        }
        if let Place::Slot(slot) = place
            && walk.is_contiguous()
            && self.numel(root) == c.shape.numel()
        {
            c.reads.push(slot);
            return Src::Slot(slot);
        }
        let to = c.register();
        c.load(place, walk, to);
        c.free_later.push(to);
        Src::Reg(to)
    }

    /// How a movement reads its operand, and the cliff it applies.
    fn movement(&self, node: usize, index: usize) -> (Walk, Option<f32>) {
        let n = &self.graph.nodes()[node];
        let x = &self.graph.ty(n.operands[0]).shape;
        let strides = x.strides();
        let out = &self.graph.ty(n.results[index]).shape;
        let infallible = "the node was typed when it was made";
        match &n.op {
            Op::Transpose(op) => {
                let perm = op.axes_of(x).expect(infallible);
                let strides: Vec<usize> = perm.iter().map(|&a| strides[a]).collect();
                (Walk::new(0, out.dims(), &strides), None)
            }
            Op::SliceBySize(op) => {
                let (begin, _) = op.block(x).expect(infallible);
                let offset = begin.iter().zip(&strides).map(|(b, s)| b * s).sum();
                let inside = begin.last().is_some_and(|&b| b > 0);
                let half = self.graph.ty(n.operands[0]).dtype == DType::Fp16;
                let cliff = self.options.numerics.slice_limit.filter(|_| inside && half);
                (Walk::new(offset, out.dims(), &strides), cliff)
            }
            Op::Split(op) => {
                let (axis, sizes) = op.parts(x).expect(infallible);
                let offset = sizes[..index].iter().sum::<usize>() * strides[axis];
                (Walk::new(offset, out.dims(), &strides), None)
            }
            _ => unreachable!("only movements are asked"),
        }
    }

    fn alone(&mut self, node: &ane_ir::Node) {
        let y = node.results[0];
        let x = node.operands[0];
        let reduction = match &node.op {
            Op::ReduceSum(op) => (Reduction::Sum, op.axes.clone()),
            Op::ReduceMean(op) => (Reduction::Mean, op.axes.clone()),
            Op::ReduceMax(op) => (Reduction::Max, op.axes.clone()),
            Op::ReduceLogSumExp(op) => (Reduction::LogSumExp, op.axes.clone()),
            Op::Softmax(op) => (Reduction::Softmax, vec![op.axis]),
            Op::Concat(op) => {
                let axis = self.graph.ty(y).shape.axis(op.axis);
                return self.join(node, axis.expect("the node was typed when it was made"));
            }
            Op::Pad(op) => return self.pad(node, op),
            _ => unreachable!("only these run alone"),
        };
        let (kind, axes) = reduction;
        let shape = self.graph.ty(x).shape.clone();
        let reduced: Vec<usize> = axes.iter().filter_map(|&a| shape.axis(a)).collect();
        let offsets = |reduce: bool| {
            let strides = shape.strides();
            let mut all = vec![0];
            for axis in (0..shape.rank()).filter(|a| reduced.contains(a) == reduce) {
                all = all
                    .iter()
                    .flat_map(|&o| (0..shape.dims()[axis]).map(move |i| (o, i)))
                    .map(|(o, i)| o + i * strides[axis])
                    .collect();
            }
            all
        };
        let (bases, within) = (offsets(false), offsets(true));
        let from = self.in_arena(self.groups.root[x.index()]);
        let to = self.slot(y);
        let share = (SHARE / within.len()).max(1);
        let tasks = bases.len().div_ceil(share);
        self.built.scratch = self.built.scratch.max(within.len() + 64);
        let work = Work::Reduce(ReduceWork {
            kind,
            dtype: self.graph.ty(y).dtype,
            from,
            to,
            bases,
            within,
            share,
        });
        self.push(work, tasks, vec![from], vec![to]);
    }

    fn join(&mut self, node: &ane_ir::Node, axis: usize) {
        let out = self.graph.ty(node.results[0]).shape.clone();
        let rows: usize = out.dims()[..axis].iter().product();
        let pitch = out.numel() / rows;
        let mut parts = Vec::new();
        let mut offset = 0;
        for x in &node.operands {
            let run = self.numel(*x) / rows;
            let from = self.in_arena(self.groups.root[x.index()]);
            parts.push(JoinPart { from, run, offset });
            offset += run;
        }
        let to = self.slot(node.results[0]);
        let reads = parts.iter().map(|p| p.from).collect();
        let tasks = parts.len();
        let work = Work::Join(JoinWork {
            parts,
            rows,
            pitch,
            to,
        });
        self.push(work, tasks, reads, vec![to]);
    }

    /// Joins constants to the operand, axis after axis.
    fn pad(&mut self, node: &ane_ir::Node, op: &ane_ir::ops::pad::Pad) {
        let x = node.operands[0];
        let ty = self.graph.ty(x).clone();
        let around = op
            .around(&ty.shape)
            .expect("the node was typed when it was made");
        let value = Literal::splat(TensorType::new(ty.dtype, []), op.constant_val);
        let value = value.to_f64()[0] as f32;
        let mut from = self.in_arena(self.groups.root[x.index()]);
        let mut dims = ty.shape.dims().to_vec();
        let last = around.iter().rposition(|&a| a != (0, 0));
        for (axis, (before, after)) in around.into_iter().enumerate() {
            if (before, after) == (0, 0) && last.is_some_and(|last| last != axis) {
                continue;
            }
            let rows: usize = dims[..axis].iter().product();
            let element: usize = dims[axis + 1..].iter().product();
            let inner = dims[axis] * element;
            let pitch = inner + (before + after) * element;
            let mut parts = vec![JoinPart {
                from,
                run: inner,
                offset: before * element,
            }];
            for (run, offset) in [
                (before * element, 0),
                (after * element, before * element + inner),
            ] {
                if run > 0 {
                    let from = self.new_slot(rows * run);
                    self.built.constants.push((from, vec![value; rows * run]));
                    parts.push(JoinPart { from, run, offset });
                }
            }
            dims[axis] += before + after;
            let to = if last.is_none_or(|last| last == axis) {
                self.slot(node.results[0])
            } else {
                self.new_slot(rows * pitch)
            };
            let reads = parts.iter().map(|p| p.from).collect();
            let tasks = parts.len();
            self.push(
                Work::Join(JoinWork {
                    parts,
                    rows,
                    pitch,
                    to,
                }),
                tasks,
                reads,
                vec![to],
            );
            from = to;
            if last.is_none() {
                break;
            }
        }
    }

    /// Output ports whose values no chain computed: copies.
    fn remaining_ports(&mut self) {
        for root in self.graph.values() {
            let computed = self.groups.of[root.index()].is_some_and(|g| {
                let (node, _) = Groups::definition(self.graph, root).expect("members are results");
                let _ = g;
                self.groups.class[node] != Class::Largest
            });
            if computed {
                continue;
            }
            for (port, v) in std::mem::take(&mut self.ports[root.index()]) {
                let ty = self.graph.ty(v).clone();
                let mut c = ChainBuilder::new(ty.shape.clone());
                let to = c.register();
                let place = self.place(root);
                c.load(place, Walk::broadcast(&ty.shape, &ty.shape), to);
                c.chain.instrs.push(Instr::Export {
                    from: Src::Reg(to),
                    port,
                    dtype: ty.dtype,
                });
                self.push_chain(c);
            }
        }
    }
}
