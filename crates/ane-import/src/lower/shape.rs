//! Shapes: the same elements elsewhere.

use super::{Cx, Lowered, Lowering, argument, int, ints, one, shape_of};
use crate::{aten::Node, error::ImportError};
use ane_ir::{Value, ops::slice_by_index::SliceByIndex};

pub(super) fn lowering(op: &str) -> Option<Lowering> {
    Some(match op {
        "view" | "reshape" | "_unsafe_view" | "_reshape_alias" | "flatten" | "unflatten"
        | "unsqueeze" | "squeeze" | "view_as" => reshape,
        "permute" => permute,
        "transpose" => transpose,
        "t" | "numpy_T" | "mT" => t,
        "expand" | "expand_as" | "broadcast_to" => expand,
        "broadcast_tensors" => broadcast_tensors,
        "repeat" => repeat,
        "cat" => cat,
        "stack" => stack,
        "split" | "split_with_sizes" | "chunk" | "unbind" => split,
        "select" => select,
        "slice" => slice,
        "narrow" => narrow,
        "select_backward" => select_backward,
        "slice_backward" => slice_backward,
        "slice_scatter" | "select_scatter" => slice_scatter,
        "constant_pad_nd" | "pad" => pad,
        "clone" | "alias" | "contiguous" | "detach" | "lift_fresh_copy" | "view_copy" => identity,
        "_to_copy" | "to" | "type_as" => identity,
        "repeat_interleave" => repeat_interleave,
        "flip" => flip,
        _ => return None,
    })
}

/// The shape that PyTorch says the first result has.
pub(super) fn declared(node: &Node) -> Result<Vec<usize>, ImportError> {
    let first = node.outputs.iter().flatten().next();
    let first = first.ok_or_else(|| argument(node, "self", "read by something"))?;
    Ok(first.shape.clone())
}

fn reshape(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let x = cx.tensor(node, "self")?;
    let shape = declared(node)?;
    one(cx.reshape(x, &shape)?)
}

fn identity(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let x = cx.tensor(node, "self")?;
    if node.op() == "detach" {
        return one(cx.g().stop_gradient(x)?);
    }
    one(x)
}

fn permuted(cx: &mut Cx<'_>, x: Value, perm: &[usize]) -> Lowered {
    if perm.iter().enumerate().all(|(i, &p)| i == p) {
        return one(x);
    }
    one(cx.g().transpose(x, &ints(perm))?)
}

fn permute(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let x = cx.tensor(node, "self")?;
    let rank = cx.dims(node, "self")?.len();
    let axes = Cx::ints(node, "dims")?.ok_or_else(|| argument(node, "dims", "axes"))?;
    let perm: Vec<usize> = axes
        .iter()
        .map(|&a| Cx::axis(node, "dims", a, rank))
        .collect::<Result<_, _>>()?;
    permuted(cx, x, &perm)
}

fn transpose(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let x = cx.tensor(node, "self")?;
    let rank = cx.dims(node, "self")?.len();
    let axis = |name: &str| -> Result<usize, ImportError> {
        let at = Cx::int(node, name)?.ok_or_else(|| argument(node, name, "an axis"))?;
        Cx::axis(node, name, at, rank)
    };
    let (a, b) = (axis("dim0")?, axis("dim1")?);
    let mut perm: Vec<usize> = (0..rank).collect();
    if rank > 0 {
        perm.swap(a, b);
    }
    permuted(cx, x, &perm)
}

fn t(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let x = cx.tensor(node, "self")?;
    let rank = cx.dims(node, "self")?.len();
    let mut perm: Vec<usize> = (0..rank).collect();
    if rank >= 2 {
        perm.swap(rank - 2, rank - 1);
    }
    permuted(cx, x, &perm)
}

