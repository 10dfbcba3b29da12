//! Binary cross-entropy with logits, for two classes or many labels. PyTorch's `BCEWithLogitsLoss`.

use ane_ir::{Graph, TypeError, Value};

/// Per-example loss [B, 1] of logits and targets [B, K] from 0 to 1: the mean of −t·ln σ(x) − (1 − t)·ln(1 − σ(x)).
///
/// It is formed as t·softplus(−x) + (1 − t)·softplus(x): no term is negative, and the gradient of a confident right
/// answer is the small number σ(−x) itself instead of 1 − σ(x), which is 0 in fp16 from x = 8 on.
///
/// # Errors
/// When the operands do not fit.
pub fn bce_with_logits(g: &mut Graph, logits: Value, target: Value) -> Result<Value, TypeError> {
    let dtype = g.ty(logits).dtype;
    let one = g.scalar(dtype, 1.0)?;
    let minus_one = g.scalar(dtype, -1.0)?;
    let opposite = g.mul(logits, minus_one)?;
    let if_one = g.softplus(opposite)?;
    let if_zero = g.softplus(logits)?;
    let rest = g.sub(one, target)?;
    let ones = g.mul(target, if_one)?;
    let zeros = g.mul(rest, if_zero)?;
    let loss = g.add(ones, zeros)?;
    g.reduce_mean(loss, &[-1], true)
}
