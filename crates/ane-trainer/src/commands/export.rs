//! `export`: what a run has learned, as a file of the framework that its model is of, or of a runtime that executes it.

mod keras;
mod mlpackage;
mod numpy;
mod onnx;
mod safetensors;

use crate::{
    continuation::run_of,
    ended::Ended,
    failure::Failure,
    model_file::PythonArgs,
    output::{self, say},
    stored::Stored,
};
use ane_train::{
    checkpoint::write_weights,
    config::{ConfigError, RunConfig},
    data::{
        Description,
        description::{Input, Scaling, Target},
    },
    model::Model,
    models::ModelSpec,
    store::{NamedWeight, weights_of},
};
use serde::Serialize;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run directory, or one of its .ckpt files; of a directory, `best` where there is one
    run: PathBuf,
    /// Kind of file: safetensors, for PyTorch's load_state_dict; keras, for keras.models.load_model; onnx, for ONNX
    /// Runtime and others; mlpackage, for Core ML; numpy, an .npz of the weights
    #[arg(long, value_parser = format)]
    format: &'static dyn Format,
    /// Where it is written [default: model.safetensors, .keras, .onnx, .mlpackage or .npz in the run directory]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    choices: Choices,
    #[command(flatten)]
    python: PythonArgs,
}

/// What some formats leave open.
#[derive(Debug, clap::Args)]
struct Choices {
    /// onnx, mlpackage: take what a file holds, such as pixels from 0 to 255, and say numbers in the units of the data
    #[arg(long)]
    with_preprocessing: bool,
    /// mlpackage: say the name of a class and the probability of each instead of logits
    #[arg(long)]
    classifier: bool,
    /// mlpackage: take a picture, and scale its pixels inside
    #[arg(long)]
    image_input: bool,
    /// mlpackage: write a sample in Swift beside the package, which nobody has compiled
    #[arg(long)]
    swift: bool,
}

impl Choices {
    /// Those that were made, by their flags.
    fn made(&self) -> impl Iterator<Item = &'static str> {
        let all = [
            ("--with-preprocessing", self.with_preprocessing),
            ("--classifier", self.classifier),
            ("--image-input", self.image_input),
            ("--swift", self.swift),
        ];
        all.into_iter()
            .filter(|(_, made)| *made)
            .map(|(flag, _)| flag)
    }
}

/// A kind of file.
trait Format: std::fmt::Debug + Send + Sync {
    /// Its name.
    fn name(&self) -> &'static str;
    /// What ends the names of such files.
    fn ending(&self) -> &'static str {
        self.name()
    }
    /// The flags of [`Choices`] that it has a meaning for.
    fn choices(&self) -> &'static [&'static str] {
        &[]
    }
    /// Other files that are written beside that one.
    fn beside(&self, _: &Choices, _: &Path) -> Vec<PathBuf> {
        Vec::new()
    }
    /// Writes what a run has learned, or leaves what is there as it is.
    fn write(&self, trained: &Trained<'_>, output: &Path) -> Result<(), Failure>;
}

/// Every kind of file.
const ALL: [&dyn Format; 5] = [
    &keras::Keras,
    &mlpackage::MlPackage,
    &numpy::Numpy,
    &onnx::Onnx,
    &safetensors::Safetensors,
];

/// What a run has learned.
struct Trained<'a> {
    config: &'a RunConfig,
    /// Its directory; none for a checkpoint that lies alone.
    run: Option<&'a Path>,
    data: &'a Description,
    spec: &'a ModelSpec,
    model: &'a Model,
    weights: Vec<NamedWeight>,
    choices: &'a Choices,
    python: &'a PythonArgs,
}

impl Trained<'_> {
    /// As exporters take it.
    fn network(&self) -> ane_export::Trained<'_> {
        ane_export::Trained {
            spec: self.spec,
            batch: self.config.batch,
            description: self.data,
            weights: &self.weights,
        }
    }

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

/// What was written.
#[derive(Serialize)]
struct Report {
    file: String,
    /// Other files that were written with it.
    beside: Vec<String>,
    format: &'static str,
    checkpoint: String,
    tensors: usize,
    /// What the model takes.
    inputs: String,
}

