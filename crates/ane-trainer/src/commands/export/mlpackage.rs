//! `mlpackage`: the model with its weights in fp16, for Core ML.

use super::{Choices, Format, Trained};
use crate::failure::Failure;
use ane_export::coreml::{Options, sample, write};
use ane_train::checkpoint::replace_file;
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub(super) struct MlPackage;

impl Format for MlPackage {
    fn name(&self) -> &'static str {
        "mlpackage"
    }

    fn choices(&self) -> &'static [&'static str] {
        &[
            "--classifier",
            "--image-input",
            "--swift",
            "--with-preprocessing",
        ]
    }

    fn beside(&self, choices: &Choices, output: &Path) -> Vec<PathBuf> {
        let swift = choices.swift.then(|| output.with_extension("swift"));
        swift.into_iter().collect()
    }

    fn write(&self, trained: &Trained<'_>, output: &Path) -> Result<(), Failure> {
        if output.extension().is_none_or(|e| e != self.ending()) {
            return Err(Failure::usage(
                format!("`{}` does not end with .mlpackage", output.display()),
                "Core ML loads no other name; pass another --output",
            ));
        }
        let choices = trained.choices;
        let options = Options {
            classifier: choices.classifier,
            image_input: choices.image_input,
            with_preprocessing: choices.with_preprocessing,
        };
        let package = write(output, &trained.network(), options)?;
        let name = output.file_name().unwrap_or(output.as_os_str());
        for file in self.beside(choices, output) {
            let swift = sample(&package.model, &name.to_string_lossy());
            replace_file(&file, swift.as_bytes())?;
        }
        Ok(())
    }
}
