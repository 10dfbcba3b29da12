//! Reverse mode, from graph to graph: a function in, the same function with cotangent nodes appended out.

use crate::{
    graph::{Graph, Results, Value},
    operands::Operands,
    ops::{OpDef, TypeError, support::elementwise},
};

/// What a rule says about the cotangent of one operand.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cotangent {
    /// Structurally zero.
    Zero,
    /// This value, of the operand's type.
    Value(Value),
}

impl From<Value> for Cotangent {
    fn from(v: Value) -> Self {
        Self::Value(v)
    }
}

/// What a rule works with.
#[derive(Debug)]
pub struct VjpCx<'a> {
    /// The graph to which cotangent nodes are appended.
    pub g: &'a mut Graph,
    /// Operands of the node.
    pub xs: Operands<'a, Value>,
    /// Its results.
    pub ys: &'a [Value],
}

impl VjpCx<'_> {
    /// The cotangent of operand `i` from `ct`, which has the broadcast shape.
    pub(crate) fn unbroadcast(&mut self, ct: Value, i: usize) -> Result<Cotangent, TypeError> {
        let shape = self.g.ty(self.xs[i]).shape.clone();
        elementwise::unbroadcast(self.g, ct, &shape).map(Cotangent::Value)
    }

    /// A rank-0 constant of the dtype of `x`.
    pub(crate) fn scalar_like(&mut self, x: Value, value: f64) -> Result<Value, TypeError> {
        let dtype = self.g.ty(x).dtype;
        self.g.scalar(dtype, value)
    }

    /// The rule of an op that has a decomposition: that of its parts.
    pub(crate) fn through_decomposition<O: OpDef>(
        &mut self,
        op: &O,
        cts: &[Option<Value>],
    ) -> Result<Vec<Cotangent>, TypeError> {
        let parts: Results = op
            .decompose(self.g, &self.xs)?
            .expect("the op differentiates through its decomposition");
        let (outputs, seeds): (Vec<Value>, Vec<Value>) = parts
            .iter()
            .zip(cts)
            .filter_map(|(&y, ct)| ct.map(|ct| (y, ct)))
            .unzip();
        let grads = vjp(self.g, &outputs, &seeds, &self.xs).map_err(|e| match e {
            VjpError::Type(e) => e,
            VjpError::Seed { .. } | VjpError::SeedCount { .. } => {
                unreachable!("each part has the type of its result")
            }
        })?;
        Ok(grads
            .into_iter()
            .map(|g| g.map_or(Cotangent::Zero, Cotangent::Value))
            .collect())
    }
}

/// A gradient could not be built.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum VjpError {
    /// A seed cotangent of another type than its output.
    #[error("the cotangent of {output} must be {expected}, found {found}")]
    Seed {
        /// The output.
        output: Value,
        /// Its type.
        expected: crate::TensorType,
        /// The seed's type.
        found: crate::TensorType,
    },
    /// Not one seed per output.
    #[error("{outputs} outputs need as many cotangents, found {cotangents}")]
    SeedCount {
        /// Number of outputs.
        outputs: usize,
        /// Number of cotangents.
        cotangents: usize,
    },
    /// A rule built a node that does not type: our bug.
    #[error(transparent)]
    Type(#[from] TypeError),
}

