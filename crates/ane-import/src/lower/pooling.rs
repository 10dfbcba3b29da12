//! Pools and their gradients.

use super::{Cx, Lowered, Lowering, argument, int, ints, one};
use crate::{aten::Node, error::ImportError};
use ane_ir::{
    Graph, Value,
    ops::{avg_pool::AvgPool, max_pool::MaxPool, support::window::PadType},
};

pub(super) fn lowering(op: &str) -> Option<Lowering> {
    Some(match op {
        "max_pool2d" | "max_pool1d" | "max_pool2d_with_indices" | "max_pool1d_with_indices" => {
            max_pool
        }
        "max_pool2d_with_indices_backward" => max_pool_backward,
        "avg_pool2d" | "avg_pool1d" => avg_pool,
        "avg_pool2d_backward" => avg_pool_backward,
        "adaptive_avg_pool2d" | "_adaptive_avg_pool2d" | "adaptive_avg_pool1d" => adaptive,
        "_adaptive_avg_pool2d_backward" => adaptive_backward,
        _ => return None,
    })
}

/// A pool of either kind.
#[derive(Debug, Clone)]
enum Pool {
    Max(MaxPool),
    Avg(AvgPool),
}

impl Pool {
    fn apply(&self, g: &mut Graph, x: Value) -> Result<Value, ImportError> {
        Ok(match self {
            Self::Max(op) => g.max_pool(x, op.clone())?,
            Self::Avg(op) => g.avg_pool(x, op.clone())?,
        })
    }
}

/// Sizes of a pool over `axes` spatial axes.
struct Sizes {
    kernel: Vec<usize>,
    stride: Vec<usize>,
    pad: Vec<i32>,
    ceil_mode: bool,
}

fn sizes(node: &Node, axes: usize) -> Result<Sizes, ImportError> {
    let kernel = Cx::sizes(node, "kernel_size", axes)?;
    let kernel = kernel.ok_or_else(|| argument(node, "kernel_size", "sizes"))?;
    let stride = Cx::sizes(node, "stride", axes)?.unwrap_or_else(|| kernel.clone());
    let padding = Cx::sizes(node, "padding", axes)?.unwrap_or_else(|| vec![0; axes]);
    let pad: Vec<usize> = padding.iter().flat_map(|&p| [p, p]).collect();
    Ok(Sizes {
        kernel,
        stride,
        pad: ints(&pad),
        ceil_mode: Cx::bool(node, "ceil_mode")?.unwrap_or(false),
    })
}

fn axes_of(node: &Node) -> usize {
    if node.op().contains("1d") { 1 } else { 2 }
}

fn max(cx: &mut Cx<'_>, node: &Node) -> Result<Pool, ImportError> {
    let axes = axes_of(node);
    let s = sizes(node, axes)?;
    let dilation = Cx::sizes(node, "dilation", axes)?;
    if dilation.is_some_and(|d| d.iter().any(|&d| d != 1)) {
        return Err(cx.unsupported(node, "a dilation"));
    }
    Ok(Pool::Max(MaxPool {
        kernel_sizes: ints(&s.kernel),
        strides: Some(ints(&s.stride)),
        pad_type: PadType::Custom,
        pad: Some(s.pad),
        ceil_mode: s.ceil_mode,
    }))
}

fn avg(cx: &mut Cx<'_>, node: &Node) -> Result<Pool, ImportError> {
    let s = sizes(node, axes_of(node))?;
    if node.arg("divisor_override").is_some() {
        return Err(cx.unsupported(node, "divisor_override"));
    }
    Ok(Pool::Avg(AvgPool {
        kernel_sizes: ints(&s.kernel),
        strides: Some(ints(&s.stride)),
        pad_type: PadType::Custom,
        pad: Some(s.pad),
        exclude_padding_from_average: !Cx::bool(node, "count_include_pad")?.unwrap_or(true),
        ceil_mode: s.ceil_mode,
    }))
}

