//! What moves elements without computing.

use super::{Call, Done, Setting, axis_setting, from_front, longs};
use crate::onnx::builder::{code, tensor};
use ane_ir::{
    DType, Literal, TensorType,
    ops::{
        Op, band_part::BandPart, cast::Cast, concat::Concat, constant::Const,
        expand_dims::ExpandDims, fill::Fill, pad::Pad, reshape::Reshape,
        slice_by_index::SliceByIndex, slice_by_size::SliceBySize, split::Split, squeeze::Squeeze,
        tile::Tile, transpose::Transpose,
    },
};

/// The end of any axis.
const END: i64 = i64::MAX;

pub(super) fn cast(c: &mut Call<'_>, op: &Cast) -> Done {
    let to = i64::from(code(op.dtype));
    c.last("Cast", c.operands, vec![("to", Setting::Int(to))])
}

pub(super) fn concat(c: &mut Call<'_>, op: &Concat) -> Done {
    if op.interleave == Some(true) {
        return Err("values that are interleaved");
    }
    let axis = axis_setting(c.axis(op.axis));
    c.last("Concat", c.operands, axis)
}

/// A constant is an initializer of the result's name.
pub(super) fn constant(c: &mut Call<'_>, op: &Const) -> Done {
    let name = c.results[0].clone();
    c.to.initializer(tensor(name, &op.val));
    Ok(())
}

pub(super) fn fill(c: &mut Call<'_>, op: &Fill) -> Done {
    let zero = || Literal::splat(TensorType::new(DType::Fp32, []), 0.0);
    let value = op.value.clone().unwrap_or_else(zero);
    let value = value
        .with_shape([1].into())
        .ok_or("a value of one element")?;
    let shape = c.to.ints(&longs(&op.shape));
    let value = Setting::Tensor(tensor(String::new(), &value));
    c.last("ConstantOfShape", &[&shape], vec![("value", value)])
}

/// A triangle or a band: `Trilu` once for each side that is cut. It knows no truth values before opset 14 and
/// no int32 in every runtime, so that these are cut as numbers.
pub(super) fn band_part(c: &mut Call<'_>, op: &BandPart) -> Done {
    let dtype = c.dtype();
    let mut x = c.x(0).to_owned();
    let as_number = !dtype.is_float();
    let cast = |to: DType| vec![("to", Setting::Int(i64::from(code(to))))];
    if as_number {
        x = c.node("Cast", &[&x], cast(DType::Fp32));
    }
    // The diagonals that stay: up to `lower` below the main one, up to `upper` above it.
    for (number, is_upper, k) in [
        (op.lower, 1, -i64::from(op.lower)),
        (op.upper, 0, i64::from(op.upper)),
    ] {
        if number >= 0 {
            let k = c.to.int(k);
            x = c.node("Trilu", &[&x, &k], vec![("upper", Setting::Int(is_upper))]);
        }
    }
    if as_number {
        return c.last("Cast", &[&x], cast(dtype));
    }
    c.last("Identity", &[&x], Vec::new())
}

pub(super) fn expand_dims(c: &mut Call<'_>, op: &ExpandDims) -> Done {
    let rank = c.rank(0) + op.axes.len();
    let axes: Vec<i64> = op.axes.iter().map(|&a| from_front(a, rank)).collect();
    let axes = c.to.ints(&axes);
    c.last("Unsqueeze", &[c.x(0), &axes], Vec::new())
}

pub(super) fn squeeze(c: &mut Call<'_>, op: &Squeeze) -> Done {
    let dims = c.ty(0).shape.dims();
    let axes: Vec<i64> = match &op.axes {
        Some(axes) => axes.iter().map(|&a| c.axis(a)).collect(),
        None => (0..dims.len())
            .filter(|&i| dims[i] == 1)
            .map(|i| i as i64)
            .collect(),
    };
    let axes = c.to.ints(&axes);
    c.last("Squeeze", &[c.x(0), &axes], Vec::new())
}

pub(super) fn pad(c: &mut Call<'_>, op: &Pad) -> Done {
    // Pairs of the last axes here; all befores, then all afters, there.
    let (rank, pairs) = (c.rank(0), op.pad.len() / 2);
    let mut pads = vec![0; 2 * rank];
    for (i, pair) in op.pad.chunks_exact(2).enumerate() {
        let axis = rank - pairs + i;
        (pads[axis], pads[rank + axis]) = (i64::from(pair[0]), i64::from(pair[1]));
    }
    let pads = c.to.ints(&pads);
    let value = c.to.scalar(c.dtype(), op.constant_val);
    c.last("Pad", &[c.x(0), &pads, &value], Vec::new())
}