/// `x` of PyTorch's shape `from` repeated along axes of length 1, and along new ones in front, up to `to`.
pub(super) fn expanded(
    cx: &mut Cx<'_>,
    x: Value,
    from: &[usize],
    to: &[usize],
) -> Result<Value, ImportError> {
    let mut dims = vec![1; to.len().saturating_sub(from.len())];
    dims.extend(from);
    let x = cx.reshape(x, &dims)?;
    let reps: Vec<usize> = dims
        .iter()
        .zip(to)
        .map(|(&d, &t)| if d == t { 1 } else { t })
        .collect();
    if reps.iter().all(|&r| r == 1) {
        return Ok(x);
    }
    Ok(cx.g().tile(x, &ints(&reps))?)
}

fn expand(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let x = cx.tensor(node, "self")?;
    let from = cx.dims(node, "self")?;
    let to = declared(node)?;
    one(expanded(cx, x, &from, &to)?)
}

/// Several tensors, each as large as all together.
fn broadcast_tensors(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let to = declared(node)?;
    let all = cx.tensors(node, "tensors")?.into_iter();
    let all = all.map(|x| {
        let from = cx.shape(x);
        expanded(cx, x, from.dims(), &to).map(Some)
    });
    all.collect()
}

fn repeat(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let x = cx.tensor(node, "self")?;
    let from = cx.dims(node, "self")?;
    let to = declared(node)?;
    let mut dims = vec![1; to.len() - from.len()];
    dims.extend(&from);
    let x = cx.reshape(x, &dims)?;
    let reps: Vec<usize> = dims.iter().zip(&to).map(|(&d, &t)| t / d.max(1)).collect();
    if reps.is_empty() {
        return one(x);
    }
    one(cx.g().tile(x, &ints(&reps))?)
}

/// Every element `repeats` times in a row along an axis.
fn repeat_interleave(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let x = cx.tensor(node, "self")?;
    let dims = cx.dims(node, "self")?;
    let (Some(repeats), Some(axis)) = (Cx::int(node, "repeats")?, Cx::int(node, "dim")?) else {
        return Err(cx.unsupported(node, "repeats that are a tensor, or without an axis"));
    };
    let axis = Cx::axis(node, "dim", axis, dims.len())?;
    let repeats = usize::try_from(repeats).map_err(|_| argument(node, "repeats", "a size"))?;
    let mut between = dims.clone();
    between.insert(axis + 1, 1);
    let x = cx.reshape(x, &between)?;
    let mut reps = vec![1; between.len()];
    reps[axis + 1] = int(repeats);
    let x = cx.g().tile(x, &reps)?;
    let shape = declared(node)?;
    one(cx.reshape(x, &shape)?)
}

fn cat(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let all = cx.tensors(node, "tensors")?;
    let rank = declared(node)?.len();
    let axis = Cx::axis(node, "dim", Cx::int(node, "dim")?.unwrap_or(0), rank)?;
    let dtype = super::arithmetic::common(cx, &all);
    let all = all
        .into_iter()
        .map(|x| cx.cast(x, dtype))
        .collect::<Result<Vec<_>, _>>()?;
    if let [single] = all[..] {
        return one(single);
    }
    one(cx.g().concat(&all, int(axis))?)
}

fn stack(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let all = cx.tensors(node, "tensors")?;
    let shape = declared(node)?;
    let axis = Cx::axis(node, "dim", Cx::int(node, "dim")?.unwrap_or(0), shape.len())?;
    let mut dims = shape.clone();
    dims[axis] = 1;
    let all = all
        .into_iter()
        .map(|x| cx.reshape(x, &dims))
        .collect::<Result<Vec<_>, _>>()?;
    if let [single] = all[..] {
        return one(single);
    }
    one(cx.g().concat(&all, int(axis))?)
}

/// Elements `begin..begin + size` of an axis.
fn part(
    cx: &mut Cx<'_>,
    x: Value,
    dims: &[usize],
    axis: usize,
    begin: usize,
    size: usize,
) -> Result<Value, ImportError> {
    if size == dims[axis] {
        return Ok(x);
    }
    let mut begins = vec![0; dims.len()];
    begins[axis] = int(begin);
    let mut sizes = ints(dims);
    sizes[axis] = int(size);
    Ok(cx.g().slice_by_size(x, &begins, &sizes)?)
}

