//! The pass of training and that of evaluation, which a model is built of.

use super::{Counter, TorchModel, TorchModelError, counters::drop_counters, state::StateDict};
use crate::{
    error::ImportError,
    pt2::{Exported, Pt2},
};
use ane_ir::{DType, Value};
use ane_train::model::{Builder, Input, Mode, Model, ModelError, Outputs};
use std::cell::RefCell;

/// Both programs of a model for batches of one size, without their counters.
pub(super) struct Passes<'a> {
    torch: &'a TorchModel,
    train: Exported,
    eval: Option<Exported>,
    state: StateDict,
}

/// The pass that a mode takes.
pub(super) struct Pass<'a> {
    pub(super) exported: &'a Exported,
    pub(super) file: &'a Pt2,
    pub(super) state: &'a StateDict,
    /// Whether there is no other, so that it serves both modes.
    pub(super) is_only: bool,
}

impl<'a> Passes<'a> {
    /// Those of batches of so many rows, and the counters of the one of training. Paths are told without `within`.
    pub(super) fn new(
        torch: &'a TorchModel,
        batch: usize,
        within: &'static str,
    ) -> Result<(Self, Vec<Counter>), TorchModelError> {
        let mut train = torch.train.at(batch)?;
        let mut counters = drop_counters(&mut train)?;
        let mut eval = torch.eval.as_ref().map(|e| e.at(batch)).transpose()?;
        if let Some(eval) = &mut eval {
            drop_counters(eval)?;
        }
        let state = StateDict::new(&torch.train, &train, eval.as_ref(), within)?;
        for counter in &mut counters {
            counter.path = state.told(&counter.path).to_owned();
        }
        let passes = Self {
            torch,
            train,
            eval,
            state,
        };
        Ok((passes, counters))
    }

    /// The program of training.
    pub(super) fn train(&self) -> &Exported {
        &self.train
    }

    /// The model whose passes `forward` lowers.
    pub(super) fn build<O: Into<Outputs>>(
        &self,
        dtype: DType,
        batch: usize,
        inputs: &[Input],
        forward: impl Fn(&mut Builder, &[Value], &Pass<'_>) -> Result<O, TorchModelError>,
    ) -> Result<Model, TorchModelError> {
        // The builder knows only errors of its own: what went wrong is kept beside it.
        let failed = RefCell::new(None);
        let built = Model::build_in(dtype, &self.torch.name, batch, inputs, |cx, ports| {
            let pass = self.of(cx.mode());
            forward(cx, ports, &pass).map_err(|e| {
                let said = ModelError::Imported(e.to_string());
                *failed.borrow_mut() = Some(e);
                said
            })
        });
        let mut model = match (built, failed.into_inner()) {
            (_, Some(e)) => return Err(e),
            (built, None) => built.map_err(ImportError::from)?,
        };
        self.state.mark(&mut model);
        Ok(model)
    }

    fn of(&self, mode: Mode) -> Pass<'_> {
        let (exported, file) = match (mode, &self.eval, &self.torch.eval) {
            (Mode::Infer, Some(eval), Some(file)) => (eval, file),
            _ => (&self.train, &self.torch.train),
        };
        Pass {
            exported,
            file,
            state: &self.state,
            is_only: self.eval.is_none(),
        }
    }
}
