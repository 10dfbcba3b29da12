//! `split`: a tensor cut along an axis, one result per part.
//!
//! ```text
//! # Definition   consecutive blocks on `axis`, of `split_sizes` or of equal length
//! # Operands     x: any          # Results   one per part, dtype of x
//! # Attributes   num_splits or split_sizes; axis
//! # Gradient     the parts' cts joined, zeros for parts without
//! # Sources      coremltools iOS15 tensor_operation
//! ```

use super::{Fill, OpDef, Operand, Operands, ResultTypes, Sample, TypeError, attributes, support};
use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::{Graph, Results, Value},
    numerics::Numerics,
    tensor::{Real, Tensor},
    types::{Shape, TensorType},
};

attributes! {
    /// A tensor cut along an axis, one result per part.
    Split {
        /// Number of equal parts.
        num_splits: Option<i32>,
        /// Length of every part.
        split_sizes: Option<Vec<i32>>,
        /// The axis that is cut.
        axis: i32,
    }
}

impl OpDef for Split {
    const NAME: &'static str = "split";
    const OPERANDS: &'static [Operand] = &[Operand::required("x")];
    const MOVES: bool = true;

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        let (axis, sizes) = self.parts(&xs[0].shape)?;
        Ok(sizes
            .into_iter()
            .map(|len| {
                let mut dims = xs[0].shape.dims().to_vec();
                dims[axis] = len;
                TensorType {
                    dtype: xs[0].dtype,
                    shape: Shape::new(&dims),
                }
            })
            .collect())
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, _: &Numerics) -> Vec<Tensor<T>> {
        let x = xs[0];
        let (axis, sizes) = self
            .parts(&x.ty.shape)
            .expect("the node was typed when it was made");
        let outer: usize = x.ty.shape.dims()[..axis].iter().product();
        let row = x.data.len() / outer;
        let inner = row / x.ty.shape.dims()[axis];
        let tys = self
            .infer(&Operands::plain(Self::OPERANDS, &[&x.ty]))
            .expect("the node was typed when it was made");
        let mut start = 0;
        tys.into_iter()
            .zip(sizes)
            .map(|(ty, len)| {
                let from = start * inner;
                start += len;
                let data = (0..outer)
                    .flat_map(|o| {
                        x.data[o * row + from..o * row + start * inner]
                            .iter()
                            .copied()
                    })
                    .collect();
                Tensor { ty, data }
            })
            .collect()
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        if cts.iter().all(Option::is_none) {
            return Ok(vec![Cotangent::Zero]);
        }
        // A part without a cotangent is zeros around its neighbour: that costs the part, not the whole.
        let x = cx.g.ty(cx.xs[0]).shape.clone();
        let (axis, sizes) = self.parts(&x)?;
        let mut joined: Vec<(Value, usize, usize)> = Vec::new();
        let mut leading = 0;
        for (&ct, len) in cts.iter().zip(sizes) {
            match (ct, joined.last_mut()) {
                (Some(ct), _) => joined.push((ct, std::mem::take(&mut leading), 0)),
                (None, Some((_, _, after))) => *after += len,
                (None, None) => leading += len,
            }
        }
        let mut parts = Vec::new();
        for (ct, before, after) in joined {
            if (before, after) == (0, 0) {
                parts.push(ct);
                continue;
            }
            let mut around = vec![0; 2 * x.rank()];
            around[2 * axis] = i32::try_from(before).unwrap_or(i32::MAX);
            around[2 * axis + 1] = i32::try_from(after).unwrap_or(i32::MAX);
            parts.push(cx.g.pad(ct, &around, 0.0)?);
        }
        Ok(vec![match parts[..] {
            [whole] => whole.into(),
            _ => cx.g.concat(&parts, self.axis)?.into(),
        }])
    }

    fn samples() -> Vec<Sample<Self>> {
        [
            (support::f(&[4, 3], Fill::Signed), Some(2), None, 0),
            (
                support::f(&[2, 5], Fill::Signed),
                None,
                Some(vec![1, 4]),
                -1,
            ),
            (support::h(&[2, 6, 33], Fill::Signed), Some(3), None, 1),
        ]
        .into_iter()
        .map(|(x, num_splits, split_sizes, axis)| {
            Sample::new(
                Self {
                    num_splits,
                    split_sizes,
                    axis,
                },
                [x],
            )
        })
        .collect()
    }
}

impl Graph {
    /// `x` cut into `num_splits` equal parts along `axis`.
    ///
    /// # Errors
    /// When the axis does not exist or is not divisible.
    pub fn split(&mut self, x: Value, num_splits: i32, axis: i32) -> Result<Results, TypeError> {
        let op = Split {
            num_splits: Some(num_splits),
            split_sizes: None,
            axis,
        };
        self.push_multi(op, &[x])
    }
}

impl Split {
    /// The axis and the length of every part.
    ///
    /// # Errors
    /// When the parts do not make up the axis.
    pub fn parts(&self, x: &Shape) -> Result<(usize, Vec<usize>), TypeError> {
        let axis = x.axis(self.axis).ok_or_else(|| {
            support::attribute(Self::NAME, "axis", format!("an axis of {x}"), self.axis)
        })?;
        let len = x.dims()[axis];
        let sizes = match (&self.split_sizes, self.num_splits) {
            (Some(sizes), _) => sizes
                .iter()
                .map(|&s| usize::try_from(s).ok().filter(|&s| s > 0))
                .collect::<Option<Vec<_>>>(),
            (None, Some(n)) => usize::try_from(n)
                .ok()
                .filter(|&n| n > 0 && len.is_multiple_of(n))
                .map(|n| vec![len / n; n]),
            (None, None) => None,
        };
        let sizes = sizes
            .filter(|s| !s.is_empty() && s.iter().sum::<usize>() == len)
            .ok_or_else(|| {
                support::attribute(
                    Self::NAME,
                    "split_sizes",
                    format!("parts that make up {len}"),
                    format!(
                        "{:?} or {:?} equal parts",
                        self.split_sizes, self.num_splits
                    ),
                )
            })?;
        Ok((axis, sizes))
    }
}
