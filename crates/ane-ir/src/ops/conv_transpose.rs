//! `conv_transpose`: the transpose of a convolution over one to three spatial axes, its gradient with respect to the image.
//!
//! ```text
//! # Definition   y[n, c, q] = bias[c] + Σ_{o, p, k: p·stride + k·dilation − before = q} x[n, o, p] · weight[o, c, k], over
//! #              the channels o of the group of c
//! # Operands     x: [N, C, *D] fp16 | fp32; weight: [C, C' / groups, *K] constant or not; bias: [C'], optional; one dtype
//! # Result       [N, C', *D'], or output_shape. D' is D·stride where pad_type is same, otherwise
//! #              (D − 1)·stride + (K − 1)·dilation + 1 − before − after
//! # Attributes   pad: before and after for every spatial axis, read where pad_type is custom; output_shape: any from
//! #              which conv with these attributes makes *D; pad_type (valid): valid | custom | same; strides (1),
//! #              dilations (1), groups (1)
//! # Gradient     of x: conv of ct; of weight: conv of ct by x, batch and channels exchanged; of bias: Σ ct
//! # ANE          results beyond ±32752 become infinite, as of matmul
//! # Sources      coremltools iOS17 conv; PyTorch conv_transpose2d, whose output_padding is output_shape here
//! ```

use super::{
    Fill, OpDef, Operand, Operands, ResultTypes, Sample, Tolerance, TypeError, attributes,
    conv::{self, ConvDims},
    support::{
        self,
        window::{self, PadType, WindowAttributes, WindowAxis},
    },
};
use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::{Graph, Value},
    numerics::Numerics,
    tensor::{Real, Tensor},
    types::TensorType,
};

attributes! {
    /// The transpose of a convolution over one to three spatial axes.
    ConvTranspose {
        /// Padding before and after every spatial axis of the result, read where `pad_type` is custom.
        pad: Option<Vec<i32>>,
        /// Shape of the result, where the others leave it open.
        output_shape: Option<Vec<i32>>,
        /// How the result is padded.
        pad_type: PadType = PadType::Valid,
        /// Elements from one window to the next, for every spatial axis; 1 when left out.
        strides: Option<Vec<i32>>,
        /// Elements from one element of a window to the next, for every spatial axis; 1 when left out.
        dilations: Option<Vec<i32>>,
        /// Blocks of channels that do not see each other.
        groups: i32 = 1,
    }
}

impl Default for ConvTranspose {
    /// Stride 1 without padding, dilation and groups.
    fn default() -> Self {
        Self {
            pad: None,
            output_shape: None,
            pad_type: PadType::Valid,
            strides: None,
            dilations: None,
            groups: 1,
        }
    }
}

impl OpDef for ConvTranspose {
    const NAME: &'static str = "conv_transpose";
    const OPERANDS: &'static [Operand] = &[
        Operand::required("x"),
        Operand::required("weight"),
        Operand::optional("bias"),
    ];

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        let dims = self.dims(xs[0], xs[1])?;
        let channels = dims.groups * dims.inputs;
        conv::check_bias(Self::NAME, channels, xs.optional("bias"), xs[1])?;
        support::one(TensorType {
            dtype: xs[0].dtype,
            shape: dims.image(),
        })
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, numerics: &Numerics) -> Vec<Tensor<T>> {
        let (x, weight) = (xs[0], xs[1]);
        let d = self
            .dims(&x.ty, &weight.ty)
            .expect("the node was typed when it was made");
        let bias = xs.optional("bias");
        let taps = window::taps(&d.axes);
        let (plane, kernel) = (d.plane(), d.kernel());
        let ty = TensorType {
            dtype: x.ty.dtype,
            shape: d.image(),
        };
        let mut data = Vec::with_capacity(ty.shape.numel());
        for n in 0..d.batch {
            for c in 0..d.groups * d.inputs {
                let (group, channel) = (c / d.inputs, c % d.inputs);
                let mut sums = vec![T::from_f64(0.0); plane];
                for o in group * d.outputs..(group + 1) * d.outputs {
                    let x0 = (n * d.groups * d.outputs + o) * taps.len();
                    let w0 = (o * d.inputs + channel) * kernel;
                    for (p, window) in taps.iter().enumerate() {
                        for &(at, place) in window {
                            let term = x.data[x0 + p].mul(weight.data[w0 + place]);
                            sums[at] = sums[at].add(term);
                        }
                    }
                }
                data.extend(sums.into_iter().map(|sum| {
                    let sum = bias.map_or(sum, |b| sum.add(b.data[c]));
                    numerics.matmul_cliff(ty.dtype, sum)
                }));
            }
        }
        vec![Tensor { ty, data }]
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        let Some(ct) = cts[0] else {
            return Ok(vec![Cotangent::Zero; cx.xs.len()]);
        };
        let (x, weight) = (cx.xs[0], cx.xs[1]);
        let d = self.dims(cx.g.ty(x), cx.g.ty(weight))?;
        let mut grads = vec![
            d.convolved(cx.g, ct, weight)?.into(),
            d.weight_gradient(cx.g, ct, x)?.into(),
        ];
        if cx.xs.optional("bias").is_some() {
            grads.push(conv::bias_gradient(cx.g, ct)?.into());
        }
        Ok(grads)
    }

    fn samples() -> Vec<Sample<Self>> {
        let s = Fill::Signed;
        let f = |shape: &[usize]| support::f(shape, s);
        let h = |shape: &[usize]| support::h(shape, s);
        let plain = Self::default;
        vec![
            Sample::new(plain(), [f(&[1, 2, 3]), f(&[2, 3, 2]), f(&[3])]),
            Sample::new(
                Self {
                    strides: Some(vec![2, 1]),
                    pad_type: PadType::Custom,
                    pad: Some(vec![1, 0, 0, 1]),
                    ..plain()
                },
                [f(&[2, 2, 2, 3]), f(&[2, 2, 3, 2])],
            ),
            // A row and a column more than the windows reach.
            Sample::new(
                Self {
                    strides: Some(vec![3, 2]),
                    output_shape: Some(vec![1, 1, 6, 6]),
                    ..plain()
                },
                [f(&[1, 2, 2, 2]), f(&[2, 1, 2, 3]), f(&[1])],
            ),
            Sample::new(
                Self {
                    strides: Some(vec![2, 2]),
                    pad_type: PadType::Custom,
                    pad: Some(vec![1, 1, 0, 1]),
                    dilations: Some(vec![1, 2]),
                    output_shape: Some(vec![1, 4, 4, 5]),
                    groups: 2,
                },
                [f(&[1, 4, 2, 2]), f(&[4, 2, 3, 2]), f(&[4])],
            ),
            Sample::new(
                Self {
                    pad_type: PadType::Same,
                    strides: Some(vec![2]),
                    groups: 3,
                    ..plain()
                },
                [f(&[2, 3, 3]), f(&[3, 1, 3])],
            ),
            Sample::new(
                Self {
                    strides: Some(vec![1, 2, 1]),
                    ..plain()
                },
                [f(&[1, 2, 2, 2, 1]), f(&[2, 1, 2, 1, 2])],
            ),
            Sample::new(
                Self {
                    strides: Some(vec![2, 2]),
                    pad_type: PadType::Custom,
                    pad: Some(vec![1, 1, 1, 1]),
                    output_shape: Some(vec![2, 3, 10, 9]),
                    ..plain()
                },
                [h(&[2, 5, 5, 5]), h(&[5, 3, 3, 3]), h(&[3])],
            ),
            Sample::new(
                Self {
                    groups: 4,
                    ..plain()
                },
                [h(&[3, 4, 5, 32]), h(&[4, 2, 2, 3])],
            ),
        ]
    }

    fn tolerance() -> Tolerance {
        Tolerance::Sum
    }
}

