//! Units as they are added to what is built.

use super::{Builder, SHARE};
use crate::plan::{Slot, Unit, Work, chain::Chain, chain_builder::ChainBuilder, group::Group};
use ane_ir::{Def, Graph};

/// The nodes whose results a group has, in order.
pub(super) fn nodes_of(graph: &Graph, group: &Group<'_>) -> Vec<usize> {
    let nodes = group
        .members
        .iter()
        .filter_map(|m| match graph.def(m.value) {
            Def::Result { node, .. } => Some(node),
            Def::Input(_) => None,
        });
    let mut nodes: Vec<usize> = nodes.collect();
    nodes.sort_unstable();
    nodes.dedup();
    nodes
}

impl Builder<'_> {
    pub(super) fn push(&mut self, work: Work, tasks: usize, reads: Vec<Slot>, writes: Vec<Slot>) {
        self.built.units.push(Unit {
            work,
            tasks,
            reads,
            writes,
            late: false,
            nodes: self.nodes.clone(),
            only_of_port: None,
        });
    }

    /// A unit that only prepares an operand for others.
    pub(super) fn push_late(
        &mut self,
        work: Work,
        tasks: usize,
        (reads, writes): (Vec<Slot>, Vec<Slot>),
        only_of_port: Option<usize>,
    ) {
        self.built.units.push(Unit {
            work,
            tasks,
            reads,
            writes,
            late: true,
            nodes: self.nodes.clone(),
            only_of_port,
        });
    }

    pub(super) fn push_chain(&mut self, c: ChainBuilder) {
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

    pub(super) fn need_scratch(&mut self, chain: &Chain, extra: usize) {
        self.need(chain.scratch() + extra);
    }

    /// At least so much scratch for a thread.
    pub(super) fn need(&mut self, elements: usize) {
        self.built.scratch = self.built.scratch.max(elements);
    }
}
