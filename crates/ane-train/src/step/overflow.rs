//! What overflows first, by kind of op: which values of a step are watched, and where their limits lie.
//!
//! An engine that turns NaN into 0 makes finite numbers of infinite ones, so that neither the loss nor a gradient shows
//! that something was infinite. The values that can become infinite are therefore watched where they are made.

use ane_ir::{Graph, Node, Shape, Target, TypeError, Value};

/// Magnitude that a product may reach: above it chips make it infinite (see [`Target::matmul_limit`]).
pub(crate) const PRODUCT: f64 = 32_752.0;

/// Which side of a node is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    /// What it makes.
    Result,
    /// What it reads first.
    Operand,
    /// What a scatter adds.
    Updates,
}

/// The limit of one kind of op.
struct Limit {
    ops: &'static [&'static str],
    side: Side,
    /// Magnitude that is still computed rightly, where the target has such a limit.
    limit: fn(&Target) -> Option<f64>,
    /// Whether it matters in the forward pass, whose other sums are bounded by what follows them.
    forward: bool,
}

const TABLE: &[Limit] = &[
    // On every target, so that a run on `software` skips the steps that it would skip on a chip.
    Limit {
        ops: &["conv", "conv_transpose", "linear", "matmul"],
        side: Side::Result,
        limit: |_| Some(PRODUCT),
        forward: true,
    },
    // Sums over a batch hold to the largest fp16 number; they are held to what products are.
    Limit {
        ops: &[
            "avg_pool",
            "reduce_l2_norm",
            "reduce_mean",
            "reduce_sum",
            "reduce_sum_square",
        ],
        side: Side::Result,
        limit: |_| Some(PRODUCT),
        forward: false,
    },
    // No chip has it, and the host adds in fp32; elsewhere it is a sum of fp16 values like any other.
    Limit {
        ops: &["scatter"],
        side: Side::Result,
        limit: |target| (!target.is_chip()).then_some(PRODUCT),
        forward: false,
    },
    // What the engine hands the host to add up was rounded there, and nothing else tells that it has become infinite.
    Limit {
        ops: &["scatter"],
        side: Side::Updates,
        limit: |target| target.is_chip().then_some(PRODUCT),
        forward: false,
    },
    // Windows are cut out by slices where a chip has no trainable convolution.
    Limit {
        ops: &[
            "avg_pool",
            "conv",
            "conv_transpose",
            "max_pool",
            "slice_by_index",
            "slice_by_size",
            "split",
        ],
        side: Side::Operand,
        limit: |target| target.slice_limit().map(f64::from),
        forward: true,
    },
];

/// A value that is watched.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Watched {
    pub(crate) value: Value,
    /// Its limit.
    pub(crate) limit: f64,
}

/// Those nodes among them that have no axis longer than the target's: others are the host's, which computes in fp32.
pub(super) fn of_axes_that_fit<'a>(
    g: &Graph,
    target: &Target,
    nodes: impl Iterator<Item = &'a Node>,
) -> impl Iterator<Item = &'a Node> {
    let longest = target.max_axis().unwrap_or(usize::MAX);
    nodes.filter(move |node| {
        let mut values = node.operands.iter().chain(&node.results);
        values.all(|&v| g.ty(v).shape.dims().iter().all(|&n| n <= longest))
    })
}

/// The values of these nodes that are watched on `target`, each once, by its smallest limit.
pub(crate) fn watched<'a>(
    nodes: impl Iterator<Item = &'a Node>,
    target: &Target,
    is_forward: bool,
) -> Vec<Watched> {
    let mut all: Vec<Watched> = Vec::new();
    for node in nodes {
        let name = node.op.name();
        for entry in TABLE {
            let Some(limit) = (entry.limit)(target) else {
                continue;
            };
            if !entry.ops.contains(&name) || (is_forward && !entry.forward) {
                continue;
            }
            let value = match entry.side {
                Side::Result => node.results[0],
                Side::Operand => node.operands[0],
                Side::Updates => node.operands[2],
            };
            match all.iter_mut().find(|w| w.value == value) {
                Some(known) => known.limit = known.limit.min(limit),
                None => all.push(Watched { value, limit }),
            }
        }
    }
    all
}

/// Largest magnitude [1, 1] of forward values: infinite when one of them is, or is above its limit.
pub(super) fn largest_activation(
    g: &mut Graph,
    watched: &[Watched],
) -> Result<Option<Value>, TypeError> {
    // What is above a limit below the products' becomes infinite by this factor.
    largest(g, watched, |limit| {
        if limit < PRODUCT {
            65_520.0 / limit
        } else {
            1.0
        }
    })
}

/// Largest magnitude [1, 1] of backward values, each relative to its limit, in the unit of a product's.
pub(super) fn largest_gradient(
    g: &mut Graph,
    watched: &[Watched],
) -> Result<Option<Value>, TypeError> {
    largest(g, watched, |limit| PRODUCT / limit)
}

fn largest(
    g: &mut Graph,
    watched: &[Watched],
    factor: impl Fn(f64) -> f64,
) -> Result<Option<Value>, TypeError> {
    let mut so_far: Option<Value> = None;
    for w in watched {
        let mut max = largest_of_one(g, w.value)?;
        let factor = factor(w.limit);
        if factor != 1.0 {
            let factor = g.scalar(g.ty(max).dtype, factor)?;
            max = g.mul(max, factor)?;
        }
        so_far = Some(match so_far {
            Some(earlier) => g.maximum(earlier, max)?,
            None => max,
        });
    }
    Ok(so_far)
}

/// Largest magnitude [1, 1] of several tensors.
pub(super) fn largest_of(g: &mut Graph, values: &[Value]) -> Result<Option<Value>, TypeError> {
    let mut so_far: Option<Value> = None;
    for &v in values {
        let max = largest_of_one(g, v)?;
        so_far = Some(match so_far {
            Some(earlier) => g.maximum(earlier, max)?,
            None => max,
        });
    }
    Ok(so_far)
}

fn largest_of_one(g: &mut Graph, v: Value) -> Result<Value, TypeError> {
    let size = g.abs(v)?;
    let axes: Vec<i32> = (0..g.ty(v).shape.rank())
        .map(|a| i32::try_from(a).expect("a shape has few axes"))
        .collect();
    let max = g.reduce_max(size, &axes, true)?;
    g.reshape(max, &Shape::new(&[1, 1]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ane_ir::{TensorType, ops::Op};

    #[test]
    fn every_op_of_the_table_exists_and_limits_are_the_targets() {
        let later = [
            "avg_pool",
            "conv",
            "conv_transpose",
            "linear",
            "max_pool",
            "reduce_l2_norm",
            "reduce_sum_square",
            "slice_by_index",
        ];
        for name in TABLE.iter().flat_map(|l| l.ops) {
            assert!(Op::NAMES.contains(name) || later.contains(name), "{name}");
        }
        let mut g = Graph::new();
        let x = g.input("x", TensorType::fp16([4, 4])).unwrap();
        let y = g.matmul(x, x, false, false).unwrap();
        let z = g.slice_by_size(y, &[0, 1], &[4, 2]).unwrap();
        g.output("z", z).unwrap();
        let of = |target: &str| watched(g.nodes().iter(), &target.parse().unwrap(), true);
        let product = |limit| vec![Watched { value: y, limit }];
        assert_eq!(of("h16"), product(32_752.0));
        assert_eq!(of("h13"), product(4_094.0));
        assert_eq!(of("software"), product(32_752.0));
    }
}
