//! What reads and writes by index: embeddings and rows.

use super::{Cx, Lowered, Lowering, argument, int, one, shape_of};
use crate::{
    aten::{Arg, Node},
    error::ImportError,
};
use ane_ir::{DType, TensorType, Value, ops::scatter::Mode};

pub(super) fn lowering(op: &str) -> Option<Lowering> {
    Some(match op {
        "embedding" => embedding,
        "embedding_dense_backward" => embedding_backward,
        "index_select" => index_select,
        "one_hot" => one_hot,
        "index" | "_unsafe_index" => index,
        "index_put" | "_unsafe_index_put" => index_put,
        "gather" => gather,
        "scatter_add" => scatter_add,
        _ => return None,
    })
}

/// Rows of `weight`: of the indices, any shape, one row each.
fn embedding(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let weight = cx.real_tensor(node, "weight")?;
    let indices = cx.tensor(node, "indices")?;
    one(rows(cx, node, weight, indices, "indices")?)
}

/// Slices of axis 0 by index, with the axes of the indices in its place.
fn rows(
    cx: &mut Cx<'_>,
    node: &Node,
    x: Value,
    indices: Value,
    name: &str,
) -> Result<Value, ImportError> {
    let dims = cx.dims(node, name)?;
    let y = cx.g().gather(x, indices, 0)?;
    let mut shape = dims;
    shape.extend(&cx.shape(x).dims()[1..]);
    cx.reshape(y, &shape)
}

/// The rows of a cotangent added up by index. Rows of `padding_idx` have no gradient.
fn embedding_backward(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    if Cx::bool(node, "scale_grad_by_freq")? == Some(true) {
        return Err(cx.unsupported(node, "scale_grad_by_freq"));
    }
    let ct = cx.real_tensor(node, "grad_output")?;
    let indices = cx.tensor(node, "indices")?;
    let count = Cx::int(node, "num_weights")?.and_then(|n| usize::try_from(n).ok());
    let count = count.ok_or_else(|| argument(node, "num_weights", "a size"))?;
    let width = cx.shape(ct).last();
    let n: usize = cx.dims(node, "indices")?.iter().product();
    let mut ct = cx.reshape(ct, &[n, width])?;
    let indices = cx.reshape(indices, &[n])?;
    let padding = Cx::int(node, "padding_idx")?.unwrap_or(-1);
    if padding >= 0 {
        let padding = cx.number_of(DType::Int32, padding as f64)?;
        let is_padding = cx.g().equal(indices, padding)?;
        let is_padding = cx.reshape(is_padding, &[n, 1])?;
        let zero = cx.scalar_like(ct, 0.0)?;
        ct = cx.g().select(is_padding, zero, ct)?;
    }
    let ty = TensorType {
        dtype: cx.g().ty(ct).dtype,
        shape: shape_of(&[count, width]),
    };
    let zeros = cx.g().fill(&ty, 0.0)?;
    one(cx.g().scatter(zeros, indices, ct, 0, Mode::Add)?)
}

fn index_select(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let x = cx.tensor(node, "self")?;
    let dims = cx.dims(node, "self")?;
    let axis = Cx::int(node, "dim")?.ok_or_else(|| argument(node, "dim", "an axis"))?;
    let axis = Cx::axis(node, "dim", axis, dims.len())?;
    let indices = cx.tensor(node, "index")?;
    one(cx.g().gather(x, indices, int(axis))?)
}

fn one_hot(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let x = cx.tensor(node, "self")?;
    let classes = Cx::int(node, "num_classes")?.filter(|&n| n > 0);
    let classes = classes.ok_or_else(|| cx.unsupported(node, "a number of classes left open"))?;
    let classes = i32::try_from(classes).unwrap_or(i32::MAX);
    let rank = cx.dims(node, "self")?.len();
    let real = cx.in_frame(DType::Fp16);
    let y = cx.g().one_hot(x, classes, int(rank), real)?;
    one(y)
}

