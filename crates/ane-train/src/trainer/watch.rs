//! What a trainer looks at while it trains, so that what goes wrong is found in the step in which it does.
//!
//! An overflow now and then is how the loss scale finds its height, and says nothing; looked into are those that do not
//! end, steps whose loss is not finite though they are accepted, and parameters that no gradient reaches any more.

use super::{Trainer, homes};
use crate::{
    data::Batch,
    error::TrainerError,
    forensics::{Finding, Scene},
    step::PlanKind,
    store::WEIGHT,
};
use ane_device::Buffer;
use ane_ir::{Literal, Numerics};
use std::collections::BTreeSet;

/// Overflows in a row after which the first of them is no matter of the loss scale's height.
const OVERFLOWS: u32 = 3;
/// Steps in a row in which a gradient is all zero before that is told. Layers that begin as zeros let nothing through in
/// the first step, and do in the next.
const ZERO_STEPS: u32 = 3;

/// What is looked at.
#[derive(Debug)]
pub(super) struct Watch {
    numerics: Numerics,
    /// Whether every overflow is looked into.
    every_overflow: bool,
    overflows_in_a_row: u32,
    loss_was_finite: bool,
    gradients: Vec<Watched>,
    findings: Vec<Finding>,
}

/// The gradient of a parameter, or what a program makes of it.
#[derive(Debug)]
struct Watched {
    path: String,
    port: String,
    /// By set of the state; one where it is no state.
    buffers: Vec<Buffer>,
    zero_steps: u32,
    is_zero: bool,
}

impl Trainer {
    /// Has steps looked into that go wrong, by evaluating them under `numerics`, and all that overflow if
    /// `every_overflow`. Of the parameters in `told` it is known that their gradient vanishes.
    pub fn watch(&mut self, numerics: Numerics, every_overflow: bool, told: &BTreeSet<String>) {
        let gradients = self.step.trained.iter().enumerate();
        let gradients = gradients.filter_map(|(at, &i)| {
            let path = &self.config.model.parameters[i].path;
            let (port, buffers) = match self.config.plan {
                PlanKind::Split => {
                    let port = self.step.gradients.get(at)?;
                    (port, vec![homes::view(&self.step, &self.program, port)])
                }
                // Its programs keep gradients to themselves; what they make of them first is zero with them.
                PlanKind::Fused => {
                    let of_parameter = |s: &&crate::step::StatePort| s.parameter == i;
                    let mut state = self.step.state.iter().filter(of_parameter);
                    let moment = state.find(|s| s.role != WEIGHT && !s.low)?;
                    let id = self.store.find(moment.role, path)?;
                    (&moment.new, self.store.halves(id, false)?.to_vec())
                }
            };
            Some(Watched {
                path: path.clone(),
                port: port.clone(),
                buffers,
                zero_steps: 0,
                is_zero: false,
            })
        });
        let gradients = gradients.filter(|w| !told.contains(&w.path)).collect();
        self.watch = Some(Watch {
            numerics,
            every_overflow,
            overflows_in_a_row: 0,
            loss_was_finite: true,
            gradients,
            findings: Vec::new(),
        });
    }

    /// Whether every overflow is looked into.
    pub fn watches_every_overflow(&self) -> bool {
        self.watch.as_ref().is_some_and(|w| w.every_overflow)
    }

    /// What was found since this was asked the last time.
    pub fn take_findings(&mut self) -> Vec<Finding> {
        self.watch
            .as_mut()
            .map(|w| std::mem::take(&mut w.findings))
            .unwrap_or_default()
    }

    /// Where a step on these batches would go wrong now; none where nothing is watched, or nothing is found.
    ///
    /// # Errors
    /// When a batch does not fit, or the device fails.
    pub(crate) fn look_into(&mut self, batches: &[Batch]) -> Result<Option<Finding>, TrainerError> {
        let Some(numerics) = self.watch.as_ref().map(|w| w.numerics.clone()) else {
            return Ok(None);
        };
        let now = self.progress;
        self.examine(&now, batches, &numerics)
    }

