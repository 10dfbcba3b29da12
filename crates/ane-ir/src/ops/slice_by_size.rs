//! `slice_by_size`: a block of a tensor.
//!
//! ```text
//! # Definition   result[i…] = x[begin + i…]
//! # Operands     x: any          # Result    `size`, dtype of x
//! # Attributes   begin; size, where −1 means to the end
//! # Gradient     ct between zeros
//! # ANE          numerics: a last-axis offset clamps |x| > 4094 on h13 and h14
//! # Sources      coremltools iOS15 tensor_transformation
//! ```

use super::{Fill, OpDef, Operand, Operands, ResultTypes, Sample, TypeError, attributes, support};
use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::{Graph, Value},
    numerics::Numerics,
    tensor::{Real, Tensor},
    types::{Shape, TensorType},
};

attributes! {
    /// A block of a tensor.
    SliceBySize {
        /// First index on every axis.
        begin: Vec<i32>,
        /// Length on every axis; −1 to the end.
        size: Vec<i32>,
    }
}

impl OpDef for SliceBySize {
    const NAME: &'static str = "slice_by_size";
    const OPERANDS: &'static [Operand] = &[Operand::required("x")];
    const MOVES: bool = true;

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        let (_, size) = self.block(&xs[0].shape)?;
        support::one(TensorType {
            dtype: xs[0].dtype,
            shape: size,
        })
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, numerics: &Numerics) -> Vec<Tensor<T>> {
        let x = xs[0];
        let (begin, size) = self
            .block(&x.ty.shape)
            .expect("the node was typed when it was made");
        let strides = x.ty.shape.strides();
        let mut offsets = vec![0];
        for (axis, &len) in size.dims().iter().enumerate() {
            offsets = offsets
                .iter()
                .flat_map(|o| (0..len).map(move |i| (o, i)))
                .map(|(o, i)| o + (begin[axis] + i) * strides[axis])
                .collect();
        }
        let inside = begin.last().is_some_and(|&b| b > 0);
        let element = |o: usize| {
            if inside {
                numerics.slice_cliff(x.ty.dtype, x.data[o])
            } else {
                x.data[o]
            }
        };
        vec![Tensor {
            ty: TensorType {
                dtype: x.ty.dtype,
                shape: size,
            },
            data: offsets.into_iter().map(element).collect(),
        }]
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        let Some(ct) = cts[0] else {
            return Ok(vec![Cotangent::Zero]);
        };

        let x = cx.g.ty(cx.xs[0]).shape.clone();
        let (begin, size) = self.block(&x)?;
        let around = begin
            .iter()
            .enumerate()
            .flat_map(|(axis, &before)| [before, x.dims()[axis] - before - size.dims()[axis]]);
        let around: Vec<i32> = around
            .map(|n| i32::try_from(n).unwrap_or(i32::MAX))
            .collect();
        Ok(vec![if around.iter().all(|&n| n == 0) {
            ct.into()
        } else {
            cx.g.pad(ct, &around, 0.0)?.into()
        }])
    }

    fn samples() -> Vec<Sample<Self>> {
        [
            (support::f(&[3, 4], Fill::Signed), vec![1, 0], vec![2, 4]),
            (support::f(&[3, 4], Fill::Signed), vec![0, 1], vec![-1, 2]),
            (
                support::f(&[2, 3, 4], Fill::Signed),
                vec![1, 1, 1],
                vec![1, 2, 3],
            ),
            (support::h(&[5, 70], Fill::Signed), vec![2, 3], vec![2, 65]),
        ]
        .into_iter()
        .map(|(x, begin, size)| Sample::new(Self { begin, size }, [x]))
        .collect()
    }
}

impl Graph {
    /// The block of `x` that starts at `begin` and has the shape `size`.
    ///
    /// # Errors
    /// When the block does not lie within `x`.
    pub fn slice_by_size(
        &mut self,
        x: Value,
        begin: &[i32],
        size: &[i32],
    ) -> Result<Value, TypeError> {
        self.push(
            SliceBySize {
                begin: begin.to_vec(),
                size: size.to_vec(),
            },
            &[x],
        )
    }
}

impl SliceBySize {
    /// First index and shape of the block.
    ///
    /// # Errors
    /// When it does not lie within `x`.
    pub fn block(&self, x: &Shape) -> Result<(Vec<usize>, Shape), TypeError> {
        let bad = || {
            support::attribute(
                Self::NAME,
                "size",
                format!("a non-empty block within {x}"),
                format!("{:?} from {:?}", self.size, self.begin),
            )
        };
        if self.begin.len() != x.rank() || self.size.len() != x.rank() {
            return Err(bad());
        }
        let mut begin = Vec::new();
        let mut size = Vec::new();
        for ((&b, &s), &d) in self.begin.iter().zip(&self.size).zip(x.dims()) {
            let b = usize::try_from(b).ok().filter(|&b| b < d).ok_or_else(bad)?;
            let s = if s == -1 {
                d - b
            } else {
                usize::try_from(s).map_err(|_| bad())?
            };
            if s == 0 || s > d - b {
                return Err(bad());
            }
            begin.push(b);
            size.push(s);
        }
        Ok((begin, Shape::new(&size)))
    }
}
