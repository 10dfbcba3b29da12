//! A model of indices: its table is gathered from and scattered into on the host where the target is a chip.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

use ane_device::{AppleOptions, Settings, open};
use ane_engine::{Pool, simd::Isa};
use ane_ir::{DType, Numerics, Shape, Target, Value};
use ane_train::{
    Trainer, TrainerConfig, TrainerError,
    checkpoint::EpochSums,
    data::{Batch, Dataset, Field, FillError, LABEL, Sampler, Values},
    fit::{Control, Ending, Examples, Fit},
    loss::Loss,
    machine::Machine,
    metric::Accuracy,
    model::{Builder, Init, Input, Model, ModelError, Tags},
    nn::Linear,
    objective::Objective,
    optim::{AdamW, OptimizerConfig, Sgd},
    placement::Placement,
    run_dir::RunDir,
    schedule::Schedule,
    stage::Stage,
    step::{PlanKind, StepError},
    update::Groups,
};
use std::{path::Path, sync::Arc};

const BATCH: usize = 8;
const TOKENS: usize = 5;
/// More rows than fp16 has integers in a row.
const ROWS: usize = 3_000;
const WIDTH: usize = 12;
const CLASSES: usize = 4;

const EMBEDDING: Tags = Tags {
    bias: false,
    norm: false,
    embedding: true,
};