    /// Takes note of a batch of a step that overflows first, while its ports hold it.
    pub(super) fn saw_overflow(&mut self, scale: f32) -> Result<(), TrainerError> {
        let mut after = self.progress.loss_scale;
        after.record(true);
        let Some(watch) = &mut self.watch else {
            return Ok(());
        };
        watch.overflows_in_a_row += 1;
        let fell = scale > 1.0 && after.get() == 1.0;
        if watch.every_overflow
            || watch.overflows_in_a_row == OVERFLOWS
            || fell
            || after.has_diverged()
        {
            let numerics = watch.numerics.clone();
            let found = self.scene(&numerics, self.progress.step + 1, |scene| scene.overflow())?;
            self.note(found);
        }
        Ok(())
    }

    /// Takes note of a batch of a step that does not overflow, while its ports hold it; `is_first` begins a step.
    pub(super) fn saw_batch(&mut self, is_first: bool) {
        let set = self.store.current();
        for w in self.watch.iter_mut().flat_map(|w| &mut w.gradients) {
            // New state is in the other set until it is accepted.
            let at = (set + 1) % w.buffers.len();
            w.is_zero = (is_first || w.is_zero) && w.buffers[at].is_zero();
        }
    }

    /// Takes note of a step that is accepted, before anything changes.
    pub(super) fn saw_step(&mut self, loss: f64) -> Result<(), TrainerError> {
        let Some(watch) = &mut self.watch else {
            return Ok(());
        };
        watch.overflows_in_a_row = 0;
        let loss_ceases = watch.loss_was_finite && !loss.is_finite();
        watch.loss_was_finite = loss.is_finite();
        let mut vanished = Vec::new();
        watch.gradients.retain_mut(|w| {
            w.zero_steps = if w.is_zero { w.zero_steps + 1 } else { 0 };
            let is_over = w.zero_steps >= ZERO_STEPS;
            if is_over {
                vanished.push((w.path.clone(), w.port.clone()));
            }
            !is_over
        });
        let numerics = watch.numerics.clone();
        let number = self.progress.step + 1;
        if loss_ceases {
            let found = self.scene(&numerics, number, |scene| scene.overflow())?;
            self.note(found);
        }
        if !vanished.is_empty() {
            let found = self.scene(&numerics, number, |scene| scene.vanished(&vanished))?;
            self.note(found);
        }
        Ok(())
    }

    fn note(&mut self, found: impl IntoIterator<Item = Finding>) {
        if let Some(watch) = &mut self.watch {
            watch.findings.extend(found);
        }
    }

    /// Looks into the step whose batch is in the ports.
    pub(super) fn scene<T>(
        &self,
        numerics: &Numerics,
        number: u64,
        look: impl FnOnce(&Scene<'_>) -> T,
    ) -> Result<T, TrainerError> {
        let inputs = self.port_values()?;
        let scale = self.program.scalar(crate::step::LOSS_SCALE);
        Ok(look(&Scene {
            step: &self.step,
            parameters: &self.config.model.parameters,
            target: *self.device.target(),
            numerics,
            host: &self.program.staged().host_nodes,
            inputs: &inputs,
            number,
            loss_scale: scale,
        }))
    }

    /// What the input ports of the training step hold, in the order of its graph's inputs.
    pub(crate) fn port_values(&self) -> Result<Vec<Literal>, TrainerError> {
        let g = &self.step.graph;
        let set = self.store.current();
        let values = g.inputs().iter().map(|&v| {
            let name = g.port(v);
            let stored = self.stored.get(name).map(|all| &all[set % all.len()]);
            let buffer = stored.or_else(|| self.program.find(name));
            let lost = || TrainerError::Port {
                port: name.to_owned(),
            };
            let bytes = buffer.ok_or_else(lost)?.copy_out_bytes();
            Literal::from_bytes(g.ty(v).clone(), bytes).ok_or_else(lost)
        });
        let values = values.collect::<Result<_, _>>()?;
        // A read of a device that is lost gives anything.
        self.device.health()?;
        Ok(values)
    }
}
