//! Any model trains: several inputs and outputs, no product at all, frozen parameters, batches in parts, other targets.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

use ane_device::{Settings, open};
use ane_engine::{Pool, simd::Isa};
use ane_ir::{DType, Numerics, Target, Value};
use ane_train::{
    StepOutcome, Trainer, TrainerConfig, TrainerError,
    data::{Batch, Dataset, Field, FillError, Values, share_divisor},
    loss::Loss,
    model::{Builder, Init, Input, Model, ModelError, Tags},
    nn::Linear,
    objective::{Objective, ObjectiveError, Term},
    optim::{AdamW, OptimizerConfig, Sgd},
    schedule::Schedule,
    step::{PlanKind, StepError},
    update::{Group, Groups},
};
use half::f16;
use std::sync::Arc;

const BATCH: usize = 8;

fn config(model: Model, objective: Objective, plan: PlanKind) -> TrainerConfig {
    TrainerConfig {
        model,
        objective,
        metrics: Vec::new(),
        units: Vec::new(),
        ema: None,
        plan,
        optimizer: OptimizerConfig::Sgd(Sgd::default()),
        groups: Groups::default(),
        lowerings: Vec::new(),
        lr: 0.1,
        schedule: Schedule::Constant,
        total_steps: 100,
        max_norm: None,
        accumulate: 1,
        seed: 1,
    }
}

fn trainer(config: TrainerConfig) -> Result<Trainer, TrainerError> {
    trainer_on(Target::SOFTWARE, config)
}

fn trainer_on(target: Target, config: TrainerConfig) -> Result<Trainer, TrainerError> {
    let pool = Arc::new(Pool::new(1).unwrap());
    let settings = Settings {
        target,
        numerics: Numerics::of(&target),
        pool: Some(pool.clone()),
        ..Settings::default()
    };
    Trainer::new(
        config,
        open("software", &settings).unwrap(),
        pool,
        Isa::detect(),
    )
}

