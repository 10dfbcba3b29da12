//! What a step leaves to the host, and why.

use super::{
    Stage, Staged,
    sides::{self, Reason, Side},
};
use crate::work::Work;
use ane_ir::{Graph, Target, ops::Op};
use serde::Serialize;
use std::collections::BTreeMap;

/// A node on the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostNode {
    /// Its position in the step's graph.
    #[serde(skip)]
    pub node: usize,
    /// Its op.
    pub op: &'static str,
    /// Where it comes from: the path of its layer, marked where it is of a gradient.
    pub place: String,
    /// The path of its layer alone; empty where it has none.
    #[serde(skip)]
    pub path: String,
    /// Why the engine does not run it.
    pub reason: String,
    /// Whether it is one of the ops that the engine is known to lack: see [`Staged::require_ane`].
    pub is_known: bool,
}

impl HostNode {
    /// The nodes of `graph` that are on the host on `target`, in order.
    pub(crate) fn of(graph: &Graph, target: &Target) -> Vec<Self> {
        host_nodes(graph, &sides::of(graph, target), target)
    }
}

/// How much of something is done on the engine.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Share {
    /// On the engine.
    pub engine: u64,
    /// On the host.
    pub host: u64,
}

impl Share {
    /// The part of it that is on the engine, in percent.
    pub fn percent(&self) -> f64 {
        match self.engine + self.host {
            0 => 100.0,
            all => 100.0 * self.engine as f64 / all as f64,
        }
    }
}

/// More is on the host than the engine is known to lack.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} of the step would run on the host, which --require-ane forbids: {}",
    counted(.nodes.len(), "node"),
    .nodes.iter().map(|n| format!("`{}` at {}: {}", n.op, n.place, n.reason)).collect::<Vec<_>>().join("; ")
)]
pub struct NotOnEngine {
    /// The nodes.
    pub nodes: Vec<HostNode>,
}

/// The ops that every chip lacks and that `--require-ane` leaves to the host, whatever they work on.
const KNOWN: [&str; 4] = ["gather", "scatter", "one_hot", "reduce_argmax"];

/// The nodes on the host, in order.
pub(super) fn host_nodes(graph: &Graph, sides: &[Side], target: &Target) -> Vec<HostNode> {
    let nodes = graph.nodes().iter().zip(sides).enumerate();
    nodes
        .filter_map(|(i, (node, side))| {
            let Side::Host(reason) = side else {
                return None;
            };
            let op = node.op.name();
            // Indices and masks: what is made of integers, or is made an integer or a mask.
            let float = |v: &ane_ir::Value| graph.ty(*v).dtype.is_float();
            let is_index = !node.results.iter().any(float)
                || (matches!(node.op, Op::Cast(_)) && !float(&node.operands[0]));
            // A table longer than the engine's axes is cut for it, and its gradient put together.
            let longest = target.max_axis().unwrap_or(usize::MAX);
            let is_longer =
                |v: &ane_ir::Value| graph.ty(*v).shape.dims().iter().any(|&n| n > longest);
            let mut values = node.operands.iter().chain(&node.results);
            let cuts_table = node.op.only_moves() && values.any(is_longer);
            Some(HostNode {
                node: i,
                op,
                place: graph.place(i).to_string(),
                path: graph.place(i).path().to_owned(),
                is_known: KNOWN.contains(&op) || is_index || cuts_table || *reason == Reason::Moves,
                reason: match reason {
                    Reason::Refused(why) => why.clone(),
                    Reason::Moves => "moves what the host has".to_owned(),
                },
            })
        })
        .collect()
}

impl Staged {
    /// Whether the host runs nothing but what the engine is known to lack: gather, scatter, one_hot, argmax, the indices and
    /// masks that they work with, movement between them, and the parts of tables that are longer than an axis may be.
    ///
    /// # Errors
    /// With every other node.
    pub fn require_ane(&self) -> Result<(), NotOnEngine> {
        let others = self.host_nodes.iter().filter(|n| !n.is_known);
        let nodes: Vec<HostNode> = others.cloned().collect();
        match nodes.is_empty() {
            true => Ok(()),
            false => Err(NotOnEngine { nodes }),
        }
    }

    /// How many stages are on the engine: the dispatches of an execution.
    pub fn engine_stages(&self) -> usize {
        let is_engine = |s: &&Stage| matches!(s, Stage::Engine(_));
        self.stages.iter().filter(is_engine).count()
    }

    /// The work of an execution on the engine, as it runs there.
    pub fn engine_work(&self) -> Work {
        Work::sum(self.stages.iter().filter_map(|stage| match *stage {
            Stage::Engine(i) => Some(Work::of(self.engine[i].legal.graph())),
            Stage::Host(_) => None,
        }))
    }

    /// Floating-point operations, and bytes that nodes read and write, by where they are.
    pub fn shares(&self) -> [Share; 2] {
        let engine = Work::sum(self.engine.iter().map(|p| Work::of(&p.graph)));
        let host = Work::sum(self.host.iter().map(|p| Work::of(&p.part)));
        [
            Share {
                engine: engine.flops,
                host: host.flops,
            },
            Share {
                engine: engine.bytes,
                host: host.bytes,
            },
        ]
    }

    /// The stages in words, a line each, and what is on the host by op, place and reason; nothing where all of it is one
    /// stage on the engine.
    pub fn lines(&self) -> Vec<String> {
        if self.host.is_empty() {
            return Vec::new();
        }
        let mut lines = Vec::new();
        for (i, stage) in self.stages.iter().enumerate() {
            let (side, work) = match *stage {
                Stage::Engine(p) => ("engine", Work::of(self.engine[p].legal.graph())),
                Stage::Host(p) => ("host", Work::of(&self.host[p].part)),
            };
            lines.push(format!(
                "stage {}: {side}, {}, {:.1} MFLOP, {} bytes in, {} bytes out",
                i + 1,
                counted(work.nodes, "node"),
                work.flops as f64 / 1e6,
                work.bytes_in,
                work.bytes_out
            ));
        }
        let mut same: BTreeMap<(&str, &str, &str), usize> = BTreeMap::new();
        for node in &self.host_nodes {
            *same
                .entry((&node.place, node.op, &node.reason))
                .or_default() += 1;
        }
        for ((place, op, reason), count) in same {
            let times = if count == 1 {
                String::new()
            } else {
                format!(", {count} times")
            };
            lines.push(format!("on the host: `{op}` at {place}{times}: {reason}"));
        }
        lines
    }

    /// What is on the host in one line; `None` where nothing is.
    pub fn summary(&self) -> Option<String> {
        if self.host_nodes.is_empty() {
            return None;
        }
        let mut ops: BTreeMap<&str, usize> = BTreeMap::new();
        for node in &self.host_nodes {
            *ops.entry(node.op).or_default() += 1;
        }
        let ops: Vec<String> = ops.iter().map(|(op, n)| format!("{n} {op}")).collect();
        let [flops, bytes] = self.shares();
        Some(format!(
            "on the host: {} of a step ({}), in {} of {}; {:.1} % of the FLOPs and {:.1} % of the bytes are on the engine",
            counted(self.host_nodes.len(), "node"),
            ops.join(", "),
            self.stages.len() - self.engine_stages(),
            counted(self.stages.len(), "stage"),
            flops.percent(),
            bytes.percent()
        ))
    }
}

fn counted(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
