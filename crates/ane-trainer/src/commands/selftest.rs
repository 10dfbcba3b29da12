//! `selftest`: every op and the training step on a device, against the software engine.

use super::train::NumericsArg;
use crate::{
    ended::Ended,
    failure::Failure,
    isolated, numbers,
    output::{self, say},
    threads::machine,
};
use ane_device::{AppleOptions, Hardware, Settings};
use ane_engine::simd::Isa;
use ane_ir::Route;
use ane_train::{
    config::{NumericsKind, RunConfig},
    selftest::{self, Row, Subject, Verdict},
};
use comfy_table::{Cell, CellAlignment, Table, presets};
use serde::Serialize;
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Only these ops, or mnist_step_fused and mnist_step_split
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// Training steps that are compared
    #[arg(long, default_value_t = 5, value_parser = numbers::whole(1..=10_000))]
    steps: u64,
    /// Run one test in this process and print its row as JSON
    #[arg(long, hide = true, value_name = "NAME")]
    alone: Option<String>,
}

/// What programs are run on, for commands that look at a device.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Place {
    /// Device: apple, null, software or auto
    #[arg(long, default_value = "auto")]
    device: String,
    /// Whose limits and quirks hold [default: software; on apple this machine's chip]
    #[arg(long)]
    target: Option<String>,
    /// How the chip is reached: e5rt, client or memory
    #[arg(long, value_parser = super::train::route)]
    route: Option<Route>,
    /// Numeric policy of the software engine [default: ieee]
    #[arg(long)]
    numerics: Option<NumericsArg>,
    /// Threads; every core when left out
    #[arg(long, value_parser = numbers::threads)]
    threads: Option<usize>,
    /// Seconds after which a test that does not answer is killed
    #[arg(long, default_value_t = 120, value_parser = numbers::whole(1..=86_400))]
    deadline: u64,
}

impl Place {
    /// The device by name and what it is opened with.
    pub(crate) fn settle(&self) -> Result<(RunConfig, Settings), Failure> {
        let device = match self.device.as_str() {
            "auto" => ane_device::best(),
            name => name,
        };
        let mut config = RunConfig {
            device: device.to_owned(),
            ..RunConfig::default()
        };
        config.numerics = self.numerics.map_or(config.numerics, Into::into);
        super::train::settle_target(&mut config, self.target.as_deref(), self.route)?;
        let (pool, isa) = machine(self.threads)?;
        let settings = config.settings(&pool, isa);
        Ok((config, settings))
    }

    /// The flags that make a process of this program use the same place.
    pub(crate) fn again(&self, config: &RunConfig) -> Vec<String> {
        let mut flags = vec!["--device".to_owned(), config.device.clone()];
        // A target that was settled here and not named is settled there again: naming it would tell the compiler of a chip.
        if let Some(target) = &self.target {
            flags.extend(["--target".to_owned(), target.clone()]);
        }
        if let Some(route) = self.route {
            flags.extend(["--route".to_owned(), route.to_string()]);
        }
        flags.extend(["--numerics".to_owned(), config.numerics.name().to_owned()]);
        if let Some(threads) = self.threads {
            flags.extend(["--threads".to_owned(), threads.to_string()]);
        }
        flags
    }

    pub(crate) fn deadline(&self) -> Duration {
        Duration::from_secs(self.deadline)
    }
}

/// Everything that was found, as it is written.
#[derive(Debug, Serialize)]
struct Summary {
    format: u32,
    ane_trainer: &'static str,
    apple_hardware: bool,
    hardware: String,
    system: String,
    device: String,
    target: String,
    numerics: NumericsKind,
    instruction_set: &'static str,
    threads: usize,
    notes: Vec<String>,
    right: usize,
    not_allowed: usize,
    wrong: usize,
    rows: Vec<Row>,
}

