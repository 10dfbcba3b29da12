//! `devices`: what there is to run on.

use crate::{
    ended::Ended,
    failure::Failure,
    output::{self, say},
    reachable::{Reachable, Replaced},
};
use ane_device::{AppleOptions, Settings};
use ane_engine::simd::Isa;
use ane_ir::{Chip, Route, Target};
use serde::Serialize;

/// What there is.
#[derive(Serialize)]
struct Report {
    /// What `train` uses without flags.
    default: &'static str,
    devices: Vec<Listed>,
    targets: Vec<Limits>,
    threads: usize,
    instruction_set: &'static str,
    instruction_sets: Vec<&'static str>,
    system: String,
    chip: &'static str,
    neural_engine: bool,
    /// Why the chip may be another.
    warning: Option<String>,
    /// Files that are opened instead of Apple's frameworks.
    replaced: Vec<Replaced>,
}

/// A device.
#[derive(Serialize)]
struct Listed {
    name: &'static str,
    summary: &'static str,
    /// Its routes, or it alone where it has none.
    reachable: Vec<Reachable>,
}

/// The limits of a chip; none where there is no limit.
#[derive(Serialize)]
struct Limits {
    target: String,
    max_axis: Option<usize>,
    slice_limit: Option<f32>,
}

impl Report {
    fn new() -> Self {
        let found = ane_device::detect();
        let mut reachable = Reachable::all(&Settings::default());
        let listed = ane_device::DEVICES.iter().map(|d| Listed {
            name: d.name,
            summary: d.summary,
            reachable: reachable.extract_if(.., |r| r.device == d.name).collect(),
        });
        let chips = Chip::HARDWARE.map(|chip| Target::new(chip, Route::E5rt));
        let targets = [Target::SOFTWARE].into_iter().chain(chips);
        let available = Isa::ALL.into_iter().filter(|i| i.available());
        Self {
            default: ane_device::best(),
            devices: listed.collect(),
            targets: targets.map(|t| Limits::of(&t)).collect(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            instruction_set: Isa::detect().name(),
            instruction_sets: available.map(Isa::name).collect(),
            system: found.to_string(),
            chip: found.chip.name(),
            neural_engine: found.engine,
            warning: found.warning,
            replaced: Replaced::all(&AppleOptions::default()),
        }
    }

    fn tell(&self) {
        say!("devices");
        for d in &self.devices {
            let best = match d.name == self.default {
                true => " (the default)",
                false => "",
            };
            say!("  {:<10} {}{best}", d.name, d.summary);
            for r in &d.reachable {
                if let Some(route) = r.route {
                    let why: Vec<&str> = r.why.iter().chain(&r.notes).map(String::as_str).collect();
                    match r.opens {
                        true => say!("    {route:<8} can be opened"),
                        false => say!("    {route:<8} {}", why.join("; ")),
                    }
                }
            }
        }
        say!("\ntargets, the limits and quirks a program is held to");
        for t in &self.targets {
            say!("  {:<10} {}", t.target, t.line());
        }
        say!(
            "\nthis machine: {} threads, instruction sets {} (ANE_TRAINER_ISA chooses; {} is the default)",
            self.threads,
            self.instruction_sets.join(", "),
            self.instruction_set
        );
        say!("system: {}", self.system);
        if let Some(warning) = &self.warning {
            say!("warning: {warning}");
        }
        for Replaced { variable, file } in &self.replaced {
            say!(
                "{variable} replaces Apple's framework by `{file}`: what runs there may not be Apple's engine"
            );
        }
    }
}

impl Limits {
    fn of(target: &Target) -> Self {
        Self {
            target: target.to_string(),
            max_axis: target.max_axis(),
            slice_limit: target.slice_limit(),
        }
    }

    fn line(&self) -> String {
        let Some(axis) = self.max_axis else {
            return "no hardware limits".to_owned();
        };
        let slice = self.slice_limit.map_or(String::new(), |l| {
            format!(", slices inside the last axis up to {l}")
        });
        format!("axes up to {axis}, matmul results up to 32752{slice}")
    }
}

pub(crate) fn run() -> Result<Ended, Failure> {
    let report = Report::new();
    output::result(&report, || report.tell());
    Ok(Ended::Done)
}
