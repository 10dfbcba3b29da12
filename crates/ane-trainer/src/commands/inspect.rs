//! `inspect`: the MIL of a step or of a file, what the rules say, and what a device's compiler says of a file.

use super::train::{ConfigArgs, settle_target};
use crate::{
    continuation::{description, read_checkpoint, stored_config},
    ended::Ended,
    failure::Failure,
    foreseen::Foreseen,
    given::Given,
    output::{self, say},
    supervision::open_in_worker,
    threads::machine,
};
use ane_device::Device;
use ane_ir::{
    Chip, Module, Route, Target,
    passes::lowerings::{Lowered, lowerings},
};
use ane_mil::{DirectoryBlobs, Program, Violation};
use ane_train::{
    TrainerConfig, config::RunConfig, data::Description, memory::Forecast, placement::Work,
    step::PlanKind,
};
use serde::Serialize;
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A run directory, a .ckpt file or a .mil file; the step that the flags describe when left out.
    /// A .mil file takes --target and --route, whose rules are asked, and --device, which compiles it
    path: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigArgs,
    /// Write model.mil and weights.bin into this directory instead of printing
    #[arg(long)]
    out: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, given: &Given) -> Result<Ended, Failure> {
    match &args.path {
        Some(path) if path.extension().is_some_and(|e| e == "mil") => file(path, args, given),
        Some(path) => {
            let (file, checkpoint) = read_checkpoint(path)?;
            let stored = stored_config(&file, &checkpoint)?;
            let data = description(&stored, &checkpoint)?;
            let config = args.config.over(stored, (&data, None))?;
            step(&config, &data, args.out.as_deref())
        }
        None => {
            let mut config = RunConfig::default();
            let opened = args.config.open_data(&mut config, None)?;
            let data = (&opened.description, Some(opened.train_len()));
            let config = args.config.over(config, data)?;
            step(&config, &opened.description, args.out.as_deref())
        }
    }
}

/// A training step.
#[derive(Serialize)]
struct StepReport<'a> {
    model: &'a str,
    batch: usize,
    plan: &'static str,
    device: &'a str,
    target: String,
    inputs: usize,
    outputs: usize,
    /// Values that the host updates.
    host_update: usize,
    lowerings: Vec<Lowering<'a>>,
    #[serde(flatten)]
    foreseen: Foreseen<'a>,
    verdicts: Vec<Verdict>,
    /// The texts of the programs, where they are not written into files.
    mil: Vec<String>,
    files: Vec<String>,
}

/// The training step of a configuration.
fn step(config: &RunConfig, data: &Description, out: Option<&Path>) -> Result<Ended, Failure> {
    let trainer = config.trainer_on(data, 1)?;
    let target = config.target;
    let model = &trainer.model;
    let (built, staged) = trainer.staged_step(&target)?;
    let programs: Vec<Program> = staged
        .engine
        .iter()
        .map(|program| ane_mil::print(&program.legal))
        .collect();
    let work = staged.engine_work();
    let trained = built.trained.iter();
    let host_update = match config.plan {
        PlanKind::Split => trained.map(|&i| model.parameters[i].shape.numel()).sum(),
        PlanKind::Fused => 0,
    };
    let host = match config.plan {
        PlanKind::Split => format!("the host updates {host_update} values a step"),
        PlanKind::Fused => "nothing runs on the host".to_owned(),
    };
    let lowered = [built.lowered, lowerings(&built.graph, &target)];
    let lowerings: Vec<Lowering<'_>> = lowered.iter().flat_map(|l| Lowering::of(l)).collect();
    let forecast = foresee(config, &trainer)?;
    let mut head = vec![
        format!(
            "the {} step of {}, batch {}, for {target}",
            config.plan.name(),
            model.name,
            config.batch
        ),
        format!(
            "{} a step on `{}`; the update runs on {}",
            match staged.engine_stages() {
                1 => "1 dispatch".to_owned(),
                n => format!("{n} dispatches"),
            },
            config.device,
            match config.plan {
                PlanKind::Split => "the host",
                PlanKind::Fused => "the engine",
            }
        ),
        work_line(&work),
        ops_line(&work),
        format!(
            "{} inputs and {} outputs; {host}",
            built.graph.inputs().len(),
            built.graph.outputs().len()
        ),
    ];
    head.extend(staged.lines());
    head.extend(lowerings.iter().map(Lowering::line));
    head.push(forecast.to_string());
    // A target without limits says nothing of how a chip would be reached.
    let route = if target.is_chip() {
        target.route
    } else {
        Route::E5rt
    };
    let verdicts = verdicts(&chips_over(&[route]), |t| {
        let (_, staged) = trainer.staged_step(t).map_err(|e| e.to_string())?;
        staged.summary().map_or(Ok(()), Err)
    });
    head.extend(verdicts.iter().map(Verdict::line));
    let (mut mil, mut files) = (Vec::new(), Vec::new());
    if let Some(out) = out {
        for (i, program) in programs.iter().enumerate() {
            // One program is what most steps are; more have a directory each.
            let out = match programs.len() {
                1 => out.to_owned(),
                _ => out.join(format!("engine-{}", i + 1)),
            };
            write_program(&out, program)?;
            let written = ["model.mil", "weights.bin"].map(|name| output::path(out.join(name)));
            head.push(format!("wrote {} and {}", written[0], written[1]));
            files.extend(written);
        }
    } else {
        mil = programs.into_iter().map(|p| p.text).collect();
    }
    let report = StepReport {
        model: &model.name,
        batch: config.batch,
        plan: config.plan.name(),
        device: &config.device,
        target: target.to_string(),
        inputs: built.graph.inputs().len(),
        outputs: built.graph.outputs().len(),
        host_update,
        lowerings,
        foreseen: Foreseen::of(&forecast),
        verdicts,
        mil,
        files,
    };
    output::result(&report, || match out {
        Some(_) => head.iter().for_each(|line| say!("{line}")),
        None => print(&head, &report.mil.join("\n")),
    });
    Ok(Ended::Done)
}

