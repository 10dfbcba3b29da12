//! Graphs out of graphs: a part taken out with ports of its own, and a whole put in.

use super::{Graph, GraphError, Value};
use crate::types::TensorType;
use std::collections::{BTreeSet, HashMap};

/// A part could not be taken out, or a whole not put in.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PartError {
    /// The part reads an input of the graph that is not among its own inputs.
    #[error("the part reads the input `{port}`, which is not among the inputs it is given")]
    Missing {
        /// Name of the graph's input.
        port: String,
    },
    /// Not one value for every input.
    #[error("the graph has {expected} inputs, {found} values were given")]
    InputCount {
        /// Inputs of the graph.
        expected: usize,
        /// Values given.
        found: usize,
    },
    /// A value of another type than the input it stands for.
    #[error("input `{port}` is {expected}, the value given is {found}")]
    InputType {
        /// Name of the input.
        port: String,
        /// Its type.
        expected: TensorType,
        /// The value's type.
        found: TensorType,
    },
    /// A port could not be made, or a node did not type.
    #[error(transparent)]
    Graph(#[from] GraphError),
}

impl Graph {
    /// The part that computes `outputs` from `inputs`, as a graph of its own; inputs and outputs are named values.
    ///
    /// Nothing before `inputs` is copied. An output that is an input leaves through an `identity`. Names, places and
    /// stops of gradients are kept. Costs what the part costs, however large this graph is.
    ///
    /// # Errors
    /// When the part needs an input of this graph that is not among `inputs`, or port names repeat.
    pub fn extract(
        &self,
        inputs: &[(&str, Value)],
        outputs: &[(&str, Value)],
    ) -> Result<Self, PartError> {
        let mut part = Self::new();
        let mut map = HashMap::new();
        for &(name, v) in inputs {
            let x = part.input(name, self.ty(v).clone())?;
            map.entry(v).or_insert(x);
        }
        for i in self.nodes_between(&map, outputs)? {
            let results = part.copy_node(self, i, &mut map)?;
            for (&old, new) in self.nodes[i].results.iter().zip(results) {
                // Of a node with several results one may be an input of the part.
                map.entry(old).or_insert(new);
            }
        }
        for &(name, v) in outputs {
            let mut y = map[&v];
            if part.is_port(y) {
                y = part.identity(y).map_err(GraphError::from)?;
            }
            part.output(name, y)?;
        }
        Ok(part)
    }

    /// Positions of the nodes that `outputs` need beyond the values in `given`, in order.
    fn nodes_between(
        &self,
        given: &HashMap<Value, Value>,
        outputs: &[(&str, Value)],
    ) -> Result<BTreeSet<usize>, PartError> {
        let mut needed = BTreeSet::new();
        let mut open: Vec<Value> = outputs.iter().map(|&(_, v)| v).collect();
        while let Some(v) = open.pop() {
            if given.contains_key(&v) {
                continue;
            }
            let super::Def::Result { node, .. } = self.def(v) else {
                return Err(PartError::Missing {
                    port: self.port(v).to_owned(),
                });
            };
            if needed.insert(node) {
                open.extend(&self.nodes[node].operands);
            }
        }
        Ok(needed)
    }

    /// Appends the nodes of `other`, whose inputs become the values `inputs`; the values that its outputs have here.
    ///
    /// Names of inner values are kept where this graph has none for them, places go under the current scope, stops of
    /// gradients stay. An output of `other` is a plain value here.
    ///
    /// # Errors
    /// When `inputs` are not as many as those of `other`, or of other types.
    pub fn inline(&mut self, other: &Self, inputs: &[Value]) -> Result<Vec<Value>, PartError> {
        if inputs.len() != other.inputs.len() {
            return Err(PartError::InputCount {
                expected: other.inputs.len(),
                found: inputs.len(),
            });
        }
        let mut map = HashMap::with_capacity(other.values.len());
        for (&old, &new) in other.inputs.iter().zip(inputs) {
            if self.ty(new) != other.ty(old) {
                return Err(PartError::InputType {
                    port: other.port(old).to_owned(),
                    expected: other.ty(old).clone(),
                    found: self.ty(new).clone(),
                });
            }
            map.insert(old, new);
        }
        for i in 0..other.nodes.len() {
            let results = self.copy_node(other, i, &mut map)?;
            map.extend(other.nodes[i].results.iter().copied().zip(results));
        }
        Ok(other.outputs.iter().map(|v| map[v]).collect())
    }

    /// Appends node `i` of `from` with its operands mapped.
    fn copy_node(
        &mut self,
        from: &Self,
        i: usize,
        map: &mut HashMap<Value, Value>,
    ) -> Result<super::Results, PartError> {
        let node = &from.nodes[i];
        let operands: smallvec::SmallVec<[Value; 3]> =
            node.operands.iter().map(|x| map[x]).collect();
        let place = self.current_scope().join(from.place(i));
        let results = self
            .at(place, |g| {
                g.push_segments(node.op.clone(), &operands, &node.segments)
            })
            .map_err(GraphError::from)?;
        for (&old, &new) in node.results.iter().zip(&results) {
            if from.stops_gradient(old) {
                self.mark_stop(new);
            }
            if let Some(name) = from.name(old) {
                self.set_name(new, name);
            }
        }
        Ok(results)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Numerics, Tensor, eval, ops::Fill, testing, verify};

