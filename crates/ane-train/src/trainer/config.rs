//! What is trained and how.

use super::homes;
use crate::{
    error::TrainerError,
    lowering::LoweringRule,
    metric::Metric,
    model::Model,
    objective::Objective,
    optim::OptimizerConfig,
    schedule::Schedule,
    stage::{HostNode, Staged},
    step::{PlanKind, Step, StepConfig},
    update::Groups,
};
use ane_ir::Target;

/// What is trained and how.
#[derive(Debug, Clone)]
pub struct TrainerConfig {
    /// The model.
    pub model: Model,
    /// What is minimised.
    pub objective: Objective,
    /// What is measured besides, of the objective's first output and target.
    pub metrics: Vec<&'static dyn Metric>,
    /// What 1 is in each value of the measured output, in the unit that metrics have; none where that is 1.
    pub units: Vec<f32>,
    /// Where the update runs.
    pub plan: PlanKind,
    /// Who updates.
    pub optimizer: OptimizerConfig,
    /// Parameters with settings of their own.
    pub groups: Groups,
    /// Peak learning rate.
    pub lr: f64,
    /// How it moves.
    pub schedule: Schedule,
    /// Steps of the whole run, for the schedule.
    pub total_steps: u64,
    /// Largest global norm of the gradients, if clipped.
    pub max_norm: Option<f64>,
    /// Batches whose gradients make an update, at least 1.
    pub accumulate: usize,
    /// Decay of the moving average of the weights, if one is kept.
    pub ema: Option<f64>,
    /// How convolutions are lowered where that is asked for.
    pub lowerings: Vec<LoweringRule>,
    /// Seed of the initial weights, and of what layers draw.
    pub seed: u64,
}

impl TrainerConfig {
    /// The training step for a target, with its ports packed where a request holds fewer.
    ///
    /// # Errors
    /// When the step cannot be built, or the plan cannot do what is asked.
    pub fn training_step(&self, target: &Target) -> Result<Step, TrainerError> {
        self.check()?;
        let mut step = Step::train(&StepConfig {
            model: &self.model,
            objective: &self.objective,
            plan: self.plan,
            optimizer: self.optimizer.as_dyn(),
            max_norm: self.max_norm,
            target: *target,
        })?;
        step.lower(&self.lowerings, target)?;
        homes::pack_training(&mut step, self, target)?;
        Ok(step)
    }

    /// The training step for a target, in stages.
    ///
    /// # Errors
    /// As [`TrainerConfig::training_step`]; when the target forbids what no stage on the host can help, or the host would
    /// make gradients for a fused update.
    pub fn staged_step(&self, target: &Target) -> Result<(Step, Staged), TrainerError> {
        let step = self.training_step(target)?;
        let staged = Staged::of(&step.graph, target);
        if self.plan == PlanKind::Fused {
            // Also where the stages are illegal: an update cut in two has more ports than a request may.
            let host = match &staged {
                Ok(staged) => staged.host_nodes.clone(),
                Err(_) => HostNode::of(&step.graph, target),
            };
            step.refuse_host_gradients(&self.model, &host)?;
        }
        Ok((step, staged?))
    }

    /// The step that evaluates, whose weights lie where those of the `training` step do.
    ///
    /// # Errors
    /// When the step cannot be built.
    pub fn evaluation_step(&self, training: &Step, target: &Target) -> Result<Step, TrainerError> {
        let mut step = Step::evaluate(&self.model, &self.objective, target)?;
        step.lower(&self.lowerings, target)?;
        homes::pack_inference(&mut step, training, self)?;
        Ok(step)
    }

    /// Whether the plan can do what is asked.
    fn check(&self) -> Result<(), TrainerError> {
        let refused = [
            (
                self.accumulate > 1,
                "accumulate gradients",
                "its program updates the weights of every batch",
            ),
            (
                self.ema.is_some(),
                "average its weights",
                "they are on the engine, and the average is the host's",
            ),
            (
                !self.groups.is_empty(),
                "have parameter groups",
                "its program has one set of scalars for all parameters",
            ),
        ];
        for (is_asked, what, reason) in refused {
            if self.plan == PlanKind::Fused && is_asked {
                return Err(TrainerError::NotFused { what, reason });
            }
        }
        Ok(())
    }
}