/// What the training would hold. Whatever is not software is not asked: what it works in is not in this process.
pub(super) fn foresee(config: &RunConfig, trainer: &TrainerConfig) -> Result<Forecast, Failure> {
    let (pool, isa) = machine(None)?;
    let name = if config.device == "software" {
        "software"
    } else {
        "null"
    };
    let device = ane_device::open(name, &config.settings(&pool, isa))?;
    Ok(Forecast::of(trainer, &*device, &pool, isa)?)
}

/// Comment lines before the text, so that the whole output is MIL.
fn print(head: &[String], text: &str) {
    let mut all = String::new();
    for line in head {
        all.push_str(&format!("// {}\n", line.replace('\n', "\n// ")));
    }
    all.push_str(text);
    output::write(&all);
}

fn work_line(work: &Work) -> String {
    format!(
        "{} nodes, {} constants, {:.1} MFLOP, {} bytes in, {} bytes out",
        work.nodes,
        work.constants,
        work.flops as f64 / 1e6,
        work.bytes_in,
        work.bytes_out
    )
}

/// What becomes of convolutions, pools and norms, together for all places of which the same is to be said.
#[derive(Serialize)]
struct Lowering<'a> {
    op: &'a str,
    into: &'a str,
    places: Vec<String>,
    reason: &'a str,
    source: &'a str,
}

impl<'a> Lowering<'a> {
    fn of(all: &'a [Lowered]) -> Vec<Self> {
        let mut found: Vec<Self> = Vec::new();
        for l in all {
            let place = if l.place.is_unknown() {
                "no place".to_owned()
            } else {
                l.place.to_string()
            };
            let said = (l.op, l.into, l.reason);
            match found.iter_mut().find(|f| (f.op, f.into, f.reason) == said) {
                Some(same) if same.places.contains(&place) => {}
                Some(same) => same.places.push(place),
                None => found.push(Self {
                    op: l.op,
                    into: l.into,
                    places: vec![place],
                    reason: l.reason,
                    source: l.source,
                }),
            }
        }
        found
    }

    fn line(&self) -> String {
        format!(
            "lowering: {} becomes {} at {}, as {} ({})",
            self.op,
            self.into,
            self.places.join(", "),
            self.reason,
            self.source
        )
    }
}

/// How often each op is computed.
fn ops_line(work: &Work) -> String {
    let ops: Vec<String> = work
        .ops
        .iter()
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    ops.join(", ")
}

/// Every chip by each of these routes.
fn chips_over(routes: &[Route]) -> Vec<Target> {
    let by_routes = |chip| routes.iter().map(move |&route| Target::new(chip, route));
    Chip::HARDWARE.into_iter().flat_map(by_routes).collect()
}

/// The target in words.
fn place(target: &Target) -> String {
    if target.is_chip() {
        format!("{} over {}", target.chip, target.route)
    } else {
        target.to_string()
    }
}

/// What the rules of a target say.
#[derive(Serialize)]
struct Verdict {
    target: String,
    legal: bool,
    /// Why not.
    why: Option<String>,
}

impl Verdict {
    fn line(&self) -> String {
        match &self.why {
            None => format!("{}: legal", self.target),
            Some(why) => format!("{}: {why}", self.target),
        }
    }
}

/// What the rules of these targets say.
fn verdicts(targets: &[Target], legal: impl Fn(&Target) -> Result<(), String>) -> Vec<Verdict> {
    let of = |target| {
        let why = legal(target).err();
        Verdict {
            target: place(target),
            legal: why.is_none(),
            why,
        }
    };
    targets.iter().map(of).collect()
}

/// The targets whose rules are asked about a file.
fn targets(flags: &ConfigArgs) -> Result<Vec<Target>, Failure> {
    match (&flags.target, flags.route) {
        (None, None) => Ok(chips_over(&Route::ALL)),
        (None, Some(route)) => Ok(chips_over(&[route])),
        (Some(named), route) => {
            let mut config = RunConfig::default();
            settle_target(&mut config, Some(named), route)?;
            Ok(vec![config.target])
        }
    }
}

