//! `keras`: the model with its weights as a `.keras` file, which the user's Keras writes of the configuration that the
//! run has kept.

use super::{Format, Trained};
use crate::{failure::Failure, model_file};
use ane_train::checkpoint::replace_file;
use std::path::Path;

#[derive(Debug)]
pub(super) struct Keras;

impl Format for Keras {
    fn name(&self) -> &'static str {
        "keras"
    }

    fn write(&self, trained: &Trained<'_>, output: &Path) -> Result<(), Failure> {
        if output.extension().is_none_or(|e| e != self.name()) {
            return Err(Failure::usage(
                format!("`{}` does not end with .keras", output.display()),
                "Keras loads no other name; pass another --output",
            ));
        }
        let model = &trained.config.model;
        let kept = trained.config.imported.is_some();
        let kept = kept.then_some(trained.run).flatten();
        let kept = kept.and_then(model_file::keras_config).ok_or_else(|| {
            Failure::usage(
                format!("`{model}` is no model of Keras, of which --format keras is"),
                "pass --format safetensors",
            )
        })?;
        let file = model_file::save_keras(model, &kept, trained.python, |weights| {
            trained.write_safetensors(weights)
        })?;
        Ok(replace_file(output, &file)?)
    }
}
