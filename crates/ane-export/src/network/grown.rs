//! A graph for one example more, made of a graph alone: models that were traced elsewhere are for one batch.
//!
//! Before: a graph of values [B, …]. After: the same nodes over [B + 1, …], or nothing where that cannot be told.
//!
//! Which axis of a value is the batch is seen by comparing its types in both graphs, so lengths that happen to be B do not
//! matter. Such an axis may hold more than the examples: its length is o·B·r, where [o, B, r] have become one axis, and o
//! is kept for every value. Only ops that have lengths as attributes need a rule:
//!
//! - `reshape` keeps the row-major order, in which a number of examples comes after p·o elements, those of the axes before
//!   and those in its own. In the result it is in the axis k that has room for B there: with p' elements in the axes before,
//!   o' = p·o / p' is a whole number and o'·B divides the length. Otherwise nothing is known.
//! - `slice_by_size` and `slice_by_index` that take an axis whole take it whole.
//! - `conv_transpose` has the batch in front of its `output_shape`.
//! - `fill`, constants of one value and `tile` say nothing of where their lengths come from. They stay as they are, or if
//!   that makes no graph, those that begin with B grow.
//!
//! What loses the axis of the examples, such as a mean over them, is for no other batch.

use ane_ir::{
    Graph, Literal, Node, Place, Shape, TensorType, Value,
    ops::{Op, constant::Const},
};

/// The graph for `batch` + 1 examples, whose inputs `examples` have the batch in front.
pub(super) fn grown(graph: &Graph, examples: &[Value], batch: usize) -> Option<Graph> {
    // Every length is a multiple of 1.
    if batch < 2 {
        return None;
    }
    let attempt = |data_grows| {
        let mut growth = Growth {
            old: graph,
            new: Graph::new(),
            batch,
            data_grows,
            outer: vec![1; graph.values().len()],
        };
        growth.run(examples).then_some(growth.new)
    };
    attempt(false).or_else(|| attempt(true))
}

struct Growth<'a> {
    old: &'a Graph,
    /// The same values in the same order.
    new: Graph,
    batch: usize,
    /// Whether data that begins with the batch grows.
    data_grows: bool,
    /// What of a value's batch axis is before the examples, by value.
    outer: Vec<usize>,
}

