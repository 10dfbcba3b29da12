//! Convolutions, transposed ones, and their gradients.

use super::{Cx, Lowered, Lowering, argument, ints, one};
use crate::{aten::Node, error::ImportError};
use ane_ir::{
    DType, Graph, TensorType, Value,
    ops::{conv::Conv, conv_transpose::ConvTranspose, support::window::PadType},
};

pub(super) fn lowering(op: &str) -> Option<Lowering> {
    Some(match op {
        "convolution" | "conv1d" | "conv2d" | "conv_transpose1d" | "conv_transpose2d" => {
            convolution
        }
        "convolution_backward" => convolution_backward,
        _ => return None,
    })
}

/// How a convolution's windows lie.
#[derive(Debug, Clone)]
struct Windows {
    stride: Vec<usize>,
    padding: Vec<[usize; 2]>,
    dilation: Vec<usize>,
    /// What a transposed convolution adds after every axis.
    output_padding: Vec<usize>,
    transposed: bool,
    groups: i32,
}

impl Windows {
    fn of(cx: &mut Cx<'_>, node: &Node, weight: &[usize]) -> Result<Self, ImportError> {
        let axes = weight.len().saturating_sub(2);
        if !(1..=2).contains(&axes) {
            return Err(cx.unsupported(node, &format!("{axes} spatial axes")));
        }
        let stride = Cx::sizes(node, "stride", axes)?.unwrap_or_else(|| vec![1; axes]);
        let dilation = Cx::sizes(node, "dilation", axes)?.unwrap_or_else(|| vec![1; axes]);
        let padding = match node.arg("padding") {
            Some(crate::aten::Arg::Str(name)) if name == "same" => (0..axes)
                .map(|i| {
                    let total = dilation[i] * (weight[2 + i] - 1);
                    [total / 2, total - total / 2]
                })
                .collect(),
            Some(crate::aten::Arg::Str(_)) | None => vec![[0; 2]; axes],
            Some(_) => Cx::sizes(node, "padding", axes)?
                .unwrap_or_else(|| vec![0; axes])
                .into_iter()
                .map(|p| [p; 2])
                .collect(),
        };
        let output_padding = Cx::sizes(node, "output_padding", axes)?;
        let by_name = node.op().starts_with("conv_transpose");
        let groups = Cx::int(node, "groups")?.unwrap_or(1);
        Ok(Self {
            stride,
            padding,
            dilation,
            output_padding: output_padding.unwrap_or_else(|| vec![0; axes]),
            transposed: Cx::bool(node, "transposed")?.unwrap_or(by_name),
            groups: i32::try_from(groups).map_err(|_| argument(node, "groups", "a size"))?,
        })
    }

    fn pad(&self) -> Vec<i32> {
        let all: Vec<usize> = self.padding.iter().flatten().copied().collect();
        ints(&all)
    }

    /// The convolution as ops.
    fn apply(
        &self,
        g: &mut Graph,
        x: Value,
        weight: Value,
        bias: Option<Value>,
    ) -> Result<Value, ImportError> {
        if !self.transposed {
            let op = Conv {
                strides: Some(ints(&self.stride)),
                pad_type: PadType::Custom,
                pad: Some(self.pad()),
                dilations: Some(ints(&self.dilation)),
                groups: self.groups,
            };
            return Ok(g.conv(x, weight, bias, op)?);
        }
        let (x_dims, w_dims) = (g.ty(x).shape.clone(), g.ty(weight).shape.clone());
        let outputs = w_dims.dims()[1] * self.groups as usize;
        let mut shape = vec![x_dims.dims()[0], outputs];
        for i in 0..self.stride.len() {
            let covered = (x_dims.dims()[2 + i] - 1) * self.stride[i]
                + self.dilation[i] * (w_dims.dims()[2 + i] - 1)
                + 1
                + self.output_padding[i];
            let taken: usize = self.padding[i].iter().sum();
            shape.push(covered.saturating_sub(taken));
        }
        let op = ConvTranspose {
            pad: Some(self.pad()),
            output_shape: Some(ints(&shape)),
            pad_type: PadType::Custom,
            strides: Some(ints(&self.stride)),
            dilations: Some(ints(&self.dilation)),
            groups: self.groups,
        };
        Ok(g.conv_transpose(x, weight, bias, op)?)
    }
}

fn convolution(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let dims = cx.dims(node, "weight")?;
    let windows = Windows::of(cx, node, &dims)?;
    let unbatched = cx.dims(node, "input")?;
    let mut x = cx.real_tensor(node, "input")?;
    let is_unbatched = unbatched.len() + 1 == dims.len();
    if is_unbatched {
        let mut shape = vec![1];
        shape.extend(&unbatched);
        x = cx.reshape(x, &shape)?;
    }
    let weight = cx.real_tensor(node, "weight")?;
    let bias = cx.optional_tensor(node, "bias")?;
    let mut y = windows.apply(cx.g(), x, weight, bias)?;
    if is_unbatched {
        let shape = cx.shape(y).dims()[1..].to_vec();
        y = cx.reshape(y, &shape)?;
    }
    one(y)
}

/// Gradients of the image, the weight and the bias, of which `output_mask` says which are asked for.
fn convolution_backward(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let dims = cx.dims(node, "weight")?;
    let windows = Windows::of(cx, node, &dims)?;
    let ct = cx.real_tensor(node, "grad_output")?;
    let x = cx.real_tensor(node, "input")?;
    let weight = cx.real_tensor(node, "weight")?;
    let mask = Cx::bools(node, "output_mask")?;
    let [for_x, for_weight, for_bias] = mask[..] else {
        return Err(argument(node, "output_mask", "three truth values"));
    };
    let mut xs = vec![x, weight];
    if for_bias {
        // Its value is in no gradient.
        let channels = cx.shape(ct).dims()[1];
        let ty = TensorType::new(cx.in_frame(DType::Fp16), [channels]);
        xs.push(cx.g().fill(&ty, 0.0)?);
    }
    let asked: Vec<usize> = [for_x, for_weight, for_bias]
        .into_iter()
        .enumerate()
        .filter_map(|(i, asked)| asked.then_some(i))
        .collect();
    let gradients = cx.vjp(&xs, &[ct], &asked, |g, x| {
        Ok(vec![windows.apply(g, x[0], x[1], x.get(2).copied())?])
    })?;
    let mut results = vec![None; 3];
    for (i, gradient) in asked.into_iter().zip(gradients) {
        results[i] = gradient;
    }
    Ok(results)
}
