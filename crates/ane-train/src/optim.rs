//! Optimizers: PyTorch's equations and defaults, on the host and inside programs.
//!
//! An optimizer states its equations twice, because the two places differ in what arithmetic they have: over fp32
//! masters on the host ([`Optimizer::host`]), and over pairs of fp16 values inside a program ([`Optimizer::fuse`], with
//! the arithmetic of [`pair`]). To add one: a file here, and its line in [`OptimizerConfig`].

mod adam;
mod adamw;
pub mod pair;
mod sgd;

pub use adam::Adam;
pub use adamw::AdamW;
pub use sgd::Sgd;

use ane_engine::{ForEach, Parameter, Pool, Update, simd::Isa};
use ane_ir::{Graph, TypeError, Value};
use pair::Pair;
use serde::{Deserialize, Serialize};

/// What an update needs to know about its step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepInfo {
    /// Number of this update, from 1: skipped steps do not count.
    pub t: u64,
    /// Learning rate.
    pub lr: f64,
    /// What raw gradients carry: the loss scale.
    pub loss_scale: f64,
    /// Factor on unscaled gradients, from clipping.
    pub clip: f64,
}

/// An update of fp32 masters on the host.
pub trait HostUpdate: Send + std::fmt::Debug {
    /// Updates every parameter and rounds its fp16 weight.
    fn apply(&self, pool: &Pool, at: &StepInfo);
    /// Σ g² of the raw gradients.
    fn sum_of_squares(&self, pool: &Pool) -> f64;
}

/// An optimizer.
pub trait Optimizer: Send + Sync + std::fmt::Debug {
    /// Its name, PyTorch's in lower case.
    fn name(&self) -> &'static str;
    /// PyTorch's names of the state it keeps per parameter, without the master.
    fn state(&self) -> &'static [&'static str];
    /// The update on the host, bound to the buffers of the parameters.
    fn host(&self, isa: Isa, parameters: Vec<Parameter>) -> Box<dyn HostUpdate>;
    /// Names of the scalar inputs of the fused update.
    fn scalars(&self) -> &'static [&'static str];
    /// Their values, in the same order, each at least 2⁻¹⁴ or exactly 0.
    fn scalar_values(&self, at: &StepInfo) -> Vec<f64>;
    /// The update inside a program: the new weight and state from the gradient in units of
    /// [`pair::GRADIENT_UNIT`].
    ///
    /// # Errors
    /// When a node does not type: our bug.
    fn fuse(
        &self,
        g: &mut Graph,
        gradient: Value,
        weight: Pair,
        state: &[Pair],
        scalars: &[Value],
    ) -> Result<(Pair, Vec<Pair>), TypeError>;
    /// Why the settings cannot be fused, if they cannot.
    fn refuses_fusion(&self) -> Option<String> {
        None
    }
}

/// An optimizer and its settings, as configured and stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum OptimizerConfig {
    /// See [`Adam`].
    Adam(Adam),
    /// See [`AdamW`].
    AdamW(AdamW),
    /// See [`Sgd`].
    Sgd(Sgd),
}

impl OptimizerConfig {
    /// Every optimizer with PyTorch's defaults.
    pub fn all() -> [Self; 3] {
        [
            Self::Adam(Adam::default()),
            Self::AdamW(AdamW::default()),
            Self::Sgd(Sgd::default()),
        ]
    }

    /// The optimizer called `name`, with PyTorch's defaults.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|o| o.as_dyn().name() == name)
    }

    /// Replaces the weight decay.
    pub fn set_weight_decay(&mut self, decay: f64) {
        match self {
            Self::Adam(o) => o.weight_decay = decay,
            Self::AdamW(o) => o.weight_decay = decay,
            Self::Sgd(o) => o.weight_decay = decay,
        }
    }

    /// The peak learning rate of a run that is given none: steps of the Adams have the length of the rate, those of SGD
    /// that of the gradient besides.
    pub fn default_lr(&self) -> f64 {
        match self {
            Self::Adam(_) | Self::AdamW(_) => 1.5e-3,
            Self::Sgd(_) => 1e-2,
        }
    }

    /// The optimizer itself.
    pub fn as_dyn(&self) -> &dyn Optimizer {
        match self {
            Self::Adam(o) => o,
            Self::AdamW(o) => o,
            Self::Sgd(o) => o,
        }
    }
}

/// A host update whose numbers are made anew for each step by `at`.
struct Host<U: Update, F> {
    each: ForEach<U>,
    at: F,
}

impl<U: Update, F> std::fmt::Debug for Host<U, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Host")
    }
}

impl<U: Update, F: Fn(&StepInfo) -> U + Send> HostUpdate for Host<U, F> {
    fn apply(&self, pool: &Pool, at: &StepInfo) {
        self.each.apply(pool, (self.at)(at));
    }

    fn sum_of_squares(&self, pool: &Pool) -> f64 {
        self.each.sum_of_squares(pool)
    }
}

/// Binds a host update.
fn host<U: Update>(
    isa: Isa,
    parameters: Vec<Parameter>,
    at: impl Fn(&StepInfo) -> U + Send + 'static,
) -> Box<dyn HostUpdate> {
    Box::new(Host {
        each: ForEach::new(isa, parameters),
        at,
    })
}

/// Smallest normal fp16 number, 2⁻¹⁴: an engine may flush what is smaller.
const SMALLEST_NORMAL: f64 = 1.0 / 16_384.0;

/// A scalar for an fp16 port: what would be subnormal there becomes the smallest normal number, which the engine does
/// not flush.
fn normal(x: f64) -> f64 {
    if x == 0.0 {
        0.0
    } else {
        x.abs().max(SMALLEST_NORMAL).copysign(x)
    }
}

/// Why a weight decay cannot be fused: the scalar that carries it, `scale` times as large, would be subnormal, and lifted
/// to a normal number it would be another decay.
fn refuses_decay(decay: f64, scale: f64) -> Option<String> {
    let smallest = SMALLEST_NORMAL / scale;
    (decay != 0.0 && decay < smallest).then(|| {
        format!(
            "a fused update holds a weight_decay of 0, or of {smallest:e} and more, found {decay:e}"
        )
    })
}

#[cfg(test)]
mod tests;
