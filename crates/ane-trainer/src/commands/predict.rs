//! `predict`: what a run says of new examples.

mod answer;
mod csv;
mod json;
mod standard_input;
mod table;

use super::train::tell;
use crate::{
    ended::Ended,
    failure::Failure,
    numbers,
    output::{self, Manner, remark},
    stored::{Restored, Stored},
    supervision::SupervisionArgs,
};
use ane_train::{
    TrainerError,
    checkpoint::replace_file,
    config::RunConfig,
    data::{DataError, Dataset, Description, OwnDataError, description::Input, own},
    fit::{Examples, predict},
};
use answer::Answer;
use clap::ValueEnum;
use serde::Serialize;
use standard_input::StandardInput;
use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Classes of a line of the table, if nobody says how many.
const TOP: u64 = 3;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run directory, or one of its .ckpt files; of a directory, `best` where there is one
    run: PathBuf,
    /// Pictures, folders of pictures, tables or arrays, of the kind that the run has learned from; - for standard input
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// How the answers are written [default: table on a terminal, otherwise csv]
    #[arg(long)]
    format: Option<Format>,
    /// A file for them
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Classes that are named, the likeliest first
    #[arg(long, default_value_t = TOP, value_parser = numbers::whole(1..=u64::MAX))]
    top: u64,
    /// The model's own outputs besides: a logit per class
    #[arg(long)]
    logits: bool,
    /// Scale pictures of another size: exact refuses them [default: as the run was trained; crop for data sets of the catalog]
    #[arg(long)]
    fit: Option<super::train::FitArg>,
    /// Take black for white and white for black
    #[arg(long)]
    invert: bool,
    #[command(flatten)]
    supervision: SupervisionArgs,
    /// Threads; every core when left out
    #[arg(long, value_parser = numbers::threads)]
    threads: Option<usize>,
}

impl Args {
    /// Classes that are named.
    fn top(&self) -> usize {
        usize::try_from(self.top).unwrap_or(usize::MAX)
    }
}

/// How answers are written.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// A line each for people
    Table,
    /// A line each with the columns example, answer, probability and what is asked for besides
    Csv,
    /// A JSON object per line
    Json,
}

/// What writes answers, one after the other.
trait Writer {
    /// What stands before the first.
    fn head(&self, out: &mut String);
    /// An answer.
    fn answer(&self, answer: &Answer, out: &mut String);
}

/// All answers, as JSON has them.
#[derive(Serialize)]
struct Report {
    checkpoint: String,
    predictions: Vec<serde_json::Value>,
    /// The file of answers.
    output: Option<String>,
}

pub(crate) fn run(args: &Args) -> Result<Ended, Failure> {
    let is_object = output::manner() == Manner::Object;
    if is_object && args.format.is_some() && args.output.is_none() {
        return Err(Failure::usage(
            "--format says how lines are written, and --json prints one object",
            "leave one of them out, or name a file for the lines by --output",
        ));
    }
    let mut stored = Stored::read(&args.run)?;
    if let Input::Tokens { .. } = stored.data.input {
        return Err(Failure::usage(
            "the run has learned to go on with texts",
            format!(
                "`ane-trainer generate {} --prompt TEXT` has it say one",
                args.run.display()
            ),
        ));
    }
    must_suit(&stored.data, args)?;
    stored.data = asked(stored.data, args);
    let Stored { config, data, .. } = &stored;
    // What is wrong with a file is said before anything is compiled.
    let mut inputs = Vec::new();
    for file in &args.files {
        inputs.push(open(file, config, data, args.invert)?);
    }
    let mut restored = stored.restore(&args.supervision, args.threads)?;
    let writer = writer(args, data);
    let object = json::Json::of(args);
    let (mut text, mut predictions) = (String::new(), Vec::new());
    writer.head(&mut text);
    for input in &inputs {
        answers(&mut restored, input, data, &mut |answer| {
            writer.answer(answer, &mut text);
            if is_object {
                predictions.push(object.of_answer(answer).into());
            }
        })?;
        if args.output.is_none() {
            output::write(&std::mem::take(&mut text));
        }
    }
    tell(&mut restored.faults);
    if let Some(file) = &args.output {
        replace_file(file, text.as_bytes())?;
    }
    let report = Report {
        checkpoint: output::path(&stored.path),
        predictions,
        output: args.output.as_ref().map(output::path),
    };
    // Lines are there already.
    output::result(&report, || {});
    Ok(Ended::Done)
}

