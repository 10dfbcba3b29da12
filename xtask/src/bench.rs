//! `cargo xtask bench`: measurements against peers, in turn, on this machine.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, Subcommand};

mod compile;
mod contest;
mod contestants;
mod conv;
mod machine;
mod peer;
mod replay;
mod report;
mod sharing;
mod statistics;
mod targets;
mod training;

/// What the command line of `bench` says.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// What making a program costs, stage by stage, and how that grows with the graph.
    Compile(compile::Options),
    /// The convolutions of our networks and their gradients, one by one, against PyTorch.
    Conv(conv::Options),
    /// The whole training step of an MLP on MNIST, against PyTorch.
    Mnist(MnistOptions),
    /// The whole training step of convolutional networks on MNIST, against PyTorch, TensorFlow and JAX.
    Models(ModelsOptions),
    /// The final training loss of a run on MNIST, against fp32 PyTorch on the same batches.
    Replay(replay::Options),
    /// What is left of our speed where the cores are not ours alone.
    Sharing(sharing::Options),
    /// The training loss on chip targets, against runs on `software` whose weights begin a millionth apart.
    Targets(targets::Options),
}

/// What the command lines of `bench mnist` and `bench models` share.
#[derive(Debug, Clone, Args)]
struct MatchOptions {
    /// How long each measured run takes, about.
    #[arg(long, default_value_t = 3.0, value_parser = positive)]
    seconds: f64,
    /// How often each contestant has its turn.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How many threads each contestant may use.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    threads: u32,
    /// A Python that can import torch, and perhaps tensorflow and jax; without it $ANE_TRAINER_PYTHON, .venv/bin/python
    /// and python3 are tried.
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,
    /// Write every measurement to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What the command line of `bench mnist` says.
#[derive(Debug, Args)]
struct MnistOptions {
    #[command(flatten)]
    all: MatchOptions,
    /// How many images each step takes.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// Layer sizes, joined by dashes; may be repeated.
    #[arg(long = "shape", value_name = "SIZES", default_values = ["784-512-512-10", "784-128-10"], value_parser = shape)]
    shapes: Vec<String>,
}

/// What the command line of `bench models` says.
#[derive(Debug, Args)]
struct ModelsOptions {
    #[command(flatten)]
    all: MatchOptions,
    /// How many images each step takes.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// A model by its name; may be repeated.
    #[arg(long = "model", value_name = "NAME", default_values = ["lenet", "resnet8"])]
    models: Vec<String>,
    /// The target of our programs.
    #[arg(long, default_value = "software")]
    target: String,
}

/// Runs the benchmark that was asked for.
pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    match &options.what {
        What::Compile(options) => compile::run(root, options),
        What::Conv(options) => conv::run(root, options),
        What::Mnist(options) => training::run(
            root,
            &options.all,
            &training::Task {
                models: options.shapes.clone(),
                batch: options.batch,
                target: "h16".to_owned(),
            },
        ),
        What::Models(options) => training::run(
            root,
            &options.all,
            &training::Task {
                models: options.models.clone(),
                batch: options.batch,
                target: options.target.clone(),
            },
        ),
        What::Replay(options) => replay::run(root, options),
        What::Targets(options) => targets::run(root, options),
        What::Sharing(options) => sharing::run(root, options),
    }
}

fn positive(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|error| format!("{error}"))?;
    if value.is_finite() && value > 0.0 {
        Ok(value)
    } else {
        Err("a number above 0 is wanted".to_owned())
    }
}

fn shape(text: &str) -> Result<String, String> {
    let sizes: Vec<&str> = text.split('-').collect();
    let is_size = |size: &&str| size.parse::<u32>().is_ok_and(|size| size > 0);
    if sizes.len() >= 2 && sizes.iter().all(is_size) {
        Ok(text.to_owned())
    } else {
        Err("two or more sizes joined by dashes are wanted, such as 784-128-10".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_sizes_joined_by_dashes() {
        assert!(shape("784-128-10").is_ok());
        for wrong in ["784", "784-", "784-0-10", "784x10", ""] {
            assert!(shape(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn seconds_are_above_zero() {
        assert_eq!(positive("0.5"), Ok(0.5));
        for wrong in ["0", "-1", "inf", "NaN", "x"] {
            assert!(positive(wrong).is_err(), "{wrong}");
        }
    }
}
