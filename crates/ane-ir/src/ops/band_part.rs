//! `band_part`: the diagonals of matrices around the main one, zeros elsewhere.
//!
//! ```text
//! # Definition   x[…, m, n] where m − n ≤ lower or lower < 0, and n − m ≤ upper or upper < 0; else 0
//! # Operands     x: [*D, M, N] fp16 | fp32 | int32 | bool          # Result    [*D, M, N], dtype of x
//! # Attributes   lower, upper (−1): how many diagonals below and above the main one stay; all where negative.
//! #              PyTorch's tril is (−1, 0), its triu (0, −1)
//! # Gradient     the same part of ct
//! # ANE          rule op_support: no chip runs it; there it is a product with zeros and ones
//! # Sources      coremltools iOS15 tensor_operation; PyTorch tril, triu
//! ```

use super::{Fill, OpDef, Operand, Operands, ResultTypes, Sample, TypeError, attributes, support};
use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::{Graph, Results, Value},
    numerics::Numerics,
    tensor::{Literal, Real, Tensor},
    types::{DType, TensorType},
};
use smallvec::smallvec;

attributes! {
    /// The diagonals of matrices around the main one, zeros elsewhere.
    BandPart {
        /// How many diagonals below the main one stay; all where negative.
        lower: i32 = -1,
        /// How many diagonals above the main one stay; all where negative.
        upper: i32 = -1,
    }
}

impl OpDef for BandPart {
    const NAME: &'static str = "band_part";
    const OPERANDS: &'static [Operand] = &[Operand::required("x")];
    const MOVES: bool = true;

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        if xs[0].dtype != DType::Bool {
            support::number(Self::NAME, "x", xs[0])?;
        }
        if xs[0].shape.rank() < 2 {
            return Err(support::operand_type(
                Self::NAME,
                "x",
                "of at least two axes",
                xs[0],
            ));
        }
        support::one(xs[0].clone())
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, _: &Numerics) -> Vec<Tensor<T>> {
        let mut y = xs[0].clone();
        let stays = self.band(&y.ty);
        for plane in y.data.chunks_exact_mut(stays.len().max(1)) {
            for (x, &stays) in plane.iter_mut().zip(&stays) {
                if !stays {
                    *x = T::from_f64(0.0);
                }
            }
        }
        vec![y]
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        let Some(ct) = cts[0].filter(|&ct| cx.g.ty(ct).dtype.is_float()) else {
            return Ok(vec![Cotangent::Zero]);
        };
        Ok(vec![cx.g.push(self.clone(), &[ct])?.into()])
    }

    fn decompose(
        &self,
        g: &mut Graph,
        xs: &Operands<'_, Value>,
    ) -> Result<Option<Results>, TypeError> {
        let is_truth = g.ty(xs[0]).dtype == DType::Bool;
        let x = if is_truth {
            support::elementwise::number_of(g, xs[0])?
        } else {
            xs[0]
        };
        let ty = g.ty(x).clone();
        let stays = self.band(&ty).into_iter();
        let stays: Vec<f64> = stays.map(|s| f64::from(u8::from(s))).collect();
        let plane = &ty.shape.dims()[ty.shape.rank() - 2..];
        let stays = Literal::from_f64(TensorType::new(ty.dtype, plane), &stays);
        let stays = g.constant(stays)?;
        let mut y = g.mul(x, stays)?;
        if is_truth {
            y = support::elementwise::truth_of(g, y)?;
        }
        Ok(Some(smallvec![y]))
    }

    fn samples() -> Vec<Sample<Self>> {
        let s = Fill::Signed;
        let op = |lower, upper| Self { lower, upper };
        let truth = (TensorType::new(DType::Bool, [4, 4]), Fill::Truth);
        vec![
            Sample::new(op(-1, 0), [support::f(&[3, 4], s)]),
            Sample::new(op(0, -1), [support::f(&[2, 3, 3], s)]),
            Sample::new(op(1, 2), [support::h(&[2, 7, 9], s)]),
            Sample::new(op(-1, 1), [truth]),
        ]
    }
}

impl BandPart {
    /// Whether an element stays, for every one of a matrix.
    fn band(&self, x: &TensorType) -> Vec<bool> {
        let [.., height, width] = x.shape.dims() else {
            return Vec::new();
        };
        let within = |distance: usize, most: i32| {
            usize::try_from(most).map_or(true, |most| distance <= most)
        };
        let stays = |m: usize, n: usize| {
            within(m.saturating_sub(n), self.lower) && within(n.saturating_sub(m), self.upper)
        };
        (0..*height)
            .flat_map(|m| (0..*width).map(move |n| stays(m, n)))
            .collect()
    }
}

impl Graph {
    /// `x` with zeros but on `lower` diagonals below the main one and `upper` above it, all where negative.
    ///
    /// # Errors
    /// When `x` is neither a number nor bool, or has fewer than two axes.
    pub fn band_part(&mut self, x: Value, lower: i32, upper: i32) -> Result<Value, TypeError> {
        self.push(BandPart { lower, upper }, &[x])
    }
}
