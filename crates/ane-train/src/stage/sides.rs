//! Which nodes the engine takes, and why not the others.
//!
//! A node is asked about alone: a graph of it and its constants is legalised, so that what a pass can mend is mended, and
//! the rules are asked that speak of nodes. What they say depends on the op and its types, so each is asked once, and the
//! pass is linear in the graph. Types come first: chips compute on fp16, and carry bytes and short integers only to move
//! and to convert them.

use super::engine;
use ane_ir::{
    DType, Def, Graph, Node, Segments, Shape, Target, TensorType, Value, ops::Op, passes,
};
use std::collections::HashMap;

/// Where a node runs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Side {
    /// Nowhere: no output needs it.
    Dead,
    /// In every stage that reads it: a constant, or computed from constants alone.
    Constant,
    /// On the engine.
    Engine,
    /// On the host.
    Host(Reason),
}

/// Why a node is on the host.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reason {
    /// The engine does not take it.
    Refused(String),
    /// It moves what the host makes or reads, so that a stage on the engine would do nothing else.
    Moves,
}

impl Side {
    pub(crate) fn is_host(&self) -> bool {
        matches!(self, Self::Host(_))
    }
}

/// The rules that speak of a program and its ports and not of a node: stages have other ports than the node alone.
const OF_PROGRAMS: &[&str] = &[
    "bare_movement",
    "blob_count",
    "dead_values",
    "io_dtypes",
    "names",
    "narrow_rows",
    "surface_count",
];

/// The side of every node.
pub(crate) fn of(graph: &Graph, target: &Target) -> Vec<Side> {
    let mut sides = vec![Side::Dead; graph.nodes().len()];
    for (side, is_live) in sides.iter_mut().zip(live(graph)) {
        if is_live {
            *side = Side::Engine;
        }
    }
    let mut asked = Asked::default();
    for (i, node) in graph.nodes().iter().enumerate() {
        if sides[i] == Side::Dead {
            continue;
        }
        let constant = |v: Value| matches!(graph.def(v), Def::Result { node, .. } if sides[node] == Side::Constant);
        let constants: Vec<bool> = node.operands.iter().map(|&v| constant(v)).collect();
        sides[i] = if constants.iter().all(|&c| c) {
            Side::Constant
        } else {
            match asked.of(graph, node, &constants, target) {
                None => Side::Engine,
                Some(why) => Side::Host(Reason::Refused(why)),
            }
        };
    }
    follow(graph, &mut sides);
    sides
}

/// Which nodes the outputs need.
fn live(graph: &Graph) -> Vec<bool> {
    let mut needed = vec![false; graph.nodes().len()];
    let mark = |v: Value, needed: &mut Vec<bool>| {
        if let Def::Result { node, .. } = graph.def(v) {
            needed[node] = true;
        }
    };
    for &v in graph.outputs() {
        mark(v, &mut needed);
    }
    for (i, node) in graph.nodes().iter().enumerate().rev() {
        if needed[i] {
            for &x in &node.operands {
                mark(x, &mut needed);
            }
        }
    }
    needed
}

/// Leaves movement with the host where both ends of it are there: a table that is transposed before it is gathered from,
/// a gradient that is reshaped after it was scattered.
fn follow(graph: &Graph, sides: &mut [Side]) {
    // Of each node: whether, through movement alone, it has only inputs, constants and what the host makes; and whether
    // the host makes any of it.
    let mut from: Vec<(bool, bool)> = Vec::with_capacity(sides.len());
    for (i, node) in graph.nodes().iter().enumerate() {
        let movable = sides[i] == Side::Engine && node.op.only_moves();
        from.push(match &sides[i] {
            Side::Host(_) => (true, true),
            Side::Constant => (true, false),
            _ if movable => {
                let of = node.operands.iter().map(|&v| match graph.def(v) {
                    Def::Input(_) => (true, false),
                    Def::Result { node, .. } => from[node],
                });
                of.fold((true, false), |a, b| (a.0 && b.0, a.1 || b.1))
            }
            _ => (false, false),
        });
    }
    let mut on_engine = vec![false; sides.len()];
    let mut on_host = vec![false; sides.len()];
    for (i, node) in graph.nodes().iter().enumerate().rev() {
        let (from_there, made_there) = from[i];
        let ends_there = (on_host[i] || made_there) && !on_engine[i];
        if sides[i] == Side::Engine && node.op.only_moves() && from_there && ends_there {
            sides[i] = Side::Host(Reason::Moves);
        }
        let readers = match &sides[i] {
            Side::Engine => &mut on_engine,
            Side::Host(_) => &mut on_host,
            Side::Dead | Side::Constant => continue,
        };
        for &x in &node.operands {
            if let Def::Result { node, .. } = graph.def(x) {
                readers[node] = true;
            }
        }
    }
}

