//! Mean squared error: l = Σ (x − t)² / K.

use ane_ir::{Graph, TypeError, Value};

/// Per-example loss [B, 1] of predictions and targets [B, K].
///
/// # Errors
/// When the operands do not fit.
pub fn mse(g: &mut Graph, prediction: Value, target: Value) -> Result<Value, TypeError> {
    let difference = g.sub(prediction, target)?;
    let square = g.mul(difference, difference)?;
    g.reduce_mean(square, &[-1], true)
}
