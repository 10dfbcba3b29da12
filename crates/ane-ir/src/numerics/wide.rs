//! Which values stay wide where a chip runs several ops as one.
//!
//! Such a chain is a run of elementwise ops and sums. What passes from one of them to the next is kept in fp32; it is
//! rounded where it leaves the chain: at an output, and for every reader that is another kind of op. Where readers of both
//! kinds read one value, it is rounded for all of them, as it then has to be stored.

use super::{Accumulate, Intermediates, Numerics};
use crate::{graph::Graph, ops::Op, types::DType};

/// Whether an op is run in a chain with others.
fn chains(op: &Op, numerics: &Numerics) -> bool {
    match op {
        Op::Abs(_)
        | Op::Add(_)
        | Op::Equal(_)
        | Op::Exp(_)
        | Op::Greater(_)
        | Op::GreaterEqual(_)
        | Op::Less(_)
        | Op::Log(_)
        | Op::Maximum(_)
        | Op::Minimum(_)
        | Op::Mul(_)
        | Op::Pow(_)
        | Op::RealDiv(_)
        | Op::Relu(_)
        | Op::Rsqrt(_)
        | Op::Select(_)
        | Op::Sigmoid(_)
        | Op::Sqrt(_)
        | Op::Sub(_)
        | Op::Tanh(_) => true,
        Op::ReduceSum(_) | Op::ReduceMean(_) => numerics.accumulate == Accumulate::Fp32,
        _ => false,
    }
}

impl Numerics {
    /// By value of `graph`, whether it keeps fp32 on its way to its readers. Nothing does unless intermediates are wide.
    pub fn wide_values(&self, graph: &Graph) -> Vec<bool> {
        let mut wide = vec![false; graph.values().len()];
        if self.intermediates == Intermediates::Rounded || !self.round {
            return wide;
        }
        for node in graph.nodes() {
            if chains(&node.op, self) {
                for &y in &node.results {
                    wide[y.index()] = graph.ty(y).dtype == DType::Fp16;
                }
            }
        }
        for node in graph.nodes().iter().filter(|n| !chains(&n.op, self)) {
            for x in &node.operands {
                wide[x.index()] = false;
            }
        }
        wide
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Tensor, TensorType, Value, eval};

    /// What `build` makes of `x` under policies that differ in nothing but intermediates: rounded, wide.
    fn both(x: &Tensor<f32>, build: impl FnOnce(&mut Graph, Value) -> Value) -> [Vec<f32>; 2] {
        let mut g = Graph::new();
        let v = g.input("x", x.ty.clone()).unwrap();
        let y = build(&mut g, v);
        g.output("y", y).unwrap();
        [Intermediates::Rounded, Intermediates::Wide].map(|intermediates| {
            let numerics = Numerics {
                intermediates,
                ..Numerics::ieee().silicon()
            };
            let found = eval(&g, std::slice::from_ref(x), &numerics).unwrap();
            found.into_iter().next_back().unwrap().data
        })
    }

    #[test]
    fn the_mean_of_131072_ones_by_two_sums_is_one() {
        let ty = TensorType::fp16([256, 512]);
        let ones = Tensor::new(ty, vec![1.0; 131_072]);
        let [rounded, wide] = both(&ones, |g, x| {
            let rows = g.reduce_sum(x, &[1], true).unwrap();
            let sum = g.reduce_sum(rows, &[0], true).unwrap();
            let share = g.scalar(DType::Fp16, 2.0_f64.powi(-17)).unwrap();
            g.mul(sum, share).unwrap()
        });
        assert_eq!(wide, [1.0]);
        assert!(rounded != wide, "{rounded:?}");
    }

    #[test]
    fn a_sum_that_is_stored_for_a_product_is_rounded() {
        let x = Tensor::new(TensorType::fp16([1, 2]), vec![2048.0, 1.0]);
        let difference = |stored: bool| {
            both(&x, |g, x| {
                let sum = g.reduce_sum(x, &[1], true).unwrap();
                let large = g.scalar(DType::Fp16, 2048.0).unwrap();
                let rest = g.sub(sum, large).unwrap();
                if stored {
                    let product = g.matmul(sum, sum, false, false).unwrap();
                    g.output("product", product).unwrap();
                }
                rest
            })
        };
        assert_eq!(difference(false).map(|d| d[0]), [0.0, 1.0]);
        assert_eq!(difference(true).map(|d| d[0]), [0.0, 0.0]);
    }
}