fn linear(cx: &mut Builder, x: &[Value]) -> Result<[(&'static str, Value); 1], ModelError> {
    Ok([("y", cx.layer("fc", Linear::new(4, 2), x[0])?)])
}

fn regression(rows: usize) -> Model {
    Model::build("regression", rows, &[Input::fp16("x", [4])], linear).unwrap()
}

fn bits(x: impl IntoIterator<Item = f32>) -> Values {
    Values::Fp16(x.into_iter().map(|x| f16::from_f32(x).to_bits()).collect())
}

/// Number `i` of a sequence without pattern, in multiples of 1/32 from -1 to 1.
fn number(i: usize) -> f32 {
    ((i * 29 + 7) % 65) as f32 / 32.0 - 1.0
}

/// Examples of a linear function.
fn examples(from: usize, rows: usize, present: usize) -> Batch {
    let mut batch = Batch::new(rows, present);
    let x = |row: usize| [0, 1, 2, 3].map(|i| number(4 * (from + row) + i));
    let rows = 0..present;
    let fill = |values: Vec<f32>, width: usize| {
        let mut values = values;
        values.resize(batch.rows() * width, 0.0);
        bits(values)
    };
    let inputs = fill(rows.clone().flat_map(x).collect(), 4);
    let targets = rows.flat_map(|r| {
        let [a, b, c, d] = x(r);
        [a - b, (c + d) / 2.0]
    });
    let targets = fill(targets.collect(), 2);
    batch.set("x", inputs);
    batch.set("t", targets);
    batch
}

fn steps(t: &mut Trainer, batches: &[Batch], n: usize) -> StepOutcome {
    (1..n).for_each(|_| {
        t.train_step(batches).unwrap();
    });
    t.train_step(batches).unwrap()
}

#[test]
fn a_regression_trains_in_both_plans() {
    for plan in [PlanKind::Split, PlanKind::Fused] {
        let objective = Objective::of(Loss::Mse, "y", "t");
        let mut t = trainer(config(regression(BATCH), objective, plan)).unwrap();
        let batch = [examples(0, BATCH, BATCH)];
        let first = t.train_step(&batch).unwrap().loss;
        let last = steps(&mut t, &batch, 200).loss;
        assert!(last < 0.02 * first, "{plan:?}: {first} to {last}");
        let loss = t.evaluate(&batch[0]).unwrap().loss;
        assert!((loss - last).abs() <= 0.1 * first);
    }
}

#[test]
fn a_model_without_any_product_trains() {
    let scale = |cx: &mut Builder, x: &[Value]| -> Result<Value, ModelError> {
        let w = cx.parameter("scale", [4], Init::Constant(1.0), Tags::default())?;
        Ok(cx.graph().mul(x[0], w)?)
    };
    let model = Model::build("scale", BATCH, &[Input::fp16("x", [4])], scale).unwrap();
    for plan in [PlanKind::Split, PlanKind::Fused] {
        let objective = Objective::of(Loss::Mse, "output", "t");
        let mut t = trainer(config(model.clone(), objective, plan)).unwrap();
        let mut batch = examples(0, BATCH, BATCH);
        let Some(Values::Fp16(x)) = batch.get("x") else {
            unreachable!()
        };
        let target = x.iter().map(|&b| -0.5 * f16::from_bits(b).to_f32());
        let target = bits(target.collect::<Vec<_>>());
        batch.set("t", target);
        steps(&mut t, &[batch], 300);
        for (_, _, w) in t.weights().unwrap() {
            assert!(w.iter().all(|w| (w + 0.5).abs() < 0.02), "{plan:?}: {w:?}");
        }
    }
}

#[test]
fn several_inputs_and_outputs_train_together() {
    let two = |cx: &mut Builder, x: &[Value]| {
        let a = cx.layer("left", Linear::new(4, 2), x[0])?;
        let b = cx.layer("right", Linear::new(3, 3), x[1])?;
        Ok([("values", a), ("logits", b)])
    };
    let inputs = [Input::fp16("x", [4]), Input::fp16("z", [3])];
    let model = Model::build("two", BATCH, &inputs, two).unwrap();
    let term = |loss, output: &str, target: &str| Term {
        loss,
        output: output.into(),
        target: target.into(),
        weight: 0.5,
    };
    let cross_entropy = Loss::CrossEntropy {
        label_smoothing: 0.0,
    };
    let objective = Objective {
        terms: vec![
            term(Loss::Mse, "values", "t"),
            term(cross_entropy, "logits", "class"),
        ],
    };
    let mut batch = examples(0, BATCH, BATCH);
    let class = |row: usize| row % 3;
    let z = (0..BATCH).flat_map(|r| [0, 1, 2].map(|k| f32::from(u8::from(k == class(r)))));
    batch.set("z", bits(z));
    let classes = (0..BATCH).map(|r| class(r) as i32);
    batch.set("class", Values::Int32(classes.collect()));
    for plan in [PlanKind::Split, PlanKind::Fused] {
        let mut t = trainer(config(model.clone(), objective.clone(), plan)).unwrap();
        let batch = [batch.clone()];
        let first = t.train_step(&batch).unwrap().loss;
        let last = steps(&mut t, &batch, 200).loss;
        assert!(last < 0.35 * first, "{plan:?}: {first} to {last}");
        let outputs = t.predict(&batch[0]).unwrap();
        let names: Vec<&str> = outputs.iter().map(|(n, _)| n.as_str()).collect();
        assert_eq!(names, ["values", "logits"]);
        let rows = outputs[1].1.chunks(3).enumerate();
        for (row, logits) in rows {
            assert!(logits.iter().all(|&x| x <= logits[class(row)]));
        }
    }
}

#[test]
fn batches_in_parts_make_the_update_of_the_whole_also_where_parts_weigh_differently() {
    let weights = |batch: &mut Batch, from: usize| {
        let w: Vec<f32> = (0..batch.present())
            .map(|i| [1.0, 0.5, 2.0][(from + i) % 3])
            .collect();
        batch.weigh(&w);
    };
    let objective = || Objective::of(Loss::Mse, "y", "t");
    let mut whole = trainer(config(regression(12), objective(), PlanKind::Split)).unwrap();
    let mut parts = trainer(TrainerConfig {
        accumulate: 3,
        max_norm: Some(0.5),
        ..config(regression(5), objective(), PlanKind::Split)
    })
    .unwrap();
    let mut clipped = trainer(TrainerConfig {
        max_norm: Some(0.5),
        ..config(regression(12), objective(), PlanKind::Split)
    })
    .unwrap();
    let mut all = [examples(0, 12, 12)];
    weights(&mut all[0], 0);
    let mut three = [examples(0, 5, 5), examples(5, 5, 5), examples(10, 5, 2)];
    for (batch, from) in three.iter_mut().zip([0, 5, 10]) {
        weights(batch, from);
    }
    share_divisor(&mut three);
    for _ in 0..10 {
        let a = clipped.train_step(&all).unwrap();
        let b = parts.train_step(&three).unwrap();
        assert!((a.loss - b.loss).abs() <= 2e-3 * a.loss, "{a:?} {b:?}");
        let norms = a.grad_norm.zip(b.grad_norm).unwrap();
        assert!((norms.0 - norms.1).abs() <= 2e-3 * norms.0, "{norms:?}");
        whole.train_step(&all).unwrap();
    }
    let of =
        |t: &Trainer| -> Vec<f32> { t.weights().unwrap().into_iter().flat_map(|w| w.2).collect() };
    let difference = |a: &[f32], b: &[f32]| {
        a.iter()
            .zip(b)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max)
    };
    assert!(difference(&of(&clipped), &of(&parts)) < 1e-3);
    // The clipping is felt, or nothing was compared.
    assert!(difference(&of(&clipped), &of(&whole)) > 1e-2);
    assert_eq!(parts.device().counts().dispatches, 30);
}

