//! The interpreter: runs a graph on host tensors. It is the definition of the ops and the oracle of every device.

use crate::{
    graph::Graph,
    numerics::Numerics,
    tensor::{Literal, Real, Single, Tensor},
    types::{DType, TensorType},
};
use std::ops::ControlFlow;

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

/// A node while a graph is evaluated.
#[derive(Debug)]
pub struct Evaluated<'a, T> {
    /// Its position in [`Graph::nodes`].
    pub node: usize,
    /// What it reads.
    pub operands: &'a [&'a Tensor<T>],
    /// What it makes; one that stays in fp32 on its way to its readers is not rounded to its type.
    pub results: &'a [Tensor<T>],
}

/// Evaluates `graph` as [`eval_literals`] does, in f32, and shows every node that an output needs, in order, until `look`
/// breaks. Results of the nodes that `in_fp32` names are kept in fp32, as a host does that computes them. No value is
/// held longer than it is needed.
///
/// # Errors
/// When the inputs do not fit the graph's input ports.
pub fn eval_nodes(
    graph: &Graph,
    inputs: &[Literal],
    numerics: &Numerics,
    in_fp32: impl Fn(usize) -> bool,
    mut look: impl FnMut(&Evaluated<'_, Single>) -> ControlFlow<()>,
) -> Result<(), EvalError> {
    accepts(graph, inputs.len(), inputs.iter().map(Literal::ty))?;
    let inputs = inputs.iter().map(Literal::to_tensor).collect();
    let mut shown = |seen: &Evaluated<'_, Single>| look(seen);
    walk(graph, inputs, numerics, &in_fp32, &mut shown);
    Ok(())
}

fn run<T: Real>(graph: &Graph, inputs: Vec<Tensor<T>>, numerics: &Numerics) -> Vec<Tensor<T>> {
    let mut env = walk(graph, inputs, numerics, &|_| false, &mut |_| {
        ControlFlow::Continue(())
    });
    let wide = numerics.wide_values(graph);
    let outputs = graph.outputs().iter();
    outputs
        .map(|v| {
            let mut y = env[v.index()].take().expect("every output was computed");
            if wide[v.index()] {
                for e in &mut y.data {
                    *e = numerics.store(y.ty.dtype, *e);
                }
            }
            y
        })
        .collect()
}

/// Who is shown the nodes.
type Look<'a, T> = &'a mut dyn FnMut(&Evaluated<'_, T>) -> ControlFlow<()>;

/// Evaluates the nodes that an output needs, until `look` breaks; gives the values of the outputs, by value.
fn walk<T: Real>(
    graph: &Graph,
    inputs: Vec<Tensor<T>>,
    numerics: &Numerics,
    in_fp32: &dyn Fn(usize) -> bool,
    look: Look<'_, T>,
) -> Vec<Option<Tensor<T>>> {
    let mut env: Vec<Option<Tensor<T>>> = vec![None; graph.values().len()];
    for (&v, x) in graph.inputs().iter().zip(inputs) {
        env[v.index()] = Some(x);
    }
    let wide = numerics.wide_values(graph);
    let last = last_readers(graph);
    for (i, node) in graph.nodes().iter().enumerate() {
        if node.results.iter().all(|y| last[y.index()].is_none()) {
            continue;
        }
        let xs: Vec<&Tensor<T>> = node
            .operands
            .iter()
            .map(|x| env[x.index()].as_ref().expect("operands precede uses"))
            .collect();
        let is_wide = in_fp32(i) || node.results.iter().any(|y| wide[y.index()]);
        let stored = |dtype| match dtype {
            DType::Fp16 if is_wide => DType::Fp32,
            other => other,
        };
        let results = node.op.eval_stored(&node.view(&xs), numerics, stored);
        let seen = Evaluated {
            node: i,
            operands: &xs,
            results: &results,
        };
        let goes_on = look(&seen).is_continue();
        for (&v, y) in node.results.iter().zip(results) {
            env[v.index()] = last[v.index()].map(|_| y);
        }
        if !goes_on {
            break;
        }
        for x in &node.operands {
            if last[x.index()] == Some(i) {
                env[x.index()] = None;
            }
        }
    }
    env
}

/// By value: the last node that reads it on the way to an output, past all nodes for an output; none where no output
/// needs it.
fn last_readers(graph: &Graph) -> Vec<Option<usize>> {
    let nodes = graph.nodes();
    let mut last = vec![None; graph.values().len()];
    for v in graph.outputs() {
        last[v.index()] = Some(nodes.len());
    }
    for (i, node) in nodes.iter().enumerate().rev() {
        if node.results.iter().any(|y| last[y.index()].is_some()) {
            for x in &node.operands {
                last[x.index()].get_or_insert(i);
            }
        }
    }
    last
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
    fn nodes_are_shown_in_order_until_somebody_has_seen_enough_and_dead_ones_never() {
        let mut g = Graph::new();
        let x = g.input("x", TensorType::fp16([2])).unwrap();
        let y = g.add(x, x).unwrap();
        g.exp(y).unwrap();
        let z = g.mul(y, y).unwrap();
        let w = g.sub(z, y).unwrap();
        g.output("w", w).unwrap();
        let x = [Literal::from_f64(TensorType::fp16([2]), &[300.0, -1.0])];
        let shown = |until: usize, in_fp32: usize| {
            let mut shown = Vec::new();
            let is_wide = |node| node == in_fp32;
            eval_nodes(&g, &x, &Numerics::ieee(), is_wide, |seen| {
                let made: Vec<f32> = seen.results[0].data.iter().map(|e| e.to_f32()).collect();
                shown.push((seen.node, seen.operands.len(), made));
                match seen.node == until {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            })
            .unwrap();
            shown
        };
        let inf = f32::INFINITY;
        let expected = vec![
            (0, 2, vec![600.0, -2.0]),
            (2, 2, vec![inf, 4.0]),
            (3, 2, vec![inf, 6.0]),
        ];
        assert_eq!(shown(9, 9), expected);
        assert_eq!(shown(2, 9), expected[..2]);
        assert_eq!(shown(2, 2)[1].2, [360_000.0, 4.0], "kept in fp32");
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
