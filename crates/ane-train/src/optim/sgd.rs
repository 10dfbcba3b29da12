//! Stochastic gradient descent with momentum, as PyTorch's `torch.optim.SGD`.
//!
//! ```text
//! g ← g + weight_decay·p           b ← momentum·b + g
//! p ← p − lr·(g + momentum·b if nesterov, else b if momentum ≠ 0, else g)
//! ```
//!
//! Inside a program the buffer is a pair in units of 1/[`BUFFER_UNIT`]. Ranges: it reaches |g|/(1 − momentum); with
//! |g| = 30 and momentum 0.99 that is 3,000, and 8·3,000 = 24,000 fits. Smaller units than Adam's cost nothing: the pair
//! carries values down to 2⁻²⁵ of a unit, 4e-9.

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

/// SGD's settings; the defaults are PyTorch's.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Sgd {
    /// Share of the buffer that stays.
    pub momentum: f64,
    /// Whether the step looks ahead along the buffer.
    pub nesterov: bool,
    /// L2 penalty, added to the gradient.
    pub weight_decay: f64,
}

/// The momentum buffer is kept in units of 1/8.
const BUFFER_UNIT: f64 = 8.0;

impl Optimizer for Sgd {
    fn name(&self) -> &'static str {
        "sgd"
    }

    fn state(&self) -> &'static [&'static str] {
        if self.momentum == 0.0 {
            &[]
        } else {
            &["momentum_buffer"]
        }
    }

    fn host(&self, isa: Isa, parameters: Vec<Parameter>) -> Box<dyn HostUpdate> {
        let settings = *self;
        if settings.momentum == 0.0 {
            host(isa, parameters, move |at| {
                Plain(HostSgd::new(&settings, at))
            })
        } else {
            host(isa, parameters, move |at| HostSgd::new(&settings, at))
        }
    }

    fn scalars(&self) -> &'static [&'static str] {
        // An input that nothing reads is illegal on the engine.
        if self.weight_decay == 0.0 {
            &["step_size"]
        } else {
            &["step_size", "decay"]
        }
    }

    fn scalar_values(&self, at: &StepInfo) -> Vec<f64> {
        let mut values = vec![normal(at.lr * SPLIT / BUFFER_UNIT)];
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
            let penalty = h.0.mul(weight.hi, scalars[1])?;
            h.0.add(gradient, penalty)?
        };
        let mut largest = h.times(gradient, BUFFER_UNIT / GRADIENT_UNIT)?;
        largest = h.0.abs(largest)?;
        if let Some(b) = state.first() {
            let size = h.0.abs(b.hi)?;
            largest = h.0.maximum(largest, size)?;
        }
        // A bound of half the usual: the buffer and the gradient add up.
        let regime = Regime::of(&mut h, largest, REGIME / 2.0)?;
        let g = regime.gradient(&mut h, gradient, BUFFER_UNIT)?;
        let mut new_state = Vec::new();
        let direction = match state.first() {
            None => g,
            Some(&b) => {
                let (hi, lo) = regime.enter(&mut h, b)?;
                let old = h.0.add(hi, lo)?;
                let lost = h.times(old, 1.0 - self.momentum)?;
                let gain = h.0.sub(g, lost)?;
                let lo = h.0.add(lo, gain)?;
                let b = regime.leave(&mut h, hi, lo)?;
                new_state.push(b);
                let buffer = h.0.add(hi, lo)?;
                if self.nesterov {
                    let ahead = h.times(buffer, self.momentum)?;
                    h.0.add(g, ahead)?
                } else {
                    buffer
                }
            }
        };
        // lr·direction·2¹¹, from either domain: in the scaled one the factor 2¹¹ is undone in two steps, so that the
        // product passes through neither subnormals nor overflow.
        let shrunk = h.times(direction, 2.0_f64.powi(-5))?;
        let scaled = h.0.mul(shrunk, scalars[0])?;
        let scaled = h.times(scaled, 2.0_f64.powi(-6))?;
        let plain = h.0.mul(direction, scalars[0])?;
        let amount = h.0.select(regime.small, scaled, plain)?;
        Ok((descend(&mut h, weight, amount)?, new_state))
    }

    fn refuses_fusion(&self) -> Option<String> {
        refuses_decay(self.weight_decay, GRADIENT_UNIT)
    }
}

/// The equations over f32 lanes, with a buffer.
#[derive(Debug, Clone, Copy)]
struct HostSgd {
    unscale: f32,
    lr: f32,
    momentum: f32,
    penalty: f32,
    nesterov: bool,
}

impl HostSgd {
    fn new(sgd: &Sgd, at: &StepInfo) -> Self {
        Self {
            unscale: (at.clip / at.loss_scale) as f32,
            lr: at.lr as f32,
            momentum: sgd.momentum as f32,
            penalty: sgd.weight_decay as f32,
            nesterov: sgd.nesterov,
        }
    }

    #[inline(always)]
    fn gradient<S: Lanes>(&self, s: S, raw: S::V, p: S::V) -> S::V {
        let g = s.mul(raw, s.splat(self.unscale));
        s.add(g, s.mul(p, s.splat(self.penalty)))
    }
}

impl Update for HostSgd {
    const STATE: usize = 2;

    #[inline(always)]
    fn step<S: Lanes>(&self, s: S, gradient: S::V, state: &mut [S::V; MOST_STATE]) {
        let g = self.gradient(s, gradient, state[0]);
        let momentum = s.splat(self.momentum);
        let b = s.add(s.mul(momentum, state[1]), g);
        let direction = if self.nesterov {
            s.add(g, s.mul(momentum, b))
        } else {
            b
        };
        state[0] = s.sub(state[0], s.mul(s.splat(self.lr), direction));
        state[1] = b;
    }
}

/// The same without a buffer.
#[derive(Debug, Clone, Copy)]
struct Plain(HostSgd);

impl Update for Plain {
    const STATE: usize = 1;

    #[inline(always)]
    fn step<S: Lanes>(&self, s: S, gradient: S::V, state: &mut [S::V; MOST_STATE]) {
        let g = self.0.gradient(s, gradient, state[0]);
        state[0] = s.sub(state[0], s.mul(s.splat(self.0.lr), g));
    }
}
