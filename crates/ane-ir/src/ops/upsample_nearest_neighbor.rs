//! `upsample_nearest_neighbor`: rows and columns of images repeated.
//!
//! ```text
//! # Definition   result[…, h, w] = x[…, ⌊h / scale_factor_height⌋, ⌊w / scale_factor_width⌋]
//! # Operands     x: [*D, H, W] fp16 | fp32, at least three axes
//! # Result       [*D, H · scale_factor_height, W · scale_factor_width], dtype of x
//! # Attributes   scale_factor_height, scale_factor_width (1): whole numbers; Core ML also takes fractions
//! # Gradient     ct summed over the repetitions
//! # Sources      coremltools iOS15 image_resizing; PyTorch UpsamplingNearest2d
//! ```

use super::{
    Attr, AttrType, Fill, OpDef, Operand, Operands, ResultTypes, Sample, TypeError, attributes,
    support::{self, view},
};
use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::{Graph, Value},
    numerics::Numerics,
    tensor::{Real, Tensor},
    types::TensorType,
};

/// How often an element is repeated; MIL writes it as an integer or as a float.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScaleFactor(pub i32);

impl AttrType for ScaleFactor {
    fn to_attr(&self) -> Option<Attr> {
        Some(Attr::Int(self.0))
    }
    fn from_attr(attr: Attr) -> Option<Self> {
        match attr {
            Attr::Int(i) => Some(Self(i)),
            Attr::Float(x) if x.fract() == 0.0 && x.abs() < f64::from(i32::MAX) => {
                Some(Self(x as i32))
            }
            _ => None,
        }
    }
}

attributes! {
    /// Rows and columns of images repeated.
    UpsampleNearestNeighbor {
        /// How often every row is repeated.
        scale_factor_height: ScaleFactor = ScaleFactor(1),
        /// How often every column is repeated.
        scale_factor_width: ScaleFactor = ScaleFactor(1),
    }
}

impl OpDef for UpsampleNearestNeighbor {
    const NAME: &'static str = "upsample_nearest_neighbor";
    const OPERANDS: &'static [Operand] = &[Operand::required("x")];
    const MOVES: bool = true;

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        support::float(Self::NAME, "x", xs[0])?;
        let [height, width] = self.scales()?;
        let [rest @ .., h, w] = xs[0].shape.dims() else {
            return Err(self.too_flat(xs[0]));
        };
        if rest.is_empty() {
            return Err(self.too_flat(xs[0]));
        }
        let lengths = rest.iter().copied().chain([h * height, w * width]);
        support::one(TensorType {
            dtype: xs[0].dtype,
            shape: lengths.collect(),
        })
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, _: &Numerics) -> Vec<Tensor<T>> {
        let x = xs[0];
        let infallible = "the node was typed when it was made";
        let ty = self
            .infer(&Operands::plain(Self::OPERANDS, &[&x.ty]))
            .expect(infallible)
            .remove(0);
        let [height, width] = self.scales().expect(infallible);
        let w = x.ty.shape.last();
        let mut data = Vec::with_capacity(ty.shape.numel());
        for row in x.data.chunks_exact(w) {
            for _ in 0..height {
                data.extend(row.iter().flat_map(|&e| std::iter::repeat_n(e, width)));
            }
        }
        vec![Tensor { ty, data }]
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        let Some(ct) = cts[0] else {
            return Ok(vec![Cotangent::Zero]);
        };
        let [height, width] = self.scales()?;
        let shape = cx.g.ty(cx.xs[0]).shape.clone();
        let w = shape.last();
        let rows = shape.numel() / w;
        let repetitions = view(cx.g, ct, &[rows, height, w, width].into())?;
        let sum = cx.g.reduce_sum(repetitions, &[1, 3], false)?;
        Ok(vec![view(cx.g, sum, &shape)?.into()])
    }

    fn samples() -> Vec<Sample<Self>> {
        let s = Fill::Signed;
        [
            (2, 3, support::f(&[1, 2, 2, 3], s)),
            (1, 2, support::f(&[2, 3, 2], s)),
            (2, 2, support::h(&[2, 3, 5, 17], s)),
        ]
        .into_iter()
        .map(|(height, width, x)| {
            let op = Self {
                scale_factor_height: ScaleFactor(height),
                scale_factor_width: ScaleFactor(width),
            };
            Sample::new(op, [x])
        })
        .collect()
    }
}

impl UpsampleNearestNeighbor {
    /// How often rows and columns are repeated.
    ///
    /// # Errors
    /// When a factor is not positive.
    pub fn scales(&self) -> Result<[usize; 2], TypeError> {
        let positive = |name, factor: ScaleFactor| {
            let factor = factor.0;
            usize::try_from(factor)
                .ok()
                .filter(|&f| f > 0)
                .ok_or_else(|| support::attribute(Self::NAME, name, "a positive number", factor))
        };
        Ok([
            positive("scale_factor_height", self.scale_factor_height)?,
            positive("scale_factor_width", self.scale_factor_width)?,
        ])
    }

    fn too_flat(&self, x: &TensorType) -> TypeError {
        support::operand_type(Self::NAME, "x", "of at least three axes", x)
    }
}

impl Graph {
    /// Every row of `x`, [*D, H, W], repeated `height` times and every column `width` times.
    ///
    /// # Errors
    /// When `x` is not floating point, has fewer than three axes, or a factor is not positive.
    pub fn upsample_nearest_neighbor(
        &mut self,
        x: Value,
        [height, width]: [i32; 2],
    ) -> Result<Value, TypeError> {
        let op = UpsampleNearestNeighbor {
            scale_factor_height: ScaleFactor(height),
            scale_factor_width: ScaleFactor(width),
        };
        self.push(op, &[x])
    }
}
