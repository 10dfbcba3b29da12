//! `conv`: convolution over one to three spatial axes.
//!
//! ```text
//! # Definition   y[n, o, p] = bias[o] + Σ_{c, k} x[n, c, p·stride + k·dilation − before] · weight[o, c, k], over the
//! #              channels c of the group of o; x is 0 outside its image
//! # Operands     x: [N, C, *D] fp16 | fp32; weight: [C', C / groups, *K] constant or not; bias: [C'], optional; one dtype
//! # Result       [N, C', *D'], D' = ⌊(D + before + after − (K − 1)·dilation − 1) / stride⌋ + 1
//! # Attributes   strides (1), dilations (1), groups (1), pad_type (valid): valid | custom | same | same_lower;
//! #              pad: before and after for every spatial axis, read where pad_type is custom
//! # Gradient     of x: conv_transpose of ct; of weight: conv of x by ct, batch and channels exchanged; of bias: Σ ct
//! # ANE          results beyond ±32752 become infinite, as of matmul, unless the window and the group hold one element
//! #              each (M1 to M5); weights that are not constant compile for N = 1 and dilation 1 (M1, M4, M5)
//! # Sources      coremltools iOS17 conv; PyTorch conv1d, conv2d, conv3d
//! ```

use super::{
    Fill, OpDef, Operand, Operands, ResultTypes, Sample, Tolerance, TypeError, attributes,
    conv_transpose::ConvTranspose,
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
    types::{Shape, TensorType},
};

attributes! {
    /// Convolution over one to three spatial axes.
    Conv {
        /// Elements from one window to the next, for every spatial axis; 1 when left out.
        strides: Option<Vec<i32>>,
        /// How the image is padded.
        pad_type: PadType = PadType::Valid,
        /// Padding before and after every spatial axis, read where `pad_type` is custom.
        pad: Option<Vec<i32>>,
        /// Elements from one element of a window to the next, for every spatial axis; 1 when left out.
        dilations: Option<Vec<i32>>,
        /// Blocks of channels that do not see each other.
        groups: i32 = 1,
    }
}

impl Default for Conv {
    /// Stride 1 without padding, dilation and groups.
    fn default() -> Self {
        Self {
            strides: None,
            pad_type: PadType::Valid,
            pad: None,
            dilations: None,
            groups: 1,
        }
    }
}

