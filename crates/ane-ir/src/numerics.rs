//! What arithmetic does to a value on its way into a tensor: rounding, flushing, cliffs, non-finite values.
//!
//! Every op computes in the working type of [`crate::eval`] and hands each element to [`Numerics::store`], once: a
//! node's dtype is its rounding rule. What the numbers are based on stands in `docs/numerics.md`.

mod wide;

use crate::{target::Target, tensor::Real, types::DType};
use half::f16;

/// How a reduction keeps its running sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Accumulate {
    /// In fp32 (or the working type, if wider), rounded once at the end.
    Fp32,
    /// In the node's own type, rounded after every addition: the worst that hardware is reported to do.
    Stepwise,
}

/// What becomes of a value between two ops that a chip may run as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Intermediates {
    /// Every result is rounded to its dtype.
    Rounded,
    /// It stays in fp32 until it leaves the chain of ops ([`Numerics::wide_values`]).
    Wide,
}

/// What becomes of NaN and of operations on infinities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NonFinite {
    /// As IEEE 754 says.
    Ieee,
    /// As probed on silicon: NaN does not propagate (0 appears instead), `log(inf)` is 0, `mul(inf, x)` is −52416.
    Silicon,
}

/// The numeric policy under which a graph is evaluated.
#[derive(Debug, Clone, PartialEq)]
pub struct Numerics {
    /// Round results to their dtype. Off only where a derivative is checked in f64.
    pub round: bool,
    /// Replace subnormal fp16 results by zero of the same sign.
    pub flush_subnormals: bool,
    /// Running sums of reductions (not of matmul, which accumulates in fp32 over its whole depth).
    pub accumulate: Accumulate,
    /// Magnitude above which an fp16 matmul result becomes infinite.
    pub matmul_limit: Option<f32>,
    /// Magnitude above which an fp16 slice with an offset on the last axis becomes infinite.
    pub slice_limit: Option<f32>,
    /// Rules for NaN and infinities.
    pub non_finite: NonFinite,
    /// What becomes of values between elementwise ops and sums.
    pub intermediates: Intermediates,
}

/// What `mul(±inf, x)` returns on silicon.
pub const SILICON_INF_PRODUCT: f32 = -52_416.0;

impl Numerics {
    /// No rounding at all: the real functions, for checking derivatives in f64.
    pub fn exact() -> Self {
        Self {
            round: false,
            ..Self::ieee()
        }
    }

    /// Plain IEEE rounding to each node's dtype, without any cliff.
    pub fn ieee() -> Self {
        Self {
            round: true,
            flush_subnormals: false,
            accumulate: Accumulate::Fp32,
            matmul_limit: None,
            slice_limit: None,
            non_finite: NonFinite::Ieee,
            intermediates: Intermediates::Rounded,
        }
    }

    /// What `target` is known to do.
    pub fn of(target: &Target) -> Self {
        Self {
            matmul_limit: target.matmul_limit(),
            slice_limit: target.slice_limit(),
            ..Self::ieee()
        }
    }

    /// The same with the worst reported habits: subnormals flushed and running sums in fp16.
    pub fn pessimistic(self) -> Self {
        Self {
            flush_subnormals: true,
            accumulate: Accumulate::Stepwise,
            ..self
        }
    }

    /// The same with the non-finite rules of silicon, and with its wide intermediates.
    pub fn silicon(self) -> Self {
        Self {
            non_finite: NonFinite::Silicon,
            intermediates: Intermediates::Wide,
            ..self
        }
    }

    /// The element that a tensor of `dtype` holds after `x` is written to it.
    pub fn store<T: Real>(&self, dtype: DType, x: T) -> T {
        let x = if self.non_finite == NonFinite::Silicon && x.is_nan() {
            T::from_f64(0.0)
        } else {
            x
        };
        if !self.round {
            return x;
        }
        match dtype {
            DType::Fp16 => T::from_f64(f64::from(self.round_fp16(x))),
            DType::Fp32 => T::from_f64(f64::from(x.to_f32())),
            DType::Int8
            | DType::UInt8
            | DType::Int16
            | DType::UInt16
            | DType::Int32
            | DType::Bool => x,
        }
    }

    fn round_fp16<T: Real>(&self, x: T) -> f32 {
        let y = x.to_f16();
        if self.flush_subnormals && y.is_finite() && y.to_f32().abs() < f16::MIN_POSITIVE.to_f32() {
            return 0.0_f32.copysign(y.to_f32());
        }
        y.to_f32()
    }

    /// A matmul result of `dtype` before rounding, with the target's cliff applied.
    pub fn matmul_cliff<T: Real>(&self, dtype: DType, x: T) -> T {
        match self.matmul_limit {
            Some(limit) if dtype == DType::Fp16 => cliff(x, limit),
            _ => x,
        }
    }

    /// An element moved by a slice that starts inside the last axis, with the target's cliff applied.
    pub fn slice_cliff<T: Real>(&self, dtype: DType, x: T) -> T {
        match self.slice_limit {
            Some(limit) if dtype == DType::Fp16 => cliff(x, limit),
            _ => x,
        }
    }
}

fn cliff<T: Real>(x: T, limit: f32) -> T {
    if x.to_f64().abs() > f64::from(limit) {
        T::from_f64(f64::INFINITY.copysign(x.to_f64()))
    } else {
        x
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fp16_rounds_to_nearest_even_once() {
        let n = Numerics::ieee();
        assert_eq!(n.store(DType::Fp16, 2049.0_f64), 2048.0);
        assert_eq!(n.store(DType::Fp16, 2051.0_f64), 2052.0);
        assert_eq!(n.store(DType::Fp16, 65_520.0_f32), f32::INFINITY);
        // Through f32 this f64 value would round down twice: directly it rounds up.
        let just_above_tie = 1.0 + 2.0_f64.powi(-11) + 2.0_f64.powi(-40);
        assert_eq!(
            n.store(DType::Fp16, just_above_tie),
            1.0 + 2.0_f64.powi(-10)
        );
    }

    #[test]
    fn pessimism_flushes_subnormals_keeping_the_sign() {
        let tiny = 2.0_f32.powi(-15);
        assert_eq!(Numerics::ieee().store(DType::Fp16, tiny), tiny);
        let flushed = Numerics::ieee().pessimistic().store(DType::Fp16, -tiny);
        assert_eq!(flushed.to_bits(), (-0.0_f32).to_bits());
    }

    #[test]
    fn silicon_has_no_nan() {
        let n = Numerics::ieee().silicon();
        assert_eq!(n.store(DType::Fp16, f32::NAN), 0.0);
    }

    #[test]
    fn the_matmul_cliff_is_an_fp16_matter() {
        let n = Numerics {
            matmul_limit: Some(32_752.0),
            ..Numerics::ieee()
        };
        assert_eq!(
            n.matmul_cliff(DType::Fp16, -40_000.0_f32),
            f32::NEG_INFINITY
        );
        assert_eq!(n.matmul_cliff(DType::Fp32, 40_000.0_f32), 40_000.0);
    }
}
