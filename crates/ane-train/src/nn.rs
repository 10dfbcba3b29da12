//! Layers with PyTorch's names, defaults and initial values, one file each.
//!
//! A layer is a value that says what it is; [`Layer::forward`] applies it to a value of the graph being built. The
//! builder gives it its path, its parameters and what else it asks for.

mod activation;
mod adaptive_avg_pool;
mod attention;
mod batch_norm;
mod concat;
mod conv;
mod conv_transpose;
mod dropout;
mod embedding;
mod flatten;
mod group_norm;
mod layer_norm;
mod linear;
mod pool;
mod residual;
mod rms_norm;
mod rope;
mod rows;
mod sequential;
mod window;

pub use activation::Activation;
pub use adaptive_avg_pool::AdaptiveAvgPool2d;
pub use attention::{HIDDEN, Heads, attend, causal_mask, merge_heads, split_heads};
pub use batch_norm::{BatchNorm, BatchNorm1d, BatchNorm2d, RunningStatistics};
pub use concat::Concat;
pub use conv::{Conv, Conv1d, Conv2d};
pub use conv_transpose::ConvTranspose2d;
pub use dropout::Dropout;
pub use embedding::{Embedding, look_up};
pub use flatten::Flatten;
pub use group_norm::GroupNorm;
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub use pool::{AvgPool2d, MaxPool2d};
pub use residual::Residual;
pub use rms_norm::RmsNorm;
pub use rope::{Rope, angles};
pub use rows::{Rows, reciprocal_root};
pub use sequential::Sequential;

/// What all of them are; models know it, and no layer.
pub use crate::model::Layer;

use crate::model::{Builder, Init, LayerError, ModelError, Tags};
use ane_ir::{Shape, Value};

/// Sizes along `N` spatial axes; a single number means the same for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PerAxis<const N: usize>(pub [usize; N]);

impl<const N: usize> From<usize> for PerAxis<N> {
    fn from(size: usize) -> Self {
        Self([size; N])
    }
}

impl<const N: usize> From<[usize; N]> for PerAxis<N> {
    fn from(sizes: [usize; N]) -> Self {
        Self(sizes)
    }
}

/// Whether x is [B, C, *D] with `N` spatial axes D.
fn image<const N: usize>(layer: &'static str, x: &Shape) -> Result<(), LayerError> {
    if x.rank() == N + 2 {
        return Ok(());
    }
    Err(LayerError::Rank {
        layer,
        expected: ["[B, C]", "[B, C, L]", "[B, C, H, W]"][N.min(2)],
        found: x.clone(),
    })
}

/// Whether x is [B, channels, *D] with `N` spatial axes D.
fn channels<const N: usize>(
    layer: &'static str,
    x: &Shape,
    channels: usize,
) -> Result<(), LayerError> {
    image::<N>(layer, x)?;
    if x.dims()[1] == channels {
        return Ok(());
    }
    Err(LayerError::Features {
        layer,
        what: "channels",
        expected: channels,
        found: x.clone(),
    })
}

/// Whether sizes are at least 1.
fn positive(layer: &'static str, setting: &'static str, sizes: &[usize]) -> Result<(), LayerError> {
    if sizes.contains(&0) {
        return Err(LayerError::Zero { layer, setting });
    }
    Ok(())
}

/// Whether blocks of channels that do not see each other divide both ends of a layer.
fn groups(
    layer: &'static str,
    groups: usize,
    inputs: usize,
    outputs: usize,
) -> Result<(), LayerError> {
    positive(layer, "groups", &[groups])?;
    if inputs.is_multiple_of(groups) && outputs.is_multiple_of(groups) {
        return Ok(());
    }
    Err(LayerError::Groups {
        layer,
        groups,
        inputs,
        outputs,
    })
}

/// The parameter `bias` of a layer that has one.
fn bias(
    cx: &mut Builder,
    wanted: bool,
    outputs: usize,
    init: Init,
) -> Result<Option<Value>, ModelError> {
    wanted
        .then(|| cx.parameter("bias", [outputs], init, Tags::BIAS))
        .transpose()
}

/// A value per channel as [1, C, 1, …], to meet x of this rank.
fn along_channels(cx: &mut Builder, v: Value, rank: usize) -> Result<Value, ModelError> {
    let mut dims = vec![1; rank];
    dims[1] = cx.shape(v).numel();
    Ok(cx.graph().reshape(v, &Shape::new(&dims))?)
}

#[cfg(test)]
mod tests;
