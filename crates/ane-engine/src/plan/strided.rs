//! Operands that a kernel reads where they lie, through views and transposes.
//!
//! The gradient of a convolution's weights is a convolution of transposed operands. A kernel that reads its operands by
//! strides needs no copies of them, so a transpose that only such kernels read does no work at all.

use super::pattern::is_view;
use ane_ir::{Def, Graph, Value, ops::Op};

/// The elements of a value as they lie in the memory of another, its base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Strided {
    pub(super) base: Value,
    /// Length and stride of what the axes are made of, outermost first.
    axes: Vec<(usize, usize)>,
}

impl Strided {
    /// `v` as it lies in memory, through views and through the transposes that `through` admits.
    pub(super) fn of(graph: &Graph, v: Value, through: impl Fn(Value) -> bool) -> Self {
        let mut path = Vec::new();
        let mut base = v;
        while let Def::Result { node, .. } = graph.def(base) {
            let node = &graph.nodes()[node];
            let in_place = match node.op {
                Op::Transpose(_) => through(base),
                _ => is_view(&node.op),
            };
            if !in_place {
                break;
            }
            path.push(node);
            base = node.operands[0];
        }
        let whole = |v: Value| Self {
            base: v,
            axes: vec![(graph.ty(v).shape.numel(), 1)],
        };
        let mut strided = whole(base);
        for node in path.into_iter().rev() {
            if let Op::Transpose(op) = &node.op {
                let x = &graph.ty(node.operands[0]).shape;
                let perm = op.axes_of(x).expect("the node was typed when it was made");
                strided = match strided.split(x.dims()) {
                    Some(axes) => Self {
                        axes: perm.iter().flat_map(|&a| axes[a].clone()).collect(),
                        ..strided
                    },
                    // What cannot be read in place is read where the transpose leaves it.
                    None => whole(node.results[0]),
                };
            }
        }
        strided
    }

    /// The stride of each of `dims`, when there is one.
    pub(super) fn strides<const N: usize>(&self, dims: [usize; N]) -> Option<[usize; N]> {
        let axes = self.split(&dims)?;
        let mut strides = [0; N];
        for (stride, axes) in strides.iter_mut().zip(axes) {
            let regular = axes.windows(2).all(|a| a[0].1 == a[1].0 * a[1].1);
            if !regular {
                return None;
            }
            *stride = axes.last().map_or(0, |a| a.1);
        }
        Some(strides)
    }

    /// What each of `dims` is made of.
    fn split(&self, dims: &[usize]) -> Option<Vec<Vec<(usize, usize)>>> {
        let mut axes = self.axes.iter().copied();
        let mut rest = (1, 0);
        dims.iter()
            .map(|&len| {
                let mut missing = len;
                let mut of_dim = Vec::new();
                while missing > 1 {
                    if rest.0 == 1 {
                        rest = axes.next()?;
                        continue;
                    }
                    let (len, stride) = rest;
                    if len <= missing {
                        of_dim.push(rest);
                        rest = (1, 0);
                        missing = missing.is_multiple_of(len).then_some(missing / len)?;
                    } else {
                        let inner = len.is_multiple_of(missing).then_some(len / missing)?;
                        of_dim.push((missing, inner * stride));
                        rest = (inner, stride);
                        missing = 1;
                    }
                }
                Some(of_dim)
            })
            .collect()
    }
}

/// Who wants a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Demand {
    /// Nobody.
    None,
    /// Kernels that read it where it lies.
    InPlace,
    /// Somebody who reads its elements in order.
    InOrder,
}

/// The demand for every value, when `reads` says what a node reads, and `in_place` whether it does so by strides.
pub(super) fn demand<'a>(
    graph: &'a Graph,
    reads: impl Fn(usize) -> &'a [Value],
    in_place: impl Fn(usize) -> bool,
) -> Vec<Demand> {
    let mut demand = vec![Demand::None; graph.values().len()];
    for &v in graph.outputs() {
        demand[v.index()] = Demand::InOrder;
    }
    for (i, node) in graph.nodes().iter().enumerate().rev() {
        let of_results = node.results.iter().map(|r| demand[r.index()]).max();
        let of_results = of_results.unwrap_or(Demand::None);
        if of_results == Demand::None {
            continue;
        }
        for (operand, x) in reads(i).iter().enumerate() {
            let wanted = match node.op {
                Op::Transpose(_) => of_results,
                _ if is_view(&node.op) => of_results,
                // A bias is read element by element.
                _ if operand < 2 && in_place(i) => Demand::InPlace,
                _ => Demand::InOrder,
            };
            let so_far = &mut demand[x.index()];
            *so_far = wanted.max(*so_far);
        }
    }
    demand
}

#[cfg(test)]
mod tests {
    use super::*;
    use ane_ir::{Shape, TensorType};

    #[test]
    fn transposes_and_reshapes_become_strides() {
        let mut g = Graph::new();
        let x = g.input("x", TensorType::fp16([2, 6, 4, 5])).unwrap();
        let split = g.reshape(x, &Shape::new(&[2, 3, 2, 20])).unwrap();
        let blocks = g.transpose(split, &[2, 1, 0, 3]).unwrap();
        let y = g.reshape(blocks, &Shape::new(&[2, 6, 4, 5])).unwrap();
        let strided = Strided::of(&g, y, |_| true);
        assert_eq!(strided.base, x);
        // [channel of a group, group, image, row, column]
        assert_eq!(strided.strides([2, 3, 2, 4, 5]), Some([20, 40, 120, 5, 1]));
        // Groups and images are no single axis.
        assert_eq!(strided.strides([2, 6, 4, 5]), None);
        assert_eq!(Strided::of(&g, y, |_| false).base, blocks);
    }

    #[test]
    fn what_does_not_divide_is_read_from_the_transposed_copy() {
        let mut g = Graph::new();
        let x = g.input("x", TensorType::fp16([2, 3])).unwrap();
        let t = g.transpose(x, &[1, 0]).unwrap();
        let r = g.reshape(t, &Shape::new(&[2, 3])).unwrap();
        let u = g.transpose(r, &[1, 0]).unwrap();
        let strided = Strided::of(&g, u, |_| true);
        assert_eq!((strided.base, strided.strides([3, 2])), (u, Some([2, 1])));
    }

    #[test]
    fn a_transpose_is_wanted_in_order_when_anybody_reads_its_elements() {
        let mut g = Graph::new();
        let x = g.input("x", TensorType::fp16([2, 3])).unwrap();
        let t = g.transpose(x, &[1, 0]).unwrap();
        let v = g.reshape(t, &Shape::new(&[3, 2])).unwrap();
        let y = g.matmul(v, v, true, false).unwrap();
        g.output("y", y).unwrap();
        let unread = g.relu(t).unwrap();
        let all = |in_place: bool| {
            let reads = |node: usize| &g.nodes()[node].operands[..];
            let demand = demand(&g, reads, |_| in_place);
            [x, t, v, y, unread].map(|v| demand[v.index()])
        };
        use Demand::{InOrder, InPlace, None};
        assert_eq!(all(true), [InPlace, InPlace, InPlace, InOrder, None]);
        assert_eq!(all(false), [InOrder, InOrder, InOrder, InOrder, None]);
    }
}
