//! `cargo xtask bench replay`: the final training loss of our run on MNIST, and that of fp32 PyTorch from the same first
//! weights, over the same batches, at the same learning rates.
//!
//! The mean loss over the last epoch decides, over several seeds; the mean over the last few steps is shown besides. Both
//! depend on every rounding before them, so PyTorch also repeats the run from first weights that are a millionth off: how
//! far it is from itself is how far a right run may be from it. Another number of threads is no such repetition, since on
//! some machines it changes no bit of PyTorch's.

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
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..))]
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

/// The run that is PyTorch against itself.
const TORCH_AGAIN: &str = "torch fp32, perturbed";

/// By how much the first weights of that run are off, relatively: about what rounding in another order does to a step.
const PERTURBATION: &str = "1e-6";

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
struct Ending {
    steps: u64,
    /// Over the last epoch, and over the last few steps.
    losses: [MeanLoss; 2],
    accuracy: f64,
    /// Steps that changed nothing because gradients overflowed; PyTorch has none.
    skipped: u64,
    /// That of our run; PyTorch is told it.
    weight_decay: Option<f64>,
}

/// The mean training loss over the last steps.
#[derive(Debug, Clone, Copy, PartialEq)]
struct MeanLoss {
    /// How many.
    over: u64,
    loss: f64,
}

/// Trains in every plan, lets PyTorch repeat it, and prints both.
pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    let python = find_python(root, options.python.as_deref())?;
    let program = contestants::build(root, "ane-train", "replay")?;
    let folder = process::target_folder(root).join("replay");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let script = root.join("xtask").join("peers").join("torch_replay.py");
    let mut ratios: Vec<(String, Vec<[f64; 2]>)> = Vec::new();
    for &seed in &options.seeds {
        let mut runs = Vec::new();
        for plan in &options.plans {
            let mut command = training(&program, plan, seed, &folder, options);
            runs.push((format!("ours {plan}"), ending(&mut command)?));
        }
        let (_, ours) = runs.first().context("no plan was asked for")?;
        let mut again = repetition(&python, &script, &folder, ours);
        let mut torch = repetition(&python, &script, &folder, ours);
        again.args(["--perturb", PERTURBATION]);
        runs.push((TORCH_AGAIN.to_owned(), ending(&mut again)?));
        let torch = ending(&mut torch)?;
        println!(
            "\nseed {seed}, {} epochs: {} steps\n",
            options.epochs, torch.steps
        );
        println!("{}", render(&runs, &torch)?);
        for (name, run) in runs {
            let these = run.ratios(&torch);
            match ratios.iter_mut().find(|(known, _)| *known == name) {
                Some((_, all)) => all.push(these),
                None => ratios.push((name, vec![these])),
            }
        }
    }
    println!("training loss / torch, over all seeds:");
    for (name, all) in &ratios {
        println!("{name}: {}", spread(all));
    }
    let verdict = judge(&ratios)?;
    println!("{verdict}");
    Ok(())
}

/// Whether every run of ours ends where PyTorch does, by its mean loss over the last epoch.
fn judge(ratios: &[(String, Vec<[f64; 2]>)]) -> Result<String> {
    let last_epoch = |all: &[[f64; 2]]| all.iter().map(|ratio| ratio[0]).collect::<Vec<f64>>();
    let (own, ours): (Vec<_>, Vec<_>) = ratios.iter().partition(|(name, _)| name == TORCH_AGAIN);
    let (_, own) = own.first().context("PyTorch was not repeated")?;
    let tolerance = tolerance(&last_epoch(own));
    let seeds = own.len();
    let said = format!(
        "expected within {:.2} % of PyTorch: three standard errors of its distance from itself over {seeds} seeds",
        100.0 * tolerance
    );
    for (name, all) in ours {
        let off = geometric_mean(&last_epoch(all)).ln();
        if !off.is_finite() || off.abs() > tolerance {
            bail!(
                "{name} ends {:+.2} % from PyTorch, by its mean loss over the last epoch; {said}",
                100.0 * off
            );
        }
    }
    Ok(said)
}

/// How far, relatively, the mean over these seeds may be off: three standard errors of the mean, by the scatter of
/// ratios of which each is of one program to itself.
fn tolerance(own: &[f64]) -> f64 {
    let seeds = own.len() as f64;
    let variance = own.iter().map(|ratio| ratio.ln().powi(2)).sum::<f64>() / seeds;
    3.0 * (variance / seeds).sqrt()
}

impl Ending {
    /// Its training losses over PyTorch's.
    fn ratios(&self, torch: &Self) -> [f64; 2] {
        let [epoch, steps] = self.losses;
        let [torch_epoch, torch_steps] = torch.losses;
        [epoch.loss / torch_epoch.loss, steps.loss / torch_steps.loss]
    }
}

