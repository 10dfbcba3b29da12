//! Models of Keras's train: on the software engine and as programs for a chip, from the weights that they came with.

use super::{BATCH, cases, drawn::weight};
use ane_device::{Settings, open};
use ane_engine::{Pool, simd::Isa};
use ane_import::keras::{Imported, KerasError, Options, Role, import};
use ane_ir::{Numerics, Target};
use ane_train::{
    Trainer, TrainerConfig,
    data::{Batch, LABEL, Values},
    loss::Loss,
    objective::Objective,
    optim::{Adam, OptimizerConfig},
    schedule::Schedule,
    step::PlanKind,
    update::Groups,
};
use safetensors::{Dtype, tensor::TensorView};
use std::sync::Arc;

fn logits(name: &str) -> Imported {
    let options = Options {
        logits: true,
        ..Options::new(BATCH)
    };
    import(cases()[name]["config"].to_string().as_bytes(), &options).unwrap()
}

/// The weights of a case as the exporter writes them.
fn file(name: &str, imported: &Imported) -> Vec<u8> {
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = imported
        .weights
        .iter()
        .enumerate()
        .filter(|(_, w)| w.role != Role::Unused)
        .map(|(i, w)| {
            let values = weight(&format!("{name}/weight.{i}"), &w.shape);
            let bytes = values.iter().flat_map(|&x| (x as f32).to_le_bytes());
            (
                format!("{i}.of_another_run"),
                w.shape.clone(),
                bytes.collect(),
            )
        })
        .collect();
    let views = tensors.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap();
        (name.as_str(), view)
    });
    safetensors::serialize(views, None).unwrap()
}

fn trainer(target: &str, name: &str) -> Trainer {
    let imported = logits(name);
    let values = imported.values(&file(name, &imported)).unwrap();
    let loss = Loss::CrossEntropy {
        label_smoothing: 0.0,
    };
    let config = TrainerConfig {
        model: imported.model,
        objective: Objective::of(loss, "output", LABEL),
        metrics: Vec::new(),
        units: Vec::new(),
        ema: None,
        plan: PlanKind::Split,
        optimizer: OptimizerConfig::Adam(Adam::default()),
        groups: Groups::default(),
        lowerings: Vec::new(),
        lr: 5e-3,
        schedule: Schedule::Constant,
        total_steps: 100,
        max_norm: None,
        accumulate: 1,
        seed: 0,
    };
    let target: Target = target.parse().unwrap();
    let pool = Arc::new(Pool::new(2).unwrap());
    let settings = Settings {
        target,
        numerics: Numerics::of(&target),
        pool: Some(pool.clone()),
        ..Settings::default()
    };
    let device = open("software", &settings).unwrap();
    let mut trainer = Trainer::new(config, device, pool, Isa::detect()).unwrap();
    trainer.set_weights(&values.parameters).unwrap();
    trainer.set_buffers(&values.buffers).unwrap();
    trainer
}

/// A batch of drawn numbers, of which the last example is padding.
fn batch(trainer: &Trainer) -> Batch {
    let mut batch = Batch::new(BATCH, BATCH - 1);
    let g = &trainer.config().model.train;
    for &x in &g.inputs {
        let name = g.graph.port(x).to_owned();
        let n = g.graph.ty(x).shape.numel();
        let present = n / BATCH * (BATCH - 1);
        let values = super::drawn::drawn("training", present);
        let values = values.iter().map(|&x| half(x as f32));
        let padded = values.chain(std::iter::repeat(0)).take(n);
        batch.set(&name, Values::Fp16(padded.collect()));
    }
    batch.set(LABEL, Values::Int32(vec![1, 3, 0]));
    batch
}

/// The bits of a number as fp16.
fn half(x: f32) -> u16 {
    let ty = ane_ir::TensorType::new(ane_ir::DType::Fp16, []);
    let literal = ane_ir::Literal::from_f64(ty, &[f64::from(x)]);
    u16::from_le_bytes(literal.bytes().try_into().unwrap())
}

#[test]
fn imported_models_learn_on_targets() {
    for name in ["mlp", "lenet", "resnet"] {
        for target in ["software", "h16"] {
            let mut trainer = trainer(target, name);
            let before = trainer.weights().unwrap();
            let batch = batch(&trainer);
            let losses: Vec<f32> = (0..12)
                .map(|_| {
                    trainer
                        .train_step(std::slice::from_ref(&batch))
                        .unwrap()
                        .loss
                })
                .collect();
            let (first, last) = (losses[0], losses[11]);
            assert!(last < 0.8 * first, "{name} on {target}: {losses:?}");
            for (before, after) in before.iter().zip(trainer.weights().unwrap()) {
                assert_eq!(before.0, after.0);
                assert_ne!(before.2, after.2, "{name} on {target}: {}", before.0);
            }
        }
    }
}

#[test]
fn weights_of_another_model_are_refused() {
    let imported = logits("lenet");
    let of = |name: &str| imported.values(&file(name, &logits(name)));
    of("lenet").unwrap();
    for (found, says) in [
        (of("mlp"), "the model's `0.conv2d.kernel`"),
        (of("dense"), "the model's `0.conv2d.kernel`"),
        (of("resnet"), "there is a weight"),
        (imported.values(b"nothing"), "weights"),
        (
            imported.values(&file("dense", &logits("dense"))[..30]),
            "weights",
        ),
    ] {
        let error = found.unwrap_err();
        assert!(matches!(error, KerasError::Weights { .. }), "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
}
