//! `replay`: a step that a run has kept because it overflowed, taken again on its device and by evaluation.

use crate::{
    code::Code,
    continuation::{config_in, description},
    ended::Ended,
    failure::Failure,
    numbers,
    output::{self, remark, say},
    supervision::{Opened, SupervisionArgs},
    threads::machine,
};
use ane_train::{
    BatchNumbers, Trainer,
    bundle::{Bundle, Outcome},
    config::RunConfig,
    forensics::Finding,
};
use comfy_table::{Table, presets};
use serde::Serialize;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A step that `train --record-on-overflow` has kept, such as RUN/bundles/step-000123
    bundle: PathBuf,
    #[command(flatten)]
    supervision: SupervisionArgs,
    /// Threads; every core when left out
    #[arg(long, value_parser = numbers::threads)]
    threads: Option<usize>,
}

/// What came of it, as JSON has it.
#[derive(Serialize)]
struct Replay<'a> {
    step: u64,
    loss_scale: f32,
    /// Whether every number has the bits that were recorded.
    repeats: bool,
    recorded: &'a [BatchNumbers],
    found: &'a [BatchNumbers],
    /// Loss and largest raw gradient of each batch by evaluation; none where they are not finite.
    evaluated: &'a [[f32; 2]],
    /// Where the step goes wrong.
    finding: Option<&'a Finding>,
}

pub(crate) fn run(args: &Args) -> Result<Ended, Failure> {
    let bundle = read(&args.bundle)?;
    let file = Bundle::state(&args.bundle);
    let Bundle {
        checkpoint,
        batches,
        outcome,
    } = &bundle;
    let config = config_in(Some(&args.bundle), &file, checkpoint)?;
    must_agree(&args.bundle, &bundle, &config)?;
    let data = description(&config, checkpoint)?;
    let (pool, isa) = machine(args.threads)?;
    if let Some(computed) = &checkpoint.record.machine
        && let Err(e) = computed.goes_on_with(isa)
    {
        remark!("note: {e}");
    }
    let opened = args.supervision.open_device(&config, &pool, isa)?;
    let mut faults = opened.faults();
    let Opened {
        device,
        lock: _lock,
        ..
    } = opened;
    let trained = config.trainer_on(&data, outcome.total_steps)?;
    let mut trainer = Trainer::new(trained, device, pool, isa)?;
    let before = checkpoint.record.progress;
    faults.restore(&mut trainer, before, &checkpoint.state)?;
    let found = trainer.repeat(&before, batches)?;
    let numerics = config.numerics();
    let evaluated = trainer.evaluate_step(&before, batches, &numerics)?;
    let finding = trainer.examine(&before, batches, &numerics)?;
    let repeats = found == outcome.batches;
    let replay = Replay {
        step: outcome.step,
        loss_scale: outcome.loss_scale,
        repeats,
        recorded: &outcome.batches,
        found: &found,
        evaluated: &evaluated,
        finding: finding.as_ref(),
    };
    output::result(&replay, || {
        tell(outcome, &found, &evaluated, finding.as_ref());
    });
    Ok(if repeats {
        Ended::Done
    } else {
        Ended::FoundWrong
    })
}

fn read(folder: &Path) -> Result<Bundle, Failure> {
    let state = Bundle::state(folder);
    if !state.exists() {
        return Err(Failure::new(
            format!(
                "`{}` holds no step: there is no `{}`",
                folder.display(),
                state.display()
            ),
            "pass a directory such as RUN/bundles/step-000123, which `ane-trainer train --record-on-overflow` leaves",
        )
        .with_code(Code::NoCheckpoint));
    }
    Ok(Bundle::read(folder)?)
}

/// Refuses a bundle whose files are of different steps.
fn must_agree(folder: &Path, bundle: &Bundle, config: &RunConfig) -> Result<(), Failure> {
    let (before, outcome) = (&bundle.checkpoint.record.progress, &bundle.outcome);
    let state = (before.step + 1, config.seed, before.loss_scale.get());
    let said = (outcome.step, outcome.seed, outcome.loss_scale);
    if state == said {
        return Ok(());
    }
    Err(Failure::new(
        format!(
            "the files of `{}` are of different steps: the state is that before step {} with seed {} and loss scale {}, \
             the outcome that of step {} with seed {} and loss scale {}",
            folder.display(),
            state.0,
            state.1,
            state.2,
            said.0,
            said.1,
            said.2
        ),
        "record the step again",
    )
    .with_code(Code::NoCheckpoint))
}

/// Prints what was recorded beside what came of it now.
fn tell(
    outcome: &Outcome,
    found: &[BatchNumbers],
    evaluated: &[[f32; 2]],
    finding: Option<&Finding>,
) {
    let Outcome {
        step, loss_scale, ..
    } = outcome;
    say!("step {step}, which was skipped, at loss scale {loss_scale}");
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["batch", "", "recorded", "now", "evaluation"]);
    let batches = outcome.batches.iter().zip(found).zip(evaluated);
    for (i, ((then, now), by_definition)) in batches.enumerate() {
        let mut row = |what: &str, [then, now]: [String; 2], evaluation: String| {
            table.add_row([(i + 1).to_string(), what.to_owned(), then, now, evaluation]);
        };
        let number = |bits: u32| f32::from_bits(bits).to_string();
        let both = |of: fn(&BatchNumbers) -> Option<u32>| {
            let [then, now] = [then, now].map(of);
            Some([number(then?), number(now?)])
        };
        if let Some(losses) = both(|n| Some(n.loss)) {
            row("loss", losses, by_definition[0].to_string());
        }
        if let Some(gradients) = both(|n| Some(n.largest_gradient)) {
            row("largest gradient", gradients, by_definition[1].to_string());
        }
        if let Some(activations) = both(|n| n.largest_activation) {
            row("largest activation", activations, String::new());
        }
        if let Some(states) = both(|n| n.largest_state) {
            row("largest state", states, String::new());
        }
        let digests = [then, now].map(|n| n.outputs.chars().take(12).collect());
        row("digest of all outputs", digests, String::new());
    }
    say!("{table}");
    match finding {
        Some(finding) => say!("{finding}"),
        None => say!(
            "evaluation finds nothing that overflows: what the device computes is something else"
        ),
    }
    if found == outcome.batches {
        say!("the numbers repeat bit for bit");
    } else {
        say!("the numbers do NOT repeat");
    }
}
