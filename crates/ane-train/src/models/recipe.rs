//! How a model is trained unless somebody says otherwise.

use crate::{
    config::RunConfig,
    data::{Holdout, text},
    optim::{AdamW, OptimizerConfig},
    schedule::Schedule,
    step::PlanKind,
    update::{Group, Groups},
};

/// How a language model is trained: AdamW with a warm-up and half a cosine, clipped, without decay of norms, biases and
/// embeddings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recipe {
    /// Tokens of an example.
    pub context: usize,
    /// Examples of a step.
    pub batch: usize,
    /// Peak learning rate.
    pub lr: f64,
    /// Steps of the rise to it.
    pub warmup: u64,
}

impl Recipe {
    /// Of a model of characters.
    pub(super) const SMALL: Self = Self {
        context: text::CONTEXT,
        batch: 32,
        lr: 1e-3,
        warmup: 100,
    };

    /// Of Llamas of some million parameters, as llama2.c trains them.
    pub(super) const LLAMA: Self = Self {
        context: 256,
        batch: 4,
        lr: 5e-4,
        warmup: 100,
    };

    /// These settings over those that every model has.
    pub fn over(&self, config: &mut RunConfig) {
        config.data.context.get_or_insert(self.context);
        config.batch = self.batch;
        config.epochs = 1;
        // Rows of a table that are looked up have their gradients on the host, where a fused update cannot wait for them.
        config.plan = PlanKind::Split;
        config.optimizer = OptimizerConfig::AdamW(AdamW {
            betas: (0.9, 0.95),
            weight_decay: 0.1,
            ..AdamW::default()
        });
        config.lr = self.lr;
        config.schedule = Schedule::Cosine {
            warmup: 0.0,
            floor: 0.1,
        };
        config.max_norm = Some(1.0);
        config.validation = Holdout::Share(0.1);
        let without_decay = |tag: &str| Group {
            parameters: tag.to_owned(),
            lr: None,
            weight_decay: Some(0.0),
        };
        config.groups = Groups(["bias", "norm", "embedding"].map(without_decay).into());
    }

    /// The schedule of a run of so many steps.
    pub fn schedule(&self, schedule: Schedule, steps: u64) -> Schedule {
        let share = (self.warmup as f64 / steps.max(1) as f64).min(1.0);
        schedule.with_warmup(share).unwrap_or(schedule)
    }
}
