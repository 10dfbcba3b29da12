//! Constant folding.
//!
//! Before: `a = const(2); b = const(3); c = mul(a, b)`. After: `c = const(6)`.
//! Folds only results of at most `LARGEST` elements, so that programs do not grow.

use super::{PassError, rewrite};
use crate::{
    graph::Graph,
    numerics::Numerics,
    target::Target,
    tensor::{Literal, Real, Single, Tensor},
};

/// Most elements of a folded result.
const LARGEST: usize = 4096;

pub(super) fn run(graph: &Graph, target: &Target) -> Result<Graph, PassError> {
    let numerics = Numerics::of(target);
    rewrite("fold", graph, |r, node, xs| {
        let literals: Option<Vec<Literal>> =
            xs.iter().map(|&x| r.out.literal(x).cloned()).collect();
        let small = node
            .results
            .iter()
            .all(|&v| graph.ty(v).shape.numel() <= LARGEST);
        match literals {
            // What has no operands is data already, or says it shorter.
            Some(literals) if small && !literals.is_empty() => {
                let tensors: Vec<Tensor<Single>> =
                    literals.iter().map(Literal::to_tensor).collect();
                let refs: Vec<&Tensor<Single>> = tensors.iter().collect();
                node.op
                    .eval(&node.view(&refs), &numerics)
                    .into_iter()
                    .map(|y| {
                        let elements: Vec<f64> = y.data.iter().map(|e| e.to_f64()).collect();
                        r.out.constant(Literal::from_f64(y.ty, &elements))
                    })
                    .collect::<Result<_, _>>()
                    .map(Some)
                    .map_err(|source| PassError::Type {
                        pass: "fold",
                        source,
                    })
            }
            _ => Ok(None),
        }
    })
}
