//! `eval`: a checkpoint on the test set, and what its answers are worth.

mod predictions;
mod tables;

use super::{
    data::{Source, report},
    train::{tell, test_line},
};
use crate::{
    continuation::must_be_those_of,
    ended::Ended,
    failure::Failure,
    numbers,
    output::{self, remark, say},
    stored::{Restored, Stored},
    supervision::SupervisionArgs,
};
use ane_train::{
    TrainerError,
    data::{Batch, DataError, Description, LABEL, Opened, Values, description::Input, own, text},
    fit::{Evaluation, Examples, evaluate_each},
    judgement::{Answers, Judgement},
    metric::Metric,
};
use serde::Serialize;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    of: Asked,
    /// Write the answer to every example as comma-separated values, with its number in the file, from 1
    #[arg(long, short, value_name = "FILE.csv")]
    output: Option<PathBuf>,
}

/// What is evaluated, and by what.
#[derive(Debug, clap::Args)]
pub(crate) struct Asked {
    /// Run directory, or one of its .ckpt files; of a directory, `best` where there is one
    pub(crate) run: PathBuf,
    /// Other examples than the run's test set, of the same kind: a file or a folder
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    supervision: SupervisionArgs,
    /// Threads; every core when left out
    #[arg(long, value_parser = numbers::threads)]
    threads: Option<usize>,
}

/// What an evaluation came to.
pub(crate) struct Judged {
    /// The checkpoint.
    pub(crate) checkpoint: PathBuf,
    pub(crate) result: Evaluation,
    pub(crate) metrics: Vec<&'static dyn Metric>,
    /// None where answers are compared with nothing but the input.
    pub(crate) judgement: Option<Judgement>,
    /// What was answered.
    pub(crate) examples: Examples,
    /// Language models: what a byte of the text takes.
    pub(crate) bits_per_byte: Option<f64>,
}

/// What an evaluation came to, as JSON has it.
#[derive(Serialize)]
struct Report<'a> {
    checkpoint: String,
    #[serde(flatten)]
    result: &'a Evaluation,
    judgement: &'a Option<Judgement>,
    /// Language models: what a byte of the text takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    bits_per_byte: Option<f64>,
    /// The file of answers.
    output: Option<String>,
}

pub(crate) fn judged(args: &Asked) -> Result<Judged, Failure> {
    let stored = Stored::read(&args.run)?;
    let Stored { config, data, .. } = &stored;
    let mut restored = stored.restore(&args.supervision, args.threads)?;
    let Restored {
        trainer, faults, ..
    } = &mut restored;
    let test = test_examples(args, &stored)?;
    let fits = trainer
        .config()
        .objective
        .check(&trainer.config().model, &*test.data);
    fits.map_err(TrainerError::from)?;
    let mut answers = Answers::to(&trainer.config().objective);
    let result = evaluate_each(trainer, &test, faults, &mut |batch, of_batch| {
        answers.take(batch, of_batch);
    })?;
    tell(faults);
    let loss = trainer.config().objective.terms.first().map(|t| t.loss);
    let loss = loss.unwrap_or(config.loss);
    let bits_per_byte = bits_per_byte(&test, data, result.loss)?;
    Ok(Judged {
        bits_per_byte,
        checkpoint: stored.path.clone(),
        result,
        metrics: trainer.config().metrics.clone(),
        judgement: Judgement::of(&answers, &data.target, &loss),
        examples: test,
    })
}

pub(crate) fn run(args: &Args) -> Result<Ended, Failure> {
    if let Some(output) = &args.output {
        must_be_csv(output)?;
    }
    let judged = judged(&args.of)?;
    if let Some(output) = &args.output {
        predictions::write(output, judged.judgement.as_ref(), &judged.examples.indices)?;
    }
    let report = Report {
        checkpoint: output::path(&judged.checkpoint),
        result: &judged.result,
        judgement: &judged.judgement,
        bits_per_byte: judged.bits_per_byte,
        output: args.output.as_ref().map(output::path),
    };
    output::result(&report, || {
        let of = judged.checkpoint.display().to_string();
        say!("{}", test_line(&judged.result, &judged.metrics, &of));
        if let Some(bits) = judged.bits_per_byte {
            say!("{bits:.4} bits per byte");
        }
        if let Some(judgement) = &judged.judgement {
            output::write(&tables::of(judgement));
        }
    });
    Ok(Ended::Done)
}

/// What the run is judged by: its test set, or what the user names.
fn test_examples(
    args: &Asked,
    Stored {
        config, data, path, ..
    }: &Stored,
) -> Result<Examples, Failure> {
    let options = args.source.options();
    if let (Some(path), Input::Tokens { .. }) = (&args.data, &data.input) {
        let how = text::Read {
            called: [&data.name, &data.title],
            settings: &config.data,
            validation: None,
            seed: config.seed,
            cache_root: options.cache_root.as_deref(),
        };
        return Ok(Examples::all(Arc::new(how.whole(path, data)?)));
    }
    if let Some(path) = &args.data {
        let (examples, indices) =
            own::labelled(path, &config.data, data).map_err(DataError::from)?;
        for note in examples.notes() {
            remark!("note: {}: {note}", path.display());
        }
        return Ok(Examples {
            data: Arc::new(examples),
            indices,
        });
    }
    let opened = Opened::of(config, Some(data), &options, &report)?;
    must_be_those_of(data, &opened.description, path)?;
    let loaded = opened.load(config.batch, &options, &report)?;
    let judging = match &data.input {
        // Nothing of a text is held out besides what has chosen the state.
        Input::Tokens { .. } => loaded.test.or(loaded.validation),
        _ => loaded.test,
    };
    judging.ok_or_else(|| {
        Failure::new(
            "the run has no test examples: none were held out",
            "name some by --data",
        )
    })
}

/// What a byte of a text takes, for a mean loss of a token in nats: none where examples are no text.
fn bits_per_byte(
    examples: &Examples,
    data: &Description,
    loss: f64,
) -> Result<Option<f64>, Failure> {
    let Input::Tokens { context, tokenizer } = &data.input else {
        return Ok(None);
    };
    let tokenizer = tokenizer.tokenizer().map_err(DataError::from)?;
    // Windows follow each other, and a character may lie across two of them.
    let (mut tokens, mut text) = (0, Vec::new());
    let mut batch = Batch::default();
    for &index in &examples.indices {
        batch.restart(1, 1);
        examples
            .data
            .fill(&[(index, 0)], &mut batch)
            .map_err(TrainerError::from)?;
        if let Some(Values::Int32(ids)) = batch.get(LABEL) {
            text.extend(ids.iter().filter_map(|&t| u32::try_from(t).ok()));
        }
        tokens += context;
    }
    let bytes = tokenizer.decode(&text).map_err(DataError::from)?.len();
    Ok((bytes > 0).then(|| loss * tokens as f64 / bytes as f64 / std::f64::consts::LN_2))
}

/// Refuses another kind of file before anything is computed.
fn must_be_csv(output: &Path) -> Result<(), Failure> {
    let ending = output.extension().and_then(|e| e.to_str());
    if ending.is_some_and(|e| e.eq_ignore_ascii_case("csv")) {
        return Ok(());
    }
    Err(Failure::usage(
        format!(
            "`{}` is no name of comma-separated values: expected one that ends in .csv",
            output.display()
        ),
        "pass --output FILE.csv",
    ))
}
