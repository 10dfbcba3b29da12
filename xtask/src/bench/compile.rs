//! `cargo xtask bench compile`: the seconds of every stage between a model and a plan, over graphs of growing size.
//!
//! A stage's growth exponent is the slope of its seconds between two sizes, both on a logarithmic scale: 1 is linear, 2
//! quadratic. It is taken between the sizes that the options name, from the medians of all rounds.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};

use crate::bench::machine::Machine;
use crate::bench::{contestants, statistics};
use crate::{process, table};

/// What the command line of `bench compile` says.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many nodes the training step has, about; may be repeated.
    #[arg(long = "nodes", value_name = "N", default_values_t = [1_000, 3_000, 10_000, 30_000])]
    nodes: Vec<u64>,
    /// Whether layers follow each other or are added to what they read; may be repeated.
    #[arg(long = "shape", value_name = "SHAPE", default_values = ["chain", "residual"], value_parser = ["chain", "residual"])]
    shapes: Vec<String>,
    /// How often every size is compiled; the median counts.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// The smallest size that growth is measured from.
    #[arg(long, value_name = "N", default_value_t = 3_000)]
    from: u64,
    /// Fail when a stage grows with a larger exponent.
    #[arg(long, value_name = "EXPONENT")]
    at_most: Option<f64>,
    /// Write every measurement to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// One size of one shape: its true number of nodes, and every stage's seconds, one for each round.
#[derive(Debug, Clone, PartialEq)]
struct Size {
    nodes: u64,
    stages: Vec<(String, Vec<f64>)>,
}

impl Size {
    fn median(&self, stage: &str) -> f64 {
        let found = self.stages.iter().find(|(name, _)| name == stage);
        found.map_or(f64::NAN, |(_, seconds)| statistics::median(seconds))
    }
}

/// Compiles graphs of every size and prints what that took.
pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    let program = contestants::build(root, "ane-train", "compile")?;
    let machine = Machine::this();
    println!("\n{}", machine.describe());
    println!("medians of {} rounds, in seconds\n", options.rounds);
    let mut all = Vec::new();
    let mut steep = Vec::new();
    for shape in &options.shapes {
        let mut sizes = Vec::new();
        for &nodes in &options.nodes {
            sizes.push(measure(&program, shape, nodes, options.rounds)?);
        }
        println!("== {shape}\n{}", report(&sizes, options.from));
        if let Some(most) = options.at_most {
            steep.extend(growth(&sizes, options.from).into_iter().filter_map(
                |(stage, exponent)| {
                    // A stage without two sizes to compare has grown by nothing that could be judged.
                    (exponent > most).then(|| format!("{shape} {stage} {exponent:.2}"))
                },
            ));
        }
        all.push(json!({
            "shape": shape,
            "sizes": sizes.iter().map(Size::to_json).collect::<Vec<_>>(),
        }));
    }
    if let Some(path) = &options.json {
        let all = json!({ "machine": machine.to_json(), "rounds": options.rounds, "shapes": all });
        fs::write(path, format!("{all:#}\n"))
            .with_context(|| format!("cannot write {}", path.display()))?;
        println!("written to {}", path.display());
    }
    if !steep.is_empty() {
        bail!(
            "these stages grow faster than asked for: {}",
            steep.join(", ")
        );
    }
    Ok(())
}