/// The one axis that is indexed, and the indices.
fn single_index(cx: &mut Cx<'_>, node: &Node) -> Result<(usize, Value, Vec<usize>), ImportError> {
    let Some(Arg::List(all)) = node.arg("indices") else {
        return Err(argument(node, "indices", "a list of tensors"));
    };
    let given: Vec<(usize, &Arg)> = all
        .iter()
        .enumerate()
        .filter(|(_, a)| **a != Arg::None)
        .collect();
    let [(axis, single)] = given[..] else {
        return Err(cx.unsupported(node, "indices of several axes"));
    };
    let alone = Node {
        args: vec![("index".into(), single.clone())],
        ..node.clone()
    };
    let indices = cx.tensor(&alone, "index")?;
    if cx.g().ty(indices).dtype != DType::Int32 {
        return Err(cx.unsupported(node, "a mask"));
    }
    let dims = cx.dims(&alone, "index")?;
    Ok((axis, indices, dims))
}

/// `self[i]` with a tensor of indices for one axis.
fn index(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let (axis, indices, of_indices) = single_index(cx, node)?;
    let x = cx.tensor(node, "self")?;
    let mut shape = cx.dims(node, "self")?;
    let y = cx.g().gather(x, indices, int(axis))?;
    shape.splice(axis..=axis, of_indices);
    one(cx.reshape(y, &shape)?)
}

/// `self` with values put or added at the indices of one axis.
fn index_put(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let (axis, indices, of_indices) = single_index(cx, node)?;
    let count: usize = of_indices.iter().product();
    let x = cx.real_tensor(node, "self")?;
    let mut shape = cx.dims(node, "self")?;
    shape[axis] = count;
    let values = cx.real_tensor(node, "values")?;
    if cx.dims(node, "values")?.iter().product::<usize>() != shape.iter().product::<usize>() {
        return Err(cx.unsupported(node, "values that are repeated"));
    }
    let values = cx.reshape(values, &shape)?;
    let indices = cx.reshape(indices, &[count])?;
    let mode = match Cx::bool(node, "accumulate")? {
        Some(true) => Mode::Add,
        _ => Mode::Update,
    };
    one(cx.g().scatter(x, indices, values, int(axis), mode)?)
}

/// Elements along an axis by index, one for every place.
fn gather(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let (axis, index) = along_axis(cx, node)?;
    let x = cx.tensor(node, "self")?;
    one(cx.g().gather_along_axis(x, index, int(axis))?)
}

/// `self` with elements added along an axis by index: what a gather of it passes to its gradient, and `self`.
fn scatter_add(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let (axis, index) = along_axis(cx, node)?;
    let x = cx.real_tensor(node, "self")?;
    let src = cx.real_tensor(node, "src")?;
    let added = cx.vjp(&[x, index], &[src], &[0], |g, x| {
        Ok(vec![g.gather_along_axis(x[0], x[1], int(axis))?])
    })?;
    match added[..] {
        [Some(added)] => one(cx.g().add(x, added)?),
        _ => one(x),
    }
}

/// The axis that `index` names elements of, and `index`, which has the other lengths of `self`.
fn along_axis(cx: &mut Cx<'_>, node: &Node) -> Result<(usize, Value), ImportError> {
    let dims = cx.dims(node, "self")?;
    let axis = Cx::int(node, "dim")?.ok_or_else(|| argument(node, "dim", "an axis"))?;
    let axis = Cx::axis(node, "dim", axis, dims.len())?;
    let indices = cx.dims(node, "index")?;
    let alike = dims.iter().zip(&indices).enumerate();
    if !alike.filter(|(i, _)| *i != axis).all(|(_, (a, b))| a == b) {
        return Err(cx.unsupported(node, "indices for a part of the other axes"));
    }
    Ok((axis, cx.tensor(node, "index")?))
}
