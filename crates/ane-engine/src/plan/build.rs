//! Units of work from groups.

mod convolution;
mod indexing;
mod normalization;
mod pool;
mod product;
mod reduction;
mod units;

use super::{
    ConcatPart, ConcatWork, DefinitionWork, Destination, Options, Place, Slot, Unit, Work,
    chain::{Instr, Src, TILE, Uniform},
    chain_builder::ChainBuilder,
    function::{Ew, Round},
    group::{Groups, Member},
    half, idiom,
    lowering::{Affine, Head, Kernel, Lowering, Step},
    pool::Pooling,
    walk::Walk,
};
use crate::{gemm::RowLayout, plan::Packed};
use ane_ir::{
    DType, Def, Graph, Node, Segments, Value,
    ops::{Op, identity::Identity},
};
use normalization::{Next, broadcast, follow};
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

pub(super) fn build(
    graph: &Graph,
    lowering: &[Lowering],
    groups: &Groups<'_>,
    options: &Options,
) -> Built {
    let mut b = Builder {
        graph,
        groups,
        options,
        built: Built::default(),
        slot_of: vec![None; graph.values().len()],
        half_of: vec![None; graph.values().len()],
        half: Vec::new(),
        packed: HashMap::new(),
        skip_lists: HashMap::new(),
        dense_lists: HashMap::new(),
        nodes: Vec::new(),
        ports: vec![Vec::new(); graph.values().len()],
        wide: options.numerics.wide_values(graph),
    };
    b.half = if options.numerics.round {
        half::find(graph, lowering, groups, &b.wide)
    } else {
        vec![false; graph.values().len()]
    };
    for (port, &v) in graph.outputs().iter().enumerate() {
        b.ports[groups.root[v.index()].index()].push((port, v));
    }
    for (i, group) in groups.groups.iter().enumerate() {
        if !group.members.is_empty() {
            b.nodes = units::nodes_of(graph, group);
            b.group(i);
        }
    }
    for (i, (node, lowering)) in graph.nodes().iter().zip(lowering).enumerate() {
        b.nodes = vec![i];
        match lowering {
            Lowering::View | Lowering::Constant | Lowering::Unused | Lowering::Steps(_) => {}
            Lowering::Alone(kernel) => b.alone(node, kernel),
        }
    }
    b.nodes.clear();
    b.remaining_ports();
    b.built
}

type PackKey = (Place, usize, usize, usize, usize, usize);
type SkipListKey = (Slot, RowLayout, usize, usize);

struct Builder<'a> {
    graph: &'a Graph,
    groups: &'a Groups<'a>,
    options: &'a Options,
    built: Built,
    slot_of: Vec<Option<Slot>>,
    /// Slots of fp16.
    half_of: Vec<Option<Slot>>,
    /// Values that passes store as fp16.
    half: Vec<bool>,
    packed: HashMap<PackKey, Packed>,
    /// Skip lists of the rows in a slot.
    skip_lists: HashMap<SkipListKey, Slot>,
    /// Lists that skip nothing, by depth.
    dense_lists: HashMap<usize, Slot>,
    /// The nodes that the units at hand compute.
    nodes: Vec<usize>,
    /// Output ports of every root.
    ports: Vec<Vec<(usize, Value)>>,
    /// Values that keep fp32 on their way to their readers.
    wide: Vec<bool>,
}

