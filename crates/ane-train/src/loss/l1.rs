//! Mean absolute error: l = Σ |x − t| / K. PyTorch's `L1Loss`.

use ane_ir::{Graph, TypeError, Value};

/// Per-example loss [B, 1] of predictions and targets [B, K]. The gradient of an exact hit is 0.
///
/// # Errors
/// When the operands do not fit.
pub fn l1(g: &mut Graph, prediction: Value, target: Value) -> Result<Value, TypeError> {
    let difference = g.sub(prediction, target)?;
    let distance = g.abs(difference)?;
    g.reduce_mean(distance, &[-1], true)
}