impl Growth<'_> {
    /// Whether every node could be made again.
    fn run(&mut self, examples: &[Value]) -> bool {
        for &v in self.old.inputs() {
            let mut ty = self.old.ty(v).clone();
            if examples.contains(&v) {
                ty.shape = self.longer(&ty.shape, 0);
            }
            if self.new.input(self.old.port(v), ty).is_err() {
                return false;
            }
        }
        for (position, node) in self.old.nodes().iter().enumerate() {
            let Some(op) = self.op(node) else {
                return false;
            };
            let place = self.old.place(position).clone();
            self.new.set_scope(place);
            let pushed = self.new.push_segments(op, &node.operands, &node.segments);
            let Ok(results) = pushed else {
                return false;
            };
            let grows = |v: &Value| !matches!(self.axis(*v), Some(None));
            let had = node.operands.iter().any(grows);
            let has = node
                .results
                .iter()
                .all(|v| matches!(self.axis(*v), Some(Some(_))));
            if results != node.results || (had && !has) || !self.keeps_order(node) {
                return false;
            }
        }
        self.new.set_scope(Place::UNKNOWN);
        self.old.outputs().iter().all(|&v| {
            let name = self.old.port(v);
            let in_front = self.axis(v) == Some(Some(0)) && self.outer[v.index()] == 1;
            in_front && self.new.output(name, v).is_ok()
        })
    }

    /// Notes what of the results' batch axis is before the examples; whether the operands agree on it.
    fn keeps_order(&mut self, node: &Node) -> bool {
        let with_examples = |v: &&Value| matches!(self.axis(**v), Some(Some(_)));
        let mut outer = (node.operands.iter().filter(with_examples)).map(|v| self.outer[v.index()]);
        let first = outer.next().unwrap_or(1);
        if outer.any(|other| other != first) {
            return false;
        }
        if !matches!(node.op, Op::Reshape(_)) {
            for v in &node.results {
                self.outer[v.index()] = first;
            }
        }
        true
    }

    /// The batch axis of a value that is in both graphs: one, none, or nothing where more than one length differs.
    fn axis(&self, v: Value) -> Option<Option<usize>> {
        let (old, new) = (self.old.ty(v).shape.dims(), self.new.ty(v).shape.dims());
        let mut differing = (0..old.len()).filter(|&i| old[i] != new[i]);
        match (differing.next(), differing.next()) {
            (axis, None) if old.len() == new.len() => Some(axis),
            _ => None,
        }
    }

    fn longer(&self, shape: &Shape, axis: usize) -> Shape {
        let grow = |(i, &d): (usize, &usize)| match i == axis {
            true => d / self.batch * (self.batch + 1),
            false => d,
        };
        shape.dims().iter().enumerate().map(grow).collect()
    }

    /// The op of a node for the longer batch.
    fn op(&mut self, node: &Node) -> Option<Op> {
        let mut op = node.op.clone();
        let x = node.operands.first().copied();
        let axis = match x {
            Some(x) => self.axis(x)?,
            None => None,
        };
        let ints = |shape: &Shape| -> Vec<i32> { shape.dims().iter().map(|&d| d as i32).collect() };
        match (&mut op, x, axis) {
            (Op::Reshape(op), Some(x), Some(axis)) => {
                let result = &self.old.ty(node.results[0]).shape;
                let (shape, outer) = self.reshaped(x, axis, result)?;
                op.shape = ints(&shape);
                self.outer[node.results[0].index()] = outer;
            }
            (Op::SliceBySize(op), Some(x), Some(axis)) => {
                let is_whole = op.size[axis] == self.old.ty(x).shape.dims()[axis] as i32;
                if is_whole {
                    op.size[axis] = self.new.ty(x).shape.dims()[axis] as i32;
                }
            }
            (Op::SliceByIndex(op), Some(x), Some(axis)) => {
                let is_whole = op.end[axis] == self.old.ty(x).shape.dims()[axis] as i32;
                if is_whole {
                    op.end[axis] = self.new.ty(x).shape.dims()[axis] as i32;
                }
            }
            (Op::ConvTranspose(op), _, Some(0)) => {
                if let Some(shape) = &mut op.output_shape {
                    shape[0] = (self.batch + 1) as i32;
                }
            }
            (Op::Tile(op), Some(x), None) if self.data_grows => {
                let first = self.old.ty(x).shape.dims().first();
                if first == Some(&1) && op.reps[0] == self.batch as i32 {
                    op.reps[0] += 1;
                }
            }
            (Op::Fill(op), ..)
                if self.data_grows && op.shape.first() == Some(&(self.batch as i32)) =>
            {
                op.shape[0] += 1;
            }
            (Op::Const(op), ..) if self.data_grows => {
                let ty = op.val.ty().clone();
                if let (Some(value), Some(&first)) = (op.val.splat_value(), ty.shape.dims().first())
                    && first == self.batch
                {
                    let ty = TensorType::new(ty.dtype, self.longer(&ty.shape, 0));
                    *op = Const {
                        val: Literal::splat(ty, value),
                    };
                }
            }
            _ => {}
        }
        Some(op)
    }

    /// The shape that `to` becomes when the axis of `x` grows, and what of the axis that grows is before the examples.
    fn reshaped(&self, x: Value, axis: usize, to: &Shape) -> Option<(Shape, usize)> {
        let ahead = |shape: &Shape, k: usize| -> usize { shape.dims()[..k].iter().product() };
        let before = ahead(&self.old.ty(x).shape, axis) * self.outer[x.index()];
        let has_room = |k: usize| {
            let ahead = ahead(to, k);
            let outer = before.checked_div(ahead)?;
            let is_whole = outer > 0 && outer * ahead == before;
            let room = is_whole && to.dims()[k].is_multiple_of(outer * self.batch);
            room.then_some((k, outer))
        };
        let (k, outer) = (0..to.rank()).find_map(has_room)?;
        Some((self.longer(to, k), outer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ane_ir::{Numerics, Tensor, eval};

    /// A graph of 4 examples that is made by `f` of an input x [4, 6].
    fn graph(f: impl Fn(&mut Graph, Value) -> Value) -> Graph {
        let mut g = Graph::new();
        let x = g.input("x", TensorType::fp32([4, 6])).unwrap();
        let y = f(&mut g, x);
        g.output("y", y).unwrap();
        g
    }

    fn five(g: &Graph) -> Option<Graph> {
        grown(g, g.inputs(), 4)
    }

    /// Each example of the longer graph is what the shorter one makes of it.
    fn agrees(g: &Graph) -> bool {
        let longer = five(g).unwrap();
        let value = |i: usize| ((i * 37 + 11) % 101) as f32 / 10.0;
        let x: Vec<f32> = (0..30).map(value).collect();
        let run = |g: &Graph, x: &[f32]| {
            let x = Tensor::new(g.ty(g.inputs()[0]).clone(), x.to_vec());
            eval(g, &[x], &Numerics::ieee()).unwrap().remove(0)
        };
        let (all, first, last) = (run(&longer, &x), run(g, &x[..24]), run(g, &x[6..]));
        let row = all.data.len() / 5;
        all.data[..4 * row] == first.data && all.data[row..] == last.data
    }

    fn shape(dims: &[usize]) -> Shape {
        Shape::new(dims)
    }

    #[test]
    fn heads_are_split_from_and_merged_with_the_examples() {
        let g = graph(|g, x| {
            let x = g.reshape(x, &shape(&[4, 3, 2])).unwrap();
            let x = g.transpose(x, &[1, 0, 2]).unwrap();
            let x = g.softmax(x, -1).unwrap();
            let x = g.transpose(x, &[1, 0, 2]).unwrap();
            let x = g.reshape(x, &shape(&[12, 2])).unwrap();
            let x = g.softmax(x, -1).unwrap();
            let x = g.reshape(x, &shape(&[1, 4, 6])).unwrap();
            g.reshape(x, &shape(&[4, 6])).unwrap()
        });
        assert!(agrees(&g));
    }

    #[test]
    fn examples_are_found_again_inside_of_an_axis() {
        // As PyTorch's attention multiplies rows: [S, B, E] as [S·B, E].
        let g = graph(|g, x| {
            let x = g.reshape(x, &shape(&[4, 3, 2])).unwrap();
            let x = g.transpose(x, &[1, 0, 2]).unwrap();
            let rows = g.reshape(x, &shape(&[12, 2])).unwrap();
            let rows = g.softmax(rows, -1).unwrap();
            let x = g.reshape(rows, &shape(&[3, 4, 2, 1])).unwrap();
            let x = g.transpose(x, &[1, 0, 2, 3]).unwrap();
            g.reshape(x, &shape(&[4, 6])).unwrap()
        });
        assert!(agrees(&g));
    }

    #[test]
    fn a_length_that_happens_to_be_the_batch_stays() {
        let g = graph(|g, x| {
            let w = Literal::from_f64(TensorType::fp32([6, 4]), &[0.5; 24]);
            let w = g.constant(w).unwrap();
            let y = g.matmul(x, w, false, false).unwrap();
            g.reshape(y, &shape(&[4, 4, 1])).unwrap()
        });
        let longer = five(&g).unwrap();
        assert_eq!(longer.ty(longer.outputs()[0]).shape.dims(), [5, 4, 1]);
        assert!(agrees(&g));
    }

    #[test]
    fn what_is_repeated_for_each_example_is_repeated_once_more() {
        let g = graph(|g, x| {
            let row = Literal::from_f64(TensorType::fp32([1, 2]), &[1.0, 2.0]);
            let row = g.constant(row).unwrap();
            let op = ane_ir::ops::tile::Tile { reps: vec![4, 1] };
            let rows = g.push(op, &[row]).unwrap();
            g.concat(&[rows, x], 1).unwrap()
        });
        assert!(agrees(&g));
    }

    #[test]
    fn what_mixes_examples_or_hides_them_is_for_one_batch() {
        let mean = graph(|g, x| g.reduce_mean(x, &[0], true).unwrap());
        assert!(five(&mean).is_none());
        let centred = graph(|g, x| {
            let mean = g.reduce_mean(x, &[0], true).unwrap();
            g.sub(x, mean).unwrap()
        });
        assert!(five(&centred).is_none());
        // [6, 4] in the order of its 24 elements is no [4, 6] of the same examples.
        let mixed = graph(|g, x| {
            let x = g.transpose(x, &[1, 0]).unwrap();
            let x = g.reshape(x, &shape(&[24])).unwrap();
            g.reshape(x, &shape(&[4, 6])).unwrap()
        });
        assert!(five(&mixed).is_none());
        // The 8 elements after which the next example of the 6 begins are no row of [4, 4, 3].
        let shifted = graph(|g, x| {
            let x = g.concat(&[x, x], 1).unwrap();
            let x = g.reshape(x, &shape(&[4, 6, 2])).unwrap();
            let x = g.transpose(x, &[1, 0, 2]).unwrap();
            let x = g.reshape(x, &shape(&[4, 4, 3])).unwrap();
            g.transpose(x, &[1, 0, 2]).unwrap()
        });
        assert!(five(&shifted).is_none());
        let data = graph(|g, x| {
            let all: Vec<f64> = (0..24).map(f64::from).collect();
            let all = g.constant(Literal::from_f64(TensorType::fp32([4, 6]), &all));
            g.add(x, all.unwrap()).unwrap()
        });
        assert!(five(&data).is_none());
    }
}
