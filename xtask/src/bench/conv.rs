//! `cargo xtask bench conv`: the convolutions of our networks one by one, and their gradients, against PyTorch.
//!
//! Ours has ports of fp16 and PyTorch works in fp32, as both do when they train. Neither sees a zero.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Value, json};

use crate::bench::contest::{self, Entry};
use crate::bench::contestants::{self, Contestant};
use crate::bench::machine::Machine;
use crate::bench::positive;
use crate::bench::statistics::{median, ratios};
use crate::{python, table};

/// Networks with their convolutions: channels, height and width of the image, channels made, length of the window, stride,
/// padding and groups.
const LAYERS: &[(&str, &[&str])] = &[
    ("lenet", &["1x28x28-6k5s1p2g1", "6x14x14-16k5s1p0g1"]),
    (
        "resnet8",
        &[
            "1x28x28-16k3s1p1g1",
            "16x28x28-16k3s1p1g1",
            "16x28x28-32k3s2p1g1",
            "16x28x28-32k1s2p0g1",
            "32x14x14-32k3s1p1g1",
            "32x14x14-64k3s2p1g1",
            "32x14x14-64k1s2p0g1",
            "64x7x7-64k3s1p1g1",
        ],
    ),
    (
        "mobilenet-tiny",
        &[
            "16x28x28-16k3s2p1g16",
            "32x14x14-32k3s2p1g32",
            "64x7x7-64k3s1p1g64",
        ],
    ),
    ("stem", &["3x32x32-16k7s2p3g1"]),
];

/// The result, and the gradients of image and weights.
const PASSES: [&str; 3] = ["forward", "input", "weight"];

/// What the command line of `bench conv` says.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How long each measured run takes, about.
    #[arg(long, default_value_t = 0.3, value_parser = positive)]
    seconds: f64,
    /// How often each contestant has its turn.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How many threads each contestant may use.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    threads: u32,
    /// How many images each step takes.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// A convolution such as 16x28x28-32k3s2p1g1, in place of those of our networks; may be repeated.
    #[arg(long = "layer", value_name = "LAYER", value_parser = layer)]
    layers: Vec<String>,
    /// A network whose convolutions are measured, in place of all; may be repeated.
    #[arg(long = "model", value_name = "NAME")]
    models: Vec<String>,
    /// A Python that can import torch; without it $ANE_TRAINER_PYTHON, .venv/bin/python and python3 are tried.
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,
    /// Write every measurement to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Options {
    /// Networks and convolutions to measure.
    fn chosen(&self) -> Vec<(&str, &str)> {
        if !self.layers.is_empty() {
            return self.layers.iter().map(|layer| ("–", &**layer)).collect();
        }
        let wanted = |model: &str| self.models.is_empty() || self.models.iter().any(|m| m == model);
        LAYERS
            .iter()
            .filter(|(model, _)| wanted(model))
            .flat_map(|&(model, layers)| layers.iter().map(move |&layer| (model, layer)))
            .collect()
    }
}

/// One pass over one convolution, measured.
struct Measured {
    model: String,
    layer: String,
    pass: &'static str,
    /// Milliseconds of a step, round by round: ours, and PyTorch's where it takes part.
    ours: Vec<f64>,
    torch: Vec<f64>,
}

impl Measured {
    /// Takes the measurements out of the entries, whose processes then end.
    fn of(model: &str, layer: &str, pass: &'static str, batch: u32, entries: &[Entry]) -> Self {
        let milliseconds = |ours: bool| {
            let entry = entries.iter().find(|entry| entry.is_ours == ours);
            let of = |speed: f64| 1e3 * f64::from(batch) / speed;
            entry.map_or_else(Vec::new, |e| e.speeds().into_iter().map(of).collect())
        };
        Measured {
            model: model.to_owned(),
            layer: layer.to_owned(),
            pass,
            ours: milliseconds(true),
            torch: milliseconds(false),
        }
    }

    /// How many times as fast as PyTorch ours is; NaN without it.
    fn ratio(&self) -> f64 {
        median(&ratios(&self.torch, &self.ours))
    }

    fn cells(&self) -> Vec<String> {
        let number = |value: f64, digits: usize| match value.is_nan() {
            true => "–".to_owned(),
            false => format!("{value:.digits$}"),
        };
        vec![
            self.model.clone(),
            self.layer.clone(),
            self.pass.to_owned(),
            number(median(&self.ours), 3),
            number(median(&self.torch), 3),
            number(self.ratio(), 2),
        ]
    }

    fn to_json(&self) -> Value {
        json!({
            "model": self.model,
            "layer": self.layer,
            "pass": self.pass,
            "ours_ms": self.ours,
            "torch_ms": self.torch,
            "ratio": self.ratio(),
        })
    }
}

