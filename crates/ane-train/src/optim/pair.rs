//! Arithmetic on pairs of fp16 values inside a program: about 22 bits where one value has 11.
//!
//! A number x is kept as `hi + lo·2⁻¹¹`. The low part is stored times 2¹¹, so that it is as large as the high part's
//! spacing and stays clear of the subnormals that an engine may flush. Every step works in one of two domains, chosen
//! per element: numbers below [`REGIME`] are multiplied by 2¹¹ first (`Regime::k`), so that the error of their sum is a
//! normal number too; larger ones are not, as they would overflow, and need not be. Sums are error-free (Knuth's
//! TwoSum, which holds in any order of magnitudes).
//!
//! # Ranges
//! In the scaled domain values stay below 8·2¹¹ = 16,384 and sums of two below 32,768, half the largest fp16 value. In
//! the plain domain errors are at most half the spacing at 65,504, 16, and 16·2¹¹ = 32,768. A sum below 2⁻³ in the
//! scaled domain (2⁻¹⁴ in truth) has no normal high part: it moves into the low part whole. What is lost is below
//! 2⁻¹⁴·2⁻¹¹ = 2⁻²⁵.

use ane_ir::{DType, Graph, TypeError, Value};

/// Gradients enter an update in units of 1/256: 1e-6, the smallest that matters, becomes 2.6e-4 and 255 still fits.
pub const GRADIENT_UNIT: f64 = 256.0;

/// Magnitude below which an element is worked on times 2¹¹.
pub const REGIME: f64 = 8.0;

/// Smallest value in the scaled domain that has a normal high part: 2¹¹ · 2⁻¹⁴.
const SMALLEST_SCALED: f64 = 0.125;

/// 2¹¹
pub const SPLIT: f64 = 2048.0;

/// `hi + lo·2⁻¹¹`, the low part stored times 2¹¹.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// The value rounded to fp16.
    pub hi: Value,
    /// What the rounding left, times 2¹¹.
    pub lo: Value,
}

/// Splits an f32 number into the parts of a [`Pair`].
pub fn split(x: f32) -> (f32, f32) {
    let hi = half::f16::from_f32(x).to_f32();
    // A high part that an engine would flush goes into the low part.
    let hi = if hi.abs() < 2.0_f32.powi(-14) {
        0.0
    } else {
        hi
    };
    (hi, (x - hi) * SPLIT as f32)
}

/// The number of a pair.
pub fn join(hi: f32, lo: f32) -> f32 {
    (f64::from(hi) + f64::from(lo) / SPLIT) as f32
}

/// Builder of fp16 expressions.
pub(super) struct Half<'a>(pub(super) &'a mut Graph);

type Built = Result<Value, TypeError>;

#[allow(missing_docs)]
impl Half<'_> {
    pub(super) fn c(&mut self, x: f64) -> Built {
        self.0.scalar(DType::Fp16, x)
    }
    pub(super) fn times(&mut self, x: Value, c: f64) -> Built {
        let c = self.c(c)?;
        self.0.mul(x, c)
    }
    pub(super) fn at_least(&mut self, x: Value, c: f64) -> Built {
        let c = self.c(c)?;
        self.0.maximum(x, c)
    }
    pub(super) fn pick(&mut self, p: Value, a: f64, b: f64) -> Built {
        let (a, b) = (self.c(a)?, self.c(b)?);
        self.0.select(p, a, b)
    }
    /// Whether |x| < c.
    pub(super) fn below(&mut self, x: Value, c: f64) -> Built {
        let a = self.0.abs(x)?;
        let c = self.c(c)?;
        self.0.less(a, c)
    }
}

/// The domain of an element.
#[derive(Clone, Copy)]
pub(super) struct Regime {
    /// Whether the element is worked on times 2¹¹.
    pub(super) small: Value,
    /// What it is multiplied by.
    pub(super) k: Value,
    /// What its low part is multiplied by: k·2⁻¹¹.
    pub(super) k_lo: Value,
}

impl Regime {
    /// The domain of elements whose largest quantity is `x`.
    pub(super) fn of(h: &mut Half<'_>, x: Value, bound: f64) -> Result<Self, TypeError> {
        let small = h.below(x, bound)?;
        Ok(Self {
            small,
            k: h.pick(small, SPLIT, 1.0)?,
            k_lo: h.pick(small, 1.0, 1.0 / SPLIT)?,
        })
    }

    /// High and low part of a pair in the domain.
    pub(super) fn enter(&self, h: &mut Half<'_>, p: Pair) -> Result<(Value, Value), TypeError> {
        Ok((h.0.mul(p.hi, self.k)?, h.0.mul(p.lo, self.k_lo)?))
    }

    /// The gradient, given in its own units, in the domain of a pair whose unit is 1/`unit`.
    pub(super) fn gradient(&self, h: &mut Half<'_>, g: Value, unit: f64) -> Built {
        let scaled = h.times(g, unit * SPLIT / GRADIENT_UNIT)?;
        let plain = h.times(g, unit / GRADIENT_UNIT)?;
        h.0.select(self.small, scaled, plain)
    }

    /// The pair of `high + low`, both in the domain: their sum and its error.
    pub(super) fn leave(
        &self,
        h: &mut Half<'_>,
        high: Value,
        low: Value,
    ) -> Result<Pair, TypeError> {
        let g = &mut *h.0;
        let sum = g.add(high, low)?;
        let low_seen = g.sub(sum, high)?;
        let high_seen = g.sub(sum, low_seen)?;
        let high_error = g.sub(high, high_seen)?;
        let low_error = g.sub(low, low_seen)?;
        let error = g.add(high_error, low_error)?;
        let k_inverse = h.pick(self.small, 1.0 / SPLIT, 1.0)?;
        let to_lo = h.pick(self.small, 1.0, SPLIT)?;
        let tiny = h.below(sum, SMALLEST_SCALED)?;
        let zero = h.c(0.0)?;
        let hi = h.0.mul(sum, k_inverse)?;
        let hi = h.0.select(tiny, zero, hi)?;
        let whole = h.0.add(sum, error)?;
        let lo = h.0.select(tiny, whole, error)?;
        let lo = h.0.mul(lo, to_lo)?;
        Ok(Pair { hi, lo })
    }
}

/// The weight after subtracting `amount`, which is given times 2¹¹.
pub(super) fn descend(h: &mut Half<'_>, weight: Pair, amount: Value) -> Result<Pair, TypeError> {
    let regime = Regime::of(h, weight.hi, REGIME)?;
    let hi = h.0.mul(weight.hi, regime.k)?;
    let lo = h.0.sub(weight.lo, amount)?;
    let lo = h.0.mul(lo, regime.k_lo)?;
    regime.leave(h, hi, lo)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitting_keeps_twenty_bits() {
        for x in [1.0_f32, 0.1, -0.013_37, 3.999, 1e-5, -2.5e-7, 700.3] {
            let (hi, lo) = split(x);
            let lo = half::f16::from_f32(lo).to_f32();
            let back = join(hi, lo);
            // Without a normal high part only the low part's 11 bits are left.
            let bits = if x.abs() < 2.0_f32.powi(-14) {
                -11
            } else {
                -21
            };
            assert!(
                (back - x).abs() <= x.abs() * 2.0_f32.powi(bits),
                "{x} {back}"
            );
        }
    }
}
