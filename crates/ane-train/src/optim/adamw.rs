//! AdamW (Loshchilov & Hutter 2017, arXiv 1711.05101), as PyTorch's `torch.optim.AdamW`.
//!
//! ```text
//! p ← p − lr·weight_decay·p
//! m ← m + (1 − β₁)(g − m)          v ← β₂·v + (1 − β₂)·g²
//! p ← p − lr/(1 − β₁ᵗ) · m / (√v/√(1 − β₂ᵗ) + eps)
//! ```
//!
//! Inside a program both subtractions are one: lr·√c₂/c₁ · (m/(w + eps') + weight_decay·c₁/√c₂ · p), whose factors are
//! normal fp16 numbers for learning rates down to 1e-6. The decay is taken of p before the step, which differs from
//! PyTorch by lr²·weight_decay. Moments and ranges are [`super::Adam`]'s.

use super::{
    Adam, HostUpdate, Optimizer, StepInfo,
    adam::{HostAdam, SCALARS, STATE, corrections, moments, refuses, step_scalars},
    host,
    pair::{Half, Pair, descend},
    refuses_decay,
};
use ane_engine::{Parameter, simd::Isa};
use ane_ir::{Graph, TypeError, Value};
use serde::{Deserialize, Serialize};

/// AdamW's settings; the defaults are PyTorch's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AdamW {
    /// Decay rates of the moments.
    pub betas: (f64, f64),
    /// Added to the denominator.
    pub eps: f64,
    /// Share of the weight that is removed, per unit of learning rate.
    pub weight_decay: f64,
}

impl Default for AdamW {
    fn default() -> Self {
        Self {
            betas: (0.9, 0.999),
            eps: 1e-8,
            weight_decay: 1e-2,
        }
    }
}

impl AdamW {
    fn adam(&self) -> Adam {
        Adam {
            betas: self.betas,
            eps: self.eps,
            weight_decay: 0.0,
        }
    }
}

impl Optimizer for AdamW {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn state(&self) -> &'static [&'static str] {
        STATE
    }

    fn host(&self, isa: Isa, parameters: Vec<Parameter>) -> Box<dyn HostUpdate> {
        let settings = *self;
        host(isa, parameters, move |at| {
            HostAdam::new(&settings.adam(), settings.weight_decay, 0.0, at)
        })
    }

    fn scalars(&self) -> &'static [&'static str] {
        // An input that nothing reads is illegal on the engine.
        if self.weight_decay == 0.0 {
            &SCALARS[..2]
        } else {
            SCALARS
        }
    }

    fn scalar_values(&self, at: &StepInfo) -> Vec<f64> {
        let (c1, c2) = corrections(self.betas, at.t);
        let mut values = step_scalars(&self.adam(), at);
        if self.weight_decay != 0.0 {
            values.push(self.weight_decay * c1 / c2.sqrt());
        }
        values
    }

    fn fuse(
        &self,
        g: &mut Graph,
        gradient: Value,
        weight: Pair,
        state: &[Pair],
        scalars: &[Value],
    ) -> Result<(Pair, Vec<Pair>), TypeError> {
        let mut h = Half(g);
        let (moments, mut direction) = moments(&mut h, self.betas, gradient, state, scalars[1])?;
        if self.weight_decay != 0.0 {
            let decay = h.0.mul(weight.hi, scalars[2])?;
            direction = h.0.add(direction, decay)?;
        }
        let amount = h.0.mul(direction, scalars[0])?;
        Ok((descend(&mut h, weight, amount)?, moments))
    }

    fn refuses_fusion(&self) -> Option<String> {
        // c₁/√c₂ rises from its first value, and what it passes it falls back to: 1.
        let (c1, c2) = corrections(self.betas, 1);
        let smallest_scale = (c1 / c2.sqrt()).min(1.0);
        refuses(self.betas).or_else(|| refuses_decay(self.weight_decay, smallest_scale))
    }
}
