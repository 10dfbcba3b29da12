//! Softmax cross-entropy: l = ln Σ e^x − Σ x·t, for rows of targets that sum to 1.

use ane_ir::{Graph, TypeError, Value};

/// Per-example loss [B, 1] of logits and targets [B, K].
///
/// The largest logit is subtracted first, as a constant to differentiation: the gradient is softmax(x) − t, without a
/// logarithm, and the loss of a confident example keeps its digits.
///
/// # Errors
/// When the operands do not fit.
pub fn cross_entropy(g: &mut Graph, logits: Value, target: Value) -> Result<Value, TypeError> {
    let max = g.reduce_max(logits, &[-1], true)?;
    let max = g.stop_gradient(max)?;
    let shifted = g.sub(logits, max)?;
    let normaliser = g.reduce_log_sum_exp(shifted, &[-1], true)?;
    let picked = g.mul(shifted, target)?;
    let picked = g.reduce_sum(picked, &[-1], true)?;
    g.sub(normaliser, picked)
}