/// The mean of the rows of a table at the tokens, and a layer.
fn forward(cx: &mut Builder, x: &[Value]) -> Result<[(&'static str, Value); 1], ModelError> {
    let rows = cx.scope("embedding", |cx| {
        let init = Init::Uniform(0.5);
        let table = cx.parameter("weight", [ROWS, WIDTH], init, EMBEDDING)?;
        Ok(cx.graph().gather(table, x[0], 0)?)
    })?;
    let mean = cx.scope("mean", |cx| {
        Ok(cx.graph().reduce_mean(rows, &[1], false)?)
    })?;
    Ok([("logits", cx.layer("fc", Linear::new(WIDTH, CLASSES), mean)?)])
}

fn model() -> Model {
    let tokens = Input::new("tokens", DType::Int32, [TOKENS]);
    Model::build("embedding", BATCH, &[tokens], forward).unwrap()
}

fn config(model: Model, plan: PlanKind) -> TrainerConfig {
    let loss = Loss::CrossEntropy {
        label_smoothing: 0.0,
    };
    TrainerConfig {
        model,
        objective: Objective::of(loss, "logits", LABEL),
        metrics: vec![&Accuracy],
        units: Vec::new(),
        ema: None,
        plan,
        optimizer: OptimizerConfig::AdamW(AdamW::default()),
        groups: Groups::default(),
        lowerings: Vec::new(),
        lr: 0.02,
        schedule: Schedule::Constant,
        total_steps: 100,
        max_norm: None,
        accumulate: 1,
        seed: 3,
    }
}

fn trainer(target: &str, config: TrainerConfig) -> Result<Trainer, TrainerError> {
    trainer_on("software", target, Path::new("unused"), config)
}

/// On a device, which keeps its files in `programs`.
fn trainer_on(
    device: &str,
    target: &str,
    programs: &Path,
    config: TrainerConfig,
) -> Result<Trainer, TrainerError> {
    let target: Target = target.parse().unwrap();
    let pool = Arc::new(Pool::new(2).unwrap());
    let settings = Settings {
        target,
        numerics: Numerics::of(&target),
        pool: Some(pool.clone()),
        apple: AppleOptions {
            espresso: espresso_standin::library_path().unwrap(),
            programs: programs.to_owned(),
            ..AppleOptions::default()
        },
        ..Settings::default()
    };
    let device = open(device, &settings).unwrap();
    Trainer::new(config, device, pool, Isa::detect())
}

/// Tokens that say what class their example has; some examples have a token twice.
fn tokens(row: usize, step: usize) -> [i32; TOKENS] {
    let class = (row + step) % CLASSES;
    let of_class = |i: usize| (ROWS - 1 - (4 * ((i * row + step) % 7) + class)) as i32;
    [of_class(1), of_class(1), of_class(2), 5, of_class(3)]
}

fn batch(step: usize, present: usize) -> Batch {
    let mut batch = Batch::new(BATCH, present);
    let all = (0..BATCH).flat_map(|row| match row < present {
        true => tokens(row, step),
        false => [0; TOKENS],
    });
    batch.set("tokens", Values::Int32(all.collect()));
    let class = |row: usize| ((row + step) % CLASSES) as i32;
    let classes = (0..BATCH).map(|row| if row < present { class(row) } else { 0 });
    batch.set(LABEL, Values::Int32(classes.collect()));
    batch
}

fn losses(t: &mut Trainer, steps: std::ops::Range<usize>) -> Vec<f32> {
    steps
        .map(|step| t.train_step(&[batch(step, BATCH - step % 2)]).unwrap().loss)
        .collect()
}

fn near(found: &[f32], want: &[f32], tolerance: f32) {
    assert_eq!(found.len(), want.len());
    for (found, want) in found.iter().zip(want) {
        let near = (found - want).abs() <= tolerance * want.abs().max(0.1);
        assert!(near, "{found} {want}");
    }
}

/// Through routes with dense buffers and with rows of 64 bytes.
const CHIPS: [&str; 3] = ["h13", "h16", "h16:client"];

#[test]
fn it_trains_in_stages_as_it_does_in_one_program() {
    let mut whole = trainer("software", config(model(), PlanKind::Split)).unwrap();
    assert_eq!(whole.stages().stages, [Stage::Engine(0)]);
    let expected = losses(&mut whole, 0..60);
    assert!(expected[59] < 0.2 * expected[0], "{expected:?}");
    let (logits, loss) = (
        whole.predict(&batch(3, 7)).unwrap(),
        whole.evaluate(&batch(3, 7)).unwrap(),
    );
    for target in CHIPS {
        let mut t = trainer(target, config(model(), PlanKind::Split)).unwrap();
        let stages = [Stage::Host(0), Stage::Engine(0), Stage::Host(1)];
        assert_eq!(t.stages().stages, stages, "{target}");
        t.require_ane().unwrap();
        near(&losses(&mut t, 0..60), &expected, 0.05);
        let counts = t.device().counts();
        assert_eq!((counts.compiles, counts.dispatches), (1, 60), "{target}");
        near(&t.predict(&batch(3, 7)).unwrap()[0].1, &logits[0].1, 0.05);
        let evaluated = t.evaluate(&batch(3, 7)).unwrap();
        near(&[evaluated.loss], &[loss.loss], 0.05);
        assert_eq!(evaluated.tallies, loss.tallies);
        let placement = Placement::of(&t, Vec::new());
        let ops: Vec<&str> = placement.host_nodes.iter().map(|n| n.op).collect();
        assert!(
            ops.contains(&"gather") && ops.contains(&"scatter"),
            "{ops:?}"
        );
        assert_eq!(placement.host_nodes[0].place, "embedding");
        assert_eq!((placement.engine_stages, placement.host_stages), (1, 2));
        let said = placement.host_summary.unwrap();
        assert!(said.contains("in 2 of 3 stages"), "{said}");
    }
}

/// The gradient of the table by hand: of every occurrence of a token, what its mean passes back.
fn scattered(t: &Trainer, batch: &Batch) -> Vec<f32> {
    let weights = t.weights().unwrap();
    let of = |path: &str| &weights.iter().find(|w| w.0 == path).unwrap().2;
    let (table, weight, bias) = (of("embedding.weight"), of("fc.weight"), of("fc.bias"));
    let Some(Values::Int32(tokens)) = batch.get("tokens") else {
        panic!()
    };
    let Some(Values::Int32(labels)) = batch.get(LABEL) else {
        panic!()
    };
    let mut gradient = vec![0.0; ROWS * WIDTH];
    for row in 0..batch.present() {
        let tokens = &tokens[row * TOKENS..][..TOKENS];
        let element = |token: i32, i: usize| f64::from(table[token as usize * WIDTH + i]);
        let mean = |i| tokens.iter().map(|&t| element(t, i)).sum::<f64>() / TOKENS as f64;
        let factor = |class: usize, i: usize| f64::from(weight[class * WIDTH + i]);
        let logits: Vec<f64> = (0..CLASSES)
            .map(|c| (0..WIDTH).map(|i| mean(i) * factor(c, i)).sum::<f64>() + f64::from(bias[c]))
            .collect();
        let sum: f64 = logits.iter().map(|l| l.exp()).sum();
        for &token in tokens {
            for i in 0..WIDTH {
                let back = |c: usize| {
                    let wanted = f64::from(u8::from(labels[row] == c as i32));
                    (logits[c].exp() / sum - wanted) * factor(c, i)
                };
                let back: f64 = (0..CLASSES).map(back).sum();
                let share = (TOKENS * batch.present()) as f64;
                gradient[token as usize * WIDTH + i] += (back / share) as f32;
            }
        }
    }
    gradient
}

#[test]
fn the_gradient_of_the_table_is_added_up_where_its_rows_came_from() {
    for target in ["software"].into_iter().chain(CHIPS) {
        let mut t = trainer(target, config(model(), PlanKind::Split)).unwrap();
        let batch = batch(1, 7);
        let expected = scattered(&t, &batch);
        t.train_step(std::slice::from_ref(&batch)).unwrap();
        let found = t.gradient(0).unwrap();
        let largest = expected.iter().fold(0.0_f32, |a, x| a.max(x.abs()));
        assert!(largest > 1e-3);
        for (at, (found, want)) in found.iter().zip(&expected).enumerate() {
            let is_near = (found - want).abs() <= 4e-3 * largest;
            assert!(is_near, "row {} on {target}: {found} {want}", at / WIDTH);
            assert!(
                *want != 0.0 || *found == 0.0,
                "row {} on {target}",
                at / WIDTH
            );
        }
    }
}

#[test]
fn batches_in_parts_make_the_update_of_the_whole() {
    let of = |accumulate| TrainerConfig {
        accumulate,
        optimizer: OptimizerConfig::Sgd(Sgd::default()),
        lr: 0.5,
        ..config(model(), PlanKind::Split)
    };
    let table = |t: &Trainer| t.weights().unwrap()[0].2.clone();
    let mut whole = trainer("h13", of(1)).unwrap();
    whole.train_step(&[batch(0, 8)]).unwrap();
    let mut parts = trainer("h13", of(2)).unwrap();
    let mut halves = [batch(0, 8), batch(0, 8)];
    halves.iter_mut().for_each(|b| b.divisor = 16.0);
    parts.train_step(&halves).unwrap();
    near(&table(&parts), &table(&whole), 1e-4);
}

#[test]
fn a_resumed_run_has_the_bits_of_one_that_went_on() {
    let mut straight = trainer("h13", config(model(), PlanKind::Split)).unwrap();
    let mut first = trainer("h13", config(model(), PlanKind::Split)).unwrap();
    losses(&mut straight, 0..10);
    losses(&mut first, 0..4);
    let (progress, state) = (*first.progress(), first.state().unwrap());
    let mut second = trainer("h13", config(model(), PlanKind::Split)).unwrap();
    second.restore(progress, &state).unwrap();
    losses(&mut second, 4..10);
    assert_eq!(second.state().unwrap(), straight.state().unwrap());
}

#[test]
fn an_update_on_the_engine_does_not_wait_for_gradients_of_the_host() {
    let mut whole = trainer("software", config(model(), PlanKind::Fused)).unwrap();
    let expected = losses(&mut whole, 0..40);
    assert!(expected[39] < 0.5 * expected[0], "{expected:?}");
    for (target, max_norm) in CHIPS.into_iter().flat_map(|t| [(t, None), (t, Some(1.0))]) {
        let asked = TrainerConfig {
            max_norm,
            ..config(model(), PlanKind::Fused)
        };
        let refused = trainer(target, asked).unwrap_err();
        let TrainerError::Step(StepError::HostGradient {
            parameter,
            op,
            place,
            ..
        }) = &refused
        else {
            panic!("{refused}");
        };
        assert_eq!((parameter.as_str(), *op), ("embedding.weight", "scatter"));
        assert_eq!(place, "gradient of embedding");
        assert!(
            refused.to_string().ends_with("use --plan split"),
            "{refused}"
        );
    }
    // A frozen table is gathered from before the loss, which is no hindrance.
    let mut frozen = model();
    frozen.parameters[0].trainable = false;
    for target in CHIPS {
        let mut t = trainer(target, config(frozen.clone(), PlanKind::Fused)).unwrap();
        assert_eq!(t.stages().stages, [Stage::Host(0), Stage::Engine(0)]);
        let losses = losses(&mut t, 0..40);
        assert!(losses[39] < losses[0], "{losses:?}");
        assert_eq!(t.device().counts().dispatches, 40);
    }
}

#[test]
fn apples_interface_runs_the_stages_between_to_the_same_bits() {
    let programs = tempfile::tempdir().unwrap();
    let asked = || config(model(), PlanKind::Split);
    let mut t = trainer_on("apple", "h16", programs.path(), asked()).unwrap();
    let mut software = trainer("h16", asked()).unwrap();
    assert_eq!(losses(&mut t, 0..5), losses(&mut software, 0..5));
    assert_eq!(t.state().unwrap(), software.state().unwrap());
    assert_eq!(t.device().counts().dispatches, 5);
}

/// Examples whose input is a row of tokens.
#[derive(Debug)]
struct Sentences(usize);

impl Dataset for Sentences {
    fn len(&self) -> usize {
        self.0
    }

    fn schema(&self) -> Vec<Field> {
        let classes = (0..CLASSES).map(|c| c.to_string()).collect();
        let tokens = Field::new("tokens", DType::Int32, [TOKENS]);
        vec![tokens, Field::class(LABEL, classes)]
    }

    fn fill(&self, examples: &[(u32, u64)], batch: &mut Batch) -> Result<(), FillError> {
        let rows = batch.int32("tokens", TOKENS).chunks_exact_mut(TOKENS);
        for (row, (index, _)) in rows.zip(examples) {
            row.copy_from_slice(&tokens(*index as usize, 0));
        }
        for (class, (index, _)) in batch.int32(LABEL, 1).iter_mut().zip(examples) {
            *class = (*index as usize % CLASSES) as i32;
        }
        Ok(())
    }
}

#[test]
fn a_run_over_sentences_learns_and_counts_its_stages() {
    let data = Arc::new(Sentences(60));
    for target in ["software", "h13"] {
        let trainer = trainer(target, config(model(), PlanKind::Split)).unwrap();
        let TrainerConfig {
            model, objective, ..
        } = trainer.config();
        objective.check(model, &*data).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let mut fit = Fit {
            trainer,
            data: data.clone(),
            sampler: Sampler::new((0..50).collect(), BATCH, 0),
            validation: Some(Examples {
                data: data.clone(),
                indices: (50..60).collect(),
            }),
            epochs: 6,
            max_steps: None,
            patience: None,
            deadline: None,
            run: RunDir::create(dir.path()).unwrap(),
            config: serde_json::Value::Null,
            description: None,
            weights_metadata: Default::default(),
            machine: Machine::this(Isa::detect()),
            position: (0, 0),
            sums: EpochSums::default(),
            best: None,
            checkpoint_every: None,
            keep: 0,
            recovery: None,
        };
        let ending = fit.run(&Control::default(), &mut |_| {}).unwrap();
        assert_eq!(ending, Ending::Finished);
        // Seven batches and two of validation an epoch.
        let counts = fit.trainer.device().counts();
        assert_eq!((counts.compiles, counts.dispatches), (2, 6 * 9), "{target}");
        let best = fit.best.unwrap().value;
        assert!(best >= 0.9, "{best} on {target}");
    }
}

#[test]
fn what_the_host_uses_is_not_packed() {
    // More tensors than a request holds surfaces.
    let deep = |cx: &mut Builder, x: &[Value]| {
        let rows = cx.scope("embedding", |cx| {
            let table = cx.parameter("weight", [ROWS, WIDTH], Init::Uniform(0.5), EMBEDDING)?;
            Ok(cx.graph().gather(table, x[0], 0)?)
        })?;
        let mut y = cx.graph().reduce_mean(rows, &[1], false)?;
        for i in 0..35 {
            let z = cx.layer(&format!("fc{i}"), Linear::new(WIDTH, WIDTH), y)?;
            let z = cx.graph().tanh(z)?;
            y = cx.graph().add(y, z)?;
        }
        Ok([("logits", cx.layer("head", Linear::new(WIDTH, CLASSES), y)?)])
    };
    let tokens = Input::new("tokens", DType::Int32, [TOKENS]);
    let model = Model::build("deep", BATCH, &[tokens], deep).unwrap();
    let asked = |plan| TrainerConfig {
        lr: 1e-3,
        ..config(model.clone(), plan)
    };
    let mut whole = trainer("software", asked(PlanKind::Split)).unwrap();
    let mut t = trainer("h16:client", asked(PlanKind::Split)).unwrap();
    let members = t.step().packed.iter().flat_map(|p| &p.members);
    let members: Vec<&str> = members.map(|m| m.port.as_str()).collect();
    assert!(members.contains(&"param_fc3_weight") && members.contains(&"grad_fc3_weight"));
    assert!(
        !members.iter().any(|m| m.contains("embedding")),
        "{members:?}"
    );
    let stages = [Stage::Host(0), Stage::Engine(0), Stage::Host(1)];
    assert_eq!(t.stages().stages, stages);
    near(&losses(&mut t, 0..10), &losses(&mut whole, 0..10), 0.05);
    near(
        &[t.evaluate(&batch(3, 7)).unwrap().loss],
        &[whole.evaluate(&batch(3, 7)).unwrap().loss],
        0.05,
    );
    let refused = trainer("h16:client", asked(PlanKind::Fused)).unwrap_err();
    let said = refused.to_string();
    let expected = "`embedding.weight` cannot be fused: `scatter` at gradient of embedding";
    assert!(said.contains(expected), "{said}");
    assert_eq!(t.stages().host_nodes[0].place, "embedding");
}

#[test]
fn an_overflow_skips_the_update_of_the_table_too() {
    for target in ["software"].into_iter().chain(CHIPS) {
        let mut t = trainer(target, config(model(), PlanKind::Split)).unwrap();
        let mut weights: Vec<Vec<f32>> = t.weights().unwrap().into_iter().map(|w| w.2).collect();
        weights[1].fill(60_000.0);
        t.set_weights(&weights).unwrap();
        let before = t.state().unwrap();
        assert!(
            t.train_step(&[batch(0, BATCH)]).unwrap().overflow,
            "{target}"
        );
        assert_eq!(t.state().unwrap(), before, "{target}");
    }
}

#[test]
fn bytes_are_an_input_on_every_route() {
    let forward = |cx: &mut Builder, x: &[Value]| {
        let pixels = cx.graph().cast(x[0], DType::Fp16)?;
        let scale = cx.scalar(1.0 / 255.0)?;
        let pixels = cx.graph().mul(pixels, scale)?;
        Ok([("logits", cx.layer("fc", Linear::new(32, CLASSES), pixels)?)])
    };
    let input = [Input::new("pixels", DType::UInt8, Shape::new(&[32]))];
    let model = Model::build("bytes", BATCH, &input, forward).unwrap();
    let mut expected = Vec::new();
    // e5rt takes bytes; surfaces carry none, so the host converts them.
    for (target, stages) in [("software", 1), ("h13", 1), ("h16:client", 2)] {
        let mut t = trainer(target, config(model.clone(), PlanKind::Fused)).unwrap();
        assert_eq!(t.stages().stages.len(), stages, "{target}");
        let mut batch = batch(0, BATCH);
        let pixels = (0..BATCH * 32).map(|i| (i * 37 % 256) as u8);
        batch.set("pixels", Values::UInt8(pixels.collect()));
        let batch = [batch];
        let found: Vec<f32> = (0..10)
            .map(|_| t.train_step(&batch).unwrap().loss)
            .collect();
        match expected.is_empty() {
            true => expected = found,
            false => near(&found, &expected, 0.02),
        }
    }
}
