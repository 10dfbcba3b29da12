//! The update inside the program: the host gives it scalars, and takes the other set of state if its results are good.

use super::{ParameterGroup, Update};
use crate::{
    error::TrainerError,
    optim::{OptimizerConfig, StepInfo, pair},
    program::Program,
    step::{LARGEST_STATE, MAX_NORM, UNSCALE, accepts_gradient, accepts_state, unscale_value},
    store::Store,
};
use ane_engine::Pool;

/// The update of the fused plan.
#[derive(Debug)]
pub(crate) struct Fused {
    pub(crate) optimizer: OptimizerConfig,
    pub(crate) max_norm: Option<f64>,
}

impl Update for Fused {
    fn prepare(&self, at: &StepInfo, program: &Program) -> Result<(), TrainerError> {
        let optimizer = self.optimizer.as_dyn();
        let write = |port: &str, value: f64| program.port(port).copy_in(&[value as f32]);
        write(UNSCALE, unscale_value(at.loss_scale))?;
        if let Some(max_norm) = self.max_norm {
            write(MAX_NORM, (max_norm * pair::GRADIENT_UNIT).min(65_504.0))?;
        }
        for (name, value) in optimizer.scalars().iter().zip(optimizer.scalar_values(at)) {
            write(name, value)?;
        }
        Ok(())
    }

    fn overflows(&self, at: &StepInfo, largest_gradient: f32, program: &Program) -> bool {
        // Clipped gradients fit; others may leave fp16 in the update's units, where infinity does not survive.
        let in_units = f64::from(largest_gradient) * unscale_value(at.loss_scale);
        !accepts_state(program.scalar(LARGEST_STATE))
            || (self.max_norm.is_none() && !accepts_gradient(in_units))
    }

    fn accumulate(&self, _: &Pool, _: usize) {}

    fn apply(&mut self, _: &Pool, _: StepInfo, store: &mut Store) -> Option<f64> {
        store.flip();
        None
    }

    fn regroup(&mut self, _: &[ParameterGroup]) -> Result<(), TrainerError> {
        Err(TrainerError::NotFused {
            what: "have parameter groups",
            reason: "its program has one set of scalars for all parameters",
        })
    }
}
