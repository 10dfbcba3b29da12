//! The interpreter: runs a graph on host tensors. It is the definition of the ops and the oracle of every device.

use crate::{
    graph::Graph,
    numerics::Numerics,
    tensor::{Literal, Real, Single, Tensor},
    types::{DType, TensorType},
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
/// Inside, integers are exact over the whole range of int32, whatever `T` holds of them at the ports; use
/// [`eval_literals`] where ports carry integers beyond 2²⁴.
///
/// # Errors
/// When the inputs do not fit the graph's input ports.
pub fn eval<T: Real>(
    graph: &Graph,
    inputs: &[Tensor<T>],
    numerics: &Numerics,
) -> Result<Vec<Tensor<T>>, EvalError> {
    accepts(graph, inputs.len(), inputs.iter().map(|x| &x.ty))?;
    let inputs = inputs.iter().map(Tensor::convert).collect();
    let outputs = run::<T::Exact>(graph, inputs, numerics);
    Ok(outputs.iter().map(Tensor::convert).collect())
}

/// Outputs of `graph` on `inputs` as [`eval`] computes them in f32, with every bit of what the ports hold.
///
/// # Errors
/// When the inputs do not fit the graph's input ports.
pub fn eval_literals(
    graph: &Graph,
    inputs: &[Literal],
    numerics: &Numerics,
) -> Result<Vec<Literal>, EvalError> {
    accepts(graph, inputs.len(), inputs.iter().map(Literal::ty))?;
    let inputs = inputs.iter().map(Literal::to_tensor).collect();
    let outputs = run::<Single>(graph, inputs, numerics);
    Ok(outputs
        .into_iter()
        .map(|y| {
            let elements: Vec<f64> = y.data.iter().map(|e| e.to_f64()).collect();
            Literal::from_f64(y.ty, &elements)
        })
        .collect())
}

/// Whether the graph takes `found` inputs of these types.
fn accepts<'a>(
    graph: &Graph,
    found: usize,
    tys: impl Iterator<Item = &'a TensorType>,
) -> Result<(), EvalError> {
    if found != graph.inputs().len() {
        return Err(EvalError::InputCount {
            expected: graph.inputs().len(),
            found,
        });
    }
    for (&v, ty) in graph.inputs().iter().zip(tys) {
        if graph.ty(v) != ty {
            return Err(EvalError::InputType {
                port: graph.port(v).to_owned(),
                expected: graph.ty(v).clone(),
                found: ty.clone(),
            });
        }
    }
    Ok(())
}

