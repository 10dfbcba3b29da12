//! Statistics over the rows of a batch that exist.

use crate::model::{Builder, ModelError};
use ane_ir::{Graph, Shape, TypeError, Value};

/// The rows of a batch that exist.
#[derive(Debug, Clone, Copy)]
pub struct Rows {
    /// [B, 1, …]: 2⁻ᵏ for a row that exists, 0 for padding.
    share: Value,
    /// Σ share, [1, 1, …].
    total: Value,
}

impl Rows {
    /// Of a batch of x of this rank.
    ///
    /// # Errors
    /// When an input of the model has the name of the port that says which rows exist.
    pub fn new(cx: &mut Builder, rank: usize) -> Result<Self, ModelError> {
        let batch = cx.batch();
        let present = cx.present()?;
        let mut dims = vec![1; rank];
        dims[0] = batch;
        let mut share = cx.graph().reshape(present, &Shape::new(&dims))?;
        // A sum over many rows is kept below 16 times its largest term. A power of two changes no digit.
        let shrink = batch.next_power_of_two() / 16;
        if shrink > 1 {
            let factor = cx.scalar(1.0 / shrink as f64)?;
            share = cx.graph().mul(share, factor)?;
        }
        let total = cx.graph().reduce_sum(share, &[0], true)?;
        Ok(Self { share, total })
    }

    /// Mean of x [B, …] over everything but the axis `channels`, which is not the first: [1, …] with that axis alone.
    ///
    /// # Errors
    /// When x has another rank than the rows were made for.
    pub fn mean(&self, cx: &mut Builder, x: Value, channels: usize) -> Result<Value, ModelError> {
        let axes = 1..cx.shape(x).rank();
        let spatial: Vec<i32> = axes
            .filter(|&a| a != channels)
            .map(super::window::int)
            .collect();
        let per_image = if spatial.is_empty() {
            x
        } else {
            cx.graph().reduce_mean(x, &spatial, true)?
        };
        let shares = cx.graph().mul(per_image, self.share)?;
        let sum = cx.graph().reduce_sum(shares, &[0], true)?;
        Ok(cx.graph().real_div(sum, self.total)?)
    }
}

/// 1/√(variance + eps).
///
/// The usual eps is subnormal in fp16, and an engine that flushes it divides by zero wherever the variance vanishes. So
/// the root is taken of variance and eps times a power of four that makes eps a normal number, and multiplied by the
/// power of two that is its root: exact but for the root's own rounding.
///
/// # Errors
/// When `variance` is no tensor of real numbers.
pub fn reciprocal_root(g: &mut Graph, variance: Value, eps: f64) -> Result<Value, TypeError> {
    let mut unit = 1.0;
    // Twice the smallest normal number, and far from a variance that would overflow for any usual eps.
    while eps * unit * unit < 2.0_f64.powi(-13) && unit < 16.0 {
        unit *= 2.0;
    }
    if unit == 1.0 {
        return g.rsqrt(variance, eps);
    }
    let dtype = g.ty(variance).dtype;
    let square = g.scalar(dtype, unit * unit)?;
    let scaled = g.mul(variance, square)?;
    let root = g.rsqrt(scaled, eps * unit * unit)?;
    let unit = g.scalar(dtype, unit)?;
    g.mul(root, unit)
}
