//! Rotary positions: pairs of a head's numbers are rotated by an angle that grows with the position (Su et al., 2021).

use crate::model::{Builder, LayerError, ModelError};
use ane_ir::{Literal, TensorType, Value};

/// The rotations of so many positions from the first one on.
///
/// Element i of the first half of a head is paired with element i of the second half, as in Hugging Face's Llama; the pairs
/// of neighbours of Meta's own files are permuted on import.
#[derive(Debug, Clone, Copy)]
pub struct Rope {
    /// [1, 1, T, width]: the cosines, those of the first half twice.
    cos: Value,
    /// [1, 1, T, width]: the sines, negative in the first half.
    sin: Value,
    width: usize,
}

/// Cosines and signed sines of the positions, row by row of `width` numbers.
pub fn angles(positions: impl Iterator<Item = usize>, width: usize, base: f64) -> [Vec<f64>; 2] {
    let half = width / 2;
    let (mut cos, mut sin) = (Vec::new(), Vec::new());
    for position in positions {
        for i in 0..width {
            let frequency = base.powf(-2.0 * (i % half) as f64 / width as f64);
            let angle = position as f64 * frequency;
            cos.push(angle.cos());
            sin.push(if i < half { -angle.sin() } else { angle.sin() });
        }
    }
    [cos, sin]
}

impl Rope {
    /// For positions 0 to `positions` − 1 of heads of this width; `base` is Llama's `rope_theta`.
    ///
    /// # Errors
    /// When the width is odd.
    pub fn new(
        cx: &mut Builder,
        positions: usize,
        width: usize,
        base: f64,
    ) -> Result<Self, ModelError> {
        Self::is_even(width)?;
        let ty = TensorType::new(cx.dtype(), [1, 1, positions, width]);
        let [cos, sin] = angles(0..positions, width, base);
        Ok(Self {
            cos: cx.graph().constant(Literal::from_f64(ty.clone(), &cos))?,
            sin: cx.graph().constant(Literal::from_f64(ty, &sin))?,
            width,
        })
    }

    /// With angles that are values, each [1, 1, T, width] as [`angles`] makes them: of positions that change.
    ///
    /// # Errors
    /// When the width is odd.
    pub fn of(cos: Value, sin: Value, width: usize) -> Result<Self, ModelError> {
        Self::is_even(width)?;
        Ok(Self { cos, sin, width })
    }

    fn is_even(width: usize) -> Result<(), LayerError> {
        if width.is_multiple_of(2) {
            return Ok(());
        }
        Err(LayerError::Heads {
            layer: "RoPE",
            heads: 2,
            what: "halves",
            whole: format!("a head of {width} numbers"),
        })
    }

    /// x [B, heads, T, width], rotated.
    ///
    /// # Errors
    /// When x has another shape.
    pub fn rotate(&self, cx: &mut Builder, x: Value) -> Result<Value, ModelError> {
        debug_assert_eq!(cx.shape(x).last(), self.width);
        let g = cx.graph();
        let halves = g.split(x, 2, -1)?;
        let swapped = g.concat(&[halves[1], halves[0]], -1)?;
        let along = g.mul(x, self.cos)?;
        let across = g.mul(swapped, self.sin)?;
        Ok(g.add(along, across)?)
    }
}