/// The one length that grows with the batch is what the others leave.
pub(super) fn reshape(c: &mut Call<'_>, op: &Reshape) -> Done {
    let mut shape = longs(&op.shape);
    if let Some(Op::Reshape(twin)) = c.twin.map(|node| &node.op) {
        for (length, other) in shape.iter_mut().zip(&twin.shape) {
            if *length != i64::from(*other) {
                *length = -1;
            }
        }
    }
    let shape = c.to.ints(&shape);
    c.last("Reshape", &[c.x(0), &shape], Vec::new())
}

pub(super) fn slice_by_size(c: &mut Call<'_>, op: &SliceBySize) -> Done {
    let twin = match c.twin.map(|node| &node.op) {
        Some(Op::SliceBySize(twin)) => &twin.size,
        _ => &op.size,
    };
    let begin = longs(&op.begin);
    let end: Vec<i64> = (0..begin.len())
        .map(|i| match op.size[i] {
            size if size < 0 || size != twin[i] => END,
            size => begin[i] + i64::from(size),
        })
        .collect();
    let (begin, end) = (c.to.ints(&begin), c.to.ints(&end));
    c.last("Slice", &[c.x(0), &begin, &end], Vec::new())
}

pub(super) fn slice_by_index(c: &mut Call<'_>, op: &SliceByIndex) -> Done {
    let twin = match c.twin.map(|node| &node.op) {
        Some(Op::SliceByIndex(twin)) => &twin.end,
        _ => &op.end,
    };
    let is = |mask: &Option<Vec<bool>>, i: usize| mask.as_ref().is_some_and(|m| m[i]);
    let rank = op.begin.len();
    let stride = |i: usize| op.stride.as_ref().map_or(1, |s| i64::from(s[i]));
    let places: Vec<[i64; 3]> = (op.begin.iter().zip(&op.end).zip(twin).enumerate())
        .map(|(i, ((&begin, &end), &other))| {
            let (backwards, one) = (stride(i) < 0, is(&op.squeeze_mask, i));
            let (begin, begins) = (i64::from(begin), is(&op.begin_mask, i));
            if one {
                // The element at -1 has none behind it.
                return [begin, if begin == -1 { END } else { begin + 1 }, 1];
            }
            let (first, last) = if backwards { (END, i64::MIN) } else { (0, END) };
            let ends = is(&op.end_mask, i) || end != other;
            [
                if begins { first } else { begin },
                if ends { last } else { i64::from(end) },
                stride(i),
            ]
        })
        .collect();
    let column = |i: usize| places.iter().map(|place| place[i]).collect::<Vec<_>>();
    let (begins, ends, strides) = (column(0), column(1), column(2));
    let axes: Vec<i64> = (0..rank as i64).collect();
    let squeezed: Vec<i64> = (0..rank)
        .filter(|&i| is(&op.squeeze_mask, i))
        .map(|i| i as i64)
        .collect();
    let inputs = [&begins, &ends, &axes, &strides].map(|x| c.to.ints(x));
    let all: Vec<&str> = std::iter::once(c.x(0))
        .chain(inputs.iter().map(String::as_str))
        .collect();
    if squeezed.is_empty() {
        return c.last("Slice", &all, Vec::new());
    }
    let y = c.node("Slice", &all, Vec::new());
    let axes = c.to.ints(&squeezed);
    c.last("Squeeze", &[&y, &axes], Vec::new())
}

pub(super) fn split(c: &mut Call<'_>, op: &Split) -> Done {
    let axis = c.axis(op.axis);
    let lengths: Vec<i64> = (c.node.results.iter())
        .map(|&v| c.graph.ty(v).shape.dims()[axis as usize] as i64)
        .collect();
    let lengths = c.to.ints(&lengths);
    c.last("Split", &[c.x(0), &lengths], axis_setting(axis))
}

pub(super) fn tile(c: &mut Call<'_>, op: &Tile) -> Done {
    let reps = c.to.ints(&longs(&op.reps));
    c.last("Tile", &[c.x(0), &reps], Vec::new())
}

pub(super) fn transpose(c: &mut Call<'_>, op: &Transpose) -> Done {
    let perm = op.perm.iter().map(|&a| c.axis(a)).collect();
    c.last("Transpose", c.operands, vec![("perm", Setting::Ints(perm))])
}
