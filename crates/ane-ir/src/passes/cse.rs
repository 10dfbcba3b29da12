//! Common subexpression elimination.
//!
//! Before: `a = relu(x); b = relu(x); c = add(a, b)`. After: `a = relu(x); c = add(a, a)`.

use super::{PassError, rewrite};
use crate::{
    graph::{Graph, Node, Results, Value},
    operands::Segments,
    ops::{Attr, Op},
    target::Target,
};
use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

/// A node of the new graph, to be found again.
struct Known {
    op: Op,
    operands: Vec<Value>,
    segments: Segments,
    results: Results,
}

pub(super) fn run(graph: &Graph, _: &Target) -> Result<Graph, PassError> {
    let mut known: HashMap<u64, Vec<Known>> = HashMap::new();
    rewrite("cse", graph, |r, node, xs| {
        if node.results.iter().any(|&v| graph.stops_gradient(v)) {
            return Ok(None);
        }
        let alike = known.entry(fingerprint(node, xs)).or_default();
        let same = alike
            .iter()
            .find(|k| k.operands == xs && k.segments == node.segments && k.op == node.op);
        if let Some(same) = same {
            return Ok(Some(same.results.clone()));
        }
        let results = r
            .out
            .push_segments(node.op.clone(), xs, &node.segments)
            .map_err(|source| PassError::Type {
                pass: "cse",
                source,
            })?;
        alike.push(Known {
            op: node.op.clone(),
            operands: xs.to_vec(),
            segments: node.segments.clone(),
            results: results.clone(),
        });
        Ok(Some(results))
    })
}

/// Of everything that makes two nodes the same, data included: a network has thousands of constants.
fn fingerprint(node: &Node, xs: &[Value]) -> u64 {
    let mut state = DefaultHasher::new();
    (node.op.name(), xs, &node.segments).hash(&mut state);
    for (name, attr) in node.op.attrs() {
        name.hash(&mut state);
        match attr {
            Attr::Bool(b) => b.hash(&mut state),
            Attr::Int(i) => i.hash(&mut state),
            Attr::Ints(all) => all.hash(&mut state),
            Attr::Bools(all) => all.hash(&mut state),
            Attr::Float(x) => x.to_bits().hash(&mut state),
            Attr::Floats(all) => all.iter().for_each(|x| x.to_bits().hash(&mut state)),
            Attr::Str(s) => s.hash(&mut state),
            Attr::Strs(all) => all.hash(&mut state),
            Attr::Literal(literal) => literal.hash(&mut state),
        }
    }
    state.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DType, Literal, TensorType};

    #[test]
    fn nodes_that_differ_in_anything_are_kept_apart() {
        let mut g = Graph::new();
        let x = g.input("x", TensorType::fp16([2, 3])).unwrap();
        let mut kept = Vec::new();
        for value in [1.0, 2.0, -0.0, 0.0] {
            kept.push(g.scalar(DType::Fp16, value).unwrap());
        }
        let ty = TensorType::fp16([2, 3]);
        kept.push(g.constant(Literal::splat(ty.clone(), 1.0)).unwrap());
        let steps: Vec<f64> = (0..6).map(f64::from).collect();
        kept.push(g.constant(Literal::from_f64(ty, &steps)).unwrap());
        kept.push(g.reduce_sum(x, &[0], true).unwrap());
        kept.push(g.reduce_sum(x, &[1], true).unwrap());
        kept.push(g.reduce_sum(x, &[1], false).unwrap());
        let twice: Vec<Value> = kept
            .iter()
            .map(|&v| {
                let node = g.node_of(v).unwrap().clone();
                g.push(node.op, &node.operands).unwrap()
            })
            .collect();
        for (i, &v) in kept.iter().chain(&twice).enumerate() {
            g.output(&format!("y{i}"), v).unwrap();
        }
        let out = run(&g, &Target::SOFTWARE).unwrap();
        let ops = out.nodes().iter().filter(|n| n.op.name() != "identity");
        assert_eq!(ops.count(), kept.len());
    }
}
