//! Windows of convolutions and pools by Keras's settings.

use crate::keras::run::Run;
use crate::keras::{
    error::KerasError,
    run::{Layer, fits, int},
    settings::wrong,
};
use ane_ir::Value;
use ane_train::model::{Init, Tags};

/// The windows that slide over an image.
#[derive(Debug, Clone)]
pub(super) struct Windows {
    /// Elements that a window covers, per axis.
    pub(super) kernel: Vec<usize>,
    /// From one window to the next.
    pub(super) strides: Vec<usize>,
    /// From one element of a window to the next.
    pub(super) dilations: Vec<usize>,
    padding: Padding,
}

/// What `padding` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Padding {
    /// None.
    Valid,
    /// As much as gives ⌈length / stride⌉ windows; an odd element goes after.
    Same,
    /// All before, so that no window sees what comes after it.
    Causal,
}

impl Windows {
    /// Reads the settings; `kernel` is how the layer calls the size of its windows.
    pub(super) fn read(layer: &Layer<'_>, kernel: &str) -> Result<Self, KerasError> {
        let n = layer.axes();
        let s = &layer.settings;
        let sizes = s.sizes(kernel, n, 1)?;
        let kernel = sizes.ok_or_else(|| KerasError::Missing {
            place: Box::default(),
            key: kernel.to_owned(),
        })?;
        Ok(Self {
            strides: s.sizes("strides", n, 1)?.unwrap_or_else(|| vec![1; n]),
            dilations: s
                .sizes("dilation_rate", n, 1)?
                .unwrap_or_else(|| vec![1; n]),
            padding: padding(layer)?,
            kernel,
        })
    }

    /// The attribute `pad` over an image [B, C, …]: before and after for every axis.
    pub(super) fn pad(&self, image: &[usize]) -> Result<Vec<i32>, KerasError> {
        let mut pad = Vec::new();
        for (i, &length) in image[2..].iter().enumerate() {
            let stride = self.strides[i];
            let extent = self.extent(i)?;
            let (before, after) = match self.padding {
                Padding::Valid => (0, 0),
                Padding::Causal => (extent - 1, 0),
                Padding::Same => {
                    let windows = length.div_ceil(stride);
                    let all = ((windows - 1) * stride + extent).saturating_sub(length);
                    (all / 2, all - all / 2)
                }
            };
            if extent > length + before + after {
                let expected = format!("an image of at least {extent} along spatial axis {i}");
                return Err(KerasError::input(expected, length));
            }
            pad.extend([int(before), int(after)]);
        }
        Ok(pad)
    }

    /// Elements from the first of a window to its last along an axis.
    pub(super) fn extent(&self, axis: usize) -> Result<usize, KerasError> {
        let extent = self.dilations[axis] * (self.kernel[axis] - 1) + 1;
        fits(&[extent, 1 << 8], "a window")?;
        Ok(extent)
    }

    /// Whether there is `padding="same"`.
    pub(super) fn same(&self) -> bool {
        self.padding == Padding::Same
    }
}

fn padding(layer: &Layer<'_>) -> Result<Padding, KerasError> {
    match layer.settings.text("padding", "valid")? {
        "valid" => Ok(Padding::Valid),
        "same" => Ok(Padding::Same),
        "causal" if layer.axes() == 1 => Ok(Padding::Causal),
        other => Err(wrong("padding", "valid or same", other)),
    }
}

/// The weight `bias` of a layer that has one.
pub(super) fn bias(
    run: &mut Run<'_>,
    layer: &Layer<'_>,
    channels: usize,
) -> Result<Option<Value>, KerasError> {
    if !layer.has("bias") {
        return Ok(None);
    }
    let bias = run.weight(layer, "bias", &[channels], Init::Constant(0.0), Tags::BIAS)?;
    Ok(Some(bias))
}

/// A kernel [*K, a, b] as the graph has it, [b, a, *K].
pub(super) fn turned(run: &mut Run<'_>, kernel: Value, axes: usize) -> Result<Value, KerasError> {
    let mut order = vec![int(axes + 1), int(axes)];
    order.extend((0..axes).map(int));
    run.transpose(kernel, &order)
}
