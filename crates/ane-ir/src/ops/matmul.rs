//! `matmul`: matrix product, leading axes broadcast.
//!
//! ```text
//! # Definition   z[…, i, j] = Σ_k x[…, i, k] · y[…, k, j]
//! # Operands     x: [*B, M, K], y: [*B, K, N] fp16 | fp32; last two axes swapped by the flags  # Result    [*B, M, N]
//! # Attributes   transpose_x, transpose_y
//! # Gradient     ct · yᵀ and xᵀ · ct, in the layout of the operand, summed over broadcast axes
//! # ANE          results beyond ±32752 become infinite (aneforge numeric-cliffs, M2 Pro, M5); accumulates in fp32
//! # Sources      coremltools iOS15 linear
//! ```

use super::{
    Fill, OpDef, Operand, Operands, ResultTypes, Sample, Tolerance, TypeError, attributes, support,
};
use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::{Graph, Value},
    numerics::Numerics,
    tensor::{Real, Tensor},
    types::{Shape, TensorType},
};

attributes! {
    /// Matrix product, leading axes broadcast.
    Matmul {
        /// Whether the last two axes of x are swapped.
        transpose_x: bool = false,
        /// Whether the last two axes of y are swapped.
        transpose_y: bool = false,
    }
}

impl OpDef for Matmul {
    const NAME: &'static str = "matmul";
    const OPERANDS: &'static [Operand] = &[Operand::required("x"), Operand::required("y")];

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        support::float(Self::NAME, "x", xs[0])?;
        let dims = self.dims(xs[0], xs[1])?;
        let mut shape = dims.batch.dims().to_vec();
        shape.extend([dims.m, dims.n]);
        support::one(TensorType {
            dtype: xs[0].dtype,
            shape: Shape::new(&shape),
        })
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, numerics: &Numerics) -> Vec<Tensor<T>> {
        let (x, y) = (xs[0], xs[1]);
        let d = self
            .dims(&x.ty, &y.ty)
            .expect("the node was typed when it was made");
        let mut shape = d.batch.dims().to_vec();
        shape.extend([d.m, d.n]);
        let ty = TensorType {
            dtype: x.ty.dtype,
            shape: Shape::new(&shape),
        };
        let mut data = Vec::with_capacity(ty.shape.numel());
        let leading = |t: &Tensor<T>| Shape::new(&t.ty.shape.dims()[..t.ty.shape.rank() - 2]);
        let (xi, xk) = if self.transpose_x { (1, d.m) } else { (d.k, 1) };
        let (yk, yj) = if self.transpose_y { (1, d.k) } else { (d.n, 1) };
        support::elementwise::walk(&d.batch, [&leading(x), &leading(y)], |[bx, by]| {
            let (x0, y0) = (bx * d.m * d.k, by * d.k * d.n);
            for i in 0..d.m {
                for j in 0..d.n {
                    let sum = (0..d.k).fold(T::from_f64(0.0), |acc, k| {
                        acc.add(x.data[x0 + i * xi + k * xk].mul(y.data[y0 + k * yk + j * yj]))
                    });
                    data.push(numerics.matmul_cliff(ty.dtype, sum));
                }
            }
        });
        vec![Tensor { ty, data }]
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        let Some(ct) = cts[0] else {
            return Ok(vec![Cotangent::Zero; 2]);
        };
        let (x, y) = (cx.xs[0], cx.xs[1]);
        let dx = if self.transpose_x {
            cx.g.matmul(y, ct, self.transpose_y, true)?
        } else {
            cx.g.matmul(ct, y, false, !self.transpose_y)?
        };
        let dy = if self.transpose_y {
            cx.g.matmul(ct, x, true, self.transpose_x)?
        } else {
            cx.g.matmul(x, ct, !self.transpose_x, false)?
        };
        Ok(vec![cx.unbroadcast(dx, 0)?, cx.unbroadcast(dy, 1)?])
    }

    fn samples() -> Vec<Sample<Self>> {
        let s = Fill::Signed;
        [
            (false, false, support::f(&[2, 3], s), support::f(&[3, 4], s)),
            (true, false, support::f(&[3, 2], s), support::f(&[3, 4], s)),
            (false, true, support::f(&[2, 3], s), support::f(&[4, 3], s)),
            (true, true, support::f(&[3, 2], s), support::f(&[4, 3], s)),
            (
                false,
                false,
                support::f(&[2, 2, 3], s),
                support::f(&[3, 2], s),
            ),
            (
                false,
                true,
                support::f(&[2, 1, 2, 3], s),
                support::f(&[2, 2, 3], s),
            ),
            (
                false,
                true,
                support::h(&[9, 65], s),
                support::h(&[35, 65], s),
            ),
            (
                true,
                false,
                support::h(&[40, 17], s),
                support::h(&[40, 70], s),
            ),
            (
                true,
                true,
                support::h(&[40, 17], s),
                support::h(&[9, 40], s),
            ),
            (
                false,
                false,
                support::h(&[2, 3, 7, 33], s),
                support::h(&[3, 33, 5], s),
            ),
            (
                false,
                false,
                support::h(&[1, 50], s),
                support::h(&[50, 34], s),
            ),
            (
                false,
                false,
                support::h(&[50, 34], s),
                support::h(&[34, 1], s),
            ),
        ]
        .into_iter()
        .map(|(transpose_x, transpose_y, x, y)| {
            Sample::new(
                Self {
                    transpose_x,
                    transpose_y,
                },
                [x, y],
            )
        })
        .collect()
    }

    fn tolerance() -> Tolerance {
        Tolerance::Sum
    }
}

impl Graph {
    /// Matrix product of the last two axes, which the flags swap first.
    ///
    /// # Errors
    /// When the operands are not floats of equal dtype, or their shapes do not fit.
    pub fn matmul(
        &mut self,
        x: Value,
        y: Value,
        transpose_x: bool,
        transpose_y: bool,
    ) -> Result<Value, TypeError> {
        self.push(
            Matmul {
                transpose_x,
                transpose_y,
            },
            &[x, y],
        )
    }
}

/// Sizes of a matrix product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatmulDims {
    /// Leading axes of the result.
    pub batch: Shape,
    /// Rows of the result.
    pub m: usize,
    /// Columns of the result.
    pub n: usize,
    /// Terms of each sum.
    pub k: usize,
}

impl Matmul {
    /// Sizes of the product of `x` and `y`.
    ///
    /// # Errors
    /// When they do not fit.
    pub fn dims(&self, x: &TensorType, y: &TensorType) -> Result<MatmulDims, TypeError> {
        let mismatch = |rule| TypeError::Mismatch {
            op: Self::NAME,
            x: x.clone(),
            y: y.clone(),
            rule,
        };
        if x.dtype != y.dtype {
            return Err(mismatch("dtypes must be equal"));
        }
        let ([bx @ .., x0, x1], [by @ .., y0, y1]) = (x.shape.dims(), y.shape.dims()) else {
            return Err(mismatch("both need at least two axes"));
        };
        let (m, kx) = if self.transpose_x {
            (*x1, *x0)
        } else {
            (*x0, *x1)
        };
        let (ky, n) = if self.transpose_y {
            (*y1, *y0)
        } else {
            (*y0, *y1)
        };
        if kx != ky {
            return Err(mismatch("the summed axes must have equal lengths"));
        }
        let batch = Shape::new(bx)
            .broadcast(&Shape::new(by))
            .ok_or_else(|| mismatch("leading axes must broadcast"))?;
        Ok(MatmulDims { batch, m, n, k: kx })
    }
}