/// `f` of images with a batch in front, which they may lack.
fn batched(
    cx: &mut Cx<'_>,
    x: Value,
    axes: usize,
    f: impl FnOnce(&mut Cx<'_>, Value) -> Result<Value, ImportError>,
) -> Lowered {
    let dims = cx.shape(x).dims().to_vec();
    if dims.len() == axes + 2 {
        return one(f(cx, x)?);
    }
    let mut shape = vec![1];
    shape.extend(&dims);
    let x = cx.reshape(x, &shape)?;
    let y = f(cx, x)?;
    let shape = cx.shape(y).dims()[1..].to_vec();
    one(cx.reshape(y, &shape)?)
}

/// The largest elements. Where they lie is not given: gradients find them in the image again.
fn max_pool(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let x = cx.real_tensor(node, "self")?;
    let pool = max(cx, node)?;
    batched(cx, x, axes_of(node), |cx, x| pool.apply(cx.g(), x))
}

fn avg_pool(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let x = cx.real_tensor(node, "self")?;
    let pool = avg(cx, node)?;
    batched(cx, x, axes_of(node), |cx, x| pool.apply(cx.g(), x))
}

fn backward(cx: &mut Cx<'_>, node: &Node, pool: &Pool) -> Lowered {
    let ct = cx.real_tensor(node, "grad_output")?;
    let x = cx.real_tensor(node, "self")?;
    cx.vjp(&[x], &[ct], &[0], |g, x| Ok(vec![pool.apply(g, x[0])?]))
}

fn max_pool_backward(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let pool = max(cx, node)?;
    backward(cx, node, &pool)
}

fn avg_pool_backward(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let pool = avg(cx, node)?;
    backward(cx, node, &pool)
}

/// Means over windows that tile the image into as many as are asked for.
fn adaptive_pool(
    cx: &mut Cx<'_>,
    node: &Node,
    from: &[usize],
    to: &[usize],
) -> Result<AdaptivePool, ImportError> {
    if to.iter().all(|&t| t == 1) {
        let rank = from.len() + 2;
        return Ok(AdaptivePool::Mean((2..rank).map(int).collect()));
    }
    if from.iter().zip(to).any(|(&f, &t)| t == 0 || f % t != 0) {
        return Err(cx.unsupported(node, "sizes that do not divide the image"));
    }
    let kernel: Vec<usize> = from.iter().zip(to).map(|(&f, &t)| f / t).collect();
    Ok(AdaptivePool::Windows(AvgPool {
        kernel_sizes: ints(&kernel),
        strides: Some(ints(&kernel)),
        pad_type: PadType::Valid,
        pad: None,
        exclude_padding_from_average: false,
        ceil_mode: false,
    }))
}

/// What an adaptive pool comes to.
#[derive(Debug, Clone)]
enum AdaptivePool {
    /// One mean over these axes.
    Mean(Vec<i32>),
    /// Means of windows side by side.
    Windows(AvgPool),
}

impl AdaptivePool {
    fn apply(&self, g: &mut Graph, x: Value) -> Result<Value, ImportError> {
        Ok(match self {
            Self::Mean(axes) => g.reduce_mean(x, axes, true)?,
            Self::Windows(op) => g.avg_pool(x, op.clone())?,
        })
    }
}

fn adaptive(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let x = cx.real_tensor(node, "self")?;
    let axes = axes_of(node);
    let to = Cx::sizes(node, "output_size", axes)?;
    let to = to.ok_or_else(|| argument(node, "output_size", "sizes"))?;
    batched(cx, x, axes, |cx, x| {
        let from = cx.shape(x).dims()[2..].to_vec();
        let pool = adaptive_pool(cx, node, &from, &to)?;
        pool.apply(cx.g(), x)
    })
}

fn adaptive_backward(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let ct = cx.real_tensor(node, "grad_output")?;
    let x = cx.real_tensor(node, "self")?;
    let from = cx.shape(x).dims()[2..].to_vec();
    let to = cx.shape(ct).dims()[2..].to_vec();
    let pool = adaptive_pool(cx, node, &from, &to)?;
    cx.vjp(&[x], &[ct], &[0], |g, x| Ok(vec![pool.apply(g, x[0])?]))
}
