//! A step in stages: what runs on the engine and what on the host, in order.
//!
//! Placement is a pass. A graph that its target takes is one stage on the engine, as it is. Of another, a node goes to
//! the host when its types or the target's rules say so (`stage/sides.rs`), and the graph is cut into as few alternating
//! stages as its paths allow (`stage/cut.rs`). A value that crosses from one stage into another is a port of both, of one
//! name and so of one buffer; host stages compute in fp32 (`stage/host.rs`).
//!
//! ```text
//!   tokens ──┬─ host: gather of the table
//!            │             │ [B, T, D] fp16
//!            │  engine: forward and backward pass ─> loss, gradients of what is on the engine
//!            │             │ [B, T, D] fp16
//!            └─ host: scatter-add ─> gradient of the table, fp32
//! ```

mod cut;
mod engine;
mod host;
mod report;
mod sides;

pub use report::{HostNode, NotOnEngine, Share};

use ane_ir::{
    DType, Def, Graph, GraphError, PartError, Target, TensorType, TypeError,
    passes::{self, PassError},
};
use ane_mil::{LegalGraph, Violation};
use std::collections::{BTreeMap, BTreeSet};

/// A graph cannot be placed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StageError {
    /// The target forbids a program.
    #[error("the step breaks {} of {target}'s rules: {}", .violations.len(), list(.violations))]
    Illegal {
        /// The target.
        target: Target,
        /// Every broken rule.
        violations: Vec<Violation>,
    },
    /// A pass failed: our bug.
    #[error(transparent)]
    Pass(#[from] PassError),
    /// A part could not be taken out: our bug.
    #[error(transparent)]
    Part(#[from] PartError),
    /// A port of a part could not be made: our bug.
    #[error(transparent)]
    Port(#[from] GraphError),
    /// A node of a part did not type: our bug.
    #[error(transparent)]
    Type(#[from] TypeError),
}

/// Violations in one line.
pub(crate) fn list(violations: &[Violation]) -> String {
    let all: Vec<String> = violations.iter().map(ToString::to_string).collect();
    all.join("; ")
}

/// A stage: which program it runs. Several may run the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// A program of [`Staged::engine`].
    Engine(usize),
    /// A program of [`Staged::host`].
    Host(usize),
}

/// A program of the engine.
#[derive(Debug, Clone)]
pub struct EngineProgram {
    /// What it computes.
    pub graph: Graph,
    /// That in terms of the target.
    pub legal: LegalGraph,
}

/// A program of the host.
#[derive(Debug, Clone)]
pub struct HostProgram {
    /// What it computes, in the types of the step.
    pub part: Graph,
    /// That in fp32, with ports as they are before the target's padding.
    pub graph: Graph,
}

/// The tensor behind a port, which has one buffer for all stages.
#[derive(Debug, Clone, PartialEq)]
pub struct StagePort {
    /// Its type, before the target's padding.
    pub ty: TensorType,
    /// Whether an engine stage reads or writes it.
    pub on_engine: bool,
}

impl StagePort {
    /// Whether the host alone uses it, in a type that no device carries for it.
    pub(crate) fn is_host_memory(&self) -> bool {
        !self.on_engine && self.ty.dtype != DType::Fp16
    }
}

/// A graph in stages.
#[derive(Debug, Clone)]
pub struct Staged {
    /// The stages, in the order in which they run, engine and host in turn.
    pub stages: Vec<Stage>,
    /// Programs of engine stages.
    pub engine: Vec<EngineProgram>,
    /// Programs of host stages.
    pub host: Vec<HostProgram>,
    /// Every port of a program or of the whole graph, by name.
    pub ports: BTreeMap<String, StagePort>,
    /// The nodes on the host, in order, with the reasons.
    pub host_nodes: Vec<HostNode>,
}

impl Staged {
    /// Places the nodes of `graph` and cuts it into stages: into one on the engine where `target` takes it whole, which
    /// `software` always does.
    ///
    /// # Errors
    /// When `target` forbids what no node alone is to blame for, such as too many ports; when a pass fails.
    pub fn of(graph: &Graph, target: &Target) -> Result<Self, StageError> {
        match legalize(graph, target) {
            Ok(legal) => Ok(Self::single(graph, legal)),
            Err(StageError::Illegal { .. }) => Self::cut(graph, target),
            Err(e) => Err(e),
        }
    }

    fn single(graph: &Graph, legal: LegalGraph) -> Self {
        let mut staged = Self::empty(graph);
        for port in staged.ports.values_mut() {
            port.on_engine = true;
        }
        staged.stages.push(Stage::Engine(0));
        staged.engine.push(EngineProgram {
            graph: graph.clone(),
            legal,
        });
        staged
    }

    fn cut(graph: &Graph, target: &Target) -> Result<Self, StageError> {
        let sides = sides::of(graph, target);
        let mut staged = Self::empty(graph);
        staged.host_nodes = report::host_nodes(graph, &sides, target);
        let parts = cut::parts(graph, &sides)?;
        for part in &parts {
            for port in &part.ports {
                let entry = staged.ports.entry(port.name.clone());
                let entry = entry.or_insert_with(|| StagePort {
                    ty: port.ty.clone(),
                    on_engine: false,
                });
                entry.ty = port.ty.clone();
                entry.on_engine |= part.on_engine;
            }
        }
        for part in parts {
            let types = |name: &str| staged.ports[name].ty.clone();
            if part.on_engine {
                let graph = engine::with_ports(&part.graph, types)?;
                let legal = legalize(&graph, target)?;
                staged.stages.push(Stage::Engine(staged.engine.len()));
                staged.engine.push(EngineProgram { graph, legal });
            } else {
                let graph = host::in_fp32(&part.graph, types)?;
                staged.stages.push(Stage::Host(staged.host.len()));
                staged.host.push(HostProgram {
                    part: part.graph,
                    graph,
                });
            }
        }
        Ok(staged)
    }

    /// No stages yet, and the ports of the whole graph, whether or not a stage needs them.
    fn empty(graph: &Graph) -> Self {
        let ports = graph.inputs().iter().chain(graph.outputs());
        Self {
            stages: Vec::new(),
            engine: Vec::new(),
            host: Vec::new(),
            ports: ports
                .map(|&v| {
                    let port = StagePort {
                        ty: graph.ty(v).clone(),
                        on_engine: false,
                    };
                    (graph.port(v).to_owned(), port)
                })
                .collect(),
            host_nodes: Vec::new(),
        }
    }

    /// Bytes of the tensors behind all ports.
    pub fn port_bytes(&self) -> u64 {
        let ports = self.ports.values();
        ports.map(|port| port.ty.bytes() as u64).sum()
    }
}

/// Names of the ports of `graph` that nodes on the host read or make on `target`.
pub(crate) fn host_ports(graph: &Graph, target: &Target) -> BTreeSet<String> {
    let sides = sides::of(graph, target);
    let nodes = graph.nodes().iter().zip(&sides);
    let on_host = nodes.filter(|(_, side)| side.is_host()).map(|(n, _)| n);
    let values = on_host.flat_map(|n| n.operands.iter().chain(&n.results));
    let ports = values.filter(|&&v| graph.is_port(v));
    ports.map(|&v| graph.port(v).to_owned()).collect()
}

/// How many values nodes of one side make and nodes of the other read: the most ports that cutting a graph adds to a program.
pub(crate) fn crossings(graph: &Graph, target: &Target) -> usize {
    let sides = sides::of(graph, target);
    let mut crossing = BTreeSet::new();
    for (node, side) in graph.nodes().iter().zip(&sides) {
        for &v in &node.operands {
            if let Def::Result { node: maker, .. } = graph.def(v)
                && sides[maker].is_host() != side.is_host()
            {
                crossing.insert(v.index());
            }
        }
    }
    crossing.len()
}

/// The legal form of a graph for a target.
///
/// # Errors
/// When a pass fails or the target forbids the result.
pub fn legalize(graph: &Graph, target: &Target) -> Result<LegalGraph, StageError> {
    let legal = passes::run(graph, target, passes::LEGALIZE)?;
    ane_mil::check(legal, target).map_err(|violations| StageError::Illegal {
        target: *target,
        violations,
    })
}
