//! What crosses between a batch and the ports of a program.

use super::TrainerConfig;
use crate::{
    data::{Batch, Values},
    error::TrainerError,
    metric::{Seen, Tally, Wanted},
    model::{ModelGraph, PRESENT},
    objective::{IGNORED, Objective, TOKEN_LOSS, TermTargets, Written},
    program::Program,
    step::{self, Step},
};
use ane_device::Buffer;
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
    targets: Vec<TermTargets>,
    outputs: Vec<Vec<f32>>,
    /// Position of the output that metrics look at, and the tensor that it should be.
    measured: Option<(usize, String)>,
    /// Whether that output is the losses of tokens.
    measures_losses: bool,
}

impl BatchPorts {
    /// For a step of this graph of a model.
    pub(super) fn new(objective: &Objective, of: &ModelGraph, step: &Step) -> Self {
        let width_of = |name: &str| {
            let found = step.outputs.iter().find(|o| o.name == name);
            found.map_or(0, |o| o.width)
        };
        let head_of = |name: &str| of.head.as_ref().filter(|(scores, _)| scores == name);
        let of_first = objective.terms.first().and_then(|term| {
            let output = match head_of(&term.output) {
                Some(_) => TOKEN_LOSS,
                None => &term.output,
            };
            let at = step.outputs.iter().position(|o| o.name == output)?;
            Some((at, term.target.clone()))
        });
        Self {
            targets: objective
                .terms
                .iter()
                .map(|term| match head_of(&term.output) {
                    Some((_, head)) => {
                        let g = &of.graph;
                        TermTargets::tokens(term, head.positions(g), head.vocabulary(g))
                    }
                    None => TermTargets::rows(term, width_of(&term.output)),
                })
                .collect(),
            outputs: vec![Vec::new(); step.outputs.len()],
            measures_losses: objective
                .terms
                .first()
                .is_some_and(|t| head_of(&t.output).is_some()),
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
        let mut ports = step.targets.iter();
        for targets in &mut self.targets {
            for (written, port) in targets.of(batch)?.into_iter().zip(&mut ports) {
                let buffer = program.port(port);
                let len = match written {
                    Written::Fp16(x) => x.len(),
                    Written::Int32(x) => x.len(),
                };
                if len != buffer.ty().shape.numel() {
                    return Err(TrainerError::Batch {
                        name: port.clone(),
                        expected: buffer.ty().clone(),
                        found: format!("{len} values"),
                    });
                }
                match written {
                    Written::Fp16(bits) => buffer.copy_in_bits(bits)?,
                    Written::Int32(x) => copy_in_integers(buffer, x)?,
                }
            }
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

    /// The mean loss of the examples of a batch whose outputs were read, where those are losses of tokens: in more digits than
    /// the engine's own sum has.
    pub(super) fn mean_of_tokens(&self, batch: &Batch) -> Option<f64> {
        let (at, target) = self.measured.as_ref().filter(|_| self.measures_losses)?;
        let Some(Values::Int32(tokens)) = batch.get(target) else {
            return None;
        };
        let width = tokens.len() / batch.rows().max(1);
        let rows = self.outputs[*at].chunks(width).zip(tokens.chunks(width));
        let (mut sum, mut total) = (0.0, 0.0);
        for ((losses, tokens), &weight) in rows.zip(batch.weights()) {
            let counted = losses.iter().zip(tokens).filter(|(_, t)| **t != IGNORED);
            let (n, of_row) = counted.fold((0.0, 0.0), |(n, sum), (&l, _)| {
                (n + 1.0, sum + f64::from(l))
            });
            sum += f64::from(weight) * of_row / f64::max(n, 1.0);
            total += f64::from(weight);
        }
        Some(sum / if total > 0.0 { total } else { 1.0 })
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
            Some(Values::Int32(tokens)) if self.measures_losses => {
                let used = tokens.iter().take(present * width);
                rows.extend(used.map(|&t| if t == IGNORED { 0.0 } else { 1.0 }));
                Wanted::Counted(&rows)
            }
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

/// Writes values to the buffer of a port.
pub(super) fn upload(
    buffer: &Buffer,
    name: &str,
    values: Option<&Values>,
) -> Result<(), TrainerError> {
    let fits = values
        .is_some_and(|v| v.dtype() == buffer.ty().dtype && v.len() == buffer.ty().shape.numel());
    match values {
        Some(Values::Fp16(x)) if fits => buffer.copy_in_bits(x)?,
        Some(Values::Int32(x)) if fits => copy_in_integers(buffer, x)?,
        Some(Values::UInt8(x)) if fits => buffer.copy_in_bytes(x)?,
        _ => {
            return Err(TrainerError::Batch {
                name: name.to_owned(),
                expected: buffer.ty().clone(),
                found: values.map_or_else(
                    || "nothing".to_owned(),
                    |v| format!("{} {} values", v.len(), v.dtype()),
                ),
            });
        }
    }
    Ok(())
}

fn copy_in_integers(buffer: &Buffer, x: &[i32]) -> Result<(), TrainerError> {
    let bytes: Vec<u8> = x.iter().flat_map(|v| v.to_le_bytes()).collect();
    Ok(buffer.copy_in_bytes(&bytes)?)
}

/// Writes the model's inputs of a batch, and which of its rows are present.
pub(super) fn upload_inputs(
    step: &Step,
    program: &Program,
    batch: &Batch,
) -> Result<(), TrainerError> {
    for name in &step.inputs {
        upload(program.port(name), name, batch.get(name))?;
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
