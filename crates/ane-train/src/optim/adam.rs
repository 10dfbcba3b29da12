//! Adam (Kingma & Ba 2014, arXiv 1412.6980), with L2 regularisation as PyTorch's `torch.optim.Adam`.
//!
//! ```text
//! g ← g + weight_decay·p
//! m ← m + (1 − β₁)(g − m)          v ← β₂·v + (1 − β₂)·g²
//! p ← p − lr/(1 − β₁ᵗ) · m / (√v/√(1 − β₂ᵗ) + eps)
//! ```
//!
//! # Inside a program
//! fp16 cannot hold v: squares of gradients from 1e-6 to 30 span 10¹⁵. What is kept is w = √v, updated by
//!
//! ```text
//! w ← w + (1 − β₂)·(|g| − w)·(|g| + w)/(w' + w),   w' = √(β₂·w² + (1 − β₂)·g²)
//! ```
//!
//! where w' needs only fp16 accuracy, since the difference in front carries the digits. Both moments are pairs in units
//! of 1/[`MOMENT_UNIT`].
//!
//! Ranges: |g| ≤ 255 enters (see [`pair::GRADIENT_UNIT`]) and |m|, w ≤ max|g|, so 64·255 = 16,320 fits. |g| = 1e-6 is
//! 6.4e-5, a normal number, and its pair carries it down to 2⁻²⁵ of a unit. The quotient m/w is at most
//! (1 − β₁)/√((1 − β₂)(1 − β₁²/β₂)) = 7.3 with the defaults, and it is formed where w·2¹¹ ≤ 4,096, so m·2¹¹ ≤ 29,800.
//! eps·64·2¹¹ is 1.3e-3 for 1e-8: a normal number, so that an input that is always zero gives 0/eps and not 0/0.

use super::{
    HostUpdate, Optimizer, StepInfo, host, normal,
    pair::{GRADIENT_UNIT, Half, Pair, REGIME, Regime, SPLIT, descend},
    refuses_decay,
};
use ane_engine::{
    MOST_STATE, Parameter, Update,
    simd::{Isa, Lanes},
};
use ane_ir::{Graph, TypeError, Value};
use serde::{Deserialize, Serialize};

/// Adam's settings; the defaults are PyTorch's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Adam {
    /// Decay rates of the moments.
    pub betas: (f64, f64),
    /// Added to the denominator.
    pub eps: f64,
    /// L2 penalty, added to the gradient.
    pub weight_decay: f64,
}

impl Default for Adam {
    fn default() -> Self {
        Self {
            betas: (0.9, 0.999),
            eps: 1e-8,
            weight_decay: 0.0,
        }
    }
}

/// Moments are kept in units of 1/64.
pub(super) const MOMENT_UNIT: f64 = 64.0;

/// Names of the state, PyTorch's; inside a program `exp_avg_sq` holds the square root.
pub(super) const STATE: &[&str] = &["exp_avg", "exp_avg_sq"];

/// Scalar inputs of the fused update.
pub(super) const SCALARS: &[&str] = &["step_size", "epsilon", "decay"];

