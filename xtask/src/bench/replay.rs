//! `cargo xtask bench replay`: the final training loss of our run on MNIST, and that of fp32 PyTorch from the same first
//! weights, over the same batches, at the same learning rates.
//!
//! Late losses are small and depend on every rounding before them, so PyTorch also repeats the run on one thread, where it
//! adds in another order: how far it is from itself is the measure of what the other ratios mean.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;

use crate::bench::contestants;
use crate::{process, python, table};

/// What the command line of `bench replay` says.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Passes over the training examples.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    epochs: u32,
    /// Seed of the first weights, the order and the validation split; may be repeated.
    #[arg(long = "seed", value_name = "SEED", default_values_t = [0, 1, 2])]
    seeds: Vec<u64>,
    /// Where the update runs; may be repeated.
    #[arg(long = "plan", value_name = "PLAN", default_values = ["split", "fused"], value_parser = ["split", "fused"])]
    plans: Vec<String>,
    /// How many threads our program may use.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    threads: u32,
    /// A Python that can import torch and safetensors; without it $ANE_TRAINER_PYTHON, .venv/bin/python and python3 are tried.
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Ending {
    steps: u64,
    /// Steps that the loss is the mean of.
    mean_over: u64,
    loss: f64,
    accuracy: f64,
    /// Steps that changed nothing because gradients overflowed; PyTorch has none.
    skipped: u64,
}

/// Trains in every plan, lets PyTorch repeat it, and prints both.
pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    let python = find_python(root, options.python.as_deref())?;
    let program = contestants::build(root, "replay")?;
    let folder = process::target_folder(root).join("replay");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let script = root.join("xtask").join("peers").join("torch_replay.py");
    let mut ratios: Vec<(String, Vec<f64>)> = Vec::new();
    for &seed in &options.seeds {
        let mut runs = Vec::new();
        for plan in &options.plans {
            let mut command = training(&program, plan, seed, &folder, options);
            runs.push((format!("ours {plan}"), ending(&mut command)?));
        }
        let mut again = repetition(&python, &script, &folder);
        again.env("OMP_NUM_THREADS", "1");
        runs.push(("torch fp32, 1 thread".to_owned(), ending(&mut again)?));
        let torch = ending(&mut repetition(&python, &script, &folder))?;
        println!(
            "\nseed {seed}, {} epochs: {} steps, training loss is the mean of the last {}\n",
            options.epochs, torch.steps, torch.mean_over
        );
        println!("{}", render(&runs, torch)?);
        for (name, run) in runs {
            let ratio = run.loss / torch.loss;
            match ratios.iter_mut().find(|(known, _)| *known == name) {
                Some((_, all)) => all.push(ratio),
                None => ratios.push((name, vec![ratio])),
            }
        }
    }
    println!("training loss / torch, geometric mean of the seeds:");
    for (name, all) in &ratios {
        println!("{name}: {:.4}", geometric_mean(all));
    }
    Ok(())
}

fn geometric_mean(ratios: &[f64]) -> f64 {
    (ratios.iter().map(|r| r.ln()).sum::<f64>() / ratios.len() as f64).exp()
}

fn find_python(root: &Path, asked_for: Option<&Path>) -> Result<PathBuf> {
    // It imports torch and NumPy itself.
    let module = "safetensors.torch";
    match asked_for {
        Some(python) if python::can_import(python, module) => Ok(python.to_path_buf()),
        Some(python) => bail!("{} cannot import {module}", python.display()),
        None => python::with_module(root, module).with_context(|| {
            format!(
                "no Python found that can import {module}: name one with --python or {}",
                python::VARIABLE
            )
        }),
    }
}

/// Our run, which leaves in `folder` what its repetition needs.
fn training(program: &Path, plan: &str, seed: u64, folder: &Path, options: &Options) -> Command {
    let mut command = Command::new(program);
    command
        .args(["--plan", plan, "--epochs", &options.epochs.to_string()])
        .args(["--seed", &seed.to_string()])
        .args(["--threads", &options.threads.to_string(), "--out"])
        .arg(folder);
    command
}