/// Compiles one size `rounds` times, in a process of its own.
fn measure(program: &Path, shape: &str, nodes: u64, rounds: u32) -> Result<Size> {
    let mut command = Command::new(program);
    let line = process::describe(&command);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{line}`"))?;
    let mut requests = child.stdin.take().context("a process without input")?;
    let answers = BufReader::new(child.stdout.take().context("a process without output")?);
    for _ in 0..rounds {
        writeln!(
            requests,
            "{}",
            json!({ "op": "run", "shape": shape, "nodes": nodes })
        )?;
    }
    drop(requests);
    let mut size = Size {
        nodes: 0,
        stages: Vec::new(),
    };
    // The first line is the greeting.
    for answer in answers.lines().skip(1) {
        size.add(&serde_json::from_str(&answer?)?)?;
    }
    let status = child.wait()?;
    if !status.success() || size.stages.is_empty() {
        bail!("`{line}` could not compile {shape} of {nodes} nodes: {status}");
    }
    Ok(size)
}

impl Size {
    /// Adds the seconds of one round.
    fn add(&mut self, answer: &Value) -> Result<()> {
        self.nodes = answer["nodes"]
            .as_u64()
            .context("an answer without `nodes`")?;
        let stages = answer["stages"]
            .as_array()
            .context("an answer without `stages`")?;
        for entry in stages {
            let stage = entry[0].as_str().context("a stage without a name")?;
            let seconds = entry[1].as_f64().context("seconds that are no number")?;
            match self.stages.iter_mut().find(|(name, _)| name == stage) {
                Some((_, all)) => all.push(seconds),
                None => self.stages.push((stage.to_owned(), vec![seconds])),
            }
        }
        Ok(())
    }

    fn to_json(&self) -> Value {
        let stages: serde_json::Map<String, Value> = self
            .stages
            .iter()
            .map(|(stage, seconds)| (stage.clone(), json!(seconds)))
            .collect();
        json!({ "nodes": self.nodes, "stages": stages })
    }
}

/// The exponent with which every stage grows from the first size of at least `from` nodes, about, to the last.
fn growth(sizes: &[Size], from: u64) -> Vec<(String, f64)> {
    // The number of layers is whole, so a network comes out somewhat smaller than asked for.
    let first = sizes.iter().find(|size| size.nodes * 10 >= from * 9);
    let (Some(first), Some(last)) = (first, sizes.last()) else {
        return Vec::new();
    };
    if first.nodes == last.nodes {
        return Vec::new();
    }
    let grown = (last.nodes as f64 / first.nodes as f64).ln();
    last.stages
        .iter()
        .map(|(stage, _)| {
            let slower = (last.median(stage) / first.median(stage)).ln();
            (stage.clone(), slower / grown)
        })
        .collect()
}

/// A row for every stage: its medians at every size, and its exponent.
fn report(sizes: &[Size], from: u64) -> String {
    let growth = growth(sizes, from);
    let counts: Vec<String> = sizes.iter().map(|size| size.nodes.to_string()).collect();
    let heading: Vec<&str> = std::iter::once("stage")
        .chain(counts.iter().map(String::as_str))
        .chain(["exponent"])
        .collect();
    let stages = sizes.first().map_or(&[][..], |size| &size.stages);
    let rows: Vec<Vec<String>> = stages
        .iter()
        .map(|(stage, _)| {
            let exponent = growth.iter().find(|(name, _)| name == stage);
            std::iter::once(stage.clone())
                .chain(
                    sizes
                        .iter()
                        .map(|size| format!("{:.4}", size.median(stage))),
                )
                .chain(exponent.map(|(_, exponent)| format!("{exponent:.2}")))
                .collect()
        })
        .collect();
    table::render(&heading, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(nodes: u64, linear: f64, quadratic: f64) -> Size {
        Size {
            nodes,
            stages: vec![
                ("build".to_owned(), vec![linear]),
                ("plan".to_owned(), vec![quadratic, quadratic, 100.0]),
            ],
        }
    }

    #[test]
    fn exponents_are_slopes_between_the_sizes_asked_for() {
        let sizes = [
            size(990, 5.0, 5.0),
            size(2_990, 1.0, 1.0),
            size(29_900, 10.0, 100.0),
        ];
        let growth = growth(&sizes, 3_000);
        assert_eq!(growth.len(), 2);
        assert!((growth[0].1 - 1.0).abs() < 1e-9);
        assert!((growth[1].1 - 2.0).abs() < 1e-9, "the median counts");
    }

    #[test]
    fn one_size_has_no_growth() {
        assert!(growth(&[size(3_000, 1.0, 1.0)], 3_000).is_empty());
        assert!(growth(&[], 3_000).is_empty());
    }

    #[test]
    fn answers_of_several_rounds_are_kept_apart_by_stage() {
        let mut size = Size {
            nodes: 0,
            stages: Vec::new(),
        };
        for seconds in [0.5, 0.25] {
            let answer = json!({ "nodes": 12, "stages": [["vjp", seconds]] });
            size.add(&answer).expect("an answer");
        }
        assert_eq!(size.nodes, 12);
        assert_eq!(size.stages, [("vjp".to_owned(), vec![0.5, 0.25])]);
        assert!(size.add(&json!({})).is_err());
    }
}
