//! A value that leaves under several names leaves as a product with one each further time.
//!
//! Before: `b = identity(a); -> (a, b)`. After, on chip targets: `b = mul(a, 1); -> (a, b)`.
//!
//! A port needs a value of its own, and engines refuse `identity`. Two biases whose results are added have the same
//! gradient, for example.

use super::{PassError, rewrite};
use crate::{graph::Graph, ops::Op, target::Target};
use smallvec::smallvec;

pub(super) fn run(graph: &Graph, target: &Target) -> Result<Graph, PassError> {
    if !target.is_chip() {
        return Ok(graph.clone());
    }
    rewrite("repeated_outputs", graph, |r, node, xs| {
        if !matches!(node.op, Op::Identity(_)) || !graph.ty(node.results[0]).dtype.is_float() {
            return Ok(None);
        }
        let dtype = graph.ty(node.results[0]).dtype;
        r.out
            .scalar(dtype, 1.0)
            .and_then(|one| r.out.mul(xs[0], one))
            .map(|y| Some(smallvec![y]))
            .map_err(|source| PassError::Type {
                pass: "repeated_outputs",
                source,
            })
    })
}

#[cfg(test)]
mod tests {
    use crate::{Chip, Graph, Route, Target, TensorType, passes};

    #[test]
    fn equal_values_leave_under_two_names() {
        let mut g = Graph::new();
        let x = g.input("x", TensorType::fp16([2, 3])).unwrap();
        for name in ["a", "b"] {
            let y = g.exp(x).unwrap();
            g.output(name, y).unwrap();
        }
        let target = Target::new(Chip::H16, Route::E5rt);
        let legal = passes::run(&g, &target, passes::LEGALIZE).unwrap();
        let ops: Vec<&str> = legal.nodes().iter().map(|n| n.op.name()).collect();
        assert_eq!(ops, ["exp", "const", "mul"], "{legal}");
        assert_eq!(legal.port(legal.outputs()[1]), "b");
    }
}
