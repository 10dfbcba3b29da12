//! `cargo xtask bench mnist` and `bench models`: images per second and memory of the whole training step, ours and the
//! peers'.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;

use crate::bench::MatchOptions;
use crate::bench::contest;
use crate::bench::contestants::Programs;
use crate::bench::machine::Machine;
use crate::bench::report::Outcome;

/// What everybody trains.
#[derive(Debug)]
pub(crate) struct Task {
    /// Models by name or widths.
    pub(crate) models: Vec<String>,
    /// Images per step.
    pub(crate) batch: u32,
    /// The target of our programs.
    pub(crate) target: String,
}

pub(crate) fn run(root: &Path, options: &MatchOptions, task: &Task) -> Result<()> {
    let programs = Programs::find(root, options.python.as_deref())?;
    let machine = Machine::this();
    println!("\n{}", machine.describe());
    println!(
        "batch {}, {} threads, {} rounds of about {} s each\n",
        task.batch, options.threads, options.rounds, options.seconds
    );
    let mut outcomes = Vec::new();
    for model in &task.models {
        println!("== {model}");
        let mut entries = contest::enter(
            programs.contestants(model, task, options.threads),
            task.batch,
            options.seconds,
        )?;
        contest::play(&mut entries, options.rounds)?;
        outcomes.push(Outcome::new(model, entries));
    }
    println!();
    for outcome in &outcomes {
        println!("{}", outcome.table());
    }
    if let Some(path) = &options.json {
        let all = json!({
            "machine": machine.to_json(),
            "batch": task.batch,
            "threads": options.threads,
            "rounds": options.rounds,
            "seconds": options.seconds,
            "models": outcomes.iter().map(Outcome::to_json).collect::<Vec<_>>(),
        });
        fs::write(path, format!("{all:#}\n"))
            .with_context(|| format!("cannot write {}", path.display()))?;
        println!("written to {}", path.display());
    }
    Ok(())
}
