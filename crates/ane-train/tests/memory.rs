//! What a training is foreseen to hold is what it holds, byte for byte, and foreseeing takes none of it. One test, since
//! buffers are counted for the whole process.

#![allow(clippy::unwrap_used)]

use ane_device::{
    Bound, Buffer, Counts, Device, DeviceError, Executable, Layout, MemoryUse, Port, Settings, open,
};
use ane_engine::{Pool, SharedBuffer};
use ane_ir::{Numerics, Target, TensorType};
use ane_mil::LegalGraph;
use ane_train::{
    Trainer, TrainerConfig,
    data::Batch,
    memory::Forecast,
    models::{Examples, ModelSpec},
    objective::Objective,
    optim::{AdamW, OptimizerConfig},
    schedule::Schedule,
    step::PlanKind,
    store::StateLayout,
    update::{Groups, names},
};
use std::sync::{Arc, LazyLock};

/// A device that compiles, and gives nothing to run in.
#[derive(Debug)]
struct Compiler(Box<dyn Device>);

const REFUSED: DeviceError = DeviceError::Unsupported {
    device: "compiler",
    what: "memory",
};

impl Device for Compiler {
    fn name(&self) -> &'static str {
        "compiler"
    }
    fn target(&self) -> &Target {
        self.0.target()
    }
    fn layout(&self, ty: &TensorType) -> Layout {
        self.0.layout(ty)
    }
    fn counts(&self) -> Counts {
        self.0.counts()
    }
    fn compile(&self, graph: &LegalGraph) -> Result<Box<dyn Executable>, DeviceError> {
        Ok(Box::new(Compiled(self.0.compile(graph)?)))
    }
    fn allocate(&self, _: &TensorType) -> Result<Buffer, DeviceError> {
        Err(REFUSED)
    }
}

#[derive(Debug)]
struct Compiled(Box<dyn Executable>);

impl Executable for Compiled {
    fn inputs(&self) -> &[Port] {
        self.0.inputs()
    }
    fn outputs(&self) -> &[Port] {
        self.0.outputs()
    }
    fn bind(&self, _: &[(&str, &Buffer)]) -> Result<Box<dyn Bound>, DeviceError> {
        Err(REFUSED)
    }
    fn memory(&self) -> Option<MemoryUse> {
        self.0.memory()
    }
}

static DIGITS: LazyLock<Examples> = LazyLock::new(|| Examples::images([1, 28, 28], 10));

fn config(model: &str, batch: usize, plan: PlanKind) -> TrainerConfig {
    let spec: ModelSpec = model.parse().unwrap();
    let model = spec.build(batch, &DIGITS).unwrap();
    TrainerConfig {
        objective: Objective::of(ane_train::loss::Loss::ALL[0], "logits", "label"),
        model,
        metrics: Vec::new(),
        units: Vec::new(),
        ema: None,
        groups: Groups::default(),
        lowerings: Vec::new(),
        accumulate: 1,
        plan,
        optimizer: OptimizerConfig::AdamW(AdamW::default()),
        lr: 1e-3,
        schedule: Schedule::Constant,
        total_steps: 10,
        max_norm: None,
        seed: 0,
    }
}

fn batch(rows: usize) -> Batch {
    let mut batch = Batch::new(rows, rows);
    let pixels = batch.fp16("x", DIGITS.values()).iter_mut().enumerate();
    pixels.for_each(|(i, x)| *x = half::f16::from_f32((i % 7) as f32 / 7.0).to_bits());
    batch.int32("label", 1).fill(3);
    batch
}

/// Trains and evaluates as a run does, and compares.
fn holds(config: TrainerConfig, target: &str) {
    let pool = Arc::new(Pool::new(2).unwrap());
    let target: Target = target.parse().unwrap();
    let settings = Settings {
        target,
        numerics: Numerics::of(&target),
        pool: Some(pool.clone()),
        ..Settings::default()
    };
    let device = || open("software", &settings).unwrap();
    let case = format!(
        "{}, {} plan for {target}, batch {}",
        config.model.name,
        config.plan.name(),
        config.model.batch
    );
    let before = SharedBuffer::in_use();
    let forecast = Forecast::of(&config, &Compiler(device()), &pool, settings.isa).unwrap();
    let foreseen = forecast.footprint;
    assert!(forecast.knows_workspace);
    let layout = StateLayout::of(&config, &forecast.step);
    drop(forecast);
    assert_eq!(SharedBuffer::in_use(), before, "{case}");
    let rows = config.model.batch;
    let update = vec![batch(rows); config.accumulate];
    let mut trainer = Trainer::new(config, device(), pool, settings.isa).unwrap();
    assert_eq!(layout, trainer.store().layout(), "{case}");
    for _ in 0..2 {
        trainer.train_step(&update).unwrap();
        for _ in 0..3 {
            trainer.evaluate(&update[0]).unwrap();
        }
    }
    // Both bindings of the fused plan find frozen weights again.
    for _ in 0..2 {
        trainer.train_step(&update).unwrap();
    }
    let held = (SharedBuffer::in_use() - before) as u64;
    assert_eq!(held, foreseen.buffers(), "{case}: {foreseen:?}");
    assert_eq!(*trainer.footprint(), foreseen, "{case}");
}

#[test]
fn what_is_foreseen_is_what_is_held() {
    for plan in [PlanKind::Split, PlanKind::Fused] {
        for model in ["mlp", "lenet", "resnet8"] {
            holds(config(model, 64, plan), "software");
        }
        holds(config("mlp", 256, plan), "software");
        holds(config("lenet", 16, plan), "h16");
        let mut frozen = config("lenet", 16, plan);
        let parameters = &mut frozen.model.parameters;
        let kept = parameters.iter_mut().filter(|p| !names("fc3.*", p));
        kept.for_each(|p| p.trainable = false);
        holds(frozen, "software");
    }
    let mut accumulating = config("784-40-10", 32, PlanKind::Split);
    accumulating.accumulate = 3;
    holds(accumulating, "software");
}
