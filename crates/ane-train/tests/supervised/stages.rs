//! Stages on the host read and write buffers whose other end is in a worker.

use super::{faulty, settings};
use ane_device::{Device, Settings, Supervised};
use ane_engine::{Pool, simd::Isa};
use ane_ir::DType;
use ane_train::{
    Trainer, TrainerConfig,
    data::{Batch, LABEL, Values},
    loss::Loss,
    model::{Init, Input, Model, Tags},
    nn::Linear,
    objective::Objective,
    optim::{AdamW, OptimizerConfig},
    schedule::Schedule,
    step::PlanKind,
    store::State,
    update::Groups,
};
use std::sync::Arc;

/// Losses and state after ten steps of a model of indices.
fn train(device: Box<dyn Device>) -> (Vec<f32>, State) {
    let tokens = [Input::new("tokens", DType::Int32, [3])];
    let model = Model::build("indices", 4, &tokens, |cx, x| {
        let table = cx.parameter("table", [50, 7], Init::Uniform(1.0), Tags::default())?;
        let rows = cx.graph().gather(table, x[0], 0)?;
        let mean = cx.graph().reduce_mean(rows, &[1], false)?;
        Ok([("logits", cx.layer("fc", Linear::new(7, 5), mean)?)])
    });
    let loss = Loss::CrossEntropy {
        label_smoothing: 0.0,
    };
    let config = TrainerConfig {
        model: model.unwrap(),
        objective: Objective::of(loss, "logits", LABEL),
        metrics: Vec::new(),
        units: Vec::new(),
        ema: None,
        plan: PlanKind::Split,
        optimizer: OptimizerConfig::AdamW(AdamW::default()),
        groups: Groups::default(),
        lowerings: Vec::new(),
        lr: 0.01,
        schedule: Schedule::Constant,
        total_steps: 10,
        max_norm: Some(1.0),
        accumulate: 1,
        seed: 0,
    };
    let pool = Arc::new(Pool::new(1).unwrap());
    let mut trainer = Trainer::new(config, device, pool, Isa::detect()).unwrap();
    assert_eq!(trainer.stages().stages.len(), 3);
    let mut batch = Batch::new(4, 4);
    batch.set(
        "tokens",
        Values::Int32((0..12).map(|i| i * 7 % 50).collect()),
    );
    batch.set(LABEL, Values::Int32(vec![0, 1, 2, 4]));
    let batch = [batch];
    let mut step = |_| trainer.train_step(&batch).unwrap().loss;
    let losses = (0..10).map(&mut step).collect();
    (losses, trainer.state().unwrap())
}

#[test]
fn a_step_in_stages_trains_in_a_worker_to_the_same_bits() {
    for target in ["h13", "h16:client"] {
        let settings = Settings {
            target: target.parse().unwrap(),
            ..settings()
        };
        let dir = tempfile::tempdir().unwrap();
        let supervision = faulty::supervision(dir.path(), "serves");
        let device = Supervised::open("software", &settings, supervision).unwrap();
        let expected = train(ane_device::open("software", &settings).unwrap());
        assert!(expected.0[9] < expected.0[0]);
        assert!(train(Box::new(device)) == expected, "{target}");
    }
}
