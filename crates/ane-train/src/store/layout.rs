//! What a stored state is made of, and how another one differs from it.

use super::{AVERAGE, BUFFER, State, StateTensor, WEIGHT};
use crate::{
    step::{PlanKind, Step},
    trainer::TrainerConfig,
};
use std::{collections::BTreeMap, fmt};

/// Type and number of the values of a stored tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateKind {
    /// So many fp16 bit patterns.
    Fp16(usize),
    /// So many f32 numbers.
    Fp32(usize),
}

impl fmt::Display for StateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fp16(n) => write!(f, "{n} fp16 values"),
            Self::Fp32(n) => write!(f, "{n} fp32 values"),
        }
    }
}

/// The tensors of a state by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateLayout(pub(super) BTreeMap<String, StateKind>);

/// A stored state does not fit: what is missing, what there is besides, and what has another size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the stored state is another model's or another plan's:{}", lines(.differences))]
pub struct StateDiffers {
    /// A sentence per tensor.
    pub differences: Vec<String>,
}

/// Differences that are shown; more say nothing new.
const SHOWN: usize = 8;

fn lines(differences: &[String]) -> String {
    let mut text = String::new();
    for line in differences.iter().take(SHOWN) {
        text.push_str("\n  ");
        text.push_str(line);
    }
    if differences.len() > SHOWN {
        text.push_str(&format!("\n  and {} more", differences.len() - SHOWN));
    }
    text
}

impl StateLayout {
    /// Of a training whose step is `step`, without anything of it being there.
    pub fn of(config: &TrainerConfig, step: &Step) -> Self {
        let mut all = BTreeMap::new();
        for (i, p) in config.model.parameters.iter().enumerate() {
            let len = p.shape.numel();
            let is_trained = step.trained.contains(&i);
            let roles = config.optimizer.as_dyn().state().iter();
            let roles = roles.filter(|_| is_trained).copied();
            if is_trained && config.ema.is_some() {
                all.insert(format!("{AVERAGE}.{}", p.path), StateKind::Fp32(len));
            }
            for role in std::iter::once(WEIGHT).chain(roles) {
                let name = format!("{role}.{}", p.path);
                if config.plan == PlanKind::Fused && is_trained {
                    all.insert(format!("{name}.hi"), StateKind::Fp16(len));
                    all.insert(format!("{name}.lo"), StateKind::Fp16(len));
                } else {
                    all.insert(name, StateKind::Fp32(len));
                }
            }
        }
        for b in &config.model.buffers {
            let name = format!("{BUFFER}.{}", b.path);
            all.insert(name, StateKind::Fp32(b.shape.numel()));
        }
        Self(all)
    }

    /// Whether a state is made of the same tensors.
    ///
    /// # Errors
    /// Every tensor that is missing, of another size, or of no entry.
    pub fn check(&self, state: &State) -> Result<(), StateDiffers> {
        let mut differences = Vec::new();
        // What an optimizer keeps differs wherever a weight does, so weights are named first.
        let is_weight = |name: &str| name.split('.').next() == Some(WEIGHT);
        let weights = self.0.iter().filter(|(name, _)| is_weight(name));
        let others = self.0.iter().filter(|(name, _)| !is_weight(name));
        for (name, expected) in weights.chain(others) {
            match state.get(name).map(StateTensor::kind) {
                Some(found) if found == *expected => {}
                Some(found) => {
                    differences.push(format!("`{name}`: expected {expected}, found {found}"));
                }
                None => differences.push(format!("`{name}` is missing: expected {expected}")),
            }
        }
        for (name, tensor) in state.iter().filter(|(name, _)| !self.0.contains_key(*name)) {
            differences.push(format!("`{name}` has no place: found {}", tensor.kind()));
        }
        if differences.is_empty() {
            Ok(())
        } else {
            Err(StateDiffers { differences })
        }
    }
}
