//! A graph cut into alternating stages, as few as its paths allow.
//!
//! A node's level is the number of times that the side changes on the way to it, at most: the first stage is on the
//! engine or on the host, whichever ends with fewer. No cut has fewer stages, since a path that changes sides n times needs
//! n + 1 of them, and parallel paths share the levels. A node that only a later stage of its side needs moves there
//! where what it reads crosses more cheaply than what it makes.

use super::{StageError, engine, sides::Side};
use ane_ir::{DType, Def, Graph, TensorType, Value};
use std::collections::{BTreeSet, HashSet};

/// What a stage computes, in the types of the whole graph.
pub(super) struct Part {
    pub(super) on_engine: bool,
    pub(super) graph: Graph,
    pub(super) ports: Vec<PartPort>,
}

/// A port of a part.
pub(super) struct PartPort {
    pub(super) name: String,
    /// The type in which the tensor crosses.
    pub(super) ty: TensorType,
}

/// Level of nodes that are in no stage of their own.
const NONE: usize = usize::MAX;

/// The parts of `graph`, in order.
pub(super) fn parts(graph: &Graph, sides: &[Side]) -> Result<Vec<Part>, StageError> {
    let [mut levels, from_host] =
        [true, false].map(|engine_first| levels(graph, sides, engine_first));
    let mut engine_first = true;
    if count(&from_host) < count(&levels) {
        (levels, engine_first) = (from_host, false);
    }
    postpone(graph, &mut levels);
    let stages: BTreeSet<usize> = levels.iter().copied().filter(|&l| l != NONE).collect();
    let crossings = Crossings::of(graph, sides, &levels);
    let mut parts = Vec::new();
    for &level in &stages {
        parts.push(part(
            graph,
            level,
            level.is_multiple_of(2) == engine_first,
            &crossings,
        )?);
    }
    Ok(parts)
}

fn count(levels: &[usize]) -> usize {
    levels
        .iter()
        .filter(|&&l| l != NONE)
        .collect::<HashSet<_>>()
        .len()
}

/// The earliest level of every node.
fn levels(graph: &Graph, sides: &[Side], engine_first: bool) -> Vec<usize> {
    let mut levels = vec![NONE; sides.len()];
    for (i, node) in graph.nodes().iter().enumerate() {
        let on_engine = match sides[i] {
            Side::Dead | Side::Constant => continue,
            Side::Engine => true,
            Side::Host(_) => false,
        };
        let parity = usize::from(on_engine != engine_first);
        let before = node.operands.iter().filter_map(|&x| match graph.def(x) {
            Def::Result { node, .. } if levels[node] != NONE => Some(levels[node]),
            _ => None,
        });
        let level = before.max().unwrap_or(0);
        levels[i] = level + (level + parity) % 2;
    }
    levels
}

/// Moves nodes to the level that needs them, where that spares bytes that cross.
fn postpone(graph: &Graph, levels: &mut [usize]) {
    // Of each value: the earliest and the latest level that reads it.
    let mut read: Vec<Option<(usize, usize)>> = vec![None; graph.values().len()];
    for (i, node) in graph.nodes().iter().enumerate().rev() {
        let level = levels[i];
        if level == NONE {
            continue;
        }
        let readers = node.results.iter().filter_map(|y| read[y.index()]);
        let first = readers.map(|(first, _)| first).min();
        let leaves = node.results.iter().any(|&y| graph.is_port(y));
        if let Some(first) = first.filter(|_| !leaves) {
            let later = first - (first - level) % 2;
            let crosses = |v: Value| {
                // What an earlier level makes crosses anyway, and so does what a later level reads.
                matches!(graph.def(v), Def::Result { node, .. } if levels[node] == level)
                    && read[v.index()].is_none_or(|(_, last)| last < later)
            };
            let bytes =
                |values: &[Value]| -> usize { values.iter().map(|&v| graph.ty(v).bytes()).sum() };
            let more: Vec<Value> = node
                .operands
                .iter()
                .copied()
                .filter(|&v| crosses(v))
                .collect();
            if later > level && bytes(&more) <= bytes(&node.results) {
                levels[i] = later;
            }
        }
        let level = levels[i];
        for x in &node.operands {
            let (first, last) = read[x.index()].unwrap_or((level, level));
            read[x.index()] = Some((first.min(level), last.max(level)));
        }
    }
}

