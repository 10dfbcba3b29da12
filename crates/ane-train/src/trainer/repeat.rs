//! A step that is taken again without an update: what its programs make of the same bits, and what evaluation does.

use super::{Progress, Trainer, batch_ports::Divisor, seeds};
use crate::{data::Batch, error::TrainerError, forensics::Finding, step};
use ane_ir::{Numerics, eval_literals};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What the programs of a step make of a batch, as bits: numbers that are not finite are told apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchNumbers {
    /// Of the loss, an f32.
    pub loss: u32,
    /// Of the largest raw gradient, an f32.
    pub largest_gradient: u32,
    /// Of the largest activation that is watched, an f32.
    pub largest_activation: Option<u32>,
    /// Of the largest new state, an f32; of the fused plan.
    pub largest_state: Option<u32>,
    /// SHA-256 of what all output ports hold, in the order of their names.
    pub outputs: String,
}

impl Trainer {
    /// Runs the programs of the step that was, or would be, taken at `before` on its batches, with its random numbers and
    /// its loss scale, and changes nothing.
    ///
    /// # Errors
    /// When a batch does not fit, or the device fails.
    pub fn repeat(
        &mut self,
        before: &Progress,
        batches: &[Batch],
    ) -> Result<Vec<BatchNumbers>, TrainerError> {
        let mut numbers = Vec::with_capacity(batches.len());
        for i in 0..batches.len() {
            self.put(before, batches, i)?;
            self.program.execute(self.store.current())?;
            numbers.push(self.numbers()?);
        }
        Ok(numbers)
    }

    /// The first tensor of that step that overflows or is not finite, as evaluation under `numerics` finds it; none where
    /// it finds nothing.
    ///
    /// # Errors
    /// When a batch does not fit, or the device fails.
    pub fn examine(
        &mut self,
        before: &Progress,
        batches: &[Batch],
        numerics: &Numerics,
    ) -> Result<Option<Finding>, TrainerError> {
        for i in 0..batches.len() {
            self.put(before, batches, i)?;
            let found = self.scene(numerics, before.step + 1, |scene| scene.overflow())?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// What evaluation of that step under `numerics` makes of each batch: the loss and the largest raw gradient.
    ///
    /// # Errors
    /// When a batch does not fit, or the device fails.
    pub fn evaluate_step(
        &mut self,
        before: &Progress,
        batches: &[Batch],
        numerics: &Numerics,
    ) -> Result<Vec<[f32; 2]>, TrainerError> {
        let mut all = Vec::with_capacity(batches.len());
        for i in 0..batches.len() {
            self.put(before, batches, i)?;
            let inputs = self.port_values()?;
            let g = &self.step.graph;
            let outputs = eval_literals(g, &inputs, numerics)
                .expect("the ports have the types of the graph's inputs");
            let ports = g.outputs().iter().zip(&outputs);
            all.push([step::LOSS, step::LARGEST_GRADIENT].map(|name| {
                let found = ports.clone().find(|(v, _)| g.port(**v) == name);
                found.map_or(f32::NAN, |(_, y)| y.to_f64()[0] as f32)
            }));
        }
        Ok(all)
    }

    /// Fills the input ports for batch `i` of the step.
    fn put(&mut self, before: &Progress, batches: &[Batch], i: usize) -> Result<(), TrainerError> {
        let divisor = Divisor::of_step(&self.config.objective, batches);
        let at = self.step_info(before, divisor);
        self.update.prepare(&at, &self.program)?;
        let scale = self.program.port(step::LOSS_SCALE);
        scale.copy_in(&[before.loss_scale.get()])?;
        self.io
            .upload(&self.step, &self.program, &batches[i], divisor)?;
        seeds::fill(
            &self.step.randoms,
            &self.program,
            self.config.seed,
            before.step,
            i,
        )
    }

    fn numbers(&self) -> Result<BatchNumbers, TrainerError> {
        let scalar = |port| self.program.scalar(port).to_bits();
        let of_state = !self.step.state.is_empty();
        let g = &self.step.graph;
        let mut ports: Vec<&str> = g.outputs().iter().map(|&v| g.port(v)).collect();
        ports.sort_unstable();
        // New state is written to the set that is not the present one.
        let set = self.store.current();
        let mut hash = Sha256::new();
        for port in ports {
            let stored = self.stored.get(port).map(|all| &all[set % all.len()]);
            if let Some(buffer) = stored.or_else(|| self.program.find(port)) {
                hash.update(port.as_bytes());
                hash.update(buffer.copy_out_bytes());
            }
        }
        let numbers = BatchNumbers {
            loss: scalar(step::LOSS),
            largest_gradient: scalar(step::LARGEST_GRADIENT),
            largest_activation: self
                .step
                .watches_forward
                .then(|| scalar(step::LARGEST_ACTIVATION)),
            largest_state: of_state.then(|| scalar(step::LARGEST_STATE)),
            outputs: hash.finalize().iter().map(|b| format!("{b:02x}")).collect(),
        };
        self.device.health()?;
        Ok(numbers)
    }
}
