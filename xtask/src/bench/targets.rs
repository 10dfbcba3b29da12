//! `cargo xtask bench targets`: whether convolutional networks learn on chip targets what they learn on `software`.
//!
//! AdamW at a constant 1e-3, 64 images a step, the same batches everywhere; what counts is the mean loss of the last
//! quarter of the steps. A run depends on every rounding before it, so `software` runs three times, each with weights that
//! begin a millionth away from the others': how far these runs are from each other is how far a right run may be.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::bench::contestants;
use crate::bench::peer::Peer;
use crate::bench::statistics::extremes;
use crate::{process, table};

/// What the command line of `bench targets` says.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Steps of every run; the last quarter of them is compared.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(4..))]
    steps: u64,
    /// Target that is compared with `software`; may be repeated.
    #[arg(long = "target", value_name = "TARGET", default_values = ["h13", "h16"])]
    targets: Vec<String>,
    /// A model and the data set that it learns, joined by a colon; may be repeated.
    #[arg(long = "model", value_name = "MODEL:DATASET", default_values = ["lenet:mnist", "resnet8:fashion-mnist"], value_parser = pair)]
    models: Vec<(String, String)>,
    /// Where the update runs; may be repeated.
    #[arg(long = "plan", value_name = "PLAN", default_values = ["split", "fused"], value_parser = ["split", "fused"])]
    plans: Vec<String>,
    /// How many threads our program may use.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    threads: u32,
}

/// How many times `software` runs.
const RUNS: u64 = 3;
/// How far a target may be, relatively, where the scatter is less.
const TOLERANCE: f64 = 0.03;

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((model, dataset)) if !model.is_empty() && !dataset.is_empty() => {
            Ok((model.to_owned(), dataset.to_owned()))
        }
        _ => Err("a model and a data set are wanted, such as lenet:mnist".to_owned()),
    }
}

/// Runs everything, prints the losses, and fails where a target is too far from `software`.
pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    let program = contestants::build(root, "ane-train", "mnist")?;
    let mut rows = Vec::new();
    let mut far = Vec::new();
    for (model, dataset) in &options.models {
        for plan in &options.plans {
            let run = |target: &str, perturbation: Option<u64>| -> Result<f64> {
                let mut command = command(&program, root, options);
                command.args(["--model", model, "--dataset", dataset, "--plan", plan]);
                command.args(["--target", target]);
                if let Some(seed) = perturbation {
                    command.args(["--perturb", &seed.to_string()]);
                }
                let what = process::describe(&command);
                let loss = last_loss(Peer::start(command)?, options.steps);
                let loss = loss.with_context(|| format!("in `{what}`"))?;
                println!("{model} {plan} on {target}: {loss:.6}");
                Ok(loss)
            };
            let runs = (1..=RUNS)
                .map(|seed| run("software", Some(seed)))
                .collect::<Result<Vec<f64>>>()?;
            let software = Software::of(&runs);
            for target in &options.targets {
                let loss = run(target, None)?;
                let off = software.off(loss);
                let allowed = software.allowed();
                let judged = if off.abs() <= allowed { "ok" } else { "FAR" };
                let name = format!("{model} {plan} on {target}");
                rows.push(vec![
                    name.clone(),
                    format!("{:.5}", software.mean),
                    percent(software.scatter),
                    format!("{loss:.5}"),
                    percent(off),
                    percent(allowed),
                    judged.to_owned(),
                ]);
                if judged != "ok" {
                    far.push(name);
                }
            }
        }
    }
    let heading = ["run", "software", "scatter", "loss", "off", "allowed", ""];
    println!("\n{}", table::render(&heading, &rows));
    if far.is_empty() {
        return Ok(());
    }
    bail!("too far from `software`: {}", far.join(", "))
}

/// Our program, at 64 images a step.
fn command(program: &Path, root: &Path, options: &Options) -> Command {
    let images: PathBuf = process::target_folder(root).join("peers").join("targets");
    let mut command = Command::new(program);
    command.args(["--batch", "64", "--threads", &options.threads.to_string()]);
    command.arg("--out").arg(images);
    command
}

/// The mean loss of the last quarter of so many steps.
fn last_loss(mut peer: Peer, steps: u64) -> Result<f64> {
    let last = steps / 4;
    let mut sum = 0.0;
    for step in 0..steps {
        let loss = peer.run(1)?.loss;
        if !loss.is_finite() {
            bail!("step {step} has a loss of {loss}");
        }
        if step >= steps - last {
            sum += loss;
        }
    }
    Ok(sum / last as f64)
}

/// What the runs on `software` came to.
struct Software {
    mean: f64,
    /// From the least to the most, relative to the mean.
    scatter: f64,
}

impl Software {
    fn of(runs: &[f64]) -> Self {
        let mean = runs.iter().sum::<f64>() / runs.len() as f64;
        let (least, most) = extremes(runs);
        Self {
            mean,
            scatter: (most - least) / mean,
        }
    }

    /// How far a loss is from the mean, relatively.
    fn off(&self, loss: f64) -> f64 {
        loss / self.mean - 1.0
    }

    fn allowed(&self) -> f64 {
        TOLERANCE.max(2.0 * self.scatter)
    }
}

fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_may_be_as_far_as_twice_the_scatter_and_three_percent_in_any_case() {
        let near = Software::of(&[1.0, 1.001, 0.999]);
        assert_eq!(near.allowed(), TOLERANCE);
        let wide = Software::of(&[0.98, 1.0, 1.02]);
        assert!((wide.allowed() - 0.08).abs() < 1e-12);
        assert!((wide.off(0.9) + 0.1).abs() < 1e-12);
    }

    #[test]
    fn the_last_quarter_is_what_counts() {
        let peer = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            Peer::start(command).unwrap()
        };
        let counting = r#"echo '{}'; i=0; while read l; do i=$((i+1)); echo "{\"images_per_second\": 1, \"loss\": $i}"; done"#;
        assert_eq!(last_loss(peer(counting), 8).unwrap(), 7.5);
        let lost = r#"echo '{}'; read l; echo '{"images_per_second": 1, "loss": NaN}'"#;
        assert!(last_loss(peer(lost), 8).is_err());
    }

    #[test]
    fn models_come_with_their_data() {
        let split = ("lenet".to_owned(), "mnist".to_owned());
        assert_eq!(pair("lenet:mnist"), Ok(split));
        for wrong in ["lenet", "lenet:", ":mnist"] {
            assert!(pair(wrong).is_err(), "{wrong}");
        }
    }
}