/// Mean and extremes of both ratios.
fn spread(all: &[[f64; 2]]) -> String {
    let of = |which: usize| {
        let these: Vec<f64> = all.iter().map(|ratios| ratios[which]).collect();
        let least = these.iter().copied().fold(f64::INFINITY, f64::min);
        let most = these.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        format!("{:.4} ({least:.4} to {most:.4})", geometric_mean(&these))
    };
    format!("last epoch {}, last steps {}", of(0), of(1))
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
fn repetition(python: &Path, script: &Path, folder: &Path, ours: &Ending) -> Command {
    let mut command = Command::new(python);
    command.arg(script).arg("--report-last");
    command.args(ours.losses.iter().map(|mean| mean.over.to_string()));
    if let Some(decay) = ours.weight_decay {
        command.args(["--weight-decay", &decay.to_string()]);
    }
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
    let number = |name: &str| report.get(name).and_then(Value::as_f64);
    let (counts, means) = (&report["mean_over"], &report["train_loss"]);
    let mean = |which: usize| -> Result<MeanLoss> {
        Ok(MeanLoss {
            over: counts[which].as_u64().context("no counts `mean_over`")?,
            loss: means[which].as_f64().context("no numbers `train_loss`")?,
        })
    };
    Ok(Ending {
        steps: count("steps").context("no count `steps`")?,
        losses: [mean(0)?, mean(1)?],
        accuracy: number("test_accuracy").context("no number `test_accuracy`")?,
        skipped: count("skipped").unwrap_or(0),
        weight_decay: number("weight_decay"),
    })
}

/// A table of all endings; an error if they are not of the same run.
fn render(runs: &[(String, Ending)], torch: &Ending) -> Result<String> {
    let over = |ending: &Ending| ending.losses.map(|mean| mean.over);
    let row = |name: &str, ending: &Ending, ratios: [String; 2]| {
        let [epoch, steps] = ending.losses.map(|mean| format!("{:.6}", mean.loss));
        let [epoch_ratio, steps_ratio] = ratios;
        vec![
            name.to_owned(),
            epoch,
            epoch_ratio,
            steps,
            steps_ratio,
            format!("{:.2} %", 100.0 * ending.accuracy),
            ending.skipped.to_string(),
        ]
    };
    let mut rows = Vec::new();
    for (name, ending) in runs {
        if (ending.steps, over(ending)) != (torch.steps, over(torch)) {
            bail!(
                "{name} took {} steps and PyTorch {}: they are not the same run",
                ending.steps,
                torch.steps
            );
        }
        let ratios = ending.ratios(torch).map(|ratio| format!("{ratio:.4}"));
        rows.push(row(name, ending, ratios));
    }
    rows.push(row("torch fp32", torch, Default::default()));
    let [epoch, steps] = over(torch).map(|steps| format!("last {steps} steps"));
    let heading = [
        "run",
        &epoch,
        "/ torch",
        &steps,
        "/ torch",
        "test accuracy",
        "skipped",
    ];
    Ok(table::render(&heading, &rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(steps: u64, losses: [f64; 2]) -> Ending {
        read(&format!(
            r#"{{"steps": {steps}, "mean_over": [430, 100], "train_loss": {losses:?}, "test_accuracy": 0.9825}}"#
        ))
        .unwrap()
    }

    #[test]
    fn losses_are_shown_beside_each_other() {
        let split = "ours split".to_owned();
        let ours = report(860, [0.125, 0.1]);
        let table = render(&[(split, ours)], &report(860, [0.1, 0.2])).unwrap();
        let lines: Vec<Vec<&str>> = table
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(
            lines[2],
            [
                "ours", "split", "0.125000", "1.2500", "0.100000", "0.5000", "98.25", "%", "0"
            ]
        );
        assert_eq!(
            lines[3],
            ["torch", "fp32", "0.100000", "0.200000", "98.25", "%", "0"]
        );
    }

    #[test]
    fn half_and_double_are_even_on_average() {
        let seen = spread(&[[0.5, 1.0], [2.0, 1.25]]);
        let expected = "last epoch 1.0000 (0.5000 to 2.0000), last steps 1.1180 (1.0000 to 1.2500)";
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_run_may_be_as_far_from_pytorch_as_pytorch_is_from_itself() {
        let seeds = |ratios: [f64; 4]| ratios.map(|ratio| [ratio, 1.0]).to_vec();
        let own = seeds([1.02, 1.0 / 1.02, 1.02, 1.0 / 1.02]);
        // Three standard errors of ln 1.02 over four seeds.
        let limit = 1.5 * 1.02_f64.ln();
        let judged = |off: f64| {
            let ours = seeds([1.1, 1.0 / 1.1, off.exp().powi(2), off.exp().powi(2)]);
            judge(&[
                ("ours split".to_owned(), ours),
                (TORCH_AGAIN.to_owned(), own.clone()),
            ])
        };
        for off in [0.99 * limit, -0.99 * limit] {
            assert!(judged(off).unwrap().contains("2.97 %"));
        }
        for off in [1.01 * limit, -1.01 * limit, f64::NAN] {
            let said = judged(off).unwrap_err().to_string();
            assert!(said.contains("ours split"), "{said}");
        }
    }

    #[test]
    fn runs_of_other_lengths_are_not_compared() {
        let split = "ours split".to_owned();
        let ours = report(861, [0.1, 0.1]);
        let error = render(&[(split, ours)], &report(860, [0.1, 0.1])).unwrap_err();
        assert!(error.to_string().contains("861"), "{error}");
    }

    #[test]
    fn pytorch_is_told_the_steps_and_the_decay_of_our_run() {
        let mut ours = report(860, [0.1, 0.1]);
        ours.weight_decay = Some(0.5);
        let path = Path::new("x");
        let command = process::describe(&repetition(path, path, path, &ours));
        assert!(
            command.contains("--report-last 430 100 --weight-decay 0.5"),
            "{command}"
        );
    }

    #[test]
    fn a_report_without_its_numbers_is_refused() {
        for line in [
            "",
            "{}",
            r#"{"steps": 1, "mean_over": [1, 1], "train_loss": [null, 1], "test_accuracy": 1}"#,
            r#"{"steps": 1, "mean_over": [1], "train_loss": [1], "test_accuracy": 1}"#,
            r#"{"steps": 1, "mean_over": [1, 1], "train_loss": [1, 1]}"#,
        ] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