impl Builder<'_> {
    fn numel(&self, v: Value) -> usize {
        self.graph.ty(v).shape.numel()
    }

    /// The dtype to which a result is rounded where it is computed.
    fn stored(&self, v: Value) -> DType {
        match self.graph.ty(v).dtype {
            DType::Fp16 if self.wide[v.index()] => DType::Fp32,
            dtype => dtype,
        }
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
            let element = |x: f64| match literal.ty().dtype {
                DType::Int32 => f32::from_bits((x as i32).cast_unsigned()),
                _ => x as f32,
            };
            let elements = literal.to_f64().into_iter().map(element).collect();
            self.built.constants.push((slot, elements));
        }
        slot
    }

    /// The slot that holds `root` as fp16, made on first use.
    fn half_slot(&mut self, root: Value) -> Slot {
        if let Some(slot) = self.half_of[root.index()] {
            return slot;
        }
        let slot = self.new_slot(self.numel(root).div_ceil(2));
        self.half_of[root.index()] = Some(slot);
        slot
    }

    /// Where `root` is read: its port or its slot.
    fn place(&mut self, root: Value) -> Place {
        match self.graph.def(root) {
            Def::Input(port) => Place::Port(port, self.graph.ty(root).dtype),
            Def::Result { .. } if self.half[root.index()] => Place::Half(self.half_slot(root)),
            Def::Result { .. } => Place::Slot(self.slot(root)),
        }
    }

    /// `root` in the arena as it is computed with, brought there from its port or from fp16 if need be.
    fn in_arena(&mut self, root: Value) -> Slot {
        let place = self.place(root);
        if let Place::Slot(slot) = place {
            return slot;
        }
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
            if let Some(copy) = self.built.units.last_mut() {
                copy.late = true;
            }
        }
        slot
    }

    fn group(&mut self, index: usize) {
        let group = &self.groups.groups[index];
        let root = |v: Value| self.groups.root[v.index()];
        let mut c = ChainBuilder::new(group.shape.clone());
        // Maxima and sums of a value of the group are taken when it is there; the others come in through a load at the
        // end.
        let mut ends_of: HashMap<Value, Vec<&Member<'_>>> = HashMap::new();
        for (i, member) in group.members.iter().enumerate() {
            for &x in member.operands {
                c.last_use.insert(root(x), i);
            }
            if member.step.ends_pass() {
                let of = root(member.operands[0]);
                ends_of.entry(of).or_default().push(member);
            }
        }
        // What ends the chain, and the slots of its partial results.
        let mut ends: Vec<(&Member<'_>, Slot)> = Vec::new();
        let mut head = None;
        for (i, member) in group.members.iter().enumerate() {
            let v = member.value;
            let src = match member.step {
                Step::Largest | Step::ChannelSums(_) => continue,
                Step::Head(kernel) => {
                    head = Some(kernel);
                    self.head(&mut c, v, kernel)
                }
                Step::Movement { walk, cliff } => self.movement(&mut c, member, walk, *cliff),
                Step::Splat(element) => {
                    // A uniform is a vector long, and what leaves a pass is a tile.
                    let element = c.uniform(Uniform::Constant(element.to_bits()));
                    follow(&mut c, element, vec![(Ew::Copy, None)], Round::Keep)
                }
                Step::ByChannel(norm) => self.by_channel(&mut c, index, norm, self.stored(v)),
                Step::Elementwise { function, inexact } => {
                    let xs: Vec<Src> = member
                        .operands
                        .iter()
                        .map(|&x| self.operand(&mut c, index, x))
                        .collect();
                    let to = c.register();
                    // Functions that keep to the grid of fp16 do so on operands that are on it.
                    let reads_wide = member.operands.iter().any(|x| self.wide[x.index()]);
                    let inexact = *inexact || reads_wide;
                    let round = Round::of(self.stored(v), inexact, &self.options.numerics);
                    c.compute(*function, round, to, &xs);
                    Src::Reg(to)
                }
            };
            c.keep(i, v, src);
            if self.groups.leaves_group(self.graph, v) {
                let (to, store) = if self.half[v.index()] {
                    let to = self.half_slot(v);
                    (to, Instr::StoreHalf { from: src, to })
                } else {
                    let to = self.slot(v);
                    (to, Instr::Store { from: src, to })
                };
                c.chain.instrs.push(store);
                c.writes.push(to);
            }
            for (port, out) in std::mem::take(&mut self.ports[v.index()]) {
                let dtype = self.graph.ty(out).dtype;
                let rounded = self.wide[v.index()].then(|| c.register());
                if let Some(to) = rounded {
                    let round = Round::of(dtype, true, &self.options.numerics);
                    c.compute(Ew::Copy, round, to, &[src]);
                }
                c.chain.instrs.push(Instr::Export {
                    from: rounded.map_or(src, Src::Reg),
                    port,
                    dtype,
                });
                c.free.extend(rounded);
            }
            for end in ends_of.remove(&v).unwrap_or_default() {
                ends.push((end, self.end(&mut c, end.step, src)));
            }
            c.release(i);
        }
        for member in &group.members {
            if member.step.ends_pass() && ends_of.contains_key(&root(member.operands[0])) {
                let src = self.operand(&mut c, index, member.operands[0]);
                ends.push((member, self.end(&mut c, member.step, src)));
            }
        }
        c.drop_unread_magnitudes();
        idiom::replace(&mut c.chain.instrs);
        match head {
            Some(Head::Matmul(product)) => self.matmul(product, c),
            Some(Head::Convolution(conv)) => self.convolution(conv, c),
            Some(Head::Pool(pool)) => self.pool(pool, c),
            Some(Head::MaxPoolGradient(gradient)) => self.max_pool_gradient(gradient, c),
            Some(Head::Normalize(norm)) => self.normalize(norm, c),
            None => self.push_chain(c),
        }
        let tasks = self.built.units.last().map_or(0, |u| u.tasks);
        for (end, partial) in ends {
            if let Step::ChannelSums(sums) = end.step {
                self.built.slots[partial] = tasks * sums.channels;
                self.total(end.value, sums, partial, tasks);
                continue;
            }
            self.built.slots[partial] = tasks;
            let out = self.slot(end.value);
            let work = Work::LargestOf {
                partial,
                count: tasks,
                out,
            };
            self.push(work, 1, vec![partial], vec![out]);
        }
    }

    /// Takes `src` into partial results of every task, and says in which slot those are.
    fn end(&mut self, c: &mut ChainBuilder, step: &Step, src: Src) -> Slot {
        let partial = self.new_slot(0);
        match step {
            Step::ChannelSums(sums) => c.sum(src, partial, sums.channels, sums.period),
            _ => c.fold_largest(src, partial),
        }
        c.writes.push(partial);
        partial
    }

    /// What the kernel at the head of a pass made, finished and rounded.
    fn head(&mut self, c: &mut ChainBuilder, v: Value, kernel: &Head) -> Src {
        let numerics = &self.options.numerics;
        let dtype = self.graph.ty(v).dtype;
        let cliff = numerics.matmul_limit.filter(|_| dtype == DType::Fp16);
        let cliff = cliff.map(|limit| (Ew::Cliff(limit), None));
        let (steps, inexact): (Vec<Next>, bool) = match kernel {
            Head::Matmul(product) => {
                let bias = product.bias.map(|bias| {
                    let place = self.place(self.groups.root[bias.index()]);
                    let shape = &self.graph.ty(bias).shape;
                    (Ew::Add, Some(broadcast(c, place, shape)))
                });
                (bias.into_iter().chain(cliff).collect(), true)
            }
            Head::Convolution(_) => (cliff.into_iter().collect(), true),
            Head::Pool(pool) => (Vec::new(), pool.kind != Pooling::Max),
            Head::MaxPoolGradient(_) => (Vec::new(), true),
            Head::Normalize(norm) => {
                let Affine {
                    gamma,
                    beta,
                    broadcast,
                } = &norm.affine;
                (self.affine(c, [*gamma, *beta], broadcast), true)
            }
        };
        let round = Round::of(dtype, inexact, &self.options.numerics);
        follow(c, Src::Head, steps, round)
    }

    fn movement(
        &mut self,
        c: &mut ChainBuilder,
        member: &Member<'_>,
        walk: &Walk,
        cliff: Option<f32>,
    ) -> Src {
        let to = c.register();
        let place = self.place(self.groups.root[member.operands[0].index()]);
        c.load(place, walk.clone(), to);
        if let Some(limit) = cliff {
            c.compute(Ew::Cliff(limit), Round::Keep, to, &[Src::Reg(to)]);
        }
        Src::Reg(to)
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

    fn alone(&mut self, node: &Node, kernel: &Kernel) {
        match kernel {
            Kernel::Reduction { kind, axes } => self.reduction(node, *kind, axes),
            Kernel::Softmax { axis } => self.softmax(node, *axis),
            Kernel::Concat { axis } => self.concat(node, *axis),
            Kernel::Pad { around, value } => self.pad(node, around, *value),
            Kernel::Gather(gather) => self.gather(node, gather),
            Kernel::Scatter(scatter) => self.scatter(node, scatter),
            Kernel::OneHot(one_hot) => self.one_hot(node, one_hot),
            Kernel::Argmax(argmax) => self.argmax(node, argmax),
            Kernel::Definition(op) => self.definition(node, op),
        }
    }

    /// One task that gathers the operands, evaluates the op and writes the results.
    fn definition(&mut self, node: &Node, op: &Op) {
        let results: Vec<Slot> = node.results.iter().map(|&y| self.slot(y)).collect();
        let to = results.iter().copied().map(Destination::Slot).collect();
        self.evaluate(op, &node.segments, &node.operands, to, results);
    }

    /// The values of an op on `operands`, to `to`.
    fn evaluate(
        &mut self,
        op: &Op,
        segments: &Segments,
        operands: &[Value],
        to: Vec<Destination>,
        writes: Vec<Slot>,
    ) {
        let mut reads = Vec::new();
        let mut places = Vec::with_capacity(operands.len());
        for &x in operands {
            let place = self.place(self.groups.root[x.index()]);
            reads.extend(place.slot());
            places.push((place, self.graph.ty(x).clone()));
        }
        let work = Work::Definition(DefinitionWork {
            op: op.clone(),
            segments: segments.clone(),
            operands: places,
            results: to,
        });
        self.push(work, 1, reads, writes);
    }

    fn concat(&mut self, node: &Node, axis: usize) {
        let out = self.graph.ty(node.results[0]).shape.clone();
        let rows: usize = out.dims()[..axis].iter().product();
        let pitch = out.numel() / rows;
        let mut parts = Vec::new();
        let mut offset = 0;
        for x in &node.operands {
            let run = self.numel(*x) / rows;
            let from = self.in_arena(self.groups.root[x.index()]);
            parts.push(ConcatPart { from, run, offset });
            offset += run;
        }
        let to = self.slot(node.results[0]);
        let reads = parts.iter().map(|p| p.from).collect();
        let tasks = parts.len();
        let work = Work::Concat(ConcatWork {
            parts,
            rows,
            pitch,
            to,
        });
        self.push(work, tasks, reads, vec![to]);
    }

    /// Constants before and after the operand, axis after axis.
    fn pad(&mut self, node: &Node, around: &[(usize, usize)], value: f32) {
        let x = node.operands[0];
        let mut from = self.in_arena(self.groups.root[x.index()]);
        let mut dims = self.graph.ty(x).shape.dims().to_vec();
        let last = around.iter().rposition(|&a| a != (0, 0));
        for (axis, &(before, after)) in around.iter().enumerate() {
            if (before, after) == (0, 0) && last.is_some_and(|last| last != axis) {
                continue;
            }
            let rows: usize = dims[..axis].iter().product();
            let element: usize = dims[axis + 1..].iter().product();
            let inner = dims[axis] * element;
            let pitch = inner + (before + after) * element;
            let mut parts = vec![ConcatPart {
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
                    parts.push(ConcatPart { from, run, offset });
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
                Work::Concat(ConcatWork {
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
            for (port, v) in std::mem::take(&mut self.ports[root.index()]) {
                let ty = self.graph.ty(v).clone();
                if ty.dtype == DType::Int32 {
                    let to = vec![Destination::Port(port)];
                    let copy = Identity {}.into();
                    self.evaluate(&copy, &Segments::default(), &[v], to, Vec::new());
                    continue;
                }
                let mut c = ChainBuilder::new(ty.shape.clone());
                let to = c.register();
                let place = self.place(root);
                c.load(place, Walk::broadcast(&ty.shape, &ty.shape), to);
                if self.wide[root.index()] {
                    let round = Round::of(ty.dtype, true, &self.options.numerics);
                    c.compute(Ew::Copy, round, to, &[Src::Reg(to)]);
                }
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