/// Which values cross, and as what.
struct Crossings {
    /// By level: what it reads of inputs and other levels, inputs of the graph first.
    read: Vec<BTreeSet<(bool, Value)>>,
    /// By level: what leaves it, outputs of the graph first.
    made: Vec<BTreeSet<(bool, Value)>>,
    names: Vec<Option<String>>,
    types: Vec<TensorType>,
}

impl Crossings {
    fn of(graph: &Graph, sides: &[Side], levels: &[usize]) -> Self {
        let count = levels
            .iter()
            .filter(|&&l| l != NONE)
            .max()
            .map_or(1, |l| l + 1);
        let mut read = vec![BTreeSet::new(); count];
        let mut made = vec![BTreeSet::new(); count];
        let mut on_engine = vec![false; graph.values().len()];
        let level_of = |v: Value| match graph.def(v) {
            Def::Input(_) => None,
            Def::Result { node, .. } => Some(levels[node]).filter(|&l| l != NONE),
        };
        let is_constant = |v: Value| matches!(graph.def(v), Def::Result { node, .. } if sides[node] == Side::Constant);
        for (i, node) in graph
            .nodes()
            .iter()
            .enumerate()
            .filter(|(i, _)| levels[*i] != NONE)
        {
            let is_engine = sides[i] == Side::Engine;
            for y in &node.results {
                on_engine[y.index()] |= is_engine;
            }
            for &x in node.operands.iter().filter(|&&x| !is_constant(x)) {
                on_engine[x.index()] |= is_engine;
                let from = level_of(x);
                if from == Some(levels[i]) {
                    continue;
                }
                read[levels[i]].insert((from.is_some(), x));
                if let Some(from) = from {
                    made[from].insert((!graph.is_port(x), x));
                }
            }
        }
        // An output that no op computes leaves with the first stage on the host.
        let first_on_host = (0..levels.len())
            .find(|&i| sides[i].is_host())
            .map_or(0, |i| levels[i]);
        for &v in graph.outputs() {
            made[level_of(v).unwrap_or(first_on_host)].insert((false, v));
        }
        let taken: HashSet<&str> = graph
            .inputs()
            .iter()
            .chain(graph.outputs())
            .map(|&v| graph.port(v))
            .collect();
        let crossing = made.iter().flatten().map(|&(_, v)| v);
        let mut names = vec![None; graph.values().len()];
        for v in crossing.chain(graph.inputs().iter().copied()) {
            names[v.index()] = Some(if graph.is_port(v) {
                graph.port(v).to_owned()
            } else {
                name(v, &taken)
            });
        }
        let types = graph.values().map(|v| {
            let ty = graph.ty(v);
            match graph.def(v) {
                Def::Input(_) => ty.clone(),
                Def::Result { .. } if on_engine[v.index()] => engine::carried(ty),
                Def::Result { .. } if ty.dtype == DType::Fp16 => TensorType {
                    dtype: DType::Fp32,
                    shape: ty.shape.clone(),
                },
                Def::Result { .. } => ty.clone(),
            }
        });
        Self {
            read,
            made,
            names,
            types: types.collect(),
        }
    }

    fn name(&self, v: Value) -> &str {
        self.names[v.index()]
            .as_deref()
            .expect("what crosses is named")
    }
}

/// A name that no port of the graph has: values are numbered, so no two have the same.
fn name(v: Value, taken: &HashSet<&str>) -> String {
    let mut name = format!("crossing_{}", v.index());
    while taken.contains(name.as_str()) {
        name.push('_');
    }
    name
}

fn part(
    graph: &Graph,
    level: usize,
    on_engine: bool,
    crossings: &Crossings,
) -> Result<Part, StageError> {
    let named = |set: &BTreeSet<(bool, Value)>| -> Vec<(&str, Value)> {
        set.iter().map(|&(_, v)| (crossings.name(v), v)).collect()
    };
    let (inputs, outputs) = (named(&crossings.read[level]), named(&crossings.made[level]));
    let port = |&(name, v): &(&str, Value)| PartPort {
        name: name.to_owned(),
        ty: crossings.types[v.index()].clone(),
    };
    Ok(Part {
        on_engine,
        graph: graph.extract(&inputs, &outputs)?,
        ports: inputs.iter().chain(&outputs).map(port).collect(),
    })
}
