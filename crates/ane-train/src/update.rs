//! How a step's gradients become new weights: on the host, or inside the program that made them.

mod fused;
mod groups;
mod split;

pub(crate) use fused::Fused;
pub use groups::{Group, Groups, ParameterGroup, Settings, is_tag, matches, names};
pub(crate) use split::{Split, Updated};

use crate::{error::TrainerError, optim::StepInfo, program::Program, store::Store};
use ane_engine::Pool;

/// One kind of update, bound to its store and program.
///
/// A step calls [`Update::prepare`], runs its program once per batch, calls [`Update::accumulate`] after each, and
/// [`Update::apply`] once if none of them overflowed.
pub(crate) trait Update: Send + std::fmt::Debug {
    /// Writes what the program's update is to know.
    ///
    /// # Errors
    /// When the device fails.
    fn prepare(&self, at: &StepInfo, program: &Program) -> Result<(), TrainerError>;
    /// Whether what the program has just made is not to be used, besides what its gradients say.
    fn overflows(&self, at: &StepInfo, largest_gradient: f32, program: &Program) -> bool;
    /// Takes the gradients of batch number `batch` of an update.
    fn accumulate(&self, pool: &Pool, batch: usize);
    /// Makes the update; gives the global norm of the gradients before clipping, where the host computed it.
    fn apply(&mut self, pool: &Pool, at: StepInfo, store: &mut Store) -> Option<f64>;
    /// Replaces all groups of parameters. What is in none is not updated.
    ///
    /// # Errors
    /// When the plan has no groups, or a group wants state that is not kept.
    fn regroup(&mut self, groups: &[ParameterGroup]) -> Result<(), TrainerError>;
}
