//! Passes: pure functions from graph to graph, in visible lists.

use crate::{
    graph::{Graph, GraphError, Node, Results, Value},
    ops::TypeError,
    place::Place,
    target::Target,
    verify::{VerifyError, verify},
};

pub mod conv_to_matmul;
pub mod cse;
pub mod dce;
pub mod fold;
pub mod legalize;
pub mod lower_as;
pub mod lowerings;
pub mod pad_rows;
pub mod repeated_outputs;
pub mod simplify;
pub mod transpose_into_matmul;

/// A named pass.
#[derive(Debug, Clone, Copy)]
pub struct Pass {
    /// File name under `passes/`.
    pub name: &'static str,
    /// The rewrite.
    pub run: fn(&Graph, &Target) -> Result<Graph, PassError>,
}

macro_rules! pass {
    ($module:ident) => {
        Pass {
            name: stringify!($module),
            run: $module::run,
        }
    };
}

/// Makes a graph smaller and acceptable to its target. Where the target accepts everything, no bit of the results changes.
pub const LEGALIZE: &[Pass] = &[
    pass!(fold),
    pass!(conv_to_matmul),
    pass!(simplify),
    pass!(fold),
    pass!(transpose_into_matmul),
    pass!(legalize),
    pass!(pad_rows),
    pass!(cse),
    pass!(dce),
    pass!(repeated_outputs),
];

/// A pass failed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PassError {
    /// A pass built a node that does not type: our bug.
    #[error("pass `{pass}` built a node that does not type")]
    Type {
        /// Name of the pass.
        pass: &'static str,
        /// What does not fit.
        source: TypeError,
    },
    /// A pass lost a port: our bug.
    #[error("pass `{pass}` lost a port")]
    Port {
        /// Name of the pass.
        pass: &'static str,
        /// Which.
        source: GraphError,
    },
    /// A pass broke an invariant: our bug.
    #[error("pass `{pass}` broke {}", list(.errors))]
    Verify {
        /// Name of the pass.
        pass: &'static str,
        /// Every broken invariant.
        errors: Vec<VerifyError>,
    },
}

fn list(errors: &[VerifyError]) -> String {
    let all: Vec<String> = errors.iter().map(ToString::to_string).collect();
    all.join("; ")
}

/// Runs `passes` in order, verifying the graph after each.
///
/// # Errors
/// The first failure.
pub fn run(graph: &Graph, target: &Target, passes: &[Pass]) -> Result<Graph, PassError> {
    let mut graph = graph.clone();
    for pass in passes {
        graph = (pass.run)(&graph, target)?;
        let errors = verify(&graph);
        if !errors.is_empty() {
            return Err(PassError::Verify {
                pass: pass.name,
                errors,
            });
        }
    }
    Ok(graph)
}

/// The graph under construction in a rewrite, and what became of each old value.
#[derive(Debug)]
pub struct Rewriter<'a> {
    /// The new graph.
    pub out: Graph,
    old: &'a Graph,
    map: Vec<Option<Value>>,
}

impl Rewriter<'_> {
    /// The new value of an old one.
    ///
    /// # Panics
    /// When the old value was not copied.
    pub fn mapped(&self, old: Value) -> Value {
        self.map[old.index()].expect("operands are rewritten before their uses")
    }
}

/// Rebuilds `graph` node by node. `rule` sees the old node and its new operands and may give replacements for its
/// results; `None` copies the node, an empty list drops it.
///
/// # Errors
/// Whatever `rule` returns, and typing errors of copied nodes.
pub fn rewrite(
    pass: &'static str,
    graph: &Graph,
    mut rule: impl FnMut(&mut Rewriter<'_>, &Node, &[Value]) -> Result<Option<Results>, PassError>,
) -> Result<Graph, PassError> {
    let port = |source| PassError::Port { pass, source };
    let mut r = Rewriter {
        out: Graph::new(),
        old: graph,
        map: vec![None; graph.values().len()],
    };
    for &v in graph.inputs() {
        r.map[v.index()] = Some(
            r.out
                .input(graph.port(v), graph.ty(v).clone())
                .map_err(port)?,
        );
    }
    for (i, node) in graph.nodes().iter().enumerate() {
        r.out.set_scope(graph.place(i).clone());
        let Some(operands) = node
            .operands
            .iter()
            .map(|x| r.map[x.index()])
            .collect::<Option<Vec<_>>>()
        else {
            continue; // It reads a dropped node, so it is dead itself.
        };
        let results = match rule(&mut r, node, &operands)? {
            Some(results) => results,
            None => r
                .out
                .push_segments(node.op.clone(), &operands, &node.segments)
                .map_err(|source| PassError::Type { pass, source })?,
        };
        for (&old, &new) in node.results.iter().zip(&results) {
            r.map[old.index()] = Some(new);
            if r.old.stops_gradient(old) {
                r.out.mark_stop(new);
            }
            if let Some(name) = graph.name(old)
                && r.out.name(new).is_none()
            {
                r.out.set_name(new, name);
            }
        }
    }
    for &v in graph.outputs() {
        r.out.set_scope(graph.place_of(v).clone());
        let mut new = r.mapped(v);
        // One value cannot leave under two names, nor can an input leave unchanged: such outputs keep a node of
        // their own.
        if r.out.is_port(new) {
            new = r
                .out
                .identity(new)
                .map_err(|source| PassError::Type { pass, source })?;
        }
        r.out.output(graph.port(v), new).map_err(port)?;
    }
    r.out.copy_in_place(graph);
    r.out.set_scope(Place::UNKNOWN);
    Ok(r.out)
}
