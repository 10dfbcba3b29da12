//! Which values are computed together in one pass over tiles.
//!
//! Nodes are visited from the last to the first. A value joins the group of its readers when all of them read it
//! element by element in one group of its own shape; readers in several groups of that shape are merged first, unless
//! a path between them leads through other groups or nodes. A matrix product may head a group: the others then run on its blocks while they
//! are hot. Every member of a group that joins later has a smaller index than those before it, so a group never
//! depends on itself through the outside; only merging must be checked.

use ane_ir::{Def, Graph, Shape, Value, ops::Op};

/// How a node takes part in grouping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// The same elements under another shape: no work.
    View,
    Constant,
    Elementwise,
    /// A strided read: starts a chain.
    Movement,
    Matmul,
    /// Largest of all elements: ends a chain.
    Largest,
    /// Runs by itself.
    Alone,
}

/// Values computed in one pass.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) shape: Shape,
    /// In order of definition.
    pub(super) members: Vec<Value>,
    /// The matrix product whose blocks the pass runs on.
    pub(super) head: Option<Value>,
}

/// The grouping of a graph.
#[derive(Debug)]
pub(super) struct Groups {
    pub(super) groups: Vec<Group>,
    /// Group of every value that has one.
    pub(super) of: Vec<Option<usize>>,
    /// The value whose storage each value shares: itself unless it is a view.
    pub(super) root: Vec<Value>,
    pub(super) class: Vec<Class>,
    /// Readers of each root: node and the operand, a view of the root or itself.
    pub(super) uses: Vec<Vec<(usize, Value)>>,
}

pub(super) fn classify(graph: &Graph, node: &ane_ir::Node) -> Class {
    match &node.op {
        Op::Const(_) => Class::Constant,
        Op::Reshape(_) | Op::ExpandDims(_) | Op::Squeeze(_) | Op::Identity(_) => Class::View,
        Op::Transpose(_) | Op::SliceBySize(_) | Op::Split(_) => Class::Movement,
        Op::Matmul(_) => Class::Matmul,
        Op::ReduceMax(_) if graph.ty(node.results[0]).shape.numel() == 1 => Class::Largest,
        Op::ReduceMax(_)
        | Op::ReduceSum(_)
        | Op::ReduceMean(_)
        | Op::ReduceLogSumExp(_)
        | Op::Softmax(_)
        | Op::Concat(_)
        | Op::Pad(_) => Class::Alone,
        Op::Abs(_)
        | Op::Add(_)
        | Op::Cast(_)
        | Op::Equal(_)
        | Op::Erf(_)
        | Op::Exp(_)
        | Op::Gelu(_)
        | Op::Greater(_)
        | Op::GreaterEqual(_)
        | Op::Less(_)
        | Op::Log(_)
        | Op::LogicalNot(_)
        | Op::Maximum(_)
        | Op::Minimum(_)
        | Op::Mul(_)
        | Op::Pow(_)
        | Op::RealDiv(_)
        | Op::Relu(_)
        | Op::Rsqrt(_)
        | Op::Select(_)
        | Op::Sigmoid(_)
        | Op::Sign(_)
        | Op::Silu(_)
        | Op::Sqrt(_)
        | Op::Sub(_)
        | Op::Tanh(_) => Class::Elementwise,
    }
}

/// Most values of a group: bounds the registers of a chain.
const MOST_MEMBERS: usize = 160;

pub(super) fn group(graph: &Graph) -> Groups {
    let mut g = Groups {
        groups: Vec::new(),
        of: vec![None; graph.values().len()],
        root: graph.values().collect(),
        class: graph.nodes().iter().map(|n| classify(graph, n)).collect(),
        uses: vec![Vec::new(); graph.values().len()],
    };
    for (i, node) in graph.nodes().iter().enumerate() {
        if g.class[i] == Class::View {
            g.root[node.results[0].index()] = g.root[node.operands[0].index()];
        } else {
            for &x in &node.operands {
                let root = g.root[x.index()];
                g.uses[root.index()].push((i, x));
            }
        }
    }
    for (i, node) in graph.nodes().iter().enumerate().rev() {
        let shape = match g.class[i] {
            Class::View | Class::Constant | Class::Alone => continue,
            Class::Largest => &graph.ty(node.operands[0]).shape,
            Class::Elementwise | Class::Movement | Class::Matmul => {
                &graph.ty(node.results[0]).shape
            }
        };
        for &v in node.results.iter().rev() {
            let shape = if g.class[i] == Class::Movement {
                graph.ty(v).shape.clone()
            } else {
                shape.clone()
            };
            let home = g.home(graph, v, g.class[i], &shape);
            g.groups[home].members.push(v);
            if g.class[i] == Class::Matmul {
                g.groups[home].head = Some(v);
            }
            g.of[v.index()] = Some(home);
        }
    }
    for group in &mut g.groups {
        group.members.sort_unstable();
    }
    g
}

