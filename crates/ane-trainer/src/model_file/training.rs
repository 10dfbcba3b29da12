//! What a model file says of how its model is trained. Flags come after it, defaults before.

use crate::{failure::Failure, output::say};
use ane_import::keras::compile::LearningRate;
use ane_train::{config::RunConfig, loss::Loss, optim::OptimizerConfig};

/// What a file says; nothing is what it leaves to the defaults.
#[derive(Debug, Default)]
pub(crate) struct Training {
    pub(super) loss: Option<Loss>,
    pub(super) optimizer: Option<Update>,
    pub(super) metric: Option<&'static str>,
}

/// An optimizer with what belongs to it.
#[derive(Debug)]
pub(super) struct Update {
    pub(super) optimizer: OptimizerConfig,
    pub(super) rate: Rate,
    pub(super) max_norm: Option<f64>,
    pub(super) accumulate: usize,
}

/// A learning rate.
#[derive(Debug)]
pub(super) enum Rate {
    /// The peak of whatever the schedule is.
    Peak(f64),
    /// A schedule of its own.
    Schedule(LearningRate),
}

impl Training {
    /// Takes the place of the defaults.
    pub(crate) fn over(&self, base: &mut RunConfig) {
        if let Some(loss) = self.loss {
            base.loss = loss;
            say!("loss of the file: {}", loss.name());
        }
        if let Some(metric) = self.metric {
            base.metric = Some(metric.to_owned());
        }
        let Some(update) = &self.optimizer else {
            return;
        };
        let name = update.optimizer.as_dyn().name();
        match &update.rate {
            Rate::Peak(lr) => {
                base.lr = *lr;
                say!("optimizer of the file: {name}, learning rate {lr}");
            }
            Rate::Schedule(rate) => {
                say!(
                    "optimizer of the file: {name}, learning rate {}, {}",
                    // Keras holds it in f32.
                    rate.at(0) as f32,
                    rate.name()
                );
            }
        }
        base.optimizer = update.optimizer.clone();
        base.max_norm = update.max_norm.or(base.max_norm);
        base.accumulate = update.accumulate;
    }

    /// Takes the place of the default schedule, once it is known how many examples are trained on and how often.
    pub(crate) fn schedule_over(
        &self,
        base: &mut RunConfig,
        trained: Option<usize>,
    ) -> Result<(), Failure> {
        let Some(Rate::Schedule(rate)) = self.optimizer.as_ref().map(|u| &u.rate) else {
            return Ok(());
        };
        let Some(examples) = trained else {
            return Ok(());
        };
        let total = base.total_steps(examples.div_ceil(base.batch));
        let (lr, schedule) = rate.schedule(total).ok_or_else(|| {
            Failure::usage(
                format!(
                    "the learning rate of the model, {}, is none that a run of {total} updates has",
                    rate.name()
                ),
                format!(
                    "compile it with a number or with CosineDecay(…, decay_steps={total}), or pass --lr and --schedule"
                ),
            )
        })?;
        (base.lr, base.schedule) = (lr, schedule);
        Ok(())
    }
}