/// What the answer for a node depends on.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Question {
    /// The op with its attributes, in words.
    op: String,
    /// Of each operand its type, and whether it is a constant.
    operands: Vec<(TensorType, bool)>,
    segments: Segments,
}

/// Answers so far.
#[derive(Default)]
struct Asked(HashMap<Question, Option<String>>);

impl Asked {
    /// Why `target` does not take the node, if it does not.
    fn of(
        &mut self,
        graph: &Graph,
        node: &Node,
        constants: &[bool],
        target: &Target,
    ) -> Option<String> {
        let operands = node.operands.iter().zip(constants);
        let question = Question {
            op: format!("{:?}", node.op),
            operands: operands.map(|(&v, &c)| (graph.ty(v).clone(), c)).collect(),
            segments: node.segments.clone(),
        };
        let answer = self.0.entry(question).or_insert_with(|| {
            by_types(graph, node, constants, target)
                .or_else(|| by_rules(graph, node, constants, target))
        });
        answer.clone()
    }
}

/// Whether the node computes on a type that the target does not.
fn by_types(graph: &Graph, node: &Node, constants: &[bool], target: &Target) -> Option<String> {
    if !target.is_chip() {
        return None;
    }
    let operands = node.operands.iter().zip(constants);
    let computed = operands.filter(|(_, c)| !**c).map(|(v, _)| v);
    let mut types = computed.chain(&node.results).map(|&v| graph.ty(v).dtype);
    let moves = node.op.only_moves() || matches!(node.op, Op::Cast(_));
    let carried =
        |d: &DType| target.input_dtypes().contains(d) && target.output_dtypes().contains(d);
    let taken = |d: &DType| matches!(d, DType::Fp16 | DType::Bool) || (moves && carried(d));
    let refused = types.find(|d| !taken(d))?;
    Some(format!("{target} does not compute on {refused}"))
}

/// What the rules say of the node alone.
fn by_rules(graph: &Graph, node: &Node, constants: &[bool], target: &Target) -> Option<String> {
    let alone = match alone(graph, node, constants) {
        Ok(alone) => alone,
        Err(e) => return Some(e),
    };
    let legal = match passes::run(&alone, target, passes::LEGALIZE) {
        Ok(legal) => legal,
        Err(e) => return Some(e.to_string()),
    };
    let violations = ane_mil::check_except(legal, target, OF_PROGRAMS).err()?;
    let first = violations.first()?;
    let said = match &first.value {
        Some(name) => first.message.replacen(&format!("`{name}` "), "", 1),
        None => first.message.clone(),
    };
    Some(format!("{said} [{}]", first.rule))
}

/// A graph of the node alone. Tensors without axes enter and leave in one of length 1, as no port lacks axes.
fn alone(graph: &Graph, node: &Node, constants: &[bool]) -> Result<Graph, String> {
    let said = |e: &dyn std::fmt::Display| e.to_string();
    let mut g = Graph::new();
    let mut operands = Vec::with_capacity(node.operands.len());
    let mut known: HashMap<Value, Value> = HashMap::new();
    for (i, (&v, &is_constant)) in node.operands.iter().zip(constants).enumerate() {
        if let Some(&x) = known.get(&v) {
            operands.push(x);
            continue;
        }
        let made = graph
            .node_of(v)
            .filter(|n| is_constant && n.operands.is_empty());
        let x = match made {
            Some(n) => g.push(n.op.clone(), &[]).map_err(|e| said(&e))?,
            None => {
                let ty = graph.ty(v);
                let x = g.input(&format!("x{i}"), engine::with_an_axis(ty));
                let x = x.map_err(|e| said(&e))?;
                match ty.shape.rank() {
                    0 => g.reshape(x, &ty.shape).map_err(|e| said(&e))?,
                    _ => x,
                }
            }
        };
        known.insert(v, x);
        operands.push(x);
    }
    let results = g.push_segments(node.op.clone(), &operands, &node.segments);
    for (i, mut y) in results.map_err(|e| said(&e))?.into_iter().enumerate() {
        if g.ty(y).shape.rank() == 0 {
            y = g.reshape(y, &Shape::new(&[1])).map_err(|e| said(&e))?;
        }
        g.output(&format!("y{i}"), y).map_err(|e| said(&e))?;
    }
    Ok(g)
}
