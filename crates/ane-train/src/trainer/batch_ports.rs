//! What crosses between a batch and the ports of a program.

use super::TrainerConfig;
use crate::{
    data::{Batch, Values},
    error::TrainerError,
    metric::{Seen, Tally, Wanted},
    model::PRESENT,
    objective::{Objective, TargetRows},
    program::Program,
    step::{self, Step},
};
use half::f16;

/// What the programs of a step divide by, and what is left to divide.
#[derive(Debug, Clone, Copy)]
pub(super) struct Divisor {
    /// In fp16: the share of one batch in the divisor of the mean.
    port: f32,
    /// The divisor of the mean is `port` times this.
    left: f64,
}

impl Divisor {
    /// For examples that weigh `total` in `batches` batches. Were every program to divide by the whole, the shares of
    /// examples would vanish in fp16 for large updates.
    pub(super) fn of(total: f64, batches: usize) -> Self {
        let share = total / batches.max(1) as f64;
        let port = f16::from_f64(share).to_f32();
        // A batch without weight has no loss; whatever it is divided by must not be zero.
        if port == 0.0 || !port.is_finite() {
            return Self {
                port: 1.0,
                left: if total > 0.0 { total } else { 1.0 },
            };
        }
        Self {
            port,
            left: total / f64::from(port),
        }
    }

    /// For the batches of a step that minimises `objective`. A loss of the model's own is the mean of a batch already.
    pub(super) fn of_step(objective: &Objective, batches: &[Batch]) -> Self {
        let total = match batches.first() {
            Some(_) if objective.is_own() => batches.len() as f64,
            Some(batch) => f64::from(batch.divisor),
            None => 0.0,
        };
        Self::of(total, batches.len())
    }

    /// What sums of the programs are still to be divided by: exactly 1 where fp16 holds the divisor of a single batch.
    pub(super) fn left(self) -> f64 {
        self.left
    }
}

/// What crosses between batches and the ports of a program.
#[derive(Debug)]
pub(super) struct BatchPorts {
    targets: Vec<TargetRows>,
    outputs: Vec<Vec<f32>>,
    /// Position of the output that metrics look at, and the tensor that it should be.
    measured: Option<(usize, String)>,
}

impl BatchPorts {
    pub(super) fn new(objective: &Objective, step: &Step) -> Self {
        let width_of = |name: &str| {
            let found = step.outputs.iter().find(|o| o.name == name);
            found.map_or(0, |o| o.width)
        };
        let of_first = objective.terms.first().and_then(|term| {
            let at = step.outputs.iter().position(|o| o.name == term.output)?;
            Some((at, term.target.clone()))
        });
        Self {
            targets: objective
                .terms
                .iter()
                .map(|term| TargetRows::new(term, width_of(&term.output)))
                .collect(),
            outputs: vec![Vec::new(); step.outputs.len()],
            measured: of_first,
        }
    }

    /// Writes a batch to the ports of a program.
    pub(super) fn upload(
        &mut self,
        step: &Step,
        program: &Program,
        batch: &Batch,
        divisor: Divisor,
    ) -> Result<(), TrainerError> {
        upload_inputs(step, program, batch)?;
        for (port, rows) in step.targets.iter().zip(&mut self.targets) {
            let rows = rows.of(batch)?;
            let buffer = program.port(port);
            if rows.len() != buffer.ty().shape.numel() {
                return Err(TrainerError::Batch {
                    name: port.clone(),
                    expected: buffer.ty().clone(),
                    found: format!("{} values", rows.len()),
                });
            }
            buffer.copy_in_bits(rows)?;
        }
        if !step.targets.is_empty() {
            let mut weights = batch.weights().to_vec();
            weights.resize(batch.rows(), 0.0);
            program.port(step::WEIGHT).copy_in(&weights)?;
            program.port(step::DIVISOR).copy_in(&[divisor.port])?;
        }
        Ok(())
    }

    /// Whether the outputs of the examples, which were read, and what they were made of are finite.
    pub(super) fn forward_is_finite(&self, step: &Step, program: &Program, batch: &Batch) -> bool {
        let outputs = self.outputs.iter().zip(&step.outputs);
        let finite = outputs
            .map(|(values, port)| &values[..batch.present() * port.width])
            .all(|values| values.iter().all(|x| x.is_finite()));
        finite && (!step.watches_forward || program.scalar(step::LARGEST_ACTIVATION).is_finite())
    }

