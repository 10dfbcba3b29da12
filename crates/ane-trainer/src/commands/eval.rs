//! `eval`: a checkpoint on the test set.

use super::{
    data::{Source, report},
    train::{tell, test_line},
};
use crate::{
    continuation::{judged_by, stored_config},
    ended::Ended,
    failure::Failure,
    numbers,
    output::say,
    supervision::SupervisionArgs,
    threads::machine,
};
use ane_train::{
    Trainer, data,
    data::catalog,
    fit::{Examples, evaluate},
};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run directory, or one of its .ckpt files; of a directory, `best` where there is one
    run: PathBuf,
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
    let spec = catalog::find(&config.dataset)?;
    let (pool, isa) = machine(args.threads)?;
    let opened = args.supervision.open_device(&config, &pool, isa)?;
    let mut faults = opened.faults();
    let mut trainer = Trainer::new(
        config.trainer(&spec.examples(), 1)?,
        opened.device,
        pool,
        isa,
    )?;
    faults.restore(&mut trainer, checkpoint.record.progress, &checkpoint.state)?;
    let test = config.examples(data::load(spec, &args.source.options(), &report)?.test);
    let result = evaluate(&mut trainer, &Examples::all(test), &mut faults)?;
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
