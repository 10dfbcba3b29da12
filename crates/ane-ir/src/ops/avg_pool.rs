//! `avg_pool`: mean of every window over one to three spatial axes.
//!
//! ```text
//! # Definition   Σ x / count over the window; count is of its elements with the padding, or without it where
//! #              exclude_padding_from_average; what ceil_mode adds beyond the padding never counts
//! # Operands     x: [N, C, *D] fp16 | fp32          # Result    [N, C, *D'], D' as of conv, or rounded up with ceil_mode
//! # Attributes   kernel_sizes; strides (1); pad_type: valid | custom | same | same_lower; pad: before and after for every
//! #              spatial axis, read where pad_type is custom; exclude_padding_from_average (false); ceil_mode (false):
//! #              a last window counts that is not filled but starts in the image
//! # Gradient     ct / count to every element of the window: conv_transpose by ones, a channel at a time
//! # Sources      coremltools iOS15 pool; PyTorch avg_pool2d, whose count_include_pad is the negation
//! ```

use super::{
    Fill, OpDef, Operand, Operands, ResultTypes, Sample, Tolerance, TypeError, attributes,
    conv::ConvDims,
    support::{
        self,
        pool::{self, PoolDims},
        reduce,
        window::{PadType, WindowAttributes},
    },
};
use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::{Graph, Value},
    numerics::Numerics,
    tensor::{Literal, Real, Tensor},
    types::{Shape, TensorType},
};

attributes! {
    /// Mean of every window over one to three spatial axes.
    AvgPool {
        /// Elements that a window covers on every spatial axis.
        kernel_sizes: Vec<i32>,
        /// Elements from one window to the next, for every spatial axis; 1 when left out.
        strides: Option<Vec<i32>>,
        /// How the image is padded.
        pad_type: PadType,
        /// Padding before and after every spatial axis, read where `pad_type` is custom.
        pad: Option<Vec<i32>>,
        /// Whether only elements of the image count.
        exclude_padding_from_average: bool = false,
        /// Whether a last window counts that is not filled.
        ceil_mode: bool = false,
    }
}

impl Default for AvgPool {
    /// Windows of one element with stride 1, without padding.
    fn default() -> Self {
        Self {
            kernel_sizes: Vec::new(),
            strides: None,
            pad_type: PadType::Valid,
            pad: None,
            exclude_padding_from_average: false,
            ceil_mode: false,
        }
    }
}

