//! The whole training step on MNIST, driven line by line: gather, upload, scalars, program, overflow flag, update.
//! `cargo xtask bench mnist` and `bench models` run it beside PyTorch, on the same images: how fast we are depends on them, since what is
//! zero for a whole block of a matrix product is left out of it.
//!
//! Greets with `{"foreseen_bytes":…}`, reads `{"op":"run","steps":N}` per line of standard input, answers
//! `{"images_per_second":…,"loss":…,"peak_bytes":…}`; the peak is that of resident memory over what was resident when the
//! images had been loaded, where Linux tells, and what was foreseen is the peak without having taken it. For `bench targets`
//! the data set is another, and `--perturb SEED` moves every initial weight by a millionth of itself, up or down.

use ane_device::{Settings, open};
use ane_engine::{Pool, simd::Isa};
use ane_ir::{Numerics, Target, TensorType, ops::Fill, testing};
use ane_train::{
    Trainer, TrainerConfig,
    data::{self, Dataset, DatasetSpec, FetchOptions, Images, LABEL, Loader, Sampler, catalog},
    loss::Loss,
    memory::Forecast,
    metric::Accuracy,
    models::ModelSpec,
    objective::Objective,
    optim::{AdamW, OptimizerConfig},
    schedule::Schedule,
    step::PlanKind,
    update::Groups,
};
use std::{
    error::Error,
    fs,
    io::{BufRead, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

/// How far weights are moved, relative to themselves.
const PERTURBATION: f32 = 1e-6;

fn flag(name: &str, default: &str) -> String {
    let args: Vec<String> = std::env::args().collect();
    args.windows(2)
        .find(|w| w[0] == name)
        .map_or(default.to_owned(), |w| w[1].clone())
}

/// The training examples as `ane-trainer train` sees them; their raw files go to `folder`, for the peers.
fn examples(spec: &DatasetSpec, folder: &Path) -> Result<Images, Box<dyn Error>> {
    let options = FetchOptions::default();
    fs::create_dir_all(folder)?;
    let files = data::fetch(spec, &options, &|e| eprintln!("{e}"))?;
    for file in files.train {
        fs::write(folder.join(file.name), file.content)?;
    }
    Ok(data::load(spec, &options, &|_| {})?.train.not_centred())
}

/// Bytes that Linux tells under a name in the status of this process.
fn status(name: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix(name))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// Resident memory now, from where its peak counts.
fn begin_peak() -> Option<u64> {
    // 5 sets the peak to what is resident now (proc(5)).
    fs::write("/proc/self/clear_refs", "5").ok()?;
    status("VmRSS")
}

/// The initial weights, each moved by [`PERTURBATION`] in a direction that the seed decides.
fn perturbed(trainer: &Trainer, seed: u64) -> Vec<Vec<f32>> {
    let parameters = trainer.parameters().iter().enumerate();
    let moved = parameters.map(|(i, p)| {
        let weights = p.initial(trainer.config().seed, i);
        let ty = TensorType::fp32([weights.len()]);
        let directions = testing::tensor::<f32>(&ty, Fill::Signed, seed << 32 | i as u64);
        let pairs = weights.into_iter().zip(directions.data);
        pairs
            .map(|(w, direction)| w + w * PERTURBATION.copysign(direction))
            .collect()
    });
    moved.collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let model: ModelSpec = flag("--model", "784-512-512-10").parse()?;
    let batch: usize = flag("--batch", "128").parse()?;
    let threads: usize = flag("--threads", "2").parse()?;
    let target: Target = flag("--target", "h16").parse()?;
    let plan = match flag("--plan", "split").as_str() {
        "fused" => PlanKind::Fused,
        _ => PlanKind::Split,
    };
    let pool = Arc::new(Pool::new(threads)?);
    let settings = Settings {
        target,
        numerics: Numerics::of(&target),
        isa: Isa::detect(),
        pool: Some(pool.clone()),
        ..Settings::default()
    };
    let loss = Loss::CrossEntropy {
        label_smoothing: 0.0,
    };
    let spec = catalog::find(&flag("--dataset", "mnist"))?;
    let data = Arc::new(examples(
        spec,
        &PathBuf::from(flag("--out", "target/peers")),
    )?);
    let resident = begin_peak();
    let everything = (0..u32::try_from(data.len())?).collect();
    let config = TrainerConfig {
        model: model.build(batch, &spec.images().ok_or("no set of images")?.examples())?,
        objective: Objective::of(loss, "logits", LABEL),
        metrics: vec![&Accuracy],
        units: Vec::new(),
        ema: None,
        groups: Groups::default(),
        lowerings: Vec::new(),
        accumulate: 1,
        plan,
        optimizer: OptimizerConfig::AdamW(AdamW::default()),
        lr: 1e-3,
        schedule: Schedule::Constant,
        total_steps: 1,
        max_norm: None,
        seed: 0,
    };
    let foreseen =
        Forecast::of(&config, &*open("software", &settings)?, &pool, settings.isa)?.training;
    let mut trainer = Trainer::new(config, open("software", &settings)?, pool, settings.isa)?;
    let perturbation = flag("--perturb", "");
    if !perturbation.is_empty() {
        trainer.set_weights(&perturbed(&trainer, perturbation.parse()?))?;
    }
    let loader = Loader::start(
        data,
        Sampler::new(everything, batch, 0),
        1,
        (0, 0),
        u64::MAX,
    )?;
    let hello = serde_json::json!({
        "engine": settings.isa.name(), "threads": threads, "plan": plan.name(), "target": target.to_string(),
        "foreseen_bytes": foreseen.peak(),
    });
    println!("{hello}");
    for line in std::io::stdin().lock().lines() {
        let request: serde_json::Value = serde_json::from_str(&line?)?;
        let steps = request["steps"].as_u64().ok_or("a request needs steps")?;
        let since = Instant::now();
        let mut loss = f32::NAN;
        for _ in 0..steps {
            let batches = loader.next_update().ok_or("the loader stopped")??;
            loss = trainer.train_step(&batches)?.loss;
            loader.recycle(batches);
        }
        let speed = (steps as usize * batch) as f64 / since.elapsed().as_secs_f64();
        let peak = resident.and_then(|start| Some(status("VmHWM")?.saturating_sub(start)));
        println!(
            "{}",
            serde_json::json!({"images_per_second": speed, "loss": loss, "peak_bytes": peak})
        );
        std::io::stdout().flush()?;
    }
    Ok(())
}