/// Purposes of flags that describe a training; a program that is written already has no use for them.
const TRAINING: [&str; 5] = ["Data", "Model", "Training", "Optimizer", "Device"];
/// Flags that say who is asked about a program.
const ASKED: [&str; 3] = ["--device", "--target", "--route"];

/// Most bytes of a MIL text that is read: 1 GiB.
const LARGEST_TEXT: u64 = 1 << 30;

/// A file.
#[derive(Serialize)]
struct FileReport<'a> {
    file: String,
    functions: Vec<Function<'a>>,
    /// The text, as it is printed.
    mil: [String; 1],
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    opset: String,
    work: Work,
    verdicts: Vec<Verdict>,
}

/// A MIL file with its weights beside it.
fn file(path: &Path, args: &Args, given: &Given) -> Result<Ended, Failure> {
    let mut useless: Vec<String> = TRAINING
        .iter()
        .flat_map(|purpose| given.of(purpose))
        .filter(|flag| !ASKED.contains(&flag.as_str()))
        .collect();
    useless.extend(args.out.is_some().then(|| "--out".to_owned()));
    if !useless.is_empty() {
        return Err(Failure::usage(
            format!(
                "{} cannot be given with a MIL file, which holds a whole program",
                useless.join(", ")
            ),
            "leave it out; --device, --target and --route say who is asked about the file",
        ));
    }
    let unreadable = |why: &dyn std::fmt::Display| {
        Failure::new(
            format!("cannot read `{}`: {why}", path.display()),
            "pass a file of MIL text",
        )
    };
    let bytes = ane_files::read(path, LARGEST_TEXT).map_err(|e| unreadable(&e))?;
    let text = String::from_utf8(bytes).map_err(|_| unreadable(&"it is not text in UTF-8"))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let module = ane_mil::parse(&text, &DirectoryBlobs::new(folder)).map_err(|e| {
        // The excerpt carries the message and its help.
        let place = format!("{}:{}:{}", path.display(), e.line, e.column);
        Failure::new(format!("{place}\n{}", e.excerpt()), "mend the line above")
    })?;
    if args.config.device.is_some() {
        let mut config = RunConfig::default();
        let data = args.config.open_data(&mut config, None)?.description;
        return compile(module, &args.config.over(config, (&data, None))?);
    }
    let targets = targets(&args.config)?;
    let functions = module.functions.iter().map(|f| Function {
        name: &f.name,
        opset: f.opset.to_string(),
        work: Work::of(&f.graph),
        verdicts: verdicts(&targets, |t| {
            ane_mil::check(f.graph.clone(), t)
                .map(|_| ())
                .map_err(|violations| in_lines(&violations))
        }),
    });
    let report = FileReport {
        file: output::path(path),
        functions: functions.collect(),
        mil: [ane_mil::print_module(&module).text],
    };
    output::result(&report, || {
        let mut head = Vec::new();
        for f in &report.functions {
            head.push(format!("function {} <{}>", f.name, f.opset));
            head.push(work_line(&f.work));
            head.extend(f.verdicts.iter().map(Verdict::line));
        }
        print(&head, &report.mil[0]);
    });
    Ok(Ended::Done)
}

fn in_lines(violations: &[Violation]) -> String {
    let all: Vec<String> = violations.iter().map(ToString::to_string).collect();
    all.join("\n")
}

/// Has a device compile every function of a file. Where another route had to be taken, that one's rules and compiler
/// are asked.
fn compile(module: Module, config: &RunConfig) -> Result<Ended, Failure> {
    let (pool, isa) = machine(None)?;
    let device = open_in_worker(config, &pool, isa)?;
    let name = &config.device;
    let target = place(device.target());
    let mut compiled = Vec::new();
    for f in module.functions {
        let legal = ane_mil::check(f.graph, device.target()).map_err(|violations| {
            Failure::new(
                format!(
                    "`{name}` for {target} was not asked to compile `{}`:\n{}",
                    f.name,
                    in_lines(&violations)
                ),
                "mend the program; without --device, `inspect` says which targets allow it",
            )
        })?;
        device.compile(&legal).map_err(|e| {
            Failure::because(
                format!("`{name}` for {target} does not compile `{}`", f.name),
                e,
                "the rules allow the program: report it with this message, and try another --route",
            )
        })?;
        // Said one by one: the next one may crash the compiler.
        say!("`{name}` for {target} compiles `{}`", f.name);
        compiled.push(f.name);
    }
    let report = json!({"device": name, "target": target, "compiled": compiled});
    output::result(&report, || {});
    Ok(Ended::Done)
}

fn write_program(out: &Path, program: &Program) -> Result<(), Failure> {
    let write = |name: &str, bytes: &[u8]| {
        ane_train::checkpoint::replace_file(&out.join(name), bytes).map_err(Failure::from)
    };
    std::fs::create_dir_all(out).map_err(|e| {
        Failure::new(
            format!("cannot make `{}`: {e}", out.display()),
            "pass a directory that can be written",
        )
    })?;
    write("model.mil", program.text.as_bytes())?;
    write("weights.bin", &program.weights)
}
