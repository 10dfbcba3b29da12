//! `train --from`: weights of another run, or of a file, in place of drawn ones.

use crate::{code::Code, failure::Failure, missing_run::missing_run, output::say};
use ane_train::{Trainer, checkpoint::read_weights, run_dir::RunDir, store::NamedWeight};
use std::path::{Path, PathBuf};

/// Parameters that are named where they do not fit.
const SHOWN: usize = 8;

/// The file that a path means: of a run, the weights of its best state, or of its last.
fn file(path: &Path) -> Result<PathBuf, Failure> {
    if !path.is_dir() {
        return match path.exists() || path.extension().is_some() {
            true => Ok(path.to_owned()),
            false => Err(missing_run(path)),
        };
    }
    let run = RunDir::open(path);
    let files = ["best", "last"].map(|name| run.weights(name));
    match files.into_iter().find(|file| file.is_file()) {
        Some(file) => Ok(file),
        None if run.config().exists() => Err(Failure::new(
            format!("`{}` has no weights yet", path.display()),
            "name a run that has a checkpoint; `ane-trainer runs list` shows how far each has come",
        )
        .with_code(Code::NotSoFar)),
        None => Err(missing_run(path)),
    }
}

/// Replaces the weights and running statistics that fit by path and shape, and says which do not.
pub(super) fn begin_with(trainer: &mut Trainer, path: &Path) -> Result<(), Failure> {
    let file = file(path)?;
    let found = read_weights(&file)?;
    let own = trainer.weights()?;
    let (mut taken, mut others) = (0, Vec::new());
    let values: Vec<Vec<f32>> = own
        .iter()
        .map(|(name, shape, values)| match find(&found, name) {
            Some((_, there, new)) if there == shape => {
                taken += 1;
                new.clone()
            }
            other => {
                let has = other.map_or("has none".to_owned(), |(_, there, _)| {
                    format!("has {there:?}")
                });
                others.push(format!("  {name} {shape:?}: the file {has}"));
                values.clone()
            }
        })
        .collect();
    let file = file.display();
    if taken == 0 {
        return Err(Failure::new(
            format!("`{file}` has no weights of this model:\n{}", first(&others)),
            "name a run of the same model, or a file with its names",
        )
        .with_code(Code::StateDiffers));
    }
    let (parameters, buffers) = values.split_at(trainer.parameters().len());
    trainer.set_weights(parameters)?;
    trainer.set_buffers(buffers)?;
    say!("{taken} of {} tensors are those of {file}", own.len());
    if !others.is_empty() {
        say!("these begin anew:\n{}", first(&others));
    }
    Ok(())
}

fn find<'a>(all: &'a [NamedWeight], name: &str) -> Option<&'a NamedWeight> {
    all.iter().find(|(n, ..)| n == name)
}

/// The first of many lines.
fn first(lines: &[String]) -> String {
    let mut text = lines
        .iter()
        .take(SHOWN)
        .cloned()
        .collect::<Vec<_>>()
        .join("\n");
    if lines.len() > SHOWN {
        text.push_str(&format!("\n  and {} more", lines.len() - SHOWN));
    }
    text
}