impl OpDef for AvgPool {
    const NAME: &'static str = "avg_pool";
    const OPERANDS: &'static [Operand] = &[Operand::required("x")];

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        pool::ty(xs[0], &self.dims(xs[0])?)
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, numerics: &Numerics) -> Vec<Tensor<T>> {
        let x = xs[0];
        let dims = self
            .dims(&x.ty)
            .expect("the node was typed when it was made");
        let counts = self.counts(&dims);
        pool::windows(x, &dims, |o, window| {
            let count = T::from_f64(counts[o] as f64);
            reduce::sum(&x.ty, window, numerics).div(count)
        })
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        let Some(ct) = cts[0] else {
            return Ok(vec![Cotangent::Zero]);
        };
        let x = cx.g.ty(cx.xs[0]).clone();
        let dims = self.dims(&x)?;
        let counts: Vec<f64> = self.counts(&dims).into_iter().map(|c| c as f64).collect();
        let counts = if counts.iter().all(|c| *c == counts[0]) {
            Literal::splat(TensorType::new(x.dtype, []), counts[0])
        } else {
            let lengths: Shape = dims.axes.iter().map(|a| a.output).collect();
            Literal::from_f64(TensorType::new(x.dtype, lengths), &counts)
        };
        let counts = cx.g.constant(counts)?;
        let share = cx.g.real_div(ct, counts)?;
        let kernel = dims.axes.iter().map(|a| a.kernel);
        let kernel: Shape = [dims.channels, 1].into_iter().chain(kernel).collect();
        let ones = Literal::splat(TensorType::new(x.dtype, kernel), 1.0);
        let ones = cx.g.constant(ones)?;
        let windows = ConvDims {
            batch: dims.batch,
            groups: dims.channels,
            inputs: 1,
            outputs: 1,
            axes: dims.axes,
        };
        Ok(vec![windows.transposed(cx.g, share, ones)?.into()])
    }

    fn samples() -> Vec<Sample<Self>> {
        let s = Fill::Signed;
        let custom = |strides: &[i32], pad: &[i32]| Self {
            strides: Some(strides.to_vec()),
            pad_type: PadType::Custom,
            pad: Some(pad.to_vec()),
            ..Self::default()
        };
        let with = |kernel_sizes: &[i32], op: Self, x| {
            let kernel_sizes = kernel_sizes.to_vec();
            Sample::new(Self { kernel_sizes, ..op }, [x])
        };
        vec![
            with(&[2], Self::default(), support::f(&[1, 2, 5], s)),
            with(
                &[2, 2],
                custom(&[2, 2], &[0; 4]),
                support::f(&[2, 1, 4, 4], s),
            ),
            with(
                &[3, 2],
                custom(&[2, 1], &[1, 1, 0, 1]),
                support::f(&[1, 2, 4, 3], s),
            ),
            with(
                &[3, 2],
                Self {
                    exclude_padding_from_average: true,
                    ..custom(&[2, 1], &[1, 1, 0, 1])
                },
                support::f(&[1, 2, 4, 3], s),
            ),
            // The last windows reach beyond the padding.
            with(
                &[3, 3],
                Self {
                    ceil_mode: true,
                    ..custom(&[2, 2], &[1, 1, 1, 1])
                },
                support::f(&[1, 1, 4, 6], s),
            ),
            with(
                &[2, 2],
                Self {
                    strides: Some(vec![2, 2]),
                    ceil_mode: true,
                    ..Self::default()
                },
                support::f(&[1, 1, 5, 3], s),
            ),
            with(
                &[3, 3],
                Self {
                    strides: Some(vec![2, 2]),
                    pad_type: PadType::Same,
                    ..Self::default()
                },
                support::f(&[1, 1, 4, 5], s),
            ),
            with(
                &[1, 2, 2],
                custom(&[1, 1, 2], &[0; 6]),
                support::f(&[1, 1, 2, 3, 4], s),
            ),
            with(&[8, 8], Self::default(), support::h(&[2, 5, 8, 8], s)),
            with(
                &[3, 3],
                Self {
                    pad_type: PadType::SameLower,
                    exclude_padding_from_average: true,
                    ..Self::default()
                },
                support::h(&[2, 3, 7, 34], s),
            ),
        ]
    }

    fn tolerance() -> Tolerance {
        Tolerance::Sum
    }
}

impl Graph {
    /// Mean of every window of `x`, [N, C, *D].
    ///
    /// # Errors
    /// When `x` is no floating-point image, the attributes do not fit it, or a window lies in the padding as a whole.
    pub fn avg_pool(&mut self, x: Value, op: AvgPool) -> Result<Value, TypeError> {
        self.push(op, &[x])
    }
}

impl AvgPool {
    /// Sizes of the pool over `x`.
    ///
    /// # Errors
    /// When the attributes do not fit `x`.
    pub fn dims(&self, x: &TensorType) -> Result<PoolDims, TypeError> {
        let attributes = WindowAttributes {
            op: Self::NAME,
            strides: &self.strides,
            dilations: &None,
            pad_type: self.pad_type,
            pad: &self.pad,
            ceil_mode: self.ceil_mode,
        };
        PoolDims::new(&attributes, &self.kernel_sizes, x)
    }

    /// By what the sum of every window of a plane is divided, in row-major order.
    pub fn counts(&self, dims: &PoolDims) -> Vec<usize> {
        let mut counts = vec![1];
        for axis in &dims.axes {
            let ceil_mode = self.ceil_mode;
            counts = counts
                .iter()
                .flat_map(|outer| {
                    (0..axis.output).map(move |o| {
                        let counted = if self.exclude_padding_from_average {
                            let inside =
                                (0..axis.kernel).filter(|&k| axis.position(o, k).is_some());
                            inside.count()
                        } else if ceil_mode {
                            // Padding is equal on both sides here; what lies beyond it is no padding.
                            let end = axis.input + 2 * axis.before;
                            axis.kernel.min(end - o * axis.stride)
                        } else {
                            axis.kernel
                        };
                        outer * counted
                    })
                })
                .collect();
        }
        counts
    }
}