#[test]
fn one_overflow_in_any_part_skips_the_whole_update() {
    let mut t = trainer(TrainerConfig {
        accumulate: 3,
        ..config(
            regression(4),
            Objective::of(Loss::Mse, "y", "t"),
            PlanKind::Split,
        )
    })
    .unwrap();
    let mut batches = [examples(0, 4, 4), examples(4, 4, 4), examples(8, 4, 4)];
    share_divisor(&mut batches);
    assert!(!t.train_step(&batches).unwrap().overflow);
    for bad in 0..3 {
        let state = t.state().unwrap();
        let mut with_overflow = batches.clone();
        with_overflow[bad].set("x", bits(vec![60_000.0; 16]));
        assert!(t.train_step(&with_overflow).unwrap().overflow, "part {bad}");
        assert_eq!(t.state().unwrap(), state, "part {bad}");
        // What the skipped parts had summed up is gone.
        let mut fresh = trainer(t.config().clone()).unwrap();
        fresh.restore(*t.progress(), &state).unwrap();
        fresh.train_step(&batches).unwrap();
        t.train_step(&batches).unwrap();
        assert_eq!(t.state().unwrap(), fresh.state().unwrap(), "part {bad}");
    }
}

#[test]
fn frozen_parameters_stay_and_cost_nothing_and_without_any_other_nothing_trains() {
    let build = |cx: &mut Builder, x: &[Value]| {
        let h = cx.layer("first", Linear::new(4, 6), x[0])?;
        let h = cx.graph().relu(h)?;
        Ok([("y", cx.layer("second", Linear::new(6, 2), h)?)])
    };
    let mut model = Model::build("two layers", BATCH, &[Input::fp16("x", [4])], build).unwrap();
    for p in &mut model.parameters {
        p.trainable = !p.path.starts_with("first.");
    }
    let objective = Objective::of(Loss::Mse, "y", "t");
    for plan in [PlanKind::Split, PlanKind::Fused] {
        let mut t = trainer(config(model.clone(), objective.clone(), plan)).unwrap();
        let before = t.weights().unwrap();
        let batch = [examples(0, BATCH, BATCH)];
        steps(&mut t, &batch, 5);
        for ((path, _, now), (_, _, then)) in t.weights().unwrap().iter().zip(&before) {
            assert_eq!(now == then, path.starts_with("first."), "{plan:?} {path}");
        }
        assert_eq!(t.step().trained, [2, 3]);
        assert!(t.gradient(0).is_none());
    }
    for p in &mut model.parameters {
        p.trainable = false;
    }
    let error = trainer(config(model, objective, PlanKind::Split)).unwrap_err();
    assert!(matches!(
        error,
        TrainerError::Step(StepError::NothingTrains { parameters: 4, .. })
    ));
}