/// Parts along an axis, by what PyTorch says they are. A part that nobody reads is as long as the argument says.
fn split(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let x = cx.tensor(node, "self")?;
    let dims = cx.dims(node, "self")?;
    let axis = Cx::axis(node, "dim", Cx::int(node, "dim")?.unwrap_or(0), dims.len())?;
    let length = dims[axis];
    let count = node.outputs.len();
    let sizes: Vec<usize> = match node.op() {
        "unbind" => vec![1; length],
        "chunk" => {
            let chunks = Cx::int(node, "chunks")?.unwrap_or(1).max(1) as usize;
            even(length, length.div_ceil(chunks))
        }
        _ => {
            let name = ["split_sizes", "split_size"]
                .into_iter()
                .find(|n| node.arg(n).is_some());
            let name = name.ok_or_else(|| argument(node, "split_size", "sizes"))?;
            let sizes = Cx::ints(node, name)?.unwrap_or_default();
            match (&sizes[..], node.arg(name)) {
                ([size], Some(crate::aten::Arg::Int(_))) => even(length, (*size).max(1) as usize),
                _ => sizes.iter().map(|&s| s.max(0) as usize).collect(),
            }
        }
    };
    if sizes.iter().sum::<usize>() != length {
        return Err(argument(
            node,
            "split_size",
            "sizes that add up to the axis",
        ));
    }
    let mut begin = 0;
    let mut parts = Vec::new();
    for (i, &size) in sizes.iter().enumerate() {
        let read = i < count && node.outputs[i].is_some();
        parts.push(if read {
            let mut y = part(cx, x, &dims, axis, begin, size)?;
            if node.op() == "unbind" {
                let mut rest = dims.clone();
                rest.remove(axis);
                y = cx.reshape(y, &rest)?;
            }
            Some(y)
        } else {
            None
        });
        begin += size;
    }
    Ok(parts)
}

/// An axis in parts of `size`, the last of what is left.
fn even(length: usize, size: usize) -> Vec<usize> {
    let whole = length / size.max(1);
    let rest = length - whole * size;
    let mut sizes = vec![size; whole];
    if rest > 0 {
        sizes.push(rest);
    }
    sizes
}

/// Position of an axis and of an element on it, both of which may be counted from behind.
fn position(node: &Node, dims: &[usize]) -> Result<(usize, usize), ImportError> {
    let axis = Cx::axis(node, "dim", Cx::int(node, "dim")?.unwrap_or(0), dims.len())?;
    let index = Cx::int(node, "index")?.ok_or_else(|| argument(node, "index", "an index"))?;
    let index = Cx::axis(node, "index", index, dims[axis])?;
    Ok((axis, index))
}

fn select(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let x = cx.tensor(node, "self")?;
    let dims = cx.dims(node, "self")?;
    let (axis, index) = position(node, &dims)?;
    let y = part(cx, x, &dims, axis, index, 1)?;
    let mut rest = dims;
    rest.remove(axis);
    one(cx.reshape(y, &rest)?)
}

/// First element, length and step of a slice of an axis of this length.
fn range(node: &Node, length: usize) -> Result<(usize, usize, usize), ImportError> {
    let clamp = |i: i64| -> usize {
        let at = if i < 0 { i + length as i64 } else { i };
        at.clamp(0, length as i64) as usize
    };
    let begin = clamp(Cx::int(node, "start")?.unwrap_or(0));
    let end = clamp(Cx::int(node, "end")?.unwrap_or(i64::MAX));
    let step = Cx::int(node, "step")?.unwrap_or(1);
    let step = usize::try_from(step).ok().filter(|&s| s > 0);
    let step = step.ok_or_else(|| argument(node, "step", "at least 1"))?;
    let size = end.saturating_sub(begin).div_ceil(step);
    Ok((begin, size, step))
}