/// The same in PyTorch.
fn repetition(python: &Path, script: &Path, folder: &Path) -> Command {
    let mut command = Command::new(python);
    command.arg(script);
    for (flag, file) in [
        ("--init", "init.safetensors"),
        ("--order", "order.npy"),
        ("--lrs", "lrs.npy"),
        ("--images", "train-images-idx3-ubyte"),
        ("--labels", "train-labels-idx1-ubyte"),
        ("--test-images", "t10k-images-idx3-ubyte"),
        ("--test-labels", "t10k-labels-idx1-ubyte"),
    ] {
        command.arg(flag).arg(folder.join(file));
    }
    command
}

fn ending(command: &mut Command) -> Result<Ending> {
    println!("$ {}", process::describe(command));
    let printed = process::stdout(command)?;
    let line = printed.lines().last().unwrap_or_default();
    read(line).with_context(|| format!("`{}` printed {line:?}", process::describe(command)))
}

/// The report that both programs end with.
fn read(line: &str) -> Result<Ending> {
    let report: Value = serde_json::from_str(line)?;
    let count = |name: &str| report.get(name).and_then(Value::as_u64);
    let number = |name: &str| {
        let value = report.get(name).and_then(Value::as_f64);
        value.with_context(|| format!("no number `{name}`"))
    };
    Ok(Ending {
        steps: count("steps").context("no count `steps`")?,
        mean_over: count("mean_over").context("no count `mean_over`")?,
        loss: number("train_loss")?,
        accuracy: number("test_accuracy")?,
        skipped: count("skipped").unwrap_or(0),
    })
}

/// A table of all endings; an error if they are not of the same run.
fn render(runs: &[(String, Ending)], torch: Ending) -> Result<String> {
    let row = |name: String, ending: &Ending, ratio: String| {
        vec![
            name,
            format!("{:.6}", ending.loss),
            ratio,
            format!("{:.2} %", 100.0 * ending.accuracy),
            ending.skipped.to_string(),
        ]
    };
    let mut rows = Vec::new();
    for (name, ending) in runs {
        if (ending.steps, ending.mean_over) != (torch.steps, torch.mean_over) {
            bail!(
                "{name} took {} steps and PyTorch {}: they are not the same run",
                ending.steps,
                torch.steps
            );
        }
        let ratio = format!("{:.4}", ending.loss / torch.loss);
        rows.push(row(name.clone(), ending, ratio));
    }
    rows.push(row("torch fp32".to_owned(), &torch, String::new()));
    let heading = [
        "run",
        "training loss",
        "/ torch",
        "test accuracy",
        "skipped",
    ];
    Ok(table::render(&heading, &rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(steps: u64, loss: f64) -> Ending {
        read(&format!(
            r#"{{"steps": {steps}, "mean_over": 100, "train_loss": {loss}, "test_accuracy": 0.9825}}"#
        ))
        .unwrap()
    }

    #[test]
    fn losses_are_shown_beside_each_other() {
        let split = "ours split".to_owned();
        let table = render(&[(split, report(860, 0.125))], report(860, 0.1)).unwrap();
        let lines: Vec<Vec<&str>> = table
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(
            lines[2],
            ["ours", "split", "0.125000", "1.2500", "98.25", "%", "0"]
        );
        assert_eq!(lines[3], ["torch", "fp32", "0.100000", "98.25", "%", "0"]);
    }

    #[test]
    fn half_and_double_are_even_on_average() {
        assert!((geometric_mean(&[0.5, 2.0]) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn runs_of_other_lengths_are_not_compared() {
        let split = "ours split".to_owned();
        let error = render(&[(split, report(861, 0.1))], report(860, 0.1)).unwrap_err();
        assert!(error.to_string().contains("861"), "{error}");
    }

    #[test]
    fn a_report_without_its_numbers_is_refused() {
        for line in [
            "",
            "{}",
            r#"{"steps": 1, "mean_over": 1, "train_loss": null}"#,
        ] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