/// Refuses flags of pictures where the run has learned from something else.
fn must_suit(data: &Description, args: &Args) -> Result<(), Failure> {
    let given = [("--fit", args.fit.is_some()), ("--invert", args.invert)];
    let flag = given.into_iter().find(|(_, is_given)| *is_given);
    match (flag, &data.input) {
        (Some((flag, _)), Input::Array { .. } | Input::Table { .. }) => Err(Failure::usage(
            format!(
                "{flag} is for pictures, and the run has learned from {}",
                data.input.kind()
            ),
            "leave it out",
        )),
        _ => Ok(()),
    }
}

/// The description of the examples, with what the arguments say of pictures.
fn asked(mut data: Description, args: &Args) -> Description {
    if let Input::Image { fit, .. } = &mut data.input {
        let of_catalog = data
            .fingerprint
            .is_none()
            .then_some(super::train::FitArg::Crop);
        if let Some(asked) = args.fit.or(of_catalog) {
            *fit = asked.into();
        }
    }
    data
}

/// Examples of one argument.
struct Opened {
    name: String,
    /// Whether examples may have files of their own.
    has_files: bool,
    examples: own::OwnExamples,
    indices: Vec<u32>,
}

fn open(
    file: &Path,
    config: &RunConfig,
    data: &Description,
    invert: bool,
) -> Result<Opened, Failure> {
    let own = |path: &Path| {
        let read = own::inputs(path, &config.data, data);
        // Standard input is called as the user calls it, not as the file that it is kept in.
        read.map_err(|e: OwnDataError| {
            let path = file.to_owned();
            Failure::from(DataError::from(OwnDataError { path, ..e }))
        })
    };
    let is_standard_input = file == Path::new("-");
    let (examples, indices) = if is_standard_input {
        own(StandardInput::read()?.path())?
    } else {
        own(file)?
    };
    tell_left_out(file, examples.len(), &indices);
    for note in examples.notes() {
        remark!("note: {}: {note}", file.display());
    }
    Ok(Opened {
        name: file.display().to_string(),
        has_files: !is_standard_input,
        examples: if invert {
            examples.inverted()
        } else {
            examples
        },
        indices,
    })
}

/// Says which rows have no answer, as cells of theirs are empty and the run leaves such rows out.
fn tell_left_out(file: &Path, rows: usize, kept: &[u32]) {
    let left_out = rows - kept.len();
    if left_out == 0 {
        return;
    }
    let mut kept = kept.iter().peekable();
    let is_left_out = |&row: &u32| kept.next_if_eq(&&row).is_none();
    let first: Vec<String> = (0..rows as u32)
        .filter(is_left_out)
        .take(5)
        .map(|row| (row + 1).to_string())
        .collect();
    let more = if left_out > first.len() { ", …" } else { "" };
    remark!(
        "note: {}: {left_out} of {rows} rows have no answer, as a cell is empty: {}{more}",
        file.display(),
        first.join(", ")
    );
}

fn answers(
    restored: &mut Restored,
    input: &Opened,
    data: &Description,
    each: &mut dyn FnMut(&Answer),
) -> Result<(), Failure> {
    let all = Examples {
        data: Arc::new(input.examples.clone()),
        indices: input.indices.clone(),
    };
    let Restored {
        trainer, faults, ..
    } = restored;
    let model = &trainer.config().model;
    // What is learned may be there or not; the inputs have to fit.
    model.must_take(&*all.data).map_err(TrainerError::from)?;
    let named = input.examples.names().filter(|_| input.has_files);
    let only_one = input.indices.len() == 1;
    predict(trainer, &all, faults, &mut |example, row| {
        let name = match named {
            Some(names) => names[example as usize].display().to_string(),
            None if only_one => input.name.clone(),
            None => format!("{}:{}", input.name, example + 1),
        };
        each(&Answer::of(name, row, data));
    })?;
    Ok(())
}

fn writer(args: &Args, data: &Description) -> Box<dyn Writer> {
    let format = args.format.unwrap_or({
        if args.output.is_none() && std::io::stdout().is_terminal() {
            Format::Table
        } else {
            Format::Csv
        }
    });
    match format {
        Format::Table => Box::new(table::Table { top: args.top() }),
        Format::Csv => Box::new(csv::Csv::new(data, args.top(), args.logits)),
        Format::Json => Box::new(json::Json::of(args)),
    }
}