impl OpDef for Conv {
    const NAME: &'static str = "conv";
    const OPERANDS: &'static [Operand] = &[
        Operand::required("x"),
        Operand::required("weight"),
        Operand::optional("bias"),
    ];

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        let dims = self.dims(xs[0], xs[1])?;
        let channels = dims.groups * dims.outputs;
        check_bias(Self::NAME, channels, xs.optional("bias"), xs[1])?;
        support::one(TensorType {
            dtype: xs[0].dtype,
            shape: dims.windows(),
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
            shape: d.windows(),
        };
        let mut data = Vec::with_capacity(ty.shape.numel());
        for n in 0..d.batch {
            for o in 0..d.groups * d.outputs {
                let first = n * d.groups * d.inputs + o / d.outputs * d.inputs;
                for window in &taps {
                    let mut sum = T::from_f64(0.0);
                    for c in 0..d.inputs {
                        let (x0, w0) = ((first + c) * plane, (o * d.inputs + c) * kernel);
                        for &(at, place) in window {
                            sum = sum.add(x.data[x0 + at].mul(weight.data[w0 + place]));
                        }
                    }
                    let sum = bias.map_or(sum, |b| sum.add(b.data[o]));
                    data.push(numerics.matmul_cliff(ty.dtype, sum));
                }
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
            d.transposed(cx.g, ct, weight)?.into(),
            d.weight_gradient(cx.g, x, ct)?.into(),
        ];
        if cx.xs.optional("bias").is_some() {
            grads.push(bias_gradient(cx.g, ct)?.into());
        }
        Ok(grads)
    }

    fn samples() -> Vec<Sample<Self>> {
        let s = Fill::Signed;
        let f = |shape: &[usize]| support::f(shape, s);
        let h = |shape: &[usize]| support::h(shape, s);
        let plain = Self::default;
        vec![
            Sample::new(plain(), [f(&[1, 2, 4]), f(&[3, 2, 2]), f(&[3])]),
            Sample::new(
                Self {
                    strides: Some(vec![2, 1]),
                    pad_type: PadType::Custom,
                    pad: Some(vec![1, 0, 0, 2]),
                    ..plain()
                },
                [f(&[1, 2, 4, 4]), f(&[2, 2, 3, 2])],
            ),
            // The last row and column are covered by no window.
            Sample::new(
                Self {
                    strides: Some(vec![3, 3]),
                    ..plain()
                },
                [f(&[2, 1, 4, 5]), f(&[2, 1, 2, 2]), f(&[2])],
            ),
            Sample::new(
                Self {
                    strides: Some(vec![2, 1]),
                    pad_type: PadType::Custom,
                    pad: Some(vec![1, 1, 0, 1]),
                    dilations: Some(vec![1, 2]),
                    groups: 2,
                },
                [f(&[1, 4, 3, 3]), f(&[6, 2, 2, 1]), f(&[6])],
            ),
            Sample::new(
                Self {
                    pad_type: PadType::Same,
                    strides: Some(vec![2, 2]),
                    groups: 2,
                    ..plain()
                },
                [f(&[2, 2, 3, 3]), f(&[2, 1, 2, 2])],
            ),
            Sample::new(
                Self {
                    pad_type: PadType::SameLower,
                    dilations: Some(vec![3]),
                    ..plain()
                },
                [f(&[2, 2, 5]), f(&[2, 2, 2])],
            ),
            Sample::new(
                Self {
                    strides: Some(vec![1, 2, 1]),
                    ..plain()
                },
                [f(&[1, 1, 2, 4, 3]), f(&[2, 1, 2, 2, 2])],
            ),
            Sample::new(
                Self {
                    strides: Some(vec![2, 2]),
                    pad_type: PadType::Custom,
                    pad: Some(vec![1, 1, 1, 1]),
                    dilations: Some(vec![1, 1]),
                    groups: 1,
                },
                [h(&[2, 3, 9, 10]), h(&[5, 3, 3, 3]), h(&[5])],
            ),
            Sample::new(
                Self {
                    pad_type: PadType::Same,
                    groups: 7,
                    ..plain()
                },
                [h(&[3, 7, 6, 33]), h(&[14, 1, 3, 3])],
            ),
            Sample::new(plain(), [h(&[2, 33, 17]), h(&[6, 33, 1]), h(&[6])]),
        ]
    }

    fn tolerance() -> Tolerance {
        Tolerance::Sum
    }
}

impl Graph {
    /// Convolution of `x`, [N, C, *D], by `weight`, [C', C / groups, *K], plus `bias`, [C'], for every output channel.
    ///
    /// # Errors
    /// When the operands are not floats of equal dtype, or shapes and attributes do not fit each other.
    pub fn conv(
        &mut self,
        x: Value,
        weight: Value,
        bias: Option<Value>,
        op: Conv,
    ) -> Result<Value, TypeError> {
        let results = self.push_arguments(op, &[x.into(), weight.into(), bias.into()])?;
        Ok(results[0])
    }
}

/// Sizes of a convolution, or of the convolution that a `conv_transpose` transposes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConvDims {
    /// Images.
    pub batch: usize,
    /// Blocks of channels that do not see each other.
    pub groups: usize,
    /// Channels of the image in each group.
    pub inputs: usize,
    /// Channels of the windows in each group.
    pub outputs: usize,
    /// The windows on every spatial axis.
    pub axes: Vec<WindowAxis>,
}

