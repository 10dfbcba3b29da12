//! The invariants of the IR. What they forbid is a bug of ours, never of a user.

use crate::{
    graph::{Def, Graph, Value},
    place::Place,
    types::{MAX_RANK, TensorType},
};
use smallvec::SmallVec;

/// One broken invariant.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// A node reads a value that does not exist yet.
    #[error("node {node} ({op}) reads {operand} before it is defined{}", .place.suffix())]
    UseBeforeDef {
        /// Position of the node.
        node: usize,
        /// Its op.
        op: &'static str,
        /// What it reads.
        operand: Value,
        /// Where the node comes from.
        place: Place,
    },
    /// A recorded type differs from the inferred one.
    #[error("{value} is recorded as {found}, its op yields {expected}{}", .place.suffix())]
    Type {
        /// The value.
        value: Value,
        /// Inferred.
        expected: String,
        /// Recorded.
        found: TensorType,
        /// Where the node comes from.
        place: Place,
    },
    /// More axes than the IR has.
    #[error("{value} has rank {rank}, at most {MAX_RANK} is possible")]
    Rank {
        /// The value.
        value: Value,
        /// Its rank.
        rank: usize,
    },
    /// A value's definition does not point back to it.
    #[error("{value} and its definition disagree")]
    Definition {
        /// The value.
        value: Value,
    },
    /// A pair in place names ports that do not exist, or that have different types.
    #[error(
        "input {input} and output {output} are declared in place of each other and are not alike"
    )]
    InPlace {
        /// Position among the inputs.
        input: usize,
        /// Position among the outputs.
        output: usize,
    },
    /// Two ports share a name.
    #[error("two ports are called `{name}`")]
    PortName {
        /// The name.
        name: String,
    },
}

/// Every broken invariant of `graph`; empty when it is sound.
pub fn verify(graph: &Graph) -> Vec<VerifyError> {
    let mut errors = Vec::new();
    let mut defined = vec![false; graph.values().len()];
    for &v in graph.inputs() {
        defined[v.index()] = true;
    }
    for (i, node) in graph.nodes().iter().enumerate() {
        for &operand in &node.operands {
            if !defined.get(operand.index()).copied().unwrap_or(false) {
                errors.push(VerifyError::UseBeforeDef {
                    node: i,
                    op: node.op.name(),
                    operand,
                    place: graph.place(i).clone(),
                });
            }
        }
        for (index, &r) in node.results.iter().enumerate() {
            defined[r.index()] = true;
            if graph.def(r) != (Def::Result { node: i, index }) {
                errors.push(VerifyError::Definition { value: r });
            }
        }
        let tys: SmallVec<[&TensorType; 3]> = node.operands.iter().map(|&x| graph.ty(x)).collect();
        let inferred = node.op.infer(&node.view(&tys));
        for (index, &r) in node.results.iter().enumerate() {
            let recorded = graph.ty(r);
            let expected = match &inferred {
                Ok(tys) if tys.get(index) == Some(recorded) => continue,
                Ok(tys) => tys.get(index).map_or("nothing".into(), ToString::to_string),
                Err(e) => e.to_string(),
            };
            errors.push(VerifyError::Type {
                value: r,
                expected,
                found: recorded.clone(),
                place: graph.place(i).clone(),
            });
        }
    }
    for v in graph.values() {
        let rank = graph.ty(v).shape.rank();
        if rank > MAX_RANK {
            errors.push(VerifyError::Rank { value: v, rank });
        }
    }
    for &(input, output) in graph.in_place() {
        let ty = |ports: &[Value], at: usize| ports.get(at).map(|&v| graph.ty(v));
        let from = ty(graph.inputs(), input);
        if from.is_none() || from != ty(graph.outputs(), output) {
            errors.push(VerifyError::InPlace { input, output });
        }
    }
    let mut names: Vec<&str> = graph
        .inputs()
        .iter()
        .chain(graph.outputs())
        .map(|&v| graph.port(v))
        .collect();
    names.sort_unstable();
    for pair in names.windows(2) {
        if pair[0] == pair[1] {
            errors.push(VerifyError::PortName {
                name: pair[0].to_owned(),
            });
        }
    }
    errors
}
