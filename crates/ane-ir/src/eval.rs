//! The interpreter: runs a graph on host tensors. It is the definition of the ops and the oracle of every device.

use crate::{
    graph::{Def, Graph},
    numerics::Numerics,
    tensor::{Real, Tensor},
    types::TensorType,
};

/// The inputs do not fit the graph: the caller's fault.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// Wrong number of inputs.
    #[error("the graph has {expected} inputs, {found} were given")]
    InputCount {
        /// Inputs of the graph.
        expected: usize,
        /// Inputs given.
        found: usize,
    },
    /// An input of another type.
    #[error("input `{port}` is {expected}, a {found} was given")]
    InputType {
        /// Name of the port.
        port: String,
        /// Its type.
        expected: TensorType,
        /// The type given.
        found: TensorType,
    },
}

/// Outputs of `graph` on `inputs`, in port order, computed in `T` under `numerics`.
///
/// # Errors
/// When the inputs do not fit the graph's input ports.
pub fn eval<T: Real>(
    graph: &Graph,
    inputs: &[Tensor<T>],
    numerics: &Numerics,
) -> Result<Vec<Tensor<T>>, EvalError> {
    if inputs.len() != graph.inputs().len() {
        return Err(EvalError::InputCount {
            expected: graph.inputs().len(),
            found: inputs.len(),
        });
    }
    for (&v, x) in graph.inputs().iter().zip(inputs) {
        if graph.ty(v) != &x.ty {
            return Err(EvalError::InputType {
                port: graph.port(v).to_owned(),
                expected: graph.ty(v).clone(),
                found: x.ty.clone(),
            });
        }
    }
    let mut env: Vec<Option<Tensor<T>>> = vec![None; graph.values().len()];
    for (&v, x) in graph.inputs().iter().zip(inputs) {
        env[v.index()] = Some(x.clone());
    }
    for node in graph.nodes() {
        let xs: Vec<&Tensor<T>> = node
            .operands
            .iter()
            .map(|x| env[x.index()].as_ref().expect("operands precede uses"))
            .collect();
        let results = node.op.eval(&node.view(&xs), numerics);
        for (&v, y) in node.results.iter().zip(results) {
            env[v.index()] = Some(y);
        }
    }
    debug_assert!(graph.values().all(|v| match graph.def(v) {
        Def::Input(_) | Def::Result { .. } => env[v.index()].is_some(),
    }));
    Ok(graph
        .outputs()
        .iter()
        .map(|v| env[v.index()].clone().expect("every value was computed"))
        .collect())
}
