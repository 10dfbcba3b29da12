//! A training run on MNIST that writes down what another program needs to repeat it: the first weights, the order of the
//! examples, the learning rates and the data. `cargo xtask bench replay` lets PyTorch do so.
//!
//! `--out DIR` gets `init.safetensors` with PyTorch's names, `order.npy` (int64 [steps, batch], -1 for padding),
//! `lrs.npy` (float64 [steps]) and the raw files of the data set. Standard output gets one line of JSON: the mean loss of
//! the last epoch's steps and of the last few, each taken before its update, the accuracy on the test set, and the weight
//! decay that a repetition needs.

use ane_device::{Settings, open};
use ane_engine::{Pool, simd::Isa};
use ane_ir::Target;
use ane_train::{
    Trainer, TrainerConfig,
    checkpoint::write_weights,
    data::{self, FetchOptions, LABEL, Loader, RawFiles, Sampler, catalog, sampler},
    fit::{Examples, evaluate},
    loss::Loss,
    metric::Accuracy,
    models::Mlp,
    objective::Objective,
    optim::{AdamW, OptimizerConfig},
    recovery::Faults,
    schedule::Schedule,
    step::PlanKind,
    update::Groups,
};
use std::{
    collections::BTreeMap,
    error::Error,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// As `ane-trainer train` has them when it is told nothing.
const MODEL: &str = "784-512-512-10";
const BATCH: usize = 128;
const PEAK: f64 = 1.5e-3;
const VALIDATION: usize = 5_000;
const LOSS: Loss = Loss::CrossEntropy {
    label_smoothing: 0.0,
};
/// Steps at the very end whose mean loss is reported besides the last epoch's.
const LAST: usize = 100;

fn flag(name: &str, default: &str) -> String {
    let args: Vec<String> = std::env::args().collect();
    args.windows(2)
        .find(|w| w[0] == name)
        .map_or(default.to_owned(), |w| w[1].clone())
}

/// An array as NumPy stores it, format 1.0: `bytes` are its elements of type `descr`, row by row.
fn npy(path: &Path, descr: &str, shape: &str, bytes: &[u8]) -> std::io::Result<()> {
    let mut header =
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}");
    // Elements begin at a multiple of 64.
    let head = 10 + header.len() + 1;
    header.push_str(&" ".repeat(head.next_multiple_of(64) - head));
    header.push('\n');
    let length = u16::try_from(header.len()).map_err(std::io::Error::other)?;
    let parts = [
        b"\x93NUMPY\x01\x00",
        &length.to_le_bytes()[..],
        header.as_bytes(),
        bytes,
    ];
    fs::write(path, parts.concat())
}

/// What decides the run besides its model.
struct Run {
    sampler: Sampler,
    epochs: u64,
    seed: u64,
}

impl Run {
    fn steps(&self) -> u64 {
        self.sampler.batches() as u64 * self.epochs
    }

    /// Writes order, rates and first weights into `out`.
    fn export(&self, trainer: &Trainer, out: &Path) -> Result<(), Box<dyn Error>> {
        let mut order: Vec<i64> = Vec::new();
        for epoch in 0..self.epochs {
            order.extend(self.sampler.epoch(epoch).into_iter().map(i64::from));
            order.resize(order.len().next_multiple_of(BATCH), -1);
        }
        let order: Vec<u8> = order.iter().flat_map(|i| i.to_le_bytes()).collect();
        let shape = format!("{}, {BATCH}", self.steps());
        npy(&out.join("order.npy"), "<i8", &shape, &order)?;
        let config = trainer.config();
        let rates: Vec<u8> = (0..self.steps())
            .flat_map(|step| {
                config
                    .schedule
                    .at(step, config.total_steps, config.lr)
                    .to_le_bytes()
            })
            .collect();
        npy(
            &out.join("lrs.npy"),
            "<f8",
            &format!("{},", self.steps()),
            &rates,
        )?;
        let initial: Vec<_> = trainer
            .parameters()
            .iter()
            .enumerate()
            .map(|(i, p)| {
                (
                    p.path.clone(),
                    p.shape.dims().to_vec(),
                    p.initial(self.seed, i),
                )
            })
            .collect();
        write_weights(
            &out.join("init.safetensors"),
            &initial,
            &[],
            &BTreeMap::new(),
        )?;
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(flag("--out", "target/replay"));
    let plan = match flag("--plan", "split").as_str() {
        "fused" => PlanKind::Fused,
        _ => PlanKind::Split,
    };
    fs::create_dir_all(&out)?;
    let spec = catalog::find("mnist")?;
    let datasets = data::load(spec, &FetchOptions::default(), &|e| eprintln!("{e}"))?;
    let RawFiles { train, test } = data::fetch(spec, &FetchOptions::default(), &|_| {})?;
    for file in train.into_iter().chain(test) {
        fs::write(out.join(file.name), file.content)?;
    }
    let seed: u64 = flag("--seed", "0").parse()?;
    let (train, _) = sampler::split(
        spec.images().ok_or("no set of images")?.train.examples,
        VALIDATION,
        seed,
    );
    let run = Run {
        sampler: Sampler::new(train, BATCH, seed),
        epochs: flag("--epochs", "6").parse()?,
        seed,
    };
    let pool = Arc::new(Pool::new(flag("--threads", "2").parse()?)?);
    let settings = Settings {
        target: Target::SOFTWARE,
        pool: Some(pool.clone()),
        ..Settings::default()
    };
    let config = TrainerConfig {
        model: MODEL.parse::<Mlp>()?.model(BATCH)?,
        objective: Objective::of(LOSS, "logits", LABEL),
        metrics: vec![&Accuracy],
        units: Vec::new(),
        ema: None,
        groups: Groups::default(),
        lowerings: Vec::new(),
        accumulate: 1,
        plan,
        optimizer: OptimizerConfig::AdamW(AdamW::default()),
        lr: PEAK,
        schedule: Schedule::COSINE,
        total_steps: run.steps(),
        max_norm: None,
        seed,
    };
    let device = open("software", &settings)?;
    let mut trainer = Trainer::new(config, device, pool, Isa::detect())?;
    run.export(&trainer, &out)?;
    let loader = Loader::start(
        Arc::new(datasets.train.not_centred()),
        run.sampler.clone(),
        1,
        (0, 0),
        run.epochs,
    )?;
    let mut losses = Vec::new();
    while let Some(batches) = loader.next_update().transpose()? {
        losses.push(f64::from(trainer.train_step(&batches)?.loss));
        loader.recycle(batches);
    }
    let mean_over = [run.sampler.batches(), LAST].map(|steps| steps.min(losses.len()));
    let means =
        mean_over.map(|steps| losses.iter().rev().take(steps).sum::<f64>() / steps.max(1) as f64);
    let test = Examples::all(Arc::new(datasets.test.not_centred()));
    let result = evaluate(&mut trainer, &test, &mut Faults::new(None))?;
    let report = serde_json::json!({
        "steps": losses.len(),
        "skipped": trainer.progress().skipped,
        "mean_over": mean_over,
        "train_loss": means,
        "weight_decay": AdamW::default().weight_decay,
        "test_accuracy": result.metric("accuracy"),
    });
    println!("{report}");
    Ok(())
}