#[test]
fn a_parameter_group_has_a_decay_and_a_rate_of_its_own() {
    let decaying = OptimizerConfig::Sgd(Sgd {
        weight_decay: 0.5,
        ..Sgd::default()
    });
    let with = |groups: Groups, plan| {
        trainer(TrainerConfig {
            optimizer: decaying.clone(),
            groups,
            ..config(regression(BATCH), Objective::of(Loss::Mse, "y", "t"), plan)
        })
    };
    let group = |lr, weight_decay| {
        Groups(vec![Group {
            parameters: "bias".into(),
            lr,
            weight_decay,
        }])
    };
    let bias = |groups| {
        let mut t = with(groups, PlanKind::Split).unwrap();
        steps(&mut t, &[examples(0, BATCH, BATCH)], 3);
        let all = t.weights().unwrap();
        (all[0].2.clone(), all[1].2.clone())
    };
    let plain = bias(Groups::default());
    let undecayed = bias(group(None, Some(0.0)));
    let still = bias(group(Some(0.0), None));
    assert_ne!(plain.1, undecayed.1);
    let initial = regression(BATCH).parameters[1].initial(1, 1);
    assert_eq!(still.1, initial);
    assert_ne!(plain.1, initial);
    let error = with(group(None, Some(0.0)), PlanKind::Fused).unwrap_err();
    assert!(error.to_string().contains("--plan split"), "{error}");
}

#[test]
fn the_fused_plan_refuses_to_accumulate_and_says_why() {
    let error = trainer(TrainerConfig {
        accumulate: 2,
        ..config(
            regression(BATCH),
            Objective::of(Loss::Mse, "y", "t"),
            PlanKind::Fused,
        )
    })
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the fused plan cannot accumulate gradients: its program updates the weights of every batch; use --plan split"
    );
}

/// Examples with these fields.
#[derive(Debug)]
struct With(Vec<Field>);

impl Dataset for With {
    fn len(&self) -> usize {
        0
    }
    fn schema(&self) -> Vec<Field> {
        self.0.clone()
    }
    fn fill(&self, _: &[(u32, u64)], _: &mut Batch) -> Result<(), FillError> {
        Ok(())
    }
}

#[test]
fn data_that_does_not_fit_is_refused_with_both_sides() {
    let model = regression(BATCH);
    let objective = Objective::of(Loss::Mse, "y", "t");
    let x = Field::new("x", DType::Fp16, [4]);
    let t = Field::new("t", DType::Fp16, [2]);
    objective
        .check(&model, &With(vec![x.clone(), t.clone()]))
        .unwrap();
    let classes = |n: usize| Field::class("t", (0..n).map(|i| i.to_string()).collect());
    for (fields, parts) in [
        (vec![t.clone()], ["takes fp16 [4] as `x`", "have none"]),
        (
            vec![Field::new("x", DType::UInt8, [4]), t],
            ["takes fp16 [4] as `x`", "uint8 [4]"],
        ),
        (vec![x.clone()], ["wants the target `t`", "have x"]),
        (
            vec![x.clone(), Field::new("t", DType::Fp16, [3])],
            ["mse of `y` takes 2 fp16 values", "is fp16 [3]"],
        ),
        (
            vec![x, classes(5)],
            ["mse of `y` takes 2 fp16 values", "one of 5 classes"],
        ),
    ] {
        let error = objective
            .check(&model, &With(fields))
            .unwrap_err()
            .to_string();
        assert!(parts.iter().all(|p| error.contains(p)), "{error}");
    }
}

#[test]
fn a_class_that_the_output_does_not_have_is_refused_with_its_row() {
    let loss = Loss::CrossEntropy {
        label_smoothing: 0.0,
    };
    let objective = Objective::of(loss, "y", "class");
    let mut t = trainer(config(regression(BATCH), objective, PlanKind::Split)).unwrap();
    let mut batch = examples(0, BATCH, BATCH);
    for (class, found) in [(2, 2), (-1, -1)] {
        let mut classes = vec![0; BATCH];
        classes[3] = class;
        batch.set("class", Values::Int32(classes));
        let error = t.train_step(std::slice::from_ref(&batch)).unwrap_err();
        let TrainerError::Objective(ObjectiveError::Class { row, class, .. }) = &error else {
            panic!("{error}")
        };
        assert_eq!((*row, *class), (3, found));
        assert!(error.to_string().contains("expected 0 to 1"), "{error}");
    }
}

