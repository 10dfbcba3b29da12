//! Knowing that a loss will not be finite again.

use crate::trainer::StepOutcome;

/// Accepted steps in a row with a loss that is not finite, after which training has diverged.
pub(super) const PATIENCE: u32 = 50;

/// Counts accepted steps in a row whose loss is not finite. Counted anew after a resume or a fault, which only makes it
/// more patient.
#[derive(Debug, Default)]
pub(super) struct WithoutLoss(u32);

impl WithoutLoss {
    /// Whether, with this step, there were too many.
    pub(super) fn is_too_long(&mut self, outcome: &StepOutcome) -> bool {
        if outcome.loss.is_finite() {
            self.0 = 0;
        } else if !outcome.overflow {
            self.0 += 1;
        }
        self.0 >= PATIENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_that_is_never_finite_is_divergence_and_a_skipped_step_no_evidence() {
        let step = |loss: f32, overflow| StepOutcome {
            loss,
            examples: 4,
            tallies: Vec::new(),
            overflow,
            lr: 0.1,
            loss_scale: 1.0,
            grad_norm: None,
        };
        let mut without_loss = WithoutLoss::default();
        for _ in 1..PATIENCE {
            assert!(!without_loss.is_too_long(&step(f32::INFINITY, false)));
            assert!(!without_loss.is_too_long(&step(f32::NAN, true)));
        }
        assert!(!without_loss.is_too_long(&step(0.5, false)));
        for _ in 1..PATIENCE {
            assert!(!without_loss.is_too_long(&step(f32::NAN, false)));
        }
        assert!(without_loss.is_too_long(&step(f32::NAN, false)));
    }
}