impl Groups {
    /// The group that `v` joins, made if need be.
    fn home(&mut self, graph: &Graph, v: Value, class: Class, shape: &Shape) -> usize {
        let mut readers = Vec::new();
        for &(node, operand) in &self.uses[v.index()] {
            match self.elementwise_reader(graph, node, operand, v) {
                Some(group) if class != Class::Largest => {
                    if !readers.contains(&group) {
                        readers.push(group);
                    }
                }
                _ => return self.new_group(shape),
            }
        }
        let Some((&first, rest)) = readers.split_first() else {
            return self.new_group(shape);
        };
        for &other in rest {
            if !self.can_merge(graph, first, other) {
                return self.new_group(shape);
            }
            self.merge(first, other);
        }
        let group = &self.groups[first];
        if (class == Class::Matmul && group.head.is_some()) || group.members.len() >= MOST_MEMBERS {
            return self.new_group(shape);
        }
        first
    }

    fn new_group(&mut self, shape: &Shape) -> usize {
        self.groups.push(Group {
            shape: shape.clone(),
            members: Vec::new(),
            head: None,
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
        let reads_elements = matches!(self.class[node], Class::Elementwise | Class::Largest);
        let group = self.of[graph.nodes()[node].results[0].index()]?;
        let shape = &graph.ty(root).shape;
        (reads_elements && &graph.ty(operand).shape == shape && &self.groups[group].shape == shape)
            .then_some(group)
    }

    /// Whether two groups can run as one: only one heads, they are not too many, and no path leads from one back in
    /// through the outside.
    fn can_merge(&self, graph: &Graph, a: usize, b: usize) -> bool {
        let (ga, gb) = (&self.groups[a], &self.groups[b]);
        if ga.head.is_some() && gb.head.is_some()
            || ga.members.len() + gb.members.len() > MOST_MEMBERS
        {
            return false;
        }
        let inside = |node: usize| {
            let results = &graph.nodes()[node].results;
            results
                .iter()
                .map(|r| self.of[r.index()])
                .any(|of| of == Some(a) || of == Some(b))
        };
        let mut seen = vec![false; graph.nodes().len()];
        let mut open = Vec::new();
        for &v in ga.members.iter().chain(&gb.members) {
            // A largest element is known only when the whole pass is over, also to readers of its own shape.
            let known_while_running = Self::definition(graph, v)
                .is_none_or(|(node, _)| self.class[node] != Class::Largest);
            for &(node, operand) in &self.uses[v.index()] {
                let elementwise = known_while_running
                    && self.elementwise_reader(graph, node, operand, v).is_some();
                if inside(node) {
                    if !elementwise {
                        return false;
                    }
                } else if !std::mem::replace(&mut seen[node], true) {
                    open.push(node);
                }
            }
        }
        // A group runs as one: whoever reaches a member reaches what any member leads to.
        while let Some(node) = open.pop() {
            let mut reached: Vec<Value> = graph.nodes()[node].results.to_vec();
            let homes: Vec<usize> = reached.iter().filter_map(|r| self.of[r.index()]).collect();
            for home in homes {
                reached.extend(&self.groups[home].members);
            }
            for r in reached {
                for &(reader, _) in &self.uses[r.index()] {
                    if inside(reader) {
                        return false;
                    }
                    if !std::mem::replace(&mut seen[reader], true) {
                        open.push(reader);
                    }
                }
            }
        }
        true
    }

    fn merge(&mut self, into: usize, from: usize) {
        let emptied = std::mem::take(&mut self.groups[from].members);
        for v in &emptied {
            self.of[v.index()] = Some(into);
        }
        let head = self.groups[from].head.take();
        let target = &mut self.groups[into];
        target.members.extend(emptied);
        target.head = target.head.or(head);
    }

    /// Whether some reader of `v` is outside its group, so that it must be in memory.
    pub(super) fn leaves_group(&self, graph: &Graph, v: Value) -> bool {
        self.uses[v.index()].iter().any(|&(node, operand)| {
            self.elementwise_reader(graph, node, operand, v) != self.of[v.index()]
                || self.of[v.index()].is_none()
        })
    }

    /// Node that defines `v`, and which of its results it is.
    pub(super) fn definition(graph: &Graph, v: Value) -> Option<(usize, usize)> {
        match graph.def(v) {
            Def::Input(_) => None,
            Def::Result { node, index } => Some((node, index)),
        }
    }
}