#[test]
fn a_target_that_is_no_probability_is_refused_with_its_row_where_one_is_wanted() {
    for loss in [Loss::ALL[0], Loss::BceWithLogits] {
        let objective = Objective::of(loss, "y", "t");
        let mut t = trainer(config(regression(BATCH), objective, PlanKind::Split)).unwrap();
        let mut batch = examples(0, BATCH, BATCH);
        for (value, is_right) in [
            (1.0, true),
            (-0.0, true),
            (1.5, false),
            (-0.5, false),
            (f32::NAN, false),
        ] {
            let width = t.step().outputs[0].width;
            let mut rows = vec![0; BATCH * width];
            rows[3 * width] = f16::from_f32(value).to_bits();
            batch.set("t", Values::Fp16(rows));
            let done = t.train_step(std::slice::from_ref(&batch));
            let Err(error) = done else {
                assert!(is_right, "{value}");
                continue;
            };
            assert!(!is_right, "{value}: {error}");
            let expected = format!(
                "{} takes targets from 0 to 1, example 3 of the batch has {value} in `t`",
                loss.name()
            );
            assert_eq!(error.to_string(), expected);
        }
    }
}

#[test]
fn another_models_state_is_refused_by_path_and_changes_nothing() {
    let objective = Objective::of(Loss::Mse, "y", "t");
    let mut t = trainer(config(
        regression(BATCH),
        objective.clone(),
        PlanKind::Split,
    ))
    .unwrap();
    let build =
        |cx: &mut Builder, x: &[Value]| Ok([("y", cx.layer("head", Linear::new(4, 2), x[0])?)]);
    let other = Model::build("other", BATCH, &[Input::fp16("x", [4])], build).unwrap();
    let other = trainer(config(other, objective, PlanKind::Split)).unwrap();
    let before = t.state().unwrap();
    let error = t
        .restore(*other.progress(), &other.state().unwrap())
        .unwrap_err()
        .to_string();
    for part in [
        "`weight.fc.bias` is missing",
        "`weight.head.bias` has no place",
    ] {
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(t.state().unwrap(), before);
}

#[test]
fn a_step_with_more_tensors_than_a_request_holds_surfaces_is_packed_and_has_the_same_bits() {
    // A route that maps surfaces, and one to the same chip that does not.
    let [surfaces, plain] = ["h16:client", "h16"].map(|t| t.parse::<Target>().unwrap());
    for (plan, layers) in [(PlanKind::Fused, 7), (PlanKind::Split, 36)] {
        let deep = |cx: &mut Builder, x: &[Value]| {
            let mut h = x[0];
            for i in 0..layers {
                let width = if i % 2 == 0 { 6 } else { 4 };
                let layer = Linear::new(if i == 0 { 4 } else { 10 - width }, width);
                h = cx.layer(&format!("l{i}"), layer, h)?;
            }
            Ok([(
                "y",
                cx.layer(
                    "last",
                    Linear::new(10 - if layers % 2 == 0 { 6 } else { 4 }, 2),
                    h,
                )?,
            )])
        };
        let model = Model::build("deep", BATCH, &[Input::fp16("x", [4])], deep).unwrap();
        let run = |target: Target| {
            let mut t = trainer_on(
                target,
                TrainerConfig {
                    optimizer: OptimizerConfig::AdamW(AdamW::default()),
                    lr: 1e-2,
                    max_norm: Some(1.0),
                    ..config(model.clone(), Objective::of(Loss::Mse, "y", "t"), plan)
                },
            )
            .unwrap();
            let ports = t.step().graph.inputs().len() + t.step().graph.outputs().len();
            let batch = [examples(0, BATCH, BATCH)];
            let losses: Vec<f32> = (0..6).map(|_| t.train_step(&batch).unwrap().loss).collect();
            let evaluated = t.evaluate(&batch[0]).unwrap().loss;
            let (progress, state) = (*t.progress(), t.state().unwrap());
            t.train_step(&batch).unwrap();
            t.restore(progress, &state).unwrap();
            assert_eq!(t.state().unwrap(), state);
            assert_eq!(t.evaluate(&batch[0]).unwrap().loss, evaluated);
            (ports, losses, evaluated, state)
        };
        let (packed, alone) = (run(surfaces), run(plain));
        assert!(packed.0 <= 128 && alone.0 > 128, "{} {}", packed.0, alone.0);
        assert_eq!(
            (packed.1.as_slice(), packed.2),
            (alone.1.as_slice(), alone.2),
            "{plan:?}"
        );
        assert!(packed.3 == alone.3, "{plan:?}");
        let first = packed.1[0];
        assert!(packed.1.iter().any(|&loss| loss != first), "{plan:?}");
    }
}
