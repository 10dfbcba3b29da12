//! What a run says at its end, and leaves in `placement.json`.

use crate::{
    ended::Ended,
    failure::Failure,
    log,
    output::{self, remark, say},
};
use ane_device::Power;
use ane_train::{
    Trainer,
    config::RunConfig,
    fit::{Ending, Evaluation, Event, Fit, show},
    memory::amount,
    metric::Metric,
    placement::Placement,
    recovery::Faults,
};
use serde_json::json;
use std::time::Instant;

/// Writes what ran where.
pub(super) fn write_placement(
    fit: &Fit,
    config: &RunConfig,
    power: Option<Power>,
) -> Result<Placement, Failure> {
    let placement = Placement {
        power,
        ..Placement::of(&fit.trainer, config.replaced())
    };
    fit.run.write_json("placement.json", &placement)?;
    Ok(placement)
}

/// Values that are trained.
pub(super) fn trained_values(trainer: &Trainer) -> usize {
    let trained = trainer.step().trained.iter();
    let values = trained.map(|&i| trainer.parameters()[i].shape.numel());
    values.sum()
}

/// What of a step runs where, before there is anything to count.
pub(super) fn placement_lines(trainer: &Trainer) -> Vec<String> {
    let placement = Placement::of(trainer, Vec::new());
    let engine = format!(
        "engine: {} nodes in {} of a step, {:.1} MFLOP ({:.1} %), on `{}` for {}",
        placement.step.nodes,
        counted(placement.engine_stages as u64, "program"),
        placement.step.flops as f64 / 1e6,
        placement.flops.percent(),
        placement.device,
        placement.target
    );
    let nodes = placement.host_nodes.len() as u64;
    let host = match (placement.host_update, nodes) {
        (0, 0) => "nothing".to_owned(),
        (n, 0) => format!("the update of {n} values"),
        (0, nodes) => counted(nodes, "node"),
        (n, nodes) => format!("{}, and the update of {n} values", counted(nodes, "node")),
    };
    vec![engine, format!("host: {host}")]
}

/// The event of a run that was asked to stop.
pub(super) fn tell_interrupted(fit: &Fit, since: Instant) {
    output::event(
        "interrupted",
        &json!({
            "run": fit.run.root(),
            "step": fit.trainer.progress().step,
            "best": fit.best,
            "seconds": since.elapsed().as_secs_f64(),
            "exit_code": Ended::Interrupted.code(),
        }),
    );
}

/// The event of a run that has ended otherwise, with what it came to on the test set.
pub(super) fn tell_finished(fit: &Fit, ending: Ending, test: Option<&Evaluation>, seconds: f64) {
    let ending = match ending {
        Ending::Finished => "finished",
        Ending::NoBetter => "no_better",
        Ending::OutOfTime => "out_of_time",
        Ending::Interrupted => "interrupted",
    };
    output::event(
        "finished",
        &json!({
            "run": fit.run.root(),
            "ending": ending,
            "test": test,
            "best": fit.best,
            "seconds": seconds,
            "exit_code": Ended::Done.code(),
        }),
    );
}

/// The last lines of a run.
pub(super) fn say_placement(placement: &Placement) {
    output::event("placement", placement);
    say!("{}", placement_line(placement));
    if let Some(line) = &placement.host_summary {
        say!("{line}");
    }
    say!("{}", memory_line(placement));
    if let Some(power) = placement.power {
        say!("power: {power}");
    }
}

/// What ran where, in one line.
fn placement_line(placement: &Placement) -> String {
    let done = &placement.done;
    let again = match done.repeated_steps {
        0 => String::new(),
        n => format!(
            " ({n} of them repeated after {})",
            counted(done.faults, "fault")
        ),
    };
    format!(
        "placement: {} nodes and {:.1} MFLOP a step on `{}`, {} for {}{again} and {}, {}",
        placement.step.nodes,
        placement.step.flops as f64 / 1e6,
        placement.device,
        match placement.dispatches {
            1 => "1 dispatch".to_owned(),
            n => format!("{n} dispatches"),
        },
        counted(done.train_steps, "training step"),
        counted(done.evaluations, "evaluation"),
        counted(placement.compiles, "compile"),
    )
}

fn counted(n: u64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// What it took at most, in one line.
fn memory_line(placement: &Placement) -> String {
    format!(
        "memory: {} at the peak of a step, {} with a checkpoint",
        amount(placement.peak_bytes),
        amount(placement.memory.total())
    )
}

/// Notes in the log of a run what happens in its loop. Nothing of it is said: a bar may stand where it would be.
pub(super) fn note(event: &Event) {
    match event {
        Event::Epoch(m) => log::note(&format!("epoch {} has ended", m.epoch)),
        Event::Checkpoint { name, step, path } => log::note(&format!(
            "wrote {} as {name}, of step {step}",
            path.display()
        )),
        _ => {}
    }
}

/// Says which faults were survived.
pub(crate) fn tell(faults: &mut Faults) {
    for message in faults.take_messages() {
        remark!("{message}; started again");
    }
}

/// The line that a test result is shown as.
pub(crate) fn test_line(
    result: &Evaluation,
    metrics: &[&'static dyn Metric],
    checkpoint: &str,
) -> String {
    format!(
        "test:{} on {} examples, loss {:.4} ({checkpoint})",
        show(&result.metrics, metrics),
        result.examples,
        result.loss
    )
}