fn run<T: Real>(graph: &Graph, inputs: Vec<Tensor<T>>, numerics: &Numerics) -> Vec<Tensor<T>> {
    let mut env: Vec<Option<Tensor<T>>> = vec![None; graph.values().len()];
    for (&v, x) in graph.inputs().iter().zip(inputs) {
        env[v.index()] = Some(x);
    }
    let wide = numerics.wide_values(graph);
    for node in graph.nodes() {
        let xs: Vec<&Tensor<T>> = node
            .operands
            .iter()
            .map(|x| env[x.index()].as_ref().expect("operands precede uses"))
            .collect();
        let is_wide = node.results.iter().any(|y| wide[y.index()]);
        let stored = |dtype| if is_wide { DType::Fp32 } else { dtype };
        let results = node.op.eval_stored(&node.view(&xs), numerics, stored);
        for (&v, y) in node.results.iter().zip(results) {
            env[v.index()] = Some(y);
        }
    }
    let outputs = graph.outputs().iter();
    outputs
        .map(|v| {
            let mut y = env[v.index()].take().expect("every value was computed");
            if wide[v.index()] {
                for e in &mut y.data {
                    *e = numerics.store(y.ty.dtype, *e);
                }
            }
            y
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Beyond what an f32 holds, and at the ends.
    const LARGE: [f64; 4] = [
        16_777_217.0,
        -2_147_483_648.0,
        2_147_483_647.0,
        33_554_435.0,
    ];

    fn ints(n: usize) -> TensorType {
        TensorType::new(DType::Int32, [n])
    }

    /// What `build` makes of int32 inputs, as numbers.
    fn of(
        inputs: &[&[f64]],
        build: impl FnOnce(&mut Graph, &[crate::Value]) -> crate::Value,
    ) -> Vec<f64> {
        let mut g = Graph::new();
        let literals: Vec<Literal> = inputs
            .iter()
            .map(|x| Literal::from_f64(ints(x.len()), x))
            .collect();
        let xs: Vec<crate::Value> = literals
            .iter()
            .enumerate()
            .map(|(i, l)| g.input(&format!("x{i}"), l.ty().clone()).unwrap())
            .collect();
        let y = build(&mut g, &xs);
        g.output("y", y).unwrap();
        eval_literals(&g, &literals, &Numerics::ieee()).unwrap()[0].to_f64()
    }

    #[test]
    fn integers_keep_every_bit_through_what_moves_and_compares() {
        let moved = of(&[&LARGE], |g, x| {
            let y = g.reshape(x[0], &crate::Shape::new(&[2, 2])).unwrap();
            let y = g.transpose(y, &[1, 0]).unwrap();
            let y = g.transpose(y, &[1, 0]).unwrap();
            let y = g.reshape(y, &crate::Shape::new(&[4])).unwrap();
            g.concat(&[y, y], 0).unwrap()
        });
        assert_eq!(moved, [LARGE, LARGE].concat());
        let next: Vec<f64> = LARGE.iter().map(|x| x - x.signum()).collect();
        let differs = of(&[&LARGE, &next], |g, x| {
            let same = g.equal(x[0], x[1]).unwrap();
            let larger = g.greater(x[0], x[1]).unwrap();
            let z = g.select(larger, x[0], x[1]).unwrap();
            let w = g.select(same, x[0], z).unwrap();
            g.maximum(w, x[1]).unwrap()
        });
        let largest: Vec<f64> = LARGE.iter().zip(&next).map(|(a, b)| a.max(*b)).collect();
        assert_eq!(differs, largest);
    }

    #[test]
    fn integer_arithmetic_is_that_of_32_bits() {
        let ones = [1.0; 4];
        let sum = of(&[&LARGE, &ones], |g, x| g.add(x[0], x[1]).unwrap());
        assert_eq!(
            sum,
            [
                16_777_218.0,
                -2_147_483_647.0,
                -2_147_483_648.0,
                33_554_436.0
            ]
        );
        let product = of(&[&[65_537.0, -46_341.0], &[32_767.0, 46_341.0]], |g, x| {
            g.mul(x[0], x[1]).unwrap()
        });
        let expected =
            [(65_537, 32_767), (-46_341, 46_341)].map(|(a, b): (i32, i32)| a.wrapping_mul(b));
        assert_eq!(product, expected.map(f64::from));
        let difference = of(&[&LARGE, &ones], |g, x| g.sub(x[0], x[1]).unwrap());
        assert_eq!(difference[1], 2_147_483_647.0, "wraps below the smallest");
    }

    #[test]
    fn casts_of_integers_are_exact_and_round_once_into_floats() {
        let there_and_back = of(&[&LARGE], |g, x| {
            let f = g.cast(x[0], DType::Fp32).unwrap();
            g.cast(f, DType::Int32).unwrap()
        });
        assert_eq!(
            there_and_back,
            [
                16_777_216.0,
                -2_147_483_648.0,
                2_147_483_647.0,
                33_554_436.0
            ]
        );
        let constant = of(&[&LARGE], |g, x| {
            let c = g.constant(Literal::from_f64(ints(4), &LARGE)).unwrap();
            let same = g.equal(c, x[0]).unwrap();
            g.cast(same, DType::Int32).unwrap()
        });
        assert_eq!(constant, [1.0; 4]);
    }

    #[test]
    fn inside_of_an_evaluation_in_f32_they_are_exact_too() {
        let mut g = Graph::new();
        let x = g.input("x", ints(1)).unwrap();
        let c = g
            .constant(Literal::from_f64(ints(1), &[16_777_217.0]))
            .unwrap();
        let y = g.sub(c, x).unwrap();
        g.output("y", y).unwrap();
        let x = Tensor::new(ints(1), vec![16_777_216.0_f32]);
        let y = eval(&g, &[x], &Numerics::ieee()).unwrap();
        assert_eq!(y[0].data, [1.0]);
    }
}
