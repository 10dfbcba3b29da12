//! The loss scale: keeps small gradients out of fp16's subnormals and large ones below the engine's cliff.

use serde::{Deserialize, Serialize};

/// Dynamic scale between 1 and 2¹⁵.
///
/// It multiplies the seed cotangent, so every gradient of the backward pass carries it. It starts at 2¹⁰, doubles
/// after [`GROWTH_INTERVAL`] good steps in a row and halves on every overflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossScale {
    scale: u32,
    good_steps: u32,
    overflows_in_a_row: u32,
}

/// Good steps before the scale doubles.
pub const GROWTH_INTERVAL: u32 = 2_000;
/// Largest scale: 2¹⁶ is no fp16 value.
pub const LARGEST: u32 = 1 << 15;
/// Raw gradients must stay below this: half the engine's matmul cliff of 32,752, so that a sum of two still fits.
pub const GRADIENT_LIMIT: f32 = 16_376.0;
/// Overflows at scale 1, in a row, after which training has diverged.
pub const PATIENCE: u32 = 10;

impl Default for LossScale {
    fn default() -> Self {
        Self {
            scale: 1 << 10,
            good_steps: 0,
            overflows_in_a_row: 0,
        }
    }
}

impl LossScale {
    /// A scale that starts elsewhere, rounded to a power of two within bounds.
    pub fn starting_at(scale: u32) -> Self {
        Self {
            scale: scale.clamp(1, LARGEST).next_power_of_two(),
            ..Self::default()
        }
    }

    /// The scale.
    pub fn get(&self) -> f32 {
        self.scale as f32
    }

    /// Whether a step with this largest raw gradient may be used. NaN may not.
    pub fn accepts(largest_gradient: f32) -> bool {
        largest_gradient < GRADIENT_LIMIT
    }

    /// Takes note of a step.
    pub fn record(&mut self, overflow: bool) {
        if overflow {
            self.good_steps = 0;
            if self.scale == 1 {
                self.overflows_in_a_row += 1;
            }
            self.scale = (self.scale / 2).max(1);
        } else {
            self.overflows_in_a_row = 0;
            self.good_steps += 1;
            if self.good_steps == GROWTH_INTERVAL {
                self.good_steps = 0;
                self.scale = (self.scale * 2).min(LARGEST);
            }
        }
    }

    /// Whether a run that goes on can have come to this: what a checkpoint says may be anything.
    pub(crate) fn is_reachable(&self) -> bool {
        self.scale.is_power_of_two()
            && self.scale <= LARGEST
            && self.good_steps < GROWTH_INTERVAL
            && self.overflows_in_a_row < PATIENCE
    }

    /// Whether no scale helps any more.
    pub fn has_diverged(&self) -> bool {
        self.overflows_in_a_row >= PATIENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_doubles_after_good_steps_and_halves_on_overflow() {
        let mut s = LossScale::default();
        for _ in 0..GROWTH_INTERVAL {
            s.record(false);
        }
        assert_eq!(s.get(), 2048.0);
        s.record(true);
        assert_eq!(s.get(), 1024.0);
        for _ in 0..(GROWTH_INTERVAL * 20) {
            s.record(false);
        }
        assert_eq!(s.get(), 32_768.0);
    }

    #[test]
    fn overflow_at_scale_one_is_divergence_after_a_while() {
        let mut s = LossScale::default();
        for _ in 0..10 {
            s.record(true);
        }
        assert_eq!(s.get(), 1.0);
        assert!(!s.has_diverged());
        for _ in 0..PATIENCE {
            s.record(true);
        }
        assert!(s.has_diverged());
        s.record(false);
        assert!(!s.has_diverged());
    }

    #[test]
    fn nan_is_not_accepted() {
        assert!(LossScale::accepts(16_375.0));
        assert!(!LossScale::accepts(16_376.0));
        assert!(!LossScale::accepts(f32::NAN));
    }
}
