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

/// Columns of a terminal.
const COLUMNS: usize = 80;

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

    fn lines(&self) -> Vec<String> {
        let mut lines = vec!["devices".to_owned()];
        for d in &self.devices {
            lines.push(format!("  {:<10} {}", d.name, d.summary));
            for r in &d.reachable {
                if let Some(route) = r.route {
                    let why = r.why.as_deref().unwrap_or("can be opened");
                    lines.push(format!("    {route:<8} {why}"));
                }
                lines.extend(r.notes.iter().map(|note| format!("             {note}")));
            }
        }
        lines.push(format!("  `{}` is the default here", self.default));
        lines.push("\ntargets, the limits and quirks a program is held to".to_owned());
        let targets = self.targets.iter();
        lines.extend(targets.map(|t| format!("  {:<10} {}", t.target, t.line())));
        lines.push(format!(
            "\nthis machine: {} threads, instruction set {} of {}",
            self.threads,
            self.instruction_set,
            self.instruction_sets.join(", ")
        ));
        lines.push(format!("system: {}", self.system));
        lines.extend(self.warning.iter().map(|why| format!("warning: {why}")));
        for Replaced { variable, file } in &self.replaced {
            lines.push(format!(
                "{variable} replaces Apple's framework by `{file}`: what runs there may not be Apple's engine"
            ));
        }
        lines
    }

    /// Prints all of it where details are asked for, and otherwise a line of each that fits a terminal.
    fn tell(&self) {
        let mut is_whole = true;
        for line in self.lines() {
            match shortened(&line) {
                Some(short) if !output::is_verbose() => {
                    is_whole = false;
                    say!("{short}");
                }
                _ => say!("{line}"),
            }
        }
        if !is_whole {
            say!("`ane-trainer devices --verbose` shows all of it");
        }
    }
}

/// What a terminal shows of a line that is wider than it.
fn shortened(line: &str) -> Option<String> {
    if line.chars().count() <= COLUMNS {
        return None;
    }
    let start: String = line.chars().take(COLUMNS - 1).collect();
    Some(format!("{}…", start.trim_end()))
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
        let slice = self
            .slice_limit
            .map_or(String::new(), |l| format!(", last-axis slices to {l}"));
        format!("axes to {axis}, matmul results to 32752{slice}")
    }
}

pub(crate) fn run() -> Result<Ended, Failure> {
    let report = Report::new();
    output::result(&report, || report.tell());
    Ok(Ended::Done)
}
