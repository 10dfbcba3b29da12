//! `eval`: a checkpoint on the test set.

use super::{
    data::{Source, report},
    train::{tell, test_line},
};
use crate::{
    continuation::{description, judged_by, stored_config},
    ended::Ended,
    failure::Failure,
    numbers,
    output::say,
    supervision::SupervisionArgs,
    threads::machine,
};
use ane_train::{
    Trainer, TrainerError,
    config::RunConfig,
    data::{DataError, Description, Opened, own},
    fit::{Examples, evaluate},
};
use std::{path::PathBuf, sync::Arc};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run directory, or one of its .ckpt files; of a directory, `best` where there is one
    run: PathBuf,
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
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<Ended, Failure> {
    let (path, checkpoint) = judged_by(&args.run)?;
    let config = stored_config(&path, &checkpoint)?;
    let data = description(&config, &checkpoint)?;
    let (pool, isa) = machine(args.threads)?;
    let opened = args.supervision.open_device(&config, &pool, isa)?;
    let mut faults = opened.faults();
    let mut trainer = Trainer::new(config.trainer_on(&data, 1)?, opened.device, pool, isa)?;
    faults.restore(&mut trainer, checkpoint.record.progress, &checkpoint.state)?;
    trainer.take_average()?;
    let test = test_examples(args, &config, &data)?;
    let fits = trainer
        .config()
        .objective
        .check(&trainer.config().model, &*test.data);
    fits.map_err(TrainerError::from)?;
    let result = evaluate(&mut trainer, &test, &mut faults)?;
    tell(&mut faults);
    if args.json {
        say!("{}", serde_json::to_string(&result).unwrap_or_default());
    } else {
        say!(
            "{}",
            test_line(
                &result,
                &trainer.config().metrics,
                &path.display().to_string()
            )
        );
    }
    Ok(Ended::Done)
}

/// What the run is judged by: its test set, or what the user names.
fn test_examples(args: &Args, config: &RunConfig, data: &Description) -> Result<Examples, Failure> {
    if let Some(path) = &args.data {
        let (examples, indices) =
            own::examples(path, &config.data, data).map_err(DataError::from)?;
        return Ok(Examples {
            data: Arc::new(examples),
            indices,
        });
    }
    let loaded =
        Opened::of(config, Some(data))?.load(config.batch, &args.source.options(), &report)?;
    loaded.test.ok_or_else(|| {
        Failure::new(
            "the run has no test examples: none were held out",
            "name some by --data",
        )
    })
}