/// Cotangents of `wrt` given those of `outputs`; `None` where no path leads.
///
/// The nodes are appended to `graph`. A loss scale is a seed other than 1, never a factor on the loss. Values marked
/// by [`Graph::stop_gradient`] pass nothing on.
///
/// # Errors
/// When the seeds do not fit the outputs.
pub fn vjp(
    graph: &mut Graph,
    outputs: &[Value],
    cotangents: &[Value],
    wrt: &[Value],
) -> Result<Vec<Option<Value>>, VjpError> {
    if outputs.len() != cotangents.len() {
        return Err(VjpError::SeedCount {
            outputs: outputs.len(),
            cotangents: cotangents.len(),
        });
    }
    let forward_nodes = graph.nodes().len();
    let needed = values_on_paths(graph, wrt);
    let mut cts: Vec<Option<Value>> = vec![None; graph.values().len()];
    for (&y, &ct) in outputs.iter().zip(cotangents) {
        if graph.ty(y) != graph.ty(ct) {
            return Err(VjpError::Seed {
                output: y,
                expected: graph.ty(y).clone(),
                found: graph.ty(ct).clone(),
            });
        }
        accumulate(graph, &mut cts, y, ct)?;
    }
    for i in (0..forward_nodes).rev() {
        let node = graph.nodes()[i].clone();
        let arrived: Vec<Option<Value>> = node
            .results
            .iter()
            .map(|&r| {
                cts.get(r.index())
                    .copied()
                    .flatten()
                    .filter(|_| !graph.stops_gradient(r))
            })
            .collect();
        let on_path = node.operands.iter().any(|x| needed[x.index()]);
        if !on_path || arrived.iter().all(Option::is_none) {
            continue;
        }
        let mut cx = VjpCx {
            g: graph,
            xs: node.view(&node.operands),
            ys: &node.results,
        };
        let grads = node.op.vjp(&mut cx, &arrived)?;
        for (&x, grad) in node.operands.iter().zip(grads) {
            if !needed[x.index()] {
                continue;
            }
            match grad {
                Cotangent::Zero => {}
                Cotangent::Value(gx) => accumulate(graph, &mut cts, x, gx)?,
            }
        }
    }
    Ok(wrt
        .iter()
        .map(|v| cts.get(v.index()).copied().flatten())
        .collect())
}

/// Which values depend on `wrt`: only these need cotangents.
fn values_on_paths(graph: &Graph, wrt: &[Value]) -> Vec<bool> {
    let mut needed = vec![false; graph.values().len()];
    for v in wrt {
        needed[v.index()] = true;
    }
    for node in graph.nodes() {
        if node.operands.iter().any(|x| needed[x.index()]) {
            for r in &node.results {
                needed[r.index()] = true;
            }
        }
    }
    needed
}

fn accumulate(
    graph: &mut Graph,
    cts: &mut [Option<Value>],
    v: Value,
    ct: Value,
) -> Result<(), TypeError> {
    let sum = match cts[v.index()] {
        Some(earlier) => graph.add(earlier, ct)?,
        None => ct,
    };
    cts[v.index()] = Some(sum);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Numerics, Tensor, TensorType, eval};

    #[test]
    fn a_value_used_twice_gets_the_sum_of_both_cotangents() {
        let mut g = Graph::new();
        let x = g.input("x", TensorType::fp32([])).unwrap();
        let y = g.mul(x, x).unwrap();
        let seed = g.scalar(crate::DType::Fp32, 1.0).unwrap();
        let dx = vjp(&mut g, &[y], &[seed], &[x]).unwrap()[0].unwrap();
        g.output("dx", dx).unwrap();
        let at = Tensor::full(TensorType::fp32([]), 3.0_f64);
        assert_eq!(eval(&g, &[at], &Numerics::exact()).unwrap()[0].data, [6.0]);
    }

    #[test]
    fn no_cotangent_passes_a_stop() {
        let mut g = Graph::new();
        let x = g.input("x", TensorType::fp32([])).unwrap();
        let frozen = g.stop_gradient(x).unwrap();
        let y = g.mul(x, frozen).unwrap();
        let seed = g.scalar(crate::DType::Fp32, 1.0).unwrap();
        let dx = vjp(&mut g, &[y], &[seed], &[x]).unwrap()[0].unwrap();
        g.output("dx", dx).unwrap();
        let at = Tensor::full(TensorType::fp32([]), 3.0_f64);
        assert_eq!(eval(&g, &[at], &Numerics::exact()).unwrap()[0].data, [3.0]);
    }

    #[test]
    fn seeds_must_fit_their_outputs() {
        let mut g = Graph::new();
        let x = g.input("x", TensorType::fp32([2])).unwrap();
        let y = g.relu(x).unwrap();
        let seed = g.scalar(crate::DType::Fp32, 1.0).unwrap();
        assert!(matches!(
            vjp(&mut g, &[y], &[seed], &[x]),
            Err(VjpError::Seed { .. })
        ));
        assert!(matches!(
            vjp(&mut g, &[y], &[], &[x]),
            Err(VjpError::SeedCount {
                outputs: 1,
                cotangents: 0
            })
        ));
    }
}