/// Measures every pass over every convolution that was asked for, and prints a table.
pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    let ours = contestants::build(root, "ane-engine", "convolution")?;
    let python = options
        .python
        .clone()
        .or_else(|| python::with_module(root, "torch"));
    if python.is_none() {
        println!("no PyTorch: no Python that can import torch was found (--python names one)");
    }
    let mut all = Vec::new();
    for (model, layer) in options.chosen() {
        for pass in PASSES {
            println!("{model} {layer} {pass}");
            let contestants = pair(root, &ours, python.as_deref(), layer, pass, options);
            let mut entries = contest::enter(contestants, options.batch, options.seconds)?;
            contest::play(&mut entries, options.rounds)?;
            all.push(Measured::of(model, layer, pass, options.batch, &entries));
        }
    }
    let rows: Vec<Vec<String>> = all.iter().map(Measured::cells).collect();
    let heading = ["model", "layer", "pass", "ours ms", "torch ms", "ratio"];
    println!("\n{}", table::render(&heading, &rows));
    if let Some(path) = &options.json {
        let value = json!({
            "machine": Machine::this().to_json(),
            "batch": options.batch,
            "threads": options.threads,
            "layers": all.iter().map(Measured::to_json).collect::<Vec<_>>(),
        });
        fs::write(path, format!("{value:#}\n"))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Ours, and PyTorch where a Python has it, at one pass over one convolution.
fn pair(
    root: &Path,
    ours: &Path,
    python: Option<&Path>,
    layer: &str,
    pass: &str,
    options: &Options,
) -> Vec<Contestant> {
    let task = |mut command: Command| {
        let (batch, threads) = (options.batch.to_string(), options.threads.to_string());
        command.args(["--layer", layer, "--pass", pass]);
        command.args(["--batch", &batch, "--threads", &threads]);
        command
    };
    let mut all = vec![Contestant {
        name: "ours".to_owned(),
        is_ours: true,
        command: task(Command::new(ours)),
    }];
    all.extend(python.map(|python| {
        let mut command = Command::new(python);
        command.arg(root.join("xtask/peers/torch_conv.py"));
        Contestant {
            name: "torch".to_owned(),
            is_ours: false,
            command: task(command),
        }
    }));
    all
}

fn layer(text: &str) -> Result<String, String> {
    let marks: String = text.chars().filter(|c| !c.is_ascii_digit()).collect();
    let mut numbers = text.split(|c: char| !c.is_ascii_digit());
    if marks == "xx-kspg" && numbers.all(|number| number.parse::<u32>().is_ok()) {
        Ok(text.to_owned())
    } else {
        Err("channels, height and width, channels made, length, stride, padding and groups are wanted, such as \
             16x28x28-32k3s2p1g1"
            .to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn parse(words: &[&str]) -> Options {
        let words = ["conv"].iter().chain(words);
        Line::try_parse_from(words).unwrap().options
    }

    #[test]
    fn layers_have_eight_numbers() {
        for (_, layers) in LAYERS {
            for text in *layers {
                assert_eq!(layer(text).as_deref(), Ok(*text));
            }
        }
        for wrong in ["", "16x28x28", "16x28x28-32k3s2p1", "ax28x28-32k3s2p1g1"] {
            assert!(layer(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn models_and_layers_choose_what_is_measured() {
        assert_eq!(parse(&["--model", "lenet"]).chosen().len(), 2);
        let one = parse(&["--layer", "1x28x28-6k5s1p2g1"]);
        assert_eq!(one.chosen(), [("–", "1x28x28-6k5s1p2g1")]);
        assert!(parse(&[]).chosen().len() > 10);
    }

    #[test]
    fn both_have_the_same_task() {
        let options = parse(&["--threads", "3"]);
        let pair = pair(
            Path::new("r"),
            Path::new("conv"),
            Some(Path::new("py")),
            "1x28x28-6k5s1p2g1",
            "weight",
            &options,
        );
        let lines: Vec<String> = pair.iter().map(|c| process::describe(&c.command)).collect();
        let task = "--layer 1x28x28-6k5s1p2g1 --pass weight --batch 64 --threads 3";
        let expected = [
            format!("conv {task}"),
            format!("py r/xtask/peers/torch_conv.py {task}"),
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn the_ratio_is_above_one_where_ours_is_faster() {
        let measured = Measured {
            model: "lenet".to_owned(),
            layer: "1x28x28-6k5s1p2g1".to_owned(),
            pass: "forward",
            ours: vec![1.0, 2.0, 1.0],
            torch: vec![2.0, 4.0, 3.0],
        };
        assert_eq!(measured.ratio(), 2.0);
        let cells = [
            "lenet",
            "1x28x28-6k5s1p2g1",
            "forward",
            "1.000",
            "3.000",
            "2.00",
        ];
        assert_eq!(measured.cells(), cells);
    }
}
