//! Which values are computed together in one pass over tiles.
//!
//! Nodes are visited from the last to the first. A value joins the group of its readers when all of them read it
//! element by element in one group of its own shape; readers in several groups of that shape are merged first, unless
//! a path between them leads through other groups or nodes. A kernel such as a matrix product may head a group: the others then run on its blocks while they
//! are hot. Every member of a group that joins later has a smaller index than those before it, so a group never
//! depends on itself through the outside; only merging must be checked.

use super::lowering::{Lowering, Step};
use ane_ir::{Graph, Shape, Value};

/// Values computed in one pass.
#[derive(Debug)]
pub(super) struct Group<'a> {
    pub(super) shape: Shape,
    /// In order of definition.
    pub(super) members: Vec<Member<'a>>,
    /// Whether a member's blocks are what the pass runs on.
    headed: bool,
    /// Whether a member is sums, for which the pass reads all that it computes.
    sums: bool,
}

/// A value of a group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member<'a> {
    pub(super) value: Value,
    /// What it reads, in order.
    pub(super) operands: &'a [Value],
    pub(super) step: &'a Step,
}

/// The grouping of a graph.
#[derive(Debug)]
pub(super) struct Groups<'a> {
    pub(super) groups: Vec<Group<'a>>,
    /// Group of every value that has one.
    pub(super) of: Vec<Option<usize>>,
    /// The value whose storage each value shares: itself unless it is a view.
    pub(super) root: Vec<Value>,
    lowering: &'a [Lowering],
    /// Readers of each root: node and the operand, a view of the root or itself.
    pub(super) uses: Vec<Vec<(usize, Value)>>,
    search: Search,
}

/// A search for a path, one of many.
#[derive(Debug, Default)]
struct Search {
    number: usize,
    /// The last search that came by each node and each group.
    nodes: Vec<usize>,
    groups: Vec<usize>,
    /// Nodes that this one has come by.
    found: usize,
}

impl Search {
    fn start(&mut self, groups: usize) {
        self.number += 1;
        self.found = 0;
        self.groups.resize(groups, 0);
    }

    fn is_new(&mut self, node: usize) -> bool {
        let new = std::mem::replace(&mut self.nodes[node], self.number) != self.number;
        self.found += usize::from(new);
        new
    }

    fn is_new_group(&mut self, group: usize) -> bool {
        std::mem::replace(&mut self.groups[group], self.number) != self.number
    }
}

/// Most values of a group: bounds the registers of a chain.
const MOST_MEMBERS: usize = 160;

/// Nodes that the search for a path between two groups looks at before it gives up and keeps them apart: what is that
/// far away shares no cache either, and planning stays linear in the graph.
const MOST_SEARCHED: usize = 2048;

pub(super) fn group<'a>(graph: &'a Graph, lowering: &'a [Lowering]) -> Groups<'a> {
    let mut g = Groups {
        groups: Vec::new(),
        of: vec![None; graph.values().len()],
        root: graph.values().collect(),
        lowering,
        uses: vec![Vec::new(); graph.values().len()],
        search: Search {
            nodes: vec![0; graph.nodes().len()],
            ..Search::default()
        },
    };
    for (i, (node, lowering)) in graph.nodes().iter().zip(lowering).enumerate() {
        if let Lowering::View = lowering {
            g.root[node.results[0].index()] = g.root[node.operands[0].index()];
        } else {
            for &x in lowering.reads(node) {
                let root = g.root[x.index()];
                g.uses[root.index()].push((i, x));
            }
        }
    }
    for (node, lowering) in graph.nodes().iter().zip(lowering).rev() {
        let steps = match lowering {
            Lowering::View | Lowering::Constant | Lowering::Unused | Lowering::Alone(_) => continue,
            Lowering::Steps(steps) => steps,
        };
        for (&value, step) in node.results.iter().zip(steps).rev() {
            let walked = match step {
                Step::Largest | Step::ChannelSums(_) => node.operands[0],
                Step::Elementwise { .. }
                | Step::Splat(_)
                | Step::ByChannel(_)
                | Step::Movement { .. }
                | Step::Head(_) => value,
            };
            let home = g.home(graph, value, step, &graph.ty(walked).shape);
            g.groups[home].members.push(Member {
                value,
                operands: lowering.reads(node),
                step,
            });
            g.groups[home].headed |= step.is_head();
            g.groups[home].sums |= matches!(step, Step::ChannelSums(_));
            g.of[value.index()] = Some(home);
        }
    }
    for group in &mut g.groups {
        group.members.sort_unstable_by_key(|m| m.value);
    }
    g
}