impl Conv {
    /// Sizes of the convolution of `x` by `weight`.
    ///
    /// # Errors
    /// When they do not fit each other or the attributes.
    pub fn dims(&self, x: &TensorType, weight: &TensorType) -> Result<ConvDims, TypeError> {
        let mismatch = |rule| TypeError::Mismatch {
            op: Self::NAME,
            x: x.clone(),
            y: weight.clone(),
            rule,
        };
        let input = window::spatial(Self::NAME, "x", x)?;
        let kernel = window::spatial(Self::NAME, "weight", weight)?;
        if x.dtype != weight.dtype {
            return Err(mismatch("dtypes must be equal"));
        }
        if input.len() != kernel.len() {
            return Err(mismatch(
                "image and weight must have equally many spatial axes",
            ));
        }
        let (channels, outputs) = (x.shape.dims()[1], weight.shape.dims()[0]);
        let groups = groups(Self::NAME, self.groups, channels, outputs)?;
        let inputs = channels / groups;
        if weight.shape.dims()[1] != inputs {
            return Err(mismatch(
                "the second axis of the weight must be the channels of the image divided by groups",
            ));
        }
        let windows = WindowAttributes {
            op: Self::NAME,
            strides: &self.strides,
            dilations: &self.dilations,
            pad_type: self.pad_type,
            pad: &self.pad,
            ceil_mode: false,
        };
        Ok(ConvDims {
            batch: x.shape.dims()[0],
            groups,
            inputs,
            outputs: outputs / groups,
            axes: windows.over(input, kernel)?,
        })
    }
}

/// The attribute `groups`, when it divides both numbers of channels.
pub(super) fn groups(
    op: &'static str,
    groups: i32,
    inputs: usize,
    outputs: usize,
) -> Result<usize, TypeError> {
    usize::try_from(groups)
        .ok()
        .filter(|&g| g > 0 && inputs.is_multiple_of(g) && outputs.is_multiple_of(g))
        .ok_or_else(|| {
            let expected = format!("a divisor of {inputs} input and {outputs} output channels");
            support::attribute(op, "groups", expected, groups)
        })
}

/// Refuses a bias that is not one value for every channel of the result, of the dtype of the weight.
pub(super) fn check_bias(
    op: &'static str,
    channels: usize,
    bias: Option<&TensorType>,
    weight: &TensorType,
) -> Result<(), TypeError> {
    let expected = TensorType::new(weight.dtype, [channels]);
    match bias {
        Some(bias) if *bias != expected => Err(support::operand_type(
            op,
            "bias",
            &expected.to_string(),
            bias,
        )),
        _ => Ok(()),
    }
}

/// The gradient of a bias over the channels of what `ct` is the cotangent of.
pub(super) fn bias_gradient(g: &mut Graph, ct: Value) -> Result<Value, TypeError> {
    let rank = g.ty(ct).shape.rank();
    let axes: Vec<i32> = window::ints((0..rank).filter(|&axis| axis != 1));
    g.reduce_sum(ct, &axes, false)
}

impl ConvDims {
    /// Elements of a channel of the image.
    pub fn plane(&self) -> usize {
        self.axes.iter().map(|a| a.input).product()
    }

    /// Windows in an image.
    pub fn positions(&self) -> usize {
        self.axes.iter().map(|a| a.output).product()
    }

    /// Elements of a window in a channel.
    pub fn kernel(&self) -> usize {
        self.axes.iter().map(|a| a.kernel).product()
    }

    /// Shape of the image.
    pub fn image(&self) -> Shape {
        let lengths = self.axes.iter().map(|a| a.input);
        window::image(self.batch, self.groups * self.inputs, lengths)
    }

    /// Shape of the result: one element for every window.
    pub fn windows(&self) -> Shape {
        let lengths = self.axes.iter().map(|a| a.output);
        window::image(self.batch, self.groups * self.outputs, lengths)
    }

    /// The attribute `strides`.
    pub(super) fn strides(&self) -> Option<Vec<i32>> {
        Some(window::ints(self.axes.iter().map(|a| a.stride)))
    }

