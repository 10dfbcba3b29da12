//! Huber loss: a square near the target and a line far from it. PyTorch's `HuberLoss`.

use ane_ir::{Graph, TypeError, Value};

/// Per-example loss [B, 1] of predictions and targets [B, K]: the mean of d²/2 for distances d up to delta, and of
/// delta·(d − delta/2) beyond.
///
/// Both are c·(d − c/2) with c = min(d, delta). Nothing larger than the loss is formed, where the square of a far
/// prediction would leave fp16.
///
/// # Errors
/// When the operands do not fit.
pub fn huber(
    g: &mut Graph,
    prediction: Value,
    target: Value,
    delta: f64,
) -> Result<Value, TypeError> {
    let dtype = g.ty(prediction).dtype;
    let difference = g.sub(prediction, target)?;
    let distance = g.abs(difference)?;
    let delta = g.scalar(dtype, delta)?;
    let near = g.minimum(distance, delta)?;
    let half = g.scalar(dtype, 0.5)?;
    let half_near = g.mul(near, half)?;
    let beyond = g.sub(distance, half_near)?;
    let loss = g.mul(near, beyond)?;
    g.reduce_mean(loss, &[-1], true)
}
