//! `cargo xtask bench mnist`: images per second of the whole training step, ours and PyTorch's.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;

use crate::bench::MnistOptions;
use crate::bench::contest;
use crate::bench::contestants::Programs;
use crate::bench::machine::Machine;
use crate::bench::report::Outcome;

pub(crate) fn run(root: &Path, options: &MnistOptions) -> Result<()> {
    let programs = Programs::find(root, options.python.as_deref())?;
    let machine = Machine::this();
    println!("\n{}", machine.describe());
    println!(
        "batch {}, {} threads, {} rounds of about {} s each\n",
        options.batch, options.threads, options.rounds, options.seconds
    );
    let mut outcomes = Vec::new();
    for shape in &options.shapes {
        println!("== {shape}");
        let mut entries = contest::enter(
            programs.contestants(shape, options),
            options.batch,
            options.seconds,
        )?;
        contest::play(&mut entries, options.rounds)?;
        outcomes.push(Outcome::new(shape, entries));
    }
    println!();
    for outcome in &outcomes {
        println!("{}", outcome.table());
    }
    if let Some(path) = &options.json {
        let all = json!({
            "machine": machine.to_json(),
            "batch": options.batch,
            "threads": options.threads,
            "rounds": options.rounds,
            "seconds": options.seconds,
            "shapes": outcomes.iter().map(Outcome::to_json).collect::<Vec<_>>(),
        });
        fs::write(path, format!("{all:#}\n"))
            .with_context(|| format!("cannot write {}", path.display()))?;
        println!("written to {}", path.display());
    }
    Ok(())
}