fn slice(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let x = cx.tensor(node, "self")?;
    let dims = cx.dims(node, "self")?;
    let axis = Cx::axis(node, "dim", Cx::int(node, "dim")?.unwrap_or(0), dims.len())?;
    let (begin, size, step) = range(node, dims[axis])?;
    if size == 0 {
        return Err(cx.unsupported(node, "an empty result"));
    }
    if step == 1 {
        return one(part(cx, x, &dims, axis, begin, size)?);
    }
    let (begins, ends, steps) = strided(&dims, axis, begin, size, step);
    one(cx.g().slice_by_index(x, &begins, &ends, &steps)?)
}

fn strided(
    dims: &[usize],
    axis: usize,
    begin: usize,
    size: usize,
    step: usize,
) -> (Vec<i32>, Vec<i32>, Vec<i32>) {
    let mut begins = vec![0; dims.len()];
    begins[axis] = int(begin);
    let mut ends = ints(dims);
    ends[axis] = int(begin + (size - 1) * step + 1);
    let mut steps = vec![1; dims.len()];
    steps[axis] = int(step);
    (begins, ends, steps)
}

/// Axes read from their end to their start.
fn flip(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let x = cx.tensor(node, "self")?;
    let rank = cx.dims(node, "self")?.len();
    let axes = Cx::ints(node, "dims")?.ok_or_else(|| argument(node, "dims", "axes"))?;
    let mut steps = vec![1; rank];
    for axis in axes {
        steps[Cx::axis(node, "dims", axis, rank)?] = -1;
    }
    let op = SliceByIndex {
        begin: vec![0; rank],
        end: vec![0; rank],
        stride: Some(steps),
        begin_mask: Some(vec![true; rank]),
        end_mask: Some(vec![true; rank]),
        squeeze_mask: None,
    };
    one(cx.g().push(op, &[x])?)
}

fn narrow(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let x = cx.tensor(node, "self")?;
    let dims = cx.dims(node, "self")?;
    let axis = Cx::axis(node, "dim", Cx::int(node, "dim")?.unwrap_or(0), dims.len())?;
    let begin = Cx::int(node, "start")?.ok_or_else(|| argument(node, "start", "an index"))?;
    let begin = if begin < 0 {
        begin + dims[axis] as i64
    } else {
        begin
    };
    let size = Cx::int(node, "length")?.unwrap_or(0);
    let (begin, size) = (begin.max(0) as usize, size.max(0) as usize);
    one(part(cx, x, &dims, axis, begin, size)?)
}

/// `ct` in a tensor of zeros, along an axis.
fn padded(
    cx: &mut Cx<'_>,
    ct: Value,
    dims: &[usize],
    axis: usize,
    begin: usize,
    size: usize,
) -> Result<Value, ImportError> {
    if size == dims[axis] {
        return Ok(ct);
    }
    let mut pad = vec![0; 2 * dims.len()];
    pad[2 * axis] = int(begin);
    pad[2 * axis + 1] = int(dims[axis] - begin - size);
    Ok(cx.g().pad(ct, &pad, 0.0)?)
}

fn input_sizes(node: &Node) -> Result<Vec<usize>, ImportError> {
    let sizes = Cx::ints(node, "input_sizes")?;
    let sizes = sizes.ok_or_else(|| argument(node, "input_sizes", "sizes"))?;
    Ok(sizes.iter().map(|&s| s.max(0) as usize).collect())
}

fn select_backward(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let dims = input_sizes(node)?;
    let ct = cx.tensor(node, "grad_output")?;
    let (axis, index) = position(node, &dims)?;
    let mut single = dims.clone();
    single[axis] = 1;
    let ct = cx.reshape(ct, &single)?;
    one(padded(cx, ct, &dims, axis, index, 1)?)
}

