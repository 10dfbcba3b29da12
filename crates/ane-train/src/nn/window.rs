//! What convolutions and pools check alike: windows that slide over the spatial axes of x.

use super::positive;
use crate::model::{LayerError, ModelError};
use ane_ir::Shape;

/// Whether windows of `kernel` elements fit x [B, C, *D] with zeros around it.
pub(super) fn fits<const N: usize>(
    layer: &'static str,
    x: &Shape,
    kernel: &[usize; N],
    stride: &[usize; N],
    dilation: &[usize; N],
    padding: &[usize; N],
) -> Result<(), ModelError> {
    positive(layer, "kernel", kernel)?;
    positive(layer, "stride", stride)?;
    positive(layer, "dilation", dilation)?;
    for i in 0..N {
        let covered = dilation[i] * (kernel[i] - 1) + 1;
        let length = x.dims()[2 + i];
        if covered > length + 2 * padding[i] {
            return Err(LayerError::Kernel {
                layer,
                covered,
                length,
                padding: padding[i],
                found: x.clone(),
            }
            .into());
        }
    }
    Ok(())
}

/// A pool's padding is at most half of its kernel, so that every window sees an element.
pub(super) fn padding_of_pool<const N: usize>(
    layer: &'static str,
    kernel: &[usize; N],
    padding: &[usize; N],
) -> Result<(), ModelError> {
    for (&kernel, &padding) in kernel.iter().zip(padding) {
        if 2 * padding > kernel {
            return Err(LayerError::PoolPadding {
                layer,
                padding,
                kernel,
            }
            .into());
        }
    }
    Ok(())
}

/// A size as an attribute.
pub(super) fn int(size: usize) -> i32 {
    i32::try_from(size).unwrap_or(i32::MAX)
}

/// Sizes as an attribute.
pub(super) fn ints(sizes: &[usize]) -> Vec<i32> {
    sizes.iter().map(|&s| int(s)).collect()
}

/// The attribute `pad` of ops: before and after for every axis.
pub(super) fn both_sides(padding: &[usize]) -> Vec<i32> {
    padding.iter().flat_map(|&p| [int(p), int(p)]).collect()
}
