//! `export`: what a run has learned, as a file of the framework that its model is of.

mod keras;
mod safetensors;

use crate::{
    continuation::{description, judged_by, run_of, stored_config},
    ended::Ended,
    failure::Failure,
    model_file::PythonArgs,
    output::say,
};
use ane_train::{
    checkpoint::write_weights,
    config::{ConfigError, RunConfig, input_scaling},
    data::Description,
    model::Model,
    store::{NamedWeight, weights_of},
};
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run directory, or one of its .ckpt files; of a directory, `best` where there is one
    run: PathBuf,
    /// Kind of file: safetensors, for PyTorch's load_state_dict, or keras, for keras.models.load_model
    #[arg(long, value_parser = format)]
    format: &'static dyn Format,
    /// Where it is written [default: model.safetensors or model.keras in the run directory]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    python: PythonArgs,
}

/// A kind of file.
trait Format: std::fmt::Debug + Send + Sync {
    /// Its name, which ends the names of such files.
    fn name(&self) -> &'static str;
    /// Writes what a run has learned, or leaves what is there as it is.
    fn write(&self, trained: &Trained<'_>, output: &Path) -> Result<(), Failure>;
}

/// Every kind of file.
const ALL: [&dyn Format; 2] = [&keras::Keras, &safetensors::Safetensors];

/// What a run has learned.
struct Trained<'a> {
    config: &'a RunConfig,
    /// Its directory; none for a checkpoint that lies alone.
    run: Option<&'a Path>,
    data: &'a Description,
    model: &'a Model,
    weights: Vec<NamedWeight>,
    python: &'a PythonArgs,
}

impl Trained<'_> {
    /// Writes the weights and what else belongs to the `state_dict` as a safetensors file.
    fn write_safetensors(&self, path: &Path) -> Result<(), Failure> {
        let metadata = self.config.weights_metadata(self.data);
        Ok(write_weights(
            path,
            &self.weights,
            &self.model.kept,
            &metadata,
        )?)
    }
}

pub(crate) fn run(args: &Args) -> Result<Ended, Failure> {
    let (checkpoint, content) = judged_by(&args.run)?;
    let config = stored_config(&checkpoint, &content)?;
    let run = run_of(&checkpoint);
    let folder = run.as_deref().or(checkpoint.parent());
    let name = format!("model.{}", args.format.name());
    let output = match &args.output {
        Some(output) => output.clone(),
        None => folder.unwrap_or(Path::new("")).join(name),
    };
    if output.exists() && !args.force {
        return Err(Failure::usage(
            format!("`{}` is there already", output.display()),
            "pass --force to replace it, or another --output",
        ));
    }
    let data = description(&config, &content)?;
    let model = config.model()?.build(config.batch, &data.examples());
    let model = model.map_err(ConfigError::from)?;
    let weights = weights_of(&model, &content.state).map_err(|e| {
        Failure::because(
            format!("`{}` does not fit its own model", checkpoint.display()),
            e,
            "export another checkpoint of the run",
        )
    })?;
    let trained = Trained {
        config: &config,
        run: run.as_deref(),
        data: &data,
        model: &model,
        weights,
        python: &args.python,
    };
    args.format.write(&trained, &output)?;
    say!(
        "{}: {} tensors of {}, for inputs {}",
        output.display(),
        trained.weights.len(),
        checkpoint.display(),
        input_scaling(&data)
    );
    Ok(Ended::Done)
}

fn format(name: &str) -> Result<&'static dyn Format, String> {
    let found = ALL.into_iter().find(|f| f.name() == name);
    found.ok_or_else(|| {
        let names = ALL.map(Format::name);
        format!(
            "no format is called `{name}`; there are {}",
            names.join(", ")
        )
    })
}
