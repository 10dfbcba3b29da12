//! Images made larger.

use super::{Cx, Lowered, Lowering, argument, int, one, shape::declared, shape_of};
use crate::{aten::Node, error::ImportError};
use ane_ir::{Graph, TensorType, Value};

pub(super) fn lowering(op: &str) -> Option<Lowering> {
    Some(match op {
        "upsample_nearest2d" | "upsample_bilinear2d" => upsample,
        "upsample_nearest2d_backward" | "upsample_bilinear2d_backward" => upsample_backward,
        _ => return None,
    })
}

/// How an image is made larger.
#[derive(Debug, Clone, Copy)]
enum Upsample {
    /// Rows and columns so many times.
    Nearest([i32; 2]),
    /// Interpolated between pixels, which with `align_corners` are points and else areas.
    Bilinear([f32; 2], bool),
}

impl Upsample {
    fn of(cx: &mut Cx<'_>, node: &Node, from: &[usize], to: &[usize]) -> Result<Self, ImportError> {
        let ([_, _, h, w], [_, _, to_h, to_w]) = (from, to) else {
            return Err(cx.unsupported(node, "another number of axes than four"));
        };
        if to_h % h != 0 || to_w % w != 0 {
            return Err(cx.unsupported(node, "a scale that is no whole number"));
        }
        let factors = [int(to_h / h), int(to_w / w)];
        if node.op().starts_with("upsample_nearest2d") {
            return Ok(Self::Nearest(factors));
        }
        let align_corners = Cx::bool(node, "align_corners")?.unwrap_or(false);
        Ok(Self::Bilinear(factors.map(|f| f as f32), align_corners))
    }

    fn apply(self, g: &mut Graph, x: Value) -> Result<Value, ImportError> {
        Ok(match self {
            Self::Nearest(factors) => g.upsample_nearest_neighbor(x, factors)?,
            Self::Bilinear(factors, align) => g.upsample_bilinear(x, factors, align)?,
        })
    }
}

fn upsample(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let name = ["self", "input"]
        .into_iter()
        .find(|n| Cx::is_tensor(node, n));
    let x = cx.real_tensor(node, name.unwrap_or("self"))?;
    let from = cx.shape(x).dims().to_vec();
    let to = declared(node)?;
    let upsample = Upsample::of(cx, node, &from, &to)?;
    one(upsample.apply(cx.g(), x)?)
}

fn upsample_backward(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let ct = cx.real_tensor(node, "grad_output")?;
    let sizes = Cx::ints(node, "input_size")?;
    let sizes = sizes.ok_or_else(|| argument(node, "input_size", "sizes"))?;
    let from: Vec<usize> = sizes.iter().map(|&s| s.max(0) as usize).collect();
    let to = cx.shape(ct).dims().to_vec();
    let upsample = Upsample::of(cx, node, &from, &to)?;
    let ty = TensorType {
        dtype: cx.g().ty(ct).dtype,
        shape: shape_of(&from),
    };
    // Its value is in no gradient.
    let x = cx.g().fill(&ty, 0.0)?;
    cx.vjp(&[x], &[ct], &[0], |g, x| Ok(vec![upsample.apply(g, x[0])?]))
}