fn slice_backward(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let dims = input_sizes(node)?;
    let ct = cx.real_tensor(node, "grad_output")?;
    let axis = Cx::axis(node, "dim", Cx::int(node, "dim")?.unwrap_or(0), dims.len())?;
    let (begin, size, step) = range(node, dims[axis])?;
    if step == 1 {
        return one(padded(cx, ct, &dims, axis, begin, size)?);
    }
    let ty = ane_ir::TensorType {
        dtype: cx.g().ty(ct).dtype,
        shape: shape_of(&dims),
    };
    let zeros = cx.g().fill(&ty, 0.0)?;
    let (begins, ends, steps) = strided(&dims, axis, begin, size, step);
    cx.vjp(&[zeros], &[ct], &[0], |g, x| {
        Ok(vec![g.slice_by_index(x[0], &begins, &ends, &steps)?])
    })
}

/// `self` with `src` in the place of some elements of an axis: what is before, `src`, what is behind.
fn slice_scatter(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let x = cx.tensor(node, "self")?;
    let mut src = cx.tensor(node, "src")?;
    let dims = cx.dims(node, "self")?;
    let (axis, begin, size) = if node.op() == "select_scatter" {
        let (axis, index) = position(node, &dims)?;
        let mut single = dims.clone();
        single[axis] = 1;
        src = cx.reshape(src, &single)?;
        (axis, index, 1)
    } else {
        let axis = Cx::axis(node, "dim", Cx::int(node, "dim")?.unwrap_or(0), dims.len())?;
        let (begin, size, step) = range(node, dims[axis])?;
        if step != 1 {
            return Err(cx.unsupported(node, "a step"));
        }
        (axis, begin, size)
    };
    let behind = dims[axis].saturating_sub(begin + size);
    let mut all = Vec::new();
    if begin > 0 {
        all.push(part(cx, x, &dims, axis, 0, begin)?);
    }
    all.push(src);
    if behind > 0 {
        all.push(part(cx, x, &dims, axis, begin + size, behind)?);
    }
    let dtype = super::arithmetic::common(cx, &all);
    let all = all
        .into_iter()
        .map(|x| cx.cast(x, dtype))
        .collect::<Result<Vec<_>, _>>()?;
    if let [single] = all[..] {
        return one(single);
    }
    one(cx.g().concat(&all, int(axis))?)
}

/// Constants before and after the last axes, the last axis first.
fn pad(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    if let Some(crate::aten::Arg::Str(mode)) = node.arg("mode")
        && mode != "constant"
    {
        return Err(cx.unsupported(node, &format!("mode `{mode}`")));
    }
    let mut x = cx.real_tensor(node, "self")?;
    let mut dims = cx.dims(node, "self")?;
    let pads = Cx::ints(node, "pad")?.ok_or_else(|| argument(node, "pad", "sizes"))?;
    let value = Cx::number(node, "value")?.unwrap_or(0.0);
    let rank = dims.len();
    let mut all = vec![0; 2 * rank];
    for (i, pair) in pads.chunks_exact(2).enumerate().take(rank) {
        let axis = rank - 1 - i;
        for (side, &amount) in pair.iter().enumerate() {
            if amount >= 0 {
                all[2 * axis + side] = i32::try_from(amount).unwrap_or(i32::MAX);
                continue;
            }
            // A negative pad takes away.
            let off = usize::try_from(-amount).unwrap_or(usize::MAX);
            let rest = dims[axis].checked_sub(off).filter(|&rest| rest > 0);
            let rest = rest.ok_or_else(|| argument(node, "pad", "less than the axis"))?;
            let begin = if side == 0 { off } else { 0 };
            x = part(cx, x, &dims, axis, begin, rest)?;
            dims[axis] = rest;
        }
    }
    if all.iter().all(|&p| p == 0) {
        return one(x);
    }
    one(cx.g().pad(x, &all, value)?)
}