impl<'a> Groups<'a> {
    /// The group that `v` joins, made if need be.
    fn home(&mut self, graph: &Graph, v: Value, step: &Step, shape: &Shape) -> usize {
        if step.ends_pass() {
            return self.new_group(shape);
        }
        let home = self.home_of_all_readers(graph, v);
        let home = home.or_else(|| self.home_of_sums(graph, v));
        let room = |group: &Group<'_>| {
            !(step.is_head() && group.headed) && group.members.len() < MOST_MEMBERS
        };
        match home {
            Some(home) if room(&self.groups[home]) => home,
            _ => self.new_group(shape),
        }
    }

    /// The group of all readers of `v`, merged if need be, when they read it element by element.
    fn home_of_all_readers(&mut self, graph: &Graph, v: Value) -> Option<usize> {
        let mut readers = Vec::new();
        for &(node, operand) in &self.uses[v.index()] {
            let group = self.elementwise_reader(graph, node, operand, v)?;
            if readers.len() > MOST_MEMBERS {
                return None;
            }
            if !readers.contains(&group) {
                readers.push(group);
            }
        }
        let (&first, rest) = readers.split_first()?;
        for &other in rest {
            if !self.can_merge(graph, first, other) {
                return None;
            }
            self.merge(first, other);
        }
        Some(first)
    }

    /// A group that makes sums of `v` and needs nothing that its other readers lead to: the sums are taken on the way
    /// to memory.
    fn home_of_sums(&mut self, graph: &Graph, v: Value) -> Option<usize> {
        let mut candidates: Vec<usize> = Vec::new();
        for &(node, operand) in self.uses[v.index()].iter().take(MOST_MEMBERS) {
            if let Some(group) = self.elementwise_reader(graph, node, operand, v)
                && self.groups[group].sums
                && !candidates.contains(&group)
            {
                candidates.push(group);
            }
        }
        let mut search = std::mem::take(&mut self.search);
        let home = candidates.into_iter().find(|&group| {
            search.start(self.groups.len());
            !self.others_lead_into(graph, v, group, &mut search)
        });
        self.search = search;
        home
    }

    /// Whether a reader of `v` outside `group` leads into it, or too far away to be sure.
    fn others_lead_into(&self, graph: &Graph, v: Value, group: usize, search: &mut Search) -> bool {
        let inside = |node: usize| {
            let results = &graph.nodes()[node].results;
            results.iter().any(|r| self.of[r.index()] == Some(group))
        };
        let mut open = Vec::new();
        for &(node, _) in &self.uses[v.index()] {
            if !inside(node) {
                open.extend(search.is_new(node).then_some(node));
            }
        }
        while let Some(node) = open.pop() {
            for r in self.reached_from(graph, node, search) {
                for &(reader, _) in &self.uses[r.index()] {
                    if inside(reader) || search.found > MOST_SEARCHED {
                        return true;
                    }
                    open.extend(search.is_new(reader).then_some(reader));
                }
            }
        }
        false
    }

    /// What `node` leads to at once: a group runs as one, so whoever reaches a member reaches what any member leads to.
    fn reached_from(&self, graph: &Graph, node: usize, search: &mut Search) -> Vec<Value> {
        let mut reached: Vec<Value> = Vec::new();
        for &v in &graph.nodes()[node].results {
            match self.of[v.index()] {
                None => reached.push(v),
                Some(home) if search.is_new_group(home) => {
                    reached.extend(self.groups[home].members.iter().map(|m| m.value));
                }
                Some(_) => {}
            }
        }
        reached
    }

    fn new_group(&mut self, shape: &Shape) -> usize {
        self.groups.push(Group {
            shape: shape.clone(),
            members: Vec::new(),
            headed: false,
            sums: false,
        });
        self.groups.len() - 1
    }

    /// The group of the node that reads `operand`, a view of `root`, when it reads it element by element in its own
    /// shape.
    pub(super) fn elementwise_reader(
        &self,
        graph: &Graph,
        node: usize,
        operand: Value,
        root: Value,
    ) -> Option<usize> {
        let Lowering::Steps(steps) = &self.lowering[node] else {
            return None;
        };
        let group = self.of[graph.nodes()[node].results[0].index()]?;
        let shape = &graph.ty(root).shape;
        let reads_elements = steps.iter().all(Step::reads_elements);
        (reads_elements && &graph.ty(operand).shape == shape && &self.groups[group].shape == shape)
            .then_some(group)
    }

    /// Whether two groups can run as one: only one heads, they are not too many, and no path leads from one back in
    /// through the outside.
    fn can_merge(&mut self, graph: &Graph, a: usize, b: usize) -> bool {
        let mut search = std::mem::take(&mut self.search);
        search.start(self.groups.len());
        let merge = self.are_apart(graph, a, b, &mut search);
        self.search = search;
        merge
    }

    fn are_apart(&self, graph: &Graph, a: usize, b: usize, search: &mut Search) -> bool {
        let (ga, gb) = (&self.groups[a], &self.groups[b]);
        if ga.headed && gb.headed || ga.members.len() + gb.members.len() > MOST_MEMBERS {
            return false;
        }
        let inside = |node: usize| {
            let results = &graph.nodes()[node].results;
            results
                .iter()
                .map(|r| self.of[r.index()])
                .any(|of| of == Some(a) || of == Some(b))
        };
        let mut open = Vec::new();
        for member in ga.members.iter().chain(&gb.members) {
            let v = member.value;
            // A largest element or a sum is known only when the whole pass is over, also to readers of its own shape.
            let known_while_running = !member.step.ends_pass();
            for &(node, operand) in &self.uses[v.index()] {
                if !inside(node) {
                    open.extend(search.is_new(node).then_some(node));
                } else if !known_while_running
                    || self.elementwise_reader(graph, node, operand, v).is_none()
                {
                    return false;
                }
            }
        }
        while let Some(node) = open.pop() {
            for r in self.reached_from(graph, node, search) {
                for &(reader, _) in &self.uses[r.index()] {
                    if inside(reader) || search.found > MOST_SEARCHED {
                        return false;
                    }
                    open.extend(search.is_new(reader).then_some(reader));
                }
            }
        }
        true
    }

    fn merge(&mut self, into: usize, from: usize) {
        let emptied = std::mem::take(&mut self.groups[from].members);
        for member in &emptied {
            self.of[member.value.index()] = Some(into);
        }
        let (headed, sums) = (self.groups[from].headed, self.groups[from].sums);
        let target = &mut self.groups[into];
        target.members.extend(emptied);
        target.headed |= headed;
        target.sums |= sums;
    }

    /// Whether some reader of `v` is outside its group, so that it must be in memory.
    pub(super) fn leaves_group(&self, graph: &Graph, v: Value) -> bool {
        self.uses[v.index()].iter().any(|&(node, operand)| {
            self.elementwise_reader(graph, node, operand, v) != self.of[v.index()]
                || self.of[v.index()].is_none()
        })
    }
}
