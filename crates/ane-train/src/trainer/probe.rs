//! Loss and gradients of a batch without an update: what another implementation is compared with.

use super::{Trainer, batch_ports::Divisor, homes, seeds};
use crate::{data::Batch, error::TrainerError, loss_scale::LossScale, step};

/// What came of a probe.
#[derive(Debug, Clone, PartialEq)]
pub struct Probed {
    /// The loss.
    pub loss: f32,
    /// The loss scale that the gradients were computed with.
    pub loss_scale: f32,
    /// What the program's gradients were divided by: the loss scale, and what its divisor leaves of that of the mean.
    pub factor: f64,
    /// The gradient of every parameter that is trained, with its position in the model; of the split plan only.
    pub gradients: Vec<(usize, Vec<f32>)>,
}

impl Trainer {
    /// Loss and gradients of a batch with nothing dropped, changing nothing. The loss scale is lowered from the present one
    /// until no gradient overflows; where that never is, the gradients are those at scale 1, infinities and all.
    ///
    /// # Errors
    /// When the batch does not fit, or the device fails.
    pub fn probe(&mut self, batch: &Batch) -> Result<Probed, TrainerError> {
        let divisor = Divisor::of_step(&self.config.objective, std::slice::from_ref(batch));
        self.io.upload(&self.step, &self.program, batch, divisor)?;
        seeds::keep_all(&self.step.randoms, &self.program)?;
        let mut scale = self.progress.loss_scale;
        loop {
            self.program
                .port(step::LOSS_SCALE)
                .copy_in(&[scale.get()])?;
            self.program.execute(self.store.current())?;
            let largest = self.program.scalar(step::LARGEST_GRADIENT);
            if LossScale::accepts(largest) || scale.get() <= 1.0 {
                break;
            }
            scale.record(true);
        }
        let factor = f64::from(scale.get()) * divisor.left();
        let unscaled = |port: &String| -> Vec<f32> {
            let raw = homes::view(&self.step, &self.program, port).copy_out();
            raw.into_iter()
                .map(|g| (f64::from(g) / factor) as f32)
                .collect()
        };
        let gradients = self.step.gradients.iter().map(unscaled);
        let probed = Probed {
            loss: (f64::from(self.program.scalar(step::LOSS)) / divisor.left()) as f32,
            loss_scale: scale.get(),
            factor,
            gradients: self.step.trained.iter().copied().zip(gradients).collect(),
        };
        self.device.health()?;
        Ok(probed)
    }
}