impl Optimizer for Adam {
    fn name(&self) -> &'static str {
        "adam"
    }

    fn state(&self) -> &'static [&'static str] {
        STATE
    }

    fn host(&self, isa: Isa, parameters: Vec<Parameter>) -> Box<dyn HostUpdate> {
        let adam = *self;
        host(isa, parameters, move |at| {
            HostAdam::new(&adam, 0.0, adam.weight_decay, at)
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
        let mut values = step_scalars(self, at);
        // The penalty is part of the gradient, so it is in the gradient's units.
        if self.weight_decay != 0.0 {
            values.push(self.weight_decay * GRADIENT_UNIT);
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
        let gradient = if self.weight_decay == 0.0 {
            gradient
        } else {
            let penalty = h.0.mul(weight.hi, scalars[2])?;
            h.0.add(gradient, penalty)?
        };
        let (moments, ratio) = moments(&mut h, self.betas, gradient, state, scalars[1])?;
        let amount = h.0.mul(ratio, scalars[0])?;
        Ok((descend(&mut h, weight, amount)?, moments))
    }

    fn refuses_fusion(&self) -> Option<String> {
        refuses(self.betas).or_else(|| refuses_decay(self.weight_decay, GRADIENT_UNIT))
    }
}

/// `step_size` = lr·√(1 − β₂ᵗ)/(1 − β₁ᵗ)·2¹¹ and `epsilon` = eps·√(1 − β₂ᵗ) in the scaled domain.
pub(super) fn step_scalars(adam: &Adam, at: &StepInfo) -> Vec<f64> {
    let (c1, c2) = corrections(adam.betas, at.t);
    vec![
        normal(at.lr * c2.sqrt() / c1 * SPLIT),
        normal(adam.eps * c2.sqrt() * MOMENT_UNIT * SPLIT),
    ]
}

/// 1 − β₁ᵗ and 1 − β₂ᵗ.
pub(super) fn corrections(betas: (f64, f64), t: u64) -> (f64, f64) {
    let t = t as f64;
    (1.0 - betas.0.powf(t), 1.0 - betas.1.powf(t))
}

/// Why these decay rates cannot be fused: the quotient of the moments would overflow.
pub(super) fn refuses((b1, b2): (f64, f64)) -> Option<String> {
    let bound = (1.0 - b1) / ((1.0 - b2) * (1.0 - b1 * b1 / b2)).sqrt();
    let fits = bound < 15.0 && b1 * b1 < b2;
    (!fits).then(|| {
        format!("betas ({b1}, {b2}) let the quotient of the moments reach {bound:.1}; a fused update holds 15")
    })
}

/// The new moments, and m/(√v + eps) of them.
pub(super) fn moments(
    h: &mut Half<'_>,
    (b1, b2): (f64, f64),
    gradient: Value,
    state: &[Pair],
    epsilon: Value,
) -> Result<(Vec<Pair>, Value), TypeError> {
    let plain = h.times(gradient, MOMENT_UNIT / GRADIENT_UNIT)?;
    let magnitude = h.0.abs(plain)?;

    let m = state[0];
    let m_size = h.0.abs(m.hi)?;
    let largest = h.0.maximum(m_size, magnitude)?;
    let regime = Regime::of(h, largest, REGIME)?;
    let g = regime.gradient(h, gradient, MOMENT_UNIT)?;
    let (hi, lo) = regime.enter(h, m)?;
    let gap = h.0.sub(g, hi)?;
    let gap = h.0.sub(gap, lo)?;
    let gain = h.times(gap, 1.0 - b1)?;
    let lo = h.0.add(lo, gain)?;
    let m = regime.leave(h, hi, lo)?;

    let w = state[1];
    let largest = h.0.maximum(w.hi, magnitude)?;
    let regime = Regime::of(h, largest, REGIME)?;
    let g = regime.gradient(h, gradient, MOMENT_UNIT)?;
    let a = h.0.abs(g)?;
    let (hi, lo) = regime.enter(h, w)?;
    let old = h.0.add(hi, lo)?;
    // a and the old w relative to the larger of them: squares of numbers up to 1 neither overflow nor matter when
    // they vanish.
    let larger = h.0.maximum(a, old)?;
    let larger = h.at_least(larger, 2.0_f64.powi(-14))?;
    let a_part = h.0.real_div(a, larger)?;
    let old_part = h.0.real_div(old, larger)?;
    let a_square = h.0.mul(a_part, a_part)?;
    let a_square = h.times(a_square, 1.0 - b2)?;
    let old_square = h.0.mul(old_part, old_part)?;
    let old_square = h.times(old_square, b2)?;
    let square = h.0.add(a_square, old_square)?;
    let new_part = h.0.sqrt(square)?;
    let above = h.0.add(a_part, old_part)?;
    let below = h.0.add(new_part, old_part)?;
    // Zero only when both are.
    let below = h.at_least(below, 2.0_f64.powi(-10))?;
    let slope = h.0.real_div(above, below)?;
    let slope = h.times(slope, 1.0 - b2)?;
    let gap = h.0.sub(a, hi)?;
    let gap = h.0.sub(gap, lo)?;
    let gain = h.0.mul(gap, slope)?;
    let lo = h.0.add(lo, gain)?;
    let w = regime.leave(h, hi, lo)?;

    // The quotient, where both are at most 4,096·7.3.
    let regime = Regime::of(h, w.hi, 2.0)?;
    let (hi, lo) = regime.enter(h, m)?;
    let above = h.0.add(hi, lo)?;
    let (hi, lo) = regime.enter(h, w)?;
    let below = h.0.add(hi, lo)?;
    let negligible = h.c(2.0_f64.powi(-14))?;
    let epsilon = h.0.select(regime.small, epsilon, negligible)?;
    let below = h.0.add(below, epsilon)?;
    let ratio = h.0.real_div(above, below)?;
    Ok((vec![m, w], ratio))
}

/// The equations over f32 lanes.
#[derive(Debug, Clone, Copy)]
pub(super) struct HostAdam {
    unscale: f32,
    one_minus_b1: f32,
    b2: f32,
    one_minus_b2: f32,
    root_correction: f32,
    eps: f32,
    step_size: f32,
    keep: f32,
    penalty: f32,
}

impl HostAdam {
    /// `decay` is AdamW's, `penalty` Adam's.
    pub(super) fn new(adam: &Adam, decay: f64, penalty: f64, at: &StepInfo) -> Self {
        let (c1, c2) = corrections(adam.betas, at.t);
        Self {
            unscale: (at.clip / at.loss_scale) as f32,
            one_minus_b1: (1.0 - adam.betas.0) as f32,
            b2: adam.betas.1 as f32,
            one_minus_b2: (1.0 - adam.betas.1) as f32,
            root_correction: (1.0 / c2.sqrt()) as f32,
            eps: adam.eps as f32,
            step_size: (at.lr / c1) as f32,
            keep: (1.0 - at.lr * decay) as f32,
            penalty: penalty as f32,
        }
    }
}

impl Update for HostAdam {
    const STATE: usize = 3;

    #[inline(always)]
    fn step<S: Lanes>(&self, s: S, gradient: S::V, state: &mut [S::V; MOST_STATE]) {
        let [p, m, v] = *state;
        let g = s.mul(gradient, s.splat(self.unscale));
        let g = s.add(g, s.mul(p, s.splat(self.penalty)));
        let p = s.mul(p, s.splat(self.keep));
        let m = s.add(m, s.mul(s.splat(self.one_minus_b1), s.sub(g, m)));
        let g2 = s.mul(s.mul(g, g), s.splat(self.one_minus_b2));
        let v = s.add(s.mul(v, s.splat(self.b2)), g2);
        let root = s.mul(s.sqrt(v), s.splat(self.root_correction));
        let step = s.div(m, s.add(root, s.splat(self.eps)));
        let p = s.sub(p, s.mul(step, s.splat(self.step_size)));
        *state = [p, m, v];
    }
}
