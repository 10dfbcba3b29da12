//! Subgraphs found again: whether a value is computed as a pattern computes its output, and of what.
//!
//! A pattern is a graph with one output. Who builds nodes that an engine runs as one gives them as a pattern too, made by
//! the same function, so that the two cannot differ.

use crate::graph::{Def, Graph, Value};

/// The values of `graph` that play the inputs of `pattern`, in order, when `value` is computed as its output is; `None`
/// when it is not.
///
/// An input stands for any value with as many elements: a reshape that a pattern begins with may have been merged with
/// one before it, and reads the same elements in the same order. Inputs that the output does not depend on stand for
/// nothing, and make the answer `None`.
pub fn operands(graph: &Graph, value: Value, pattern: &Graph) -> Option<Vec<Value>> {
    let [output] = pattern.outputs() else {
        return None;
    };
    let mut found: Vec<Option<Value>> = vec![None; pattern.values().len()];
    let mut open = vec![(*output, value)];
    while let Some((wanted, at)) = open.pop() {
        if let Some(earlier) = found[wanted.index()] {
            if earlier != at {
                return None;
            }
            continue;
        }
        found[wanted.index()] = Some(at);
        match (pattern.def(wanted), graph.def(at)) {
            (Def::Input(_), _) => {
                if pattern.ty(wanted).shape.numel() != graph.ty(at).shape.numel()
                    || pattern.ty(wanted).dtype != graph.ty(at).dtype
                {
                    return None;
                }
            }
            (Def::Result { .. }, Def::Input(_)) => return None,
            (Def::Result { node: p, index: i }, Def::Result { node: g, index: j }) => {
                let (p, g) = (&pattern.nodes()[p], &graph.nodes()[g]);
                if i != j || p.op != g.op || p.segments != g.segments {
                    return None;
                }
                if pattern.ty(wanted) != graph.ty(at) || p.operands.len() != g.operands.len() {
                    return None;
                }
                open.extend(p.operands.iter().copied().zip(g.operands.iter().copied()));
            }
        }
    }
    pattern.inputs().iter().map(|v| found[v.index()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DType, TensorType};

    /// x · (x + y) · 2.
    fn pattern() -> Graph {
        let mut g = Graph::new();
        let x = g.input("x", TensorType::fp16([2, 3])).unwrap();
        let y = g.input("y", TensorType::fp16([2, 3])).unwrap();
        let z = product(&mut g, x, y, 2.0);
        g.output("z", z).unwrap();
        g
    }

    fn product(g: &mut Graph, x: Value, y: Value, by: f64) -> Value {
        let sum = g.add(x, y).unwrap();
        let product = g.mul(x, sum).unwrap();
        let by = g.scalar(DType::Fp16, by).unwrap();
        g.mul(product, by).unwrap()
    }

    #[test]
    fn a_pattern_is_found_with_its_operands() {
        let mut g = Graph::new();
        let a = g.input("a", TensorType::fp16([2, 3])).unwrap();
        let b = g.tanh(a).unwrap();
        let z = product(&mut g, b, a, 2.0);
        assert_eq!(operands(&g, z, &pattern()), Some(vec![b, a]));
        assert_eq!(operands(&g, b, &pattern()), None);
    }

    #[test]
    fn what_differs_in_a_constant_or_an_operand_is_not_the_pattern() {
        let mut g = Graph::new();
        let a = g.input("a", TensorType::fp16([2, 3])).unwrap();
        let b = g.tanh(a).unwrap();
        let other_factor = product(&mut g, b, a, 3.0);
        assert_eq!(operands(&g, other_factor, &pattern()), None);
        let sum = g.add(b, a).unwrap();
        let other_operand = g.mul(a, sum).unwrap();
        let two = g.scalar(DType::Fp16, 2.0).unwrap();
        let other_operand = g.mul(other_operand, two).unwrap();
        assert_eq!(operands(&g, other_operand, &pattern()), None);
    }
}