    /// `h = tanh(x + x)`, `p, q = split(h)`, `y = p · q`, `unused = exp(x)`.
    fn graph() -> (Graph, HashMap<&'static str, Value>) {
        let mut g = Graph::new();
        let x = g.input("x", TensorType::fp32([4, 2])).unwrap();
        let s = g.input("s", TensorType::fp32([2, 2])).unwrap();
        let sum = g.scope("sum", |g| g.add(x, x)).unwrap();
        let h = g.scope("act", |g| g.tanh(sum)).unwrap();
        g.set_name(h, "h");
        let parts = g.split(h, 2, 0).unwrap();
        let stopped = g.stop_gradient(parts[0]).unwrap();
        let y = g.mul(stopped, parts[1]).unwrap();
        let z = g.add(y, s).unwrap();
        g.exp(x).unwrap();
        g.output("z", z).unwrap();
        let named = [
            ("x", x),
            ("s", s),
            ("h", h),
            ("p", parts[0]),
            ("q", parts[1]),
            ("y", y),
            ("z", z),
        ];
        (g, named.into())
    }

    fn run(g: &Graph, inputs: &[Tensor<f64>]) -> Vec<Tensor<f64>> {
        eval(g, inputs, &Numerics::exact()).unwrap()
    }

    fn sample(g: &Graph) -> Vec<Tensor<f64>> {
        let inputs = g.inputs().iter().enumerate();
        inputs
            .map(|(i, &v)| testing::tensor(g.ty(v), Fill::Signed, i as u64))
            .collect()
    }

    #[test]
    fn two_parts_in_a_row_are_the_whole() {
        let (g, v) = graph();
        let first = g.extract(&[("a", v["x"])], &[("h", v["h"])]).unwrap();
        let second = g
            .extract(&[("h", v["h"]), ("s", v["s"])], &[("z", v["z"])])
            .unwrap();
        assert_eq!((verify(&first), verify(&second)), (vec![], vec![]));
        assert_eq!(first.nodes().len(), 2, "nothing else is copied");
        assert_eq!(second.nodes().len(), 4);
        let xs = sample(&g);
        let h = run(&first, &xs[..1]);
        let z = run(&second, &[h[0].clone(), xs[1].clone()]);
        assert_eq!(z, run(&g, &xs));
    }

    #[test]
    fn a_part_may_begin_at_one_of_several_results() {
        let (g, v) = graph();
        let part = g
            .extract(&[("q", v["q"]), ("x", v["x"])], &[("y", v["y"])])
            .unwrap();
        let xs = sample(&part);
        let p = g.extract(&[("x", v["x"])], &[("p", v["p"])]).unwrap();
        let p = run(&p, &xs[1..]);
        let expected: Vec<f64> = p[0]
            .data
            .iter()
            .zip(&xs[0].data)
            .map(|(a, b)| a * b)
            .collect();
        assert_eq!(run(&part, &xs)[0].data, expected);
    }

    #[test]
    fn a_part_keeps_names_places_and_stops() {
        let (g, v) = graph();
        let part = g
            .extract(&[("x", v["x"])], &[("q", v["q"]), ("y", v["y"])])
            .unwrap();
        let h = part.values().find(|&v| part.name(v) == Some("h")).unwrap();
        assert_eq!(part.place_of(h).to_string(), "act");
        assert_eq!(part.values().filter(|&v| part.stops_gradient(v)).count(), 1);
    }

    #[test]
    fn an_output_that_is_an_input_leaves_by_a_node_of_its_own() {
        let (g, v) = graph();
        let part = g
            .extract(&[("h", v["h"])], &[("same", v["h"]), ("again", v["h"])])
            .unwrap();
        assert!(verify(&part).is_empty());
        let xs = sample(&part);
        assert_eq!(run(&part, &xs), [xs[0].clone(), xs[0].clone()]);
    }

    #[test]
    fn what_the_part_would_have_to_guess_is_refused() {
        let (g, v) = graph();
        let error = g.extract(&[("h", v["h"])], &[("z", v["z"])]).unwrap_err();
        assert_eq!(error, PartError::Missing { port: "s".into() });
        let twice = g.extract(&[("a", v["h"]), ("a", v["s"])], &[("z", v["z"])]);
        assert!(matches!(
            twice,
            Err(PartError::Graph(GraphError::DuplicateName { .. }))
        ));
    }

    #[test]
    fn a_graph_put_into_another_computes_the_same_there() {
        let (inner, v) = graph();
        let mut g = Graph::new();
        let a = g.input("a", TensorType::fp32([4, 2])).unwrap();
        let s = g.input("s", TensorType::fp32([2, 2])).unwrap();
        let doubled = g.scope("before", |g| g.relu(a)).unwrap();
        let z = g
            .scope("block.1", |g| g.inline(&inner, &[doubled, s]))
            .unwrap();
        let out = g.tanh(z[0]).unwrap();
        g.output("z", out).unwrap();
        assert!(verify(&g).is_empty());
        assert!(
            g.values()
                .any(|v| g.place_of(v).to_string() == "block.1.act")
        );
        assert_eq!(g.values().filter(|&v| g.stops_gradient(v)).count(), 1);
        let mut xs = sample(&g);
        let got = run(&g, &xs);
        xs[0].data.iter_mut().for_each(|x| *x = x.max(0.0));
        let expected: Vec<f64> = run(&inner, &xs)[0].data.iter().map(|x| x.tanh()).collect();
        assert_eq!(got[0].data, expected);
        assert_eq!(inner.ty(v["z"]), g.ty(z[0]));
    }

    #[test]
    fn inputs_of_another_number_or_type_are_refused() {
        let (inner, _) = graph();
        let mut g = Graph::new();
        let a = g.input("a", TensorType::fp32([2, 2])).unwrap();
        assert_eq!(
            g.inline(&inner, &[a]).unwrap_err(),
            PartError::InputCount {
                expected: 2,
                found: 1
            }
        );
        let error = g.inline(&inner, &[a, a]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "input `x` is tensor<fp32, [4, 2]>, the value given is tensor<fp32, [2, 2]>"
        );
        assert!(g.nodes().is_empty(), "nothing is left of the attempt");
    }
}