    /// Reads the outputs.
    pub(super) fn read_outputs(&mut self, step: &Step, program: &Program) {
        for (values, port) in self.outputs.iter_mut().zip(&step.outputs) {
            let buffer = program.port(&port.name);
            values.resize(buffer.ty().shape.numel(), 0.0);
            buffer.copy_out_to(values);
        }
    }

    /// The outputs of the examples of a batch, which were read, by name.
    pub(super) fn outputs(&self, step: &Step, batch: &Batch) -> Vec<(String, Vec<f32>)> {
        let outputs = self.outputs.iter().zip(&step.outputs);
        outputs
            .map(|(values, port)| {
                let used = &values[..batch.present() * port.width];
                (port.name.clone(), used.to_vec())
            })
            .collect()
    }

    /// Adds the examples of a batch whose outputs were read to the tallies of the metrics.
    pub(super) fn measure(&self, config: &TrainerConfig, batch: &Batch, tallies: &mut [Tally]) {
        let Some((at, target)) = &self.measured else {
            return;
        };
        let values = &self.outputs[*at];
        let width = values.len() / batch.rows().max(1);
        let present = batch.present();
        let in_units = |x: &mut [f32]| {
            for row in x.chunks_exact_mut(config.units.len().max(1)) {
                row.iter_mut().zip(&config.units).for_each(|(x, u)| *x *= u);
            }
        };
        let (mut output, mut rows) = (Vec::new(), Vec::new());
        let mut seen = &values[..present * width];
        let target = match batch.get(target) {
            Some(Values::Int32(classes)) => Wanted::Classes(&classes[..present.min(classes.len())]),
            Some(Values::Fp16(bits)) if !config.metrics.is_empty() => {
                let used = bits.iter().take(present * width);
                rows.extend(used.map(|&b| f16::from_bits(b).to_f32()));
                if config.units.len() == width {
                    output.extend_from_slice(seen);
                    in_units(&mut output);
                    in_units(&mut rows);
                    seen = &output;
                }
                Wanted::Rows(&rows)
            }
            _ => return,
        };
        let seen = Seen {
            output: seen,
            width,
            target,
        };
        for (metric, tally) in config.metrics.iter().zip(tallies) {
            metric.add(&seen, tally);
        }
    }
}

/// Writes the model's inputs of a batch, and which of its rows are present.
pub(super) fn upload_inputs(
    step: &Step,
    program: &Program,
    batch: &Batch,
) -> Result<(), TrainerError> {
    for name in &step.inputs {
        let buffer = program.port(name);
        let values = batch.get(name);
        let fits = values.is_some_and(|v| {
            v.dtype() == buffer.ty().dtype && v.len() == buffer.ty().shape.numel()
        });
        match values {
            Some(Values::Fp16(x)) if fits => buffer.copy_in_bits(x)?,
            Some(Values::Int32(x)) if fits => {
                let bytes: Vec<u8> = x.iter().flat_map(|v| v.to_le_bytes()).collect();
                buffer.copy_in_bytes(&bytes)?;
            }
            Some(Values::UInt8(x)) if fits => buffer.copy_in_bytes(x)?,
            _ => {
                return Err(TrainerError::Batch {
                    name: name.clone(),
                    expected: buffer.ty().clone(),
                    found: values.map_or_else(
                        || "nothing".to_owned(),
                        |v| format!("{} {} values", v.len(), v.dtype()),
                    ),
                });
            }
        }
    }
    if step.has_present {
        let mut present = vec![1.0; batch.present()];
        present.resize(batch.rows(), 0.0);
        program.port(PRESENT).copy_in(&present)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_divisor_that_fp16_holds_leaves_nothing_to_divide() {
        for examples in [1.0, 88.0, 128.0, 2_048.0] {
            let d = Divisor::of(examples, 1);
            assert_eq!((f64::from(d.port), d.left()), (examples, 1.0));
        }
        let d = Divisor::of(8.0 * 16_384.0 + 1.0, 8);
        assert_eq!(f64::from(d.port) * d.left(), 8.0 * 16_384.0 + 1.0);
        assert_eq!(Divisor::of(0.0, 1).left(), 1.0);
    }
}
