//! What a run notes of steps that went wrong, and the steps that it records so that they can be replayed.

use super::{Event, Fit, FitError};
use crate::{
    bundle::{Bundle, MOST_BUNDLES, Outcome},
    checkpoint::{Checkpoint, Record},
    config::RunConfig,
    data::Batch,
    forensics::{Finding, What},
    trainer::{Progress, StepOutcome},
};

impl Fit {
    /// Has steps looked into that go wrong, and with `records` those kept that overflow. A parameter whose gradient is known
    /// to vanish is not told again.
    ///
    /// # Errors
    /// When what was found so far cannot be read.
    pub fn watch(&mut self, config: &RunConfig, records: bool) -> Result<(), FitError> {
        let known = self.run.read_findings()?.into_iter();
        let vanished = known.filter(|f| f.what == What::Vanished);
        let told = vanished.filter_map(|f| f.parameter).collect();
        self.trainer.watch(config.numerics(), records, &told);
        Ok(())
    }

    /// Notes what was found in the step that began at `before`, and keeps the step where that is wanted.
    pub(super) fn note_findings(
        &mut self,
        before: &Progress,
        batches: &[Batch],
        outcome: &StepOutcome,
        report: &mut dyn FnMut(&Event),
    ) -> Result<(), FitError> {
        let findings = self.trainer.take_findings();
        for finding in &findings {
            self.run.append_finding(finding)?;
        }
        let first = findings.first().cloned();
        if !findings.is_empty() {
            report(&Event::Findings(findings));
        }
        if outcome.overflow && self.trainer.watches_every_overflow() {
            self.record_step(before, batches, outcome, first, report)?;
        }
        Ok(())
    }

    /// Notes where a step on these batches would go wrong with what has been learned.
    pub(super) fn look_into(&mut self, batches: &[Batch]) -> Result<(), FitError> {
        if let Some(finding) = self.trainer.look_into(batches)? {
            self.run.append_finding(&finding)?;
        }
        Ok(())
    }

    /// Keeps a step that was skipped, whose state is still what it was.
    fn record_step(
        &mut self,
        before: &Progress,
        batches: &[Batch],
        outcome: &StepOutcome,
        finding: Option<Finding>,
        report: &mut dyn FnMut(&Event),
    ) -> Result<(), FitError> {
        let bundles = self.run.bundles();
        let step = before.step + 1;
        if Bundle::is_there(&bundles, step) || Bundle::count(&bundles)? >= MOST_BUNDLES {
            return Ok(());
        }
        let trained = self.trainer.config();
        let (seed, total_steps) = (trained.seed, trained.total_steps);
        let bundle = Bundle {
            outcome: Outcome {
                format: Outcome::FORMAT,
                step,
                seed,
                total_steps,
                loss_scale: before.loss_scale.get(),
                loss: outcome.loss.to_bits(),
                overflow: outcome.overflow,
                batches: self.trainer.repeat(before, batches)?,
                finding,
            },
            checkpoint: Checkpoint {
                record: Record {
                    progress: *before,
                    ..self.record()
                },
                state: self.trainer.state()?,
            },
            batches: batches.to_vec(),
        };
        let bundle = bundle.write_in(&bundles, &self.run.model())?;
        report(&Event::Recorded { step, bundle });
        Ok(())
    }
}