pub(crate) fn run(args: &Args) -> Result<Ended, Failure> {
    let (config, settings) = args.place.settle()?;
    if let Some(name) = &args.alone {
        return alone(name, config.device, settings, args.steps);
    }
    let all = selftest::names();
    if let Some(unknown) = args.only.iter().find(|n| !all.contains(&n.as_str())) {
        return Err(Failure::usage(
            format!("there is no test called `{unknown}`"),
            format!("there are {}", all.join(", ")),
        ));
    }
    let device = ane_device::open(&config.device, &settings)?;
    let hardware = Hardware::of(&config.device, &AppleOptions::default().replaced());
    let mut summary = Summary {
        format: 1,
        ane_trainer: env!("CARGO_PKG_VERSION"),
        apple_hardware: hardware.is_apple(),
        hardware: hardware.to_string(),
        system: ane_device::detect().to_string(),
        target: device.target().to_string(),
        numerics: config.numerics,
        instruction_set: Isa::name(settings.isa),
        threads: settings.pool.as_ref().map_or(1, |p| p.threads()),
        notes: device.notes().to_vec(),
        device: config.device.clone(),
        right: 0,
        not_allowed: 0,
        wrong: 0,
        rows: Vec::new(),
    };
    drop(device);
    for name in all {
        if !args.only.is_empty() && !args.only.iter().any(|n| n == name) {
            continue;
        }
        let mut arguments = vec!["selftest".to_owned(), "--alone".to_owned(), name.to_owned()];
        arguments.extend(args.place.again(&config));
        arguments.extend(["--steps".to_owned(), args.steps.to_string()]);
        let row = isolated::answer(&arguments, args.place.deadline())?
            .unwrap_or_else(|how| Row::died(name, how));
        match row.verdict {
            Verdict::Right => summary.right += 1,
            Verdict::NotAllowed => summary.not_allowed += 1,
            Verdict::Wrong => summary.wrong += 1,
        }
        summary.rows.push(row);
    }
    output::result(&summary, || print(&summary));
    Ok(if summary.wrong > 0 {
        Ended::FoundWrong
    } else {
        Ended::Done
    })
}

/// One test in this process.
fn alone(name: &str, device: String, settings: Settings, steps: u64) -> Result<Ended, Failure> {
    let subject = Subject {
        device,
        settings,
        steps,
    };
    let row = selftest::run(name, &subject)?.ok_or_else(|| {
        Failure::usage(
            format!("there is no test called `{name}`"),
            format!("there are {}", selftest::names().join(", ")),
        )
    })?;
    say!("{}", serde_json::to_string(&row).unwrap_or_default());
    Ok(Ended::Done)
}

fn print(summary: &Summary) {
    let Summary {
        device,
        target,
        system,
        instruction_set,
        threads,
        ..
    } = summary;
    say!("{}", summary.hardware);
    say!(
        "`{device}` for {target} against the software engine ({instruction_set}, {threads} threads); system: {system}"
    );
    for note in &summary.notes {
        say!("warning: {note}");
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "test",
        "samples",
        "ulp",
        "max error",
        "tolerance",
        "p50 µs",
        "p95 µs",
        "verdict",
    ]);
    for row in &summary.rows {
        table.add_row(cells(row));
    }
    say!("{table}");
    for row in &summary.rows {
        for problem in &row.problems {
            say!("{}: {problem}", row.name);
        }
    }
    say!(
        "{} right, {} not allowed by the rules of {target}, {} wrong",
        summary.right,
        summary.not_allowed,
        summary.wrong
    );
    say!("{}", summary.hardware);
}

fn cells(row: &Row) -> Vec<Cell> {
    let number = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
    let time = |t: Option<f64>| number(t.map_or("-".into(), |t| format!("{t:.1}")));
    // The device's own words are long, and stand below the table.
    let rules: Vec<&str> = row.refused.iter().map(String::as_str).collect();
    let rules: Vec<&str> = rules
        .into_iter()
        .filter(|r| r.starts_with("rule"))
        .collect();
    let refused = match rules[..] {
        [] => String::new(),
        _ => format!(" ({})", rules.join("; ")),
    };
    let verdict = match row.verdict {
        Verdict::Right => "right",
        Verdict::NotAllowed => "not allowed",
        Verdict::Wrong => "WRONG",
    };
    vec![
        Cell::new(&row.name),
        number(format!("{}/{}", row.ran, row.samples)),
        number(row.max_ulps.map_or("-".into(), |u| u.to_string())),
        number(format!("{:.1e}", row.max_abs)),
        Cell::new(&row.tolerance),
        time(row.p50_us),
        time(row.p95_us),
        Cell::new(format!("{verdict}{refused}")),
    ]
}
