//! `nn.AdaptiveAvgPool2d`: means over windows whose number is given instead of their size.

use super::{Layer, PerAxis, image, positive};
use crate::model::{Builder, ModelError};
use ane_ir::{Literal, TensorType, Value};

/// Means over windows that cover the image: x [B, C, H, W] → [B, C, output...]. `AdaptiveAvgPool2d::new(1)` is the global
/// average pool.
///
/// Window i of n over an axis of length L goes from ⌊i·L/n⌋ to ⌈(i + 1)·L/n⌉, so windows overlap where n does not divide
/// L.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdaptiveAvgPool2d {
    output: [usize; 2],
}

impl AdaptiveAvgPool2d {
    /// That many windows along each axis.
    pub fn new(output: impl Into<PerAxis<2>>) -> Self {
        Self {
            output: output.into().0,
        }
    }
}

impl Layer for AdaptiveAvgPool2d {
    fn forward(&self, cx: &mut Builder, x: Value) -> Result<Value, ModelError> {
        let found = cx.shape(x).clone();
        image::<2>("AdaptiveAvgPool2d", &found)?;
        positive("AdaptiveAvgPool2d", "output", &self.output)?;
        let [rows, columns] = [found.dims()[2], found.dims()[3]];
        if self.output == [1, 1] {
            return Ok(cx.graph().reduce_mean(x, &[2, 3], true)?);
        }
        let mut y = x;
        if self.output[1] != columns {
            let means = means(cx, self.output[1], columns)?;
            y = cx.graph().matmul(y, means, false, true)?;
        }
        if self.output[0] != rows {
            let means = means(cx, self.output[0], rows)?;
            y = cx.graph().matmul(means, y, false, false)?;
        }
        Ok(y)
    }
}

/// The matrix [n, length] whose products with an axis are the means of its windows.
fn means(cx: &mut Builder, n: usize, length: usize) -> Result<Value, ModelError> {
    let mut rows = vec![0.0; n * length];
    for (i, row) in rows.chunks_exact_mut(length).enumerate() {
        let window = (i * length / n)..((i + 1) * length).div_ceil(n);
        let share = 1.0 / window.len() as f64;
        row[window].fill(share);
    }
    let ty = TensorType::new(cx.dtype(), [n, length]);
    Ok(cx.graph().constant(Literal::from_f64(ty, &rows))?)
}
