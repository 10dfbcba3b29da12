//! What the steps of a training took, stage by stage and op by op.
//!
//! A part of a program that an engine runs in one pass may compute several nodes; its time is that of the one among them
//! with the most work.

use crate::{
    stage::{Stage, Staged},
    work::flops,
};
use ane_device::UnitTime;
use ane_ir::Graph;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// What ops took, over all executions since the profile was started.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Profile {
    stages: Vec<StageTime>,
    ops: BTreeMap<OpPlace, OpTime>,
    /// Every execution by itself, where somebody wants that.
    executions: Option<Vec<Execution>>,
}

/// One execution of a stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Execution {
    /// Its place among the stages of a step.
    pub stage: usize,
    /// `engine` or `host`.
    pub side: &'static str,
    /// When it began.
    pub since: Instant,
    /// How long it ran.
    pub elapsed: Duration,
    /// Its ops in the order of the program, with the time of all threads together; none where the device does not tell.
    pub ops: Vec<(OpPlace, Duration)>,
}

/// A stage and how long it ran.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageTime {
    /// `engine` or `host`.
    pub side: &'static str,
    /// Seconds, all executions together.
    pub seconds: f64,
    /// How often it was executed.
    pub executions: u64,
}

/// An op of a layer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct OpPlace {
    /// Path of the layer; empty where the op belongs to none.
    pub layer: String,
    /// `forward`, or `backward` where differentiation made it.
    pub pass: &'static str,
    /// The op; empty where only ports are filled.
    pub op: &'static str,
    /// `engine` or `host`.
    pub side: &'static str,
}

/// What it took.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct OpTime {
    /// Seconds of all threads together, and of all executions.
    pub seconds: f64,
    /// Floating-point operations of all executions, with those of the nodes that are computed along.
    pub flops: u64,
}

impl Profile {
    /// Nothing yet, of which every execution is kept by itself too.
    pub fn of_executions() -> Self {
        Self {
            executions: Some(Vec::new()),
            ..Self::default()
        }
    }

    /// Every execution, in order; none unless they are kept.
    pub fn executions(&self) -> &[Execution] {
        self.executions.as_deref().unwrap_or_default()
    }

    /// The stages, in order.
    pub fn stages(&self) -> &[StageTime] {
        &self.stages
    }

    /// The ops, those first that took the longest; none where the device does not tell.
    pub fn ops(&self) -> Vec<(&OpPlace, OpTime)> {
        let mut ops: Vec<(&OpPlace, OpTime)> = self.ops.iter().map(|(p, t)| (p, *t)).collect();
        ops.sort_by(|(_, a), (_, b)| b.seconds.total_cmp(&a.seconds));
        ops
    }

    /// Adds an execution of the stage at this place, from `since` on.
    pub(crate) fn add(
        &mut self,
        staged: &Staged,
        number: usize,
        (since, elapsed): (Instant, Duration),
        times: &[UnitTime],
    ) {
        let (side, graph) = match staged.stages[number] {
            Stage::Engine(i) => ("engine", staged.engine[i].legal.graph()),
            Stage::Host(i) => ("host", &staged.host[i].graph),
        };
        if self.stages.len() <= number {
            let none = StageTime {
                side,
                seconds: 0.0,
                executions: 0,
            };
            self.stages.resize(number + 1, none);
        }
        let stage = &mut self.stages[number];
        stage.side = side;
        stage.seconds += elapsed.as_secs_f64();
        stage.executions += 1;
        let mut ops = Vec::new();
        for unit in times {
            let (place, flops) = place_of(graph, &unit.nodes, side);
            if self.executions.is_some() {
                ops.push((place.clone(), unit.time));
            }
            let op = self.ops.entry(place).or_default();
            op.seconds += unit.time.as_secs_f64();
            op.flops += flops;
        }
        if let Some(executions) = &mut self.executions {
            executions.push(Execution {
                stage: number,
                side,
                since,
                elapsed,
                ops,
            });
        }
    }
}

/// The op that a part of a program is named after, and the work of all its nodes.
fn place_of(graph: &Graph, nodes: &[usize], side: &'static str) -> (OpPlace, u64) {
    // A device may have compiled another form of the graph, with nodes of its own at the end.
    let known = nodes.iter().filter(|&&i| i < graph.nodes().len());
    let work: Vec<(usize, u64)> = known
        .map(|&i| (i, flops(graph, &graph.nodes()[i])))
        .collect();
    let all = work.iter().map(|(_, flops)| flops).sum();
    let place = match work.iter().max_by_key(|(_, flops)| *flops) {
        None => OpPlace {
            layer: String::new(),
            pass: "forward",
            op: "",
            side,
        },
        Some(&(i, _)) => {
            let place = graph.place(i);
            let pass = if place.is_gradient() {
                "backward"
            } else {
                "forward"
            };
            OpPlace {
                layer: place.path().to_owned(),
                pass,
                op: graph.nodes()[i].op.name(),
                side,
            }
        }
    };
    (place, all)
}