impl Graph {
    /// The transpose of the convolution by `weight`, [C, C' / groups, *K], of `x`, [N, C, *D], plus `bias`, [C'].
    ///
    /// # Errors
    /// When the operands are not floats of equal dtype, or shapes and attributes do not fit each other.
    pub fn conv_transpose(
        &mut self,
        x: Value,
        weight: Value,
        bias: Option<Value>,
        op: ConvTranspose,
    ) -> Result<Value, TypeError> {
        let results = self.push_arguments(op, &[x.into(), weight.into(), bias.into()])?;
        Ok(results[0])
    }
}

impl ConvTranspose {
    /// Sizes of the convolution by `weight` that makes `x` of the result: its image is the result, its windows are `x`.
    ///
    /// # Errors
    /// When operands and attributes do not fit each other.
    pub fn dims(&self, x: &TensorType, weight: &TensorType) -> Result<ConvDims, TypeError> {
        let mismatch = |rule| TypeError::Mismatch {
            op: Self::NAME,
            x: x.clone(),
            y: weight.clone(),
            rule,
        };
        let windows = window::spatial(Self::NAME, "x", x)?;
        let kernel = window::spatial(Self::NAME, "weight", weight)?;
        if x.dtype != weight.dtype {
            return Err(mismatch("dtypes must be equal"));
        }
        if windows.len() != kernel.len() {
            return Err(mismatch("x and weight must have equally many spatial axes"));
        }
        let (batch, channels) = (x.shape.dims()[0], x.shape.dims()[1]);
        if weight.shape.dims()[0] != channels {
            return Err(mismatch(
                "the first axis of the weight must be the channels of x",
            ));
        }
        let groups = conv::groups(Self::NAME, self.groups, channels, channels)?;
        let inputs = weight.shape.dims()[1];
        let attributes = WindowAttributes {
            op: Self::NAME,
            strides: &self.strides,
            dilations: &self.dilations,
            pad_type: self.pad_type,
            pad: &self.pad,
            ceil_mode: false,
        };
        if self.pad_type == PadType::SameLower {
            let expected = "valid, custom or same";
            return Err(support::attribute(
                Self::NAME,
                "pad_type",
                expected,
                "same_lower",
            ));
        }
        let dims = |axes: Vec<WindowAxis>| ConvDims {
            batch,
            groups,
            inputs,
            outputs: channels / groups,
            axes,
        };
        let Some(given) = &self.output_shape else {
            let image = attributes.covered(windows, kernel)?;
            return Ok(dims(attributes.over(&image, kernel)?));
        };
        let refused = |expected: String| {
            support::attribute(Self::NAME, "output_shape", expected, format!("{given:?}"))
        };
        let lengths: Option<Vec<usize>> = given
            .iter()
            .map(|&l| usize::try_from(l).ok().filter(|&l| l > 0))
            .collect();
        let image = match lengths.as_deref() {
            Some([n, c, image @ ..])
                if (*n, *c) == (batch, groups * inputs) && image.len() == windows.len() =>
            {
                image
            }
            _ => {
                return Err(refused(format!(
                    "[{batch}, {}, …] with {} spatial lengths",
                    groups * inputs,
                    windows.len()
                )));
            }
        };
        let axes = attributes.over(image, kernel)?;
        if axes.iter().map(|a| a.output).ne(windows.iter().copied()) {
            let found: Vec<usize> = axes.iter().map(|a| a.output).collect();
            return Err(refused(format!(
                "a shape from which conv with these attributes makes the spatial lengths {windows:?} of x, not {found:?}"
            )));
        }
        Ok(dims(axes))
    }
}
