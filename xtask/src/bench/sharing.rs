//! `cargo xtask bench sharing`: what is left of our speed where the machine's cores are not ours alone.
//!
//! Three situations, each against a lone run with a thread per core in the same round: a run with four threads per core,
//! two runs at once, and a run beside a thread that computes without end.

use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, Result};
use clap::Args;

use crate::bench::contest::{self, Entry};
use crate::bench::contestants::{self, Contestant};
use crate::bench::machine::Machine;
use crate::bench::statistics;
use crate::{process, table};

/// What the command line of `bench sharing` says.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How long each measured run takes, about.
    #[arg(long, default_value_t = 2.0, value_parser = super::positive)]
    seconds: f64,
    /// How often every situation is met.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// The model, by name or widths.
    #[arg(long, default_value = "784-512-512-10")]
    model: String,
    /// How many images each step takes.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
}

/// Threads of a crowded run for each core.
const CROWD: usize = 4;

/// Measures every situation and prints what share of a lone run's speed it leaves.
pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    let ours = contestants::build(root, "ane-train", "mnist")?;
    let images = process::target_folder(root).join("peers").join("mnist");
    let cores = thread::available_parallelism().map_or(1, usize::from);
    println!("\n{}", Machine::this().describe());
    println!(
        "{}, batch {}, {} rounds\n",
        options.model, options.batch, options.rounds
    );
    let enter = |name: &str, threads: usize| {
        let mut command = Command::new(&ours);
        command
            .args(["--model", &options.model, "--out"])
            .arg(&images);
        command.args(["--batch", &options.batch.to_string()]);
        command.args(["--threads", &threads.to_string()]);
        let contestant = Contestant {
            name: name.to_owned(),
            is_ours: true,
            command,
        };
        let mut entered = contest::enter(vec![contestant], options.batch, options.seconds)?;
        entered.pop().context("nobody takes part")
    };
    let mut lone = enter("alone", cores)?;
    let mut second = enter("second", cores)?;
    let mut crowded = enter("crowded", CROWD * cores)?;
    let mut shares = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..options.rounds {
        let alone = turn(&mut lone)?;
        shares[0].push(turn(&mut crowded)? / alone);
        let (a, b) = thread::scope(|scope| {
            let other = scope.spawn(|| turn(&mut second));
            (turn(&mut lone), other.join())
        });
        let b = b.map_err(|_| anyhow::anyhow!("the second run panicked"))??;
        shares[1].push((a? + b) / alone);
        shares[2].push(beside_a_busy_thread(|| turn(&mut lone))? / alone);
    }
    let names = [
        format!("{} threads on {cores} cores", CROWD * cores),
        "two runs at once, their sum".to_owned(),
        "beside a busy thread".to_owned(),
    ];
    let rows: Vec<Vec<String>> = names.into_iter().zip(&shares).map(row).collect();
    println!(
        "\n{}",
        table::render(&["share of a lone run", "median", "min–max"], &rows)
    );
    Ok(())
}

fn row((name, shares): (String, &Vec<f64>)) -> Vec<String> {
    let (least, most) = statistics::extremes(shares);
    vec![
        name,
        format!("{:.2}", statistics::median(shares)),
        format!("{least:.2}–{most:.2}"),
    ]
}

/// Images per second of one turn.
fn turn(entry: &mut Entry) -> Result<f64> {
    Ok(entry.peer.run(entry.steps)?.images_per_second)
}

/// Does `work` while a thread of this process keeps a core busy.
fn beside_a_busy_thread<R>(work: impl FnOnce() -> R) -> R {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut x = 1_u64;
            while !done.load(Ordering::Relaxed) {
                x = black_box(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
            }
        });
        let result = work();
        done.store(true, Ordering::Relaxed);
        result
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_thread_ends_with_the_work_beside_it() {
        assert_eq!(beside_a_busy_thread(|| 7), 7);
    }

    #[test]
    fn a_row_shows_the_middle_and_the_extremes() {
        let cells = row(("x".to_owned(), &vec![0.5, 0.75, 0.25]));
        assert_eq!(cells, ["x", "0.50", "0.25–0.75"]);
    }
}