pub(crate) fn run(args: &Args) -> Result<Ended, Failure> {
    let Stored {
        path: checkpoint,
        checkpoint: content,
        config,
        data,
    } = Stored::read(&args.run)?;
    let run = run_of(&checkpoint);
    let folder = run.as_deref().or(checkpoint.parent());
    let name = format!("model.{}", args.format.ending());
    let output = match &args.output {
        Some(output) => output.clone(),
        None => folder.unwrap_or(Path::new("")).join(name),
    };
    let (format, known) = (args.format.name(), args.format.choices());
    if let Some(flag) = args.choices.made().find(|flag| !known.contains(flag)) {
        return Err(Failure::usage(
            format!("{flag} means nothing to --format {format}"),
            format!(
                "leave {flag} out, or see `ane-trainer export --help` for the format that it is of"
            ),
        ));
    }
    must_suit(&args.choices, &data)?;
    let mut files = args.format.beside(&args.choices, &output);
    files.insert(0, output.clone());
    let there = files.iter().find(|file| file.symlink_metadata().is_ok());
    if let Some(there) = there.filter(|_| !args.force) {
        return Err(Failure::usage(
            format!("`{}` is there already", there.display()),
            "pass --force to replace it, or another --output",
        ));
    }
    let spec = config.model()?;
    let model = spec.build(config.batch, &data.examples());
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
        spec: &spec,
        model: &model,
        weights,
        choices: &args.choices,
        python: &args.python,
    };
    args.format.write(&trained, &output)?;
    let prepared = args.choices.with_preprocessing || args.choices.image_input;
    let report = Report {
        file: output::path(output),
        beside: files[1..].iter().map(output::path).collect(),
        format,
        checkpoint: output::path(checkpoint),
        tensors: trained.weights.len(),
        inputs: inputs(&data, prepared),
    };
    output::result(&report, || {
        say!(
            "{}: {} tensors of {}",
            report.file,
            report.tensors,
            report.checkpoint
        );
        say!("  inputs: {}", report.inputs);
        for file in &report.beside {
            say!("{file}");
        }
    });
    Ok(Ended::Done)
}

/// Refuses choices that mean nothing to what a run has learned.
fn must_suit(choices: &Choices, data: &Description) -> Result<(), Failure> {
    let learned = match &data.target {
        Target::Classes { .. } => "classes",
        Target::Values { .. } => "numbers",
        Target::Tokens { .. } => "the next token",
    };
    if choices.classifier && data.class_names().is_none() {
        return Err(Failure::usage(
            format!("--classifier is for classes, and the run has learned {learned}"),
            "leave it out; --with-preprocessing says numbers in the units of the data",
        ));
    }
    if choices.image_input && !matches!(data.input, Input::Image { .. }) {
        return Err(Failure::usage(
            format!(
                "--image-input is for pictures, and the run has learned from {}",
                data.input.kind()
            ),
            "leave it out; --with-preprocessing takes what a file holds",
        ));
    }
    Ok(())
}

/// What an exported model takes, in a line.
fn inputs(data: &Description, are_prepared: bool) -> String {
    if are_prepared {
        return "as files hold them".to_owned();
    }
    let of = |values: &str, scaling: &Scaling| {
        let (mean, std) = (numbers(&scaling.mean), numbers(&scaling.std));
        format!("({values} - mean) / std, with mean {mean} and std {std}")
    };
    match &data.input {
        Input::Image { scaling, .. } => of("pixel / 255", scaling),
        Input::Array { scaling, .. } => of("x", scaling),
        Input::Table { columns } => format!(
            "{} values of {} columns: (x - mean) / std of a number, 1 at the text of a category",
            data.shape().iter().product::<usize>(),
            columns.len()
        ),
        Input::Tokens { context, .. } => {
            format!("ids of {context} tokens, as the run's tokenizer makes them")
        }
    }
}

/// A few numbers, or what there is instead.
fn numbers(all: &[f32]) -> String {
    // The shortest digits that are this number in f32.
    match all.len() {
        0..=3 => all
            .iter()
            .map(f32::to_string)
            .collect::<Vec<_>>()
            .join(", "),
        n => format!("of each of {n} elements"),
    }
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