    /// The attribute `dilations`.
    pub(super) fn dilations(&self) -> Option<Vec<i32>> {
        Some(window::ints(self.axes.iter().map(|a| a.dilation)))
    }

    /// The attribute `pad`.
    pub(super) fn pad(&self) -> Option<Vec<i32>> {
        let pad = self.axes.iter().flat_map(|a| [a.before, a.after]);
        Some(window::ints(pad))
    }

    /// The attribute `groups`.
    pub(super) fn groups(&self) -> i32 {
        i32::try_from(self.groups).unwrap_or(i32::MAX)
    }

    /// The convolution with these sizes and explicit padding, of an image by `weight`.
    pub(super) fn convolved(
        &self,
        g: &mut Graph,
        image: Value,
        weight: Value,
    ) -> Result<Value, TypeError> {
        let op = Conv {
            strides: self.strides(),
            pad_type: PadType::Custom,
            pad: self.pad(),
            dilations: self.dilations(),
            groups: self.groups(),
        };
        g.conv(image, weight, None, op)
    }

    /// The transpose of [`ConvDims::convolved`]: from one element for every window to an image.
    pub(super) fn transposed(
        &self,
        g: &mut Graph,
        windows: Value,
        weight: Value,
    ) -> Result<Value, TypeError> {
        let op = ConvTranspose {
            pad: self.pad(),
            output_shape: Some(window::ints(self.image().dims().iter().copied())),
            pad_type: PadType::Custom,
            strides: self.strides(),
            dilations: self.dilations(),
            groups: self.groups(),
        };
        g.conv_transpose(windows, weight, None, op)
    }

    /// The gradient of the weight, Σ_{n, p} windows[n, o, p] · image[n, c, p·stride + k·dilation − before]: a
    /// convolution whose weight is `windows`. Batch and channels are exchanged, and so are stride and dilation.
    ///
    /// The image is read as [C / groups, groups · N, *D], the weight as [C', N, *D'], the result [C / groups, C', *K] is
    /// exchanged back. Where the windows leave a rest of the image uncovered, the result has more than K elements and is
    /// cut.
    pub fn weight_gradient(
        &self,
        g: &mut Graph,
        image: Value,
        windows: Value,
    ) -> Result<Value, TypeError> {
        let lengths: Vec<usize> = self.axes.iter().map(|a| a.input).collect();
        let exchanged = exchange(self.axes.len());
        let image = if self.groups == 1 {
            g.transpose(image, &exchanged)?
        } else {
            let split = [self.batch, self.groups, self.inputs, self.plane()];
            let blocks = g.reshape(image, &split.into())?;
            let blocks = g.transpose(blocks, &[2, 1, 0, 3])?;
            let shape = window::image(
                self.inputs,
                self.groups * self.batch,
                lengths.iter().copied(),
            );
            g.reshape(blocks, &shape)?
        };
        let weight = g.transpose(windows, &exchanged)?;
        let op = Conv {
            strides: self.dilations(),
            pad_type: PadType::Custom,
            pad: Some(window::ints(self.axes.iter().flat_map(|a| {
                let covered = (a.output - 1) * a.stride + a.extent();
                [a.before, covered.saturating_sub(a.input + a.before)]
            }))),
            dilations: self.strides(),
            groups: self.groups(),
        };
        let mut gradient = g.conv(image, weight, None, op)?;
        let kernel = self.axes.iter().map(|a| a.kernel);
        let size = window::image(self.inputs, self.groups * self.outputs, kernel);
        if g.ty(gradient).shape != size {
            let begin = vec![0; size.rank()];
            let size = window::ints(size.dims().iter().copied());
            gradient = g.slice_by_size(gradient, &begin, &size)?;
        }
        g.transpose(gradient, &exchanged)
    }
}

/// The permutation that exchanges the first two of two and `spatial` axes.
fn exchange(spatial: usize) -> Vec<i32> {
    [1, 0]
        .into_iter()
        .chain(window::ints(2..2 + spatial))
        .collect()
}
