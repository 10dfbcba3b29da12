//! `nn.Linear`: y = x · Wᵀ + b.

use super::Parameter;
use ane_ir::{Graph, Shape, TypeError, Value};

/// A fully connected layer with bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Linear {
    /// Features of x.
    pub inputs: usize,
    /// Features of y.
    pub outputs: usize,
}

impl Linear {
    /// `weight` `[outputs, inputs]` and `bias` `[outputs]`, both uniform in ±1/√inputs as PyTorch's `reset_parameters`
    /// (Kaiming uniform with a = √5 comes to the same bound).
    pub fn parameters(&self, prefix: &str) -> [Parameter; 2] {
        let bound = 1.0 / (self.inputs as f64).sqrt();
        [
            Parameter {
                name: format!("{prefix}.weight"),
                shape: Shape::new(&[self.outputs, self.inputs]),
                init_bound: bound,
            },
            Parameter {
                name: format!("{prefix}.bias"),
                shape: Shape::new(&[self.outputs]),
                init_bound: bound,
            },
        ]
    }

    /// x [B, inputs] → [B, outputs].
    ///
    /// # Errors
    /// When the operands do not fit the layer.
    pub fn build(
        &self,
        g: &mut Graph,
        x: Value,
        weight: Value,
        bias: Value,
    ) -> Result<Value, TypeError> {
        let y = g.matmul(x, weight, false, true)?;
        g.add(y, bias)
    }
}
