//! `summary`: a model layer by layer, and what a training of it takes.

use super::{
    inspect::foresee,
    train::{ConfigArgs, summary_table},
};
use crate::{
    continuation::{description, read_checkpoint, stored_config},
    ended::Ended,
    failure::Failure,
    foreseen::Foreseen,
    numbers::whole,
    output::{self, say},
};
use ane_train::{
    config::{MOST_EPOCHS, RunConfig},
    data::Description,
    summary::Summary,
};
use serde::Serialize;
use std::path::Path;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A model as --model has it, or a run directory or .ckpt file; what the flags describe when left out
    #[arg(value_name = "MODEL|RUN", conflicts_with = "model")]
    asked: Option<String>,
    #[command(flatten)]
    config: ConfigArgs,
    /// Put layers together from this depth of their paths on; 1 shows the outermost alone
    #[arg(long, value_parser = whole(1..=MOST_EPOCHS))]
    depth: Option<u64>,
}

/// The model and what a training of it takes.
#[derive(Serialize)]
struct Report<'a> {
    model: &'a str,
    /// The data set's title.
    data: &'a str,
    batch: usize,
    target: String,
    #[serde(flatten)]
    summary: Summary,
    #[serde(flatten)]
    foreseen: Foreseen<'a>,
}

pub(crate) fn run(args: &Args) -> Result<Ended, Failure> {
    if let Some(path) = args.asked.as_deref().map(Path::new)
        && (path.is_dir() || path.extension().is_some_and(|e| e == "ckpt"))
    {
        let (file, checkpoint) = read_checkpoint(path)?;
        let stored = stored_config(&file, &checkpoint)?;
        let data = description(&stored, &checkpoint)?;
        let config = args.config.over(stored, (&data, None))?;
        return show(&config, &data, args.depth);
    }
    let mut flags = args.config.clone();
    flags.model = flags.model.or_else(|| args.asked.clone());
    let mut config = RunConfig::default();
    let opened = flags.open_data(&mut config, None)?;
    let data = (&opened.description, Some(opened.train_len()));
    let config = flags.over(config, data)?;
    show(&config, &opened.description, args.depth)
}

fn show(config: &RunConfig, data: &Description, depth: Option<u64>) -> Result<Ended, Failure> {
    let trainer = config.trainer_on(data, 1)?;
    let (step, staged) = trainer.staged_step(&config.target)?;
    let summary = Summary::of(&trainer.model, &staged, &step.trained);
    let depth = depth.map_or(usize::MAX, |d| d as usize);
    let forecast = foresee(config, &trainer)?;
    let report = Report {
        model: &config.model,
        data: &data.title,
        batch: config.batch,
        target: config.target.to_string(),
        summary: summary.to_depth(depth),
        foreseen: Foreseen::of(&forecast),
    };
    output::result(&report, || {
        let Report {
            model,
            data,
            batch,
            target,
            ..
        } = &report;
        say!("{model} on {data}, batch {batch}, for {target}");
        output::write(&summary_table(&report.summary));
        for line in staged.lines() {
            say!("{line}");
        }
        say!("{forecast}");
    });
    Ok(Ended::Done)
}
