//! `verify`: the gradients of a run's program on real batches, against those that nothing rounds.

use super::data::{Source, report};
use crate::{
    code::Code,
    ended::Ended,
    failure::Failure,
    numbers,
    output::{self, say},
    stored::Stored,
    supervision::{Opened, SupervisionArgs},
    threads::machine,
};
use ane_train::{
    Trainer, TrainerError,
    config::RunConfig,
    data::{self, Batch},
    fidelity::{FACTOR, Fidelity, ParameterFidelity, Verdict},
    step::PlanKind,
    store::weights_of,
};
use comfy_table::{Cell, CellAlignment, Table, presets};
use serde::Serialize;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run directory, or one of its .ckpt files; of a directory, `best` where there is one
    run: PathBuf,
    /// Training batches that are compared; evaluation takes seconds for each, and minutes for large networks
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = numbers::whole(1..=10_000))]
    batches: u64,
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    supervision: SupervisionArgs,
    /// Threads; every core when left out
    #[arg(long, value_parser = numbers::threads)]
    threads: Option<usize>,
}

/// What was found.
#[derive(Serialize)]
struct Report {
    checkpoint: String,
    device: String,
    target: String,
    batches: usize,
    /// The smallest loss scale that a batch was computed with.
    loss_scale: f32,
    /// Times the error of rounding that a program's may be.
    factor: f64,
    right: bool,
    parameters: Vec<ParameterFidelity>,
}

pub(crate) fn run(args: &Args) -> Result<Ended, Failure> {
    let stored = Stored::read(&args.run)?;
    // Programs of the fused plan keep their gradients to themselves. Those of the split plan compute the same.
    let config = RunConfig {
        plan: PlanKind::Split,
        ..stored.config.clone()
    };
    let (pool, isa) = machine(args.threads)?;
    let Opened {
        device,
        lock: _lock,
        ..
    } = args.supervision.open_device(&config, &pool, isa)?;
    let mut trainer = Trainer::new(config.trainer_on(&stored.data, 1)?, device, pool, isa)?;
    take_weights(&mut trainer, &stored)?;
    let options = args.source.options();
    let opened = data::Opened::of(&config, Some(&stored.data), &options, &report)?;
    let sampler = opened.sampler(config.batch)?;
    let examples = opened.load(config.batch, &options, &report)?;
    let trained = trainer.config();
    let fits = trained.objective.check(&trained.model, &*examples.train);
    fits.map_err(TrainerError::from)?;
    let mut fidelity = Fidelity::new(&trainer, config.numerics());
    let (mut batches, mut loss_scale) = (0, f32::INFINITY);
    let epoch = stored.checkpoint.record.position.0;
    let order = sampler.epoch(epoch);
    let mut batch = Batch::default();
    for chunk in order.chunks(config.batch).take(args.batches as usize) {
        let chunk: Vec<(u32, u64)> = chunk.iter().map(|&i| (i, epoch)).collect();
        batch.restart(config.batch, chunk.len());
        let filled = examples.train.fill(&chunk, &mut batch);
        filled.map_err(|e| Failure::from(TrainerError::from(e)))?;
        loss_scale = fidelity.add(&mut trainer, &batch)?.min(loss_scale);
        batches += 1;
    }
    let parameters = fidelity.parameters();
    let is_good = |p: &ParameterFidelity| matches!(p.verdict, Verdict::Right | Verdict::Zero);
    let right = parameters.iter().all(is_good);
    let report = Report {
        checkpoint: output::path(&stored.path),
        device: config.device.clone(),
        target: config.target.to_string(),
        batches,
        loss_scale,
        factor: FACTOR,
        right,
        parameters,
    };
    output::result(&report, || tell(&report));
    Ok(if right {
        Ended::Done
    } else {
        Ended::FoundWrong
    })
}

/// Gives the trainer what a checkpoint of either plan holds, and its loss scale.
fn take_weights(trainer: &mut Trainer, stored: &Stored) -> Result<(), Failure> {
    let weights = weights_of(&trainer.config().model, &stored.checkpoint.state);
    let weights = weights.map_err(|differs| {
        Failure::because(
            format!(
                "`{}` does not fit its own configuration",
                stored.path.display()
            ),
            differs,
            "verify another checkpoint of the run",
        )
        .with_code(Code::StateDiffers)
    })?;
    let values: Vec<Vec<f32>> = weights.into_iter().map(|(_, _, x)| x).collect();
    let (parameters, buffers) = values.split_at(trainer.parameters().len());
    trainer.set_weights(parameters)?;
    trainer.set_buffers(buffers)?;
    trainer.set_loss_scale(stored.checkpoint.record.progress.loss_scale);
    Ok(())
}

fn tell(report: &Report) {
    say!(
        "gradients on `{}` for {} against those that nothing rounds: {} of {}, loss scale {}",
        report.device,
        report.target,
        match report.batches {
            1 => "1 batch".to_owned(),
            n => format!("{n} batches"),
        },
        report.checkpoint,
        report.loss_scale
    );
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "parameter",
        "cosine",
        "error",
        "bound",
        "norm",
        "exact",
        "vanished",
        "subnormal",
        "",
    ]);
    for p in &report.parameters {
        table.add_row(cells(p));
    }
    say!("{table}");
    let count = |verdict| {
        let all = report.parameters.iter();
        all.filter(|p| p.verdict == verdict).count()
    };
    let zero = match count(Verdict::Zero) {
        0 => String::new(),
        n => format!("{n} zero in exact arithmetic, "),
    };
    say!(
        "{} right, {zero}{} lost to rounding, {} wrong: further off than {} times what rounding does",
        count(Verdict::Right),
        count(Verdict::Lost),
        count(Verdict::Wrong),
        report.factor
    );
}

fn cells(p: &ParameterFidelity) -> Vec<Cell> {
    let number = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
    // Of a gradient that is zero there is nothing to be relative to.
    let small = |x: f64| {
        number(match x.is_finite() {
            true => format!("{x:.1e}"),
            false => "-".to_owned(),
        })
    };
    let percent = |x: f64| number(format!("{:.2} %", 100.0 * x));
    let none = || number("-".to_owned());
    let relative = match p.verdict {
        Verdict::Zero => [none(), none(), none()],
        _ => [
            number(format!("{:.6}", p.cosine)),
            p.error.map_or_else(none, small),
            small(p.bound),
        ],
    };
    let [cosine, error, bound] = relative;
    vec![
        Cell::new(&p.path),
        cosine,
        error,
        bound,
        small(p.norm),
        small(p.exact_norm),
        percent(p.vanished),
        percent(p.subnormal),
        Cell::new(match p.verdict {
            Verdict::Right => "right",
            Verdict::Zero => "zero",
            Verdict::Lost => "LOST",
            Verdict::Wrong => "WRONG",
        }),
    ]
}
