//! Steps that go wrong are traced to the first tensor that does, and gradients are held to those that nothing rounds.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

use ane_device::{Settings, open};
use ane_engine::{Pool, simd::Isa};
use ane_ir::{Chip, DType, Numerics, Route, Target};
use ane_train::{
    Trainer, TrainerConfig,
    data::{Batch, Values},
    fidelity::{Fidelity, ParameterFidelity, Verdict},
    forensics::{Finding, Pass, What},
    loss::Loss,
    loss_scale::LossScale,
    model::{Init, Input, Model, Tags},
    models::Mlp,
    nn::{Dropout, Linear},
    objective::Objective,
    optim::{AdamW, OptimizerConfig},
    schedule::Schedule,
    step::PlanKind,
    update::Groups,
};
use half::f16;
use std::{collections::BTreeSet, sync::Arc};

const BATCH: usize = 16;
const INPUTS: usize = 20;
const CLASSES: usize = 10;
const LOSS: Loss = Loss::CrossEntropy {
    label_smoothing: 0.0,
};

fn trainer_on(target: Target, numerics: &Numerics, plan: PlanKind) -> Trainer {
    let model = "20-32-10".parse::<Mlp>().unwrap().model(BATCH).unwrap();
    trainer_of(model, target, numerics, plan)
}

fn trainer_of(model: Model, target: Target, numerics: &Numerics, plan: PlanKind) -> Trainer {
    let pool = Arc::new(Pool::new(1).unwrap());
    let settings = Settings {
        target,
        numerics: numerics.clone(),
        pool: Some(pool.clone()),
        ..Settings::default()
    };
    let config = TrainerConfig {
        model,
        objective: Objective::of(LOSS, "logits", "label"),
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
    };
    let device = open("software", &settings).unwrap();
    Trainer::new(config, device, pool, Isa::detect()).unwrap()
}

fn trainer(plan: PlanKind) -> Trainer {
    let mut t = trainer_on(Target::SOFTWARE, &Numerics::ieee(), plan);
    t.watch(Numerics::ieee(), true, &BTreeSet::new());
    t
}

/// Inputs between −1 and 1 that differ, as fp16 holds them.
fn inputs() -> Vec<f32> {
    let all = (0..BATCH * INPUTS).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0);
    all.map(|x| f16::from_f32(x).to_f32()).collect()
}

fn batch() -> [Batch; 1] {
    let labels = (0..BATCH).map(|i| (i % CLASSES) as i32);
    let bits = inputs().into_iter().map(|x| f16::from_f32(x).to_bits());
    let mut batch = Batch::new(BATCH, BATCH);
    batch.set("x", Values::Fp16(bits.collect()));
    batch.set("label", Values::Int32(labels.collect()));
    [batch]
}

/// A tensor, and what an element of it is, by its position.
type Filled = (&'static str, fn(usize) -> f32);

/// Replaces the weights that are named: element i of a tensor is what the function says.
fn fill(t: &mut Trainer, values: &[Filled]) {
    let weights = t.weights().unwrap().into_iter();
    let weights: Vec<Vec<f32>> = weights
        .map(|(name, _, old)| match values.iter().find(|v| v.0 == name) {
            Some((_, value)) => (0..old.len()).map(value).collect(),
            None => old,
        })
        .collect();
    t.set_weights(&weights).unwrap();
}

fn near(found: Option<f64>, expected: f64) {
    let found = found.unwrap();
    assert!(
        (found / expected - 1.0).abs() < 1e-3,
        "{found} is not {expected}"
    );
}

/// A layer whose weights are huge: the product with the inputs is beyond fp16.
const HUGE: [Filled; 1] = [("0.weight", |_| 50_000.0)];
/// Small activations before large weights: the logits are finite, and what flows back through the weights is not.
const STEEP: [Filled; 3] = [
    ("0.weight", |i| if i % 2 == 0 { 1e-3 } else { -1e-3 }),
    ("0.bias", |_| 1e-3),
    ("2.weight", |i| if i % 3 == 0 { 3000.0 } else { -3000.0 }),
];
/// A bias that no activation survives.
const DEAD: [Filled; 1] = [("0.bias", |_| -1000.0)];

#[test]
fn a_forward_overflow_is_found_in_its_layer_with_its_magnitude() {
    for plan in [PlanKind::Split, PlanKind::Fused] {
        let mut t = trainer(plan);
        assert!(!t.train_step(&batch()).unwrap().overflow);
        assert_eq!(t.take_findings(), []);
        fill(&mut t, &HUGE);
        assert!(t.train_step(&batch()).unwrap().overflow);
        let found = t.take_findings();
        let [finding] = &found[..] else {
            panic!("{found:?}")
        };
        let sums = inputs();
        let sums = sums
            .chunks(INPUTS)
            .map(|x| x.iter().map(|&x| f64::from(x)).sum::<f64>());
        let weight = f16::from_f32(50_000.0).to_f64();
        let largest = sums.map(|sum| (sum * weight).abs()).fold(0.0, f64::max);
        assert!(largest > 65_504.0, "the test's own weights do not overflow");
        near(finding.magnitude, largest);
        let expected = Finding {
            step: 2,
            layer: "0".into(),
            op: finding.op.clone(),
            pass: Pass::Forward,
            what: What::Overflow,
            magnitude: finding.magnitude,
            limit: 65_504.0,
            loss_scale: 1024.0,
            parameter: None,
        };
        assert_eq!(*finding, expected);
        assert!(["linear", "matmul"].contains(&finding.op.as_str()));
    }
}

#[test]
fn a_backward_overflow_is_found_behind_a_forward_pass_that_is_finite() {
    for plan in [PlanKind::Split, PlanKind::Fused] {
        let mut t = trainer(plan);
        fill(&mut t, &STEEP);
        let before = *t.progress();
        let outcome = t.train_step(&batch()).unwrap();
        assert!(outcome.overflow && outcome.loss.is_finite(), "{outcome:?}");
        let found = t.take_findings();
        let [finding] = &found[..] else {
            panic!("{found:?}")
        };
        assert_eq!(
            (finding.pass, finding.what, finding.layer.as_str()),
            (Pass::Backward, What::Overflow, "2")
        );
        assert_eq!((finding.step, finding.limit), (1, 16_376.0));
        assert!(finding.magnitude.unwrap() > 16_376.0);
        // Its magnitude is that of the loss scale. Without it the backward pass is finite; only a fused update has a unit
        // of its own, in which such gradients are too large.
        let mut small = before;
        small.loss_scale = LossScale::starting_at(1);
        let other = t.examine(&small, &batch(), &Numerics::ieee()).unwrap();
        assert_eq!(
            other.map(|f| (f.pass, f.layer)),
            (plan == PlanKind::Fused).then(|| (Pass::Update, "0.weight".to_owned()))
        );
        let again = t.examine(&before, &batch(), &Numerics::ieee()).unwrap();
        assert_eq!(again.as_ref(), Some(finding));
    }
}

/// Ways in which chips are reported to compute.
fn chips() -> Vec<(Target, Numerics)> {
    let [h13, h16] = [Chip::H13, Chip::H16].map(|chip| Target::new(chip, Route::Client));
    vec![
        (h13, Numerics::of(&h13)),
        (h16, Numerics::of(&h16).silicon()),
        (h16, Numerics::of(&h16).silicon().pessimistic()),
    ]
}

#[test]
fn chips_overflow_in_the_same_places_at_limits_of_their_own() {
    for (target, numerics) in chips() {
        for plan in [PlanKind::Split, PlanKind::Fused] {
            let of = |begin: &[Filled]| {
                let mut t = trainer_on(target, &numerics, plan);
                t.watch(numerics.clone(), true, &BTreeSet::new());
                fill(&mut t, begin);
                assert!(t.train_step(&batch()).unwrap().overflow);
                let mut found = t.take_findings();
                assert_eq!(found.len(), 1, "{target}, {numerics:?}");
                found.remove(0)
            };
            let forward = of(&HUGE);
            assert_eq!((forward.pass, forward.layer.as_str()), (Pass::Forward, "0"));
            assert_eq!((forward.what, forward.limit), (What::Overflow, 32_752.0));
            let backward = of(&STEEP);
            assert_eq!(
                (backward.pass, backward.layer.as_str()),
                (Pass::Backward, "2")
            );
            assert_eq!((backward.what, backward.limit), (What::Overflow, 16_376.0));
        }
    }
}

/// So deep that its ports are packed where a request holds few.
const DEEP: usize = 36;

#[test]
fn layers_keep_their_names_where_ports_are_packed() {
    let widths = vec!["16"; DEEP].join("-");
    let target = Target::new(Chip::H16, Route::Client);
    let numerics = Numerics::of(&target);
    for plan in [PlanKind::Split, PlanKind::Fused] {
        let model: Mlp = format!("20-{widths}-10").parse().unwrap();
        let mut t = trainer_of(model.model(BATCH).unwrap(), target, &numerics, plan);
        assert!(
            !t.step().packed.is_empty(),
            "the test's own network is too small"
        );
        t.watch(numerics.clone(), true, &BTreeSet::new());
        // Layers that hand on what they get: 1 everywhere.
        let weights = t.weights().unwrap().into_iter();
        let ones: Vec<Vec<f32>> = weights
            .map(|(name, _, old)| {
                let value = match name.as_str() {
                    "0.weight" => 0.0,
                    "0.bias" => 1.0,
                    _ if name.ends_with("bias") => 0.0,
                    _ => 1.0 / 16.0,
                };
                vec![value; old.len()]
            })
            .collect();
        t.set_weights(&ones).unwrap();
        let (overflowing, dead) = (40, 60);
        let mut broken = ones.clone();
        // Weights and biases take turns, as layers and activations do.
        broken[overflowing].fill(60_000.0);
        t.set_weights(&broken).unwrap();
        assert!(t.train_step(&batch()).unwrap().overflow);
        let found = t.take_findings();
        assert_eq!(found[0].layer, overflowing.to_string(), "{}", found[0]);
        near(found[0].magnitude, 16.0 * f16::from_f32(60_000.0).to_f64());
        let mut broken = ones;
        broken[dead + 1].fill(-1000.0);
        // What follows is alive.
        for bias in broken.iter_mut().skip(dead + 3).step_by(2) {
            bias.fill(1.0);
        }
        t.set_weights(&broken).unwrap();
        let mut found = Vec::new();
        for _ in 0..3 {
            assert!(!t.train_step(&batch()).unwrap().overflow);
            found.extend(t.take_findings());
        }
        let of = |path: &str| {
            let path = Some(path.to_owned());
            let found = found.iter().find(|f| f.parameter == path);
            found.map(|f| f.layer.clone())
        };
        // Whatever is before the layer that died, its activation is to blame.
        for path in ["0.bias".to_owned(), format!("{dead}.weight")] {
            assert_eq!(of(&path), Some((dead + 1).to_string()), "{path}: {found:?}");
        }
        assert_eq!(of(&format!("{}.bias", 2 * DEEP)), None);
    }
}

#[test]
fn what_the_host_computes_is_judged_as_the_host_computes_it() {
    let embedding = Tags {
        bias: false,
        norm: false,
        embedding: true,
    };
    let tokens = Input::new("tokens", DType::Int32, [3]);
    let model = Model::build("embedding", BATCH, &[tokens], |cx, x| {
        let rows = cx.scope("embedding", |cx| {
            let table = cx.parameter("weight", [50, 8], Init::Uniform(0.5), embedding)?;
            Ok(cx.graph().gather(table, x[0], 0)?)
        })?;
        let mean = cx.scope("mean", |cx| {
            Ok(cx.graph().reduce_mean(rows, &[1], false)?)
        })?;
        Ok([("logits", cx.layer("fc", Linear::new(8, CLASSES), mean)?)])
    });
    let mut of_tokens = Batch::new(BATCH, BATCH);
    let all = (0..BATCH * 3).map(|i| (i % 50) as i32);
    of_tokens.set("tokens", Values::Int32(all.collect()));
    let labels = (0..BATCH).map(|i| (i % CLASSES) as i32);
    of_tokens.set("label", Values::Int32(labels.collect()));
    let of_tokens = [of_tokens];
    let target = Target::new(Chip::H16, Route::Client);
    let numerics = Numerics::of(&target);
    let mut t = trainer_of(model.unwrap(), target, &numerics, PlanKind::Split);
    assert!(!t.stages().host.is_empty());
    t.watch(numerics.clone(), true, &BTreeSet::new());
    let all = {
        let mut fidelity = Fidelity::new(&t, numerics.clone());
        fidelity.add(&mut t, &of_tokens[0]).unwrap();
        fidelity.parameters()
    };
    assert!(all.iter().all(|p| p.verdict == Verdict::Right), "{all:?}");
    fill(
        &mut t,
        &[("embedding.weight", |_| 60_000.0), ("fc.weight", |_| 1.0)],
    );
    assert!(t.train_step(&of_tokens).unwrap().overflow);
    let found = t.take_findings();
    assert_eq!(
        (found[0].layer.as_str(), found[0].pass),
        ("fc", Pass::Forward),
        "{found:?}"
    );
    near(found[0].magnitude, 8.0 * f16::from_f32(60_000.0).to_f64());
    // Nothing flows through weights that are zero, to the table least of all.
    fill(
        &mut t,
        &[("embedding.weight", |_| 0.5), ("fc.weight", |_| 0.0)],
    );
    let mut found = Vec::new();
    for _ in 0..3 {
        fill(&mut t, &[("fc.weight", |_| 0.0)]);
        assert!(!t.train_step(&of_tokens).unwrap().overflow);
        found.extend(t.take_findings());
    }
    let [finding] = &found[..] else {
        panic!("{found:?}")
    };
    assert_eq!(finding.parameter.as_deref(), Some("embedding.weight"));
    assert_eq!((finding.layer.as_str(), finding.step), ("fc", 4));
}

#[test]
fn an_update_of_several_batches_is_traced_in_the_batch_that_overflows() {
    let mut t = trainer(PlanKind::Split);
    let mut large = batch()[0].clone();
    let bits = f16::from_f32(60_000.0).to_bits();
    large.set("x", Values::Fp16(vec![bits; BATCH * INPUTS]));
    let mut batches = [batch()[0].clone(), large, batch()[0].clone()];
    ane_train::data::share_divisor(&mut batches);
    fill(&mut t, &[("0.weight", |_| 1.0)]);
    let before = *t.progress();
    assert!(t.train_step(&batches).unwrap().overflow);
    let found = t.take_findings();
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].layer.as_str(), found[0].pass),
        ("0", Pass::Forward)
    );
    near(found[0].magnitude, 20.0 * f16::from_f32(60_000.0).to_f64());
    let again = t.examine(&before, &batches, &Numerics::ieee()).unwrap();
    assert_eq!(again.as_ref(), found.first());
    assert_eq!(t.repeat(&before, &batches).unwrap().len(), 3);
}

#[test]
fn a_loss_that_is_not_finite_though_the_step_is_accepted_is_told_once() {
    let mut t = trainer(PlanKind::Split);
    // Logits that fp16 holds, and differences of them that it does not.
    let far_apart: Filled = ("2.bias", |i| if i == 0 { 40_000.0 } else { -40_000.0 });
    fill(&mut t, &[far_apart]);
    let mut found = Vec::new();
    for _ in 0..3 {
        let outcome = t.train_step(&batch()).unwrap();
        assert!(
            !outcome.overflow && !outcome.loss.is_finite(),
            "{outcome:?}"
        );
        found.extend(t.take_findings());
    }
    let [finding] = &found[..] else {
        panic!("{found:?}")
    };
    assert_eq!((finding.step, finding.layer.as_str()), (1, "loss"));
    assert_eq!(
        (finding.pass, finding.what),
        (Pass::Forward, What::Overflow)
    );
    assert!(
        (finding.magnitude.unwrap() - 80_000.0).abs() < 200.0,
        "{finding}"
    );
}

#[test]
fn dead_units_are_found_where_they_let_nothing_through_once_per_parameter() {
    for plan in [PlanKind::Split, PlanKind::Fused] {
        let mut t = trainer(plan);
        fill(&mut t, &DEAD);
        let mut found = Vec::new();
        for _ in 0..8 {
            assert!(!t.train_step(&batch()).unwrap().overflow);
            found.extend(t.take_findings());
        }
        let seen: Vec<(u64, &str, &str)> = found
            .iter()
            .map(|f| (f.step, f.parameter.as_deref().unwrap(), f.layer.as_str()))
            .collect();
        let expected = [
            (3, "0.weight", "1"),
            (3, "0.bias", "1"),
            (3, "2.weight", "2"),
        ];
        assert_eq!(seen, expected, "{}", plan.name());
        for finding in &found {
            assert_eq!(
                (finding.pass, finding.what),
                (Pass::Backward, What::Vanished)
            );
            assert_eq!(
                finding.magnitude,
                Some(0.0),
                "nothing is lost to fp16: {finding}"
            );
        }
        // A run that goes on does not say it again.
        let told = found.into_iter().filter_map(|f| f.parameter).collect();
        t.watch(Numerics::ieee(), true, &told);
        for _ in 0..4 {
            t.train_step(&batch()).unwrap();
        }
        assert_eq!(t.take_findings(), []);
    }
}

#[test]
fn cotangents_that_fp16_loses_are_told_from_those_that_are_zero() {
    let mut t = trainer(PlanKind::Split);
    t.set_loss_scale(LossScale::starting_at(1));
    // Were they the same for all classes, nothing would flow back at all.
    let smallest: fn(usize) -> f32 = |i| match i / 32 % 3 {
        0 => 6e-8,
        _ => -6e-8,
    };
    // What flows back is at most a sixteenth of one, times 2⁻²⁴.
    fill(&mut t, &[("2.weight", smallest)]);
    let lost = judged(&mut t, &Numerics::ieee());
    let of = |path: &str| lost.iter().find(|p| p.path == path).unwrap();
    assert!(of("0.weight").exact_norm > 0.0, "{lost:?}");
    assert_eq!(of("0.weight").norm, 0.0);
    assert!(of("0.weight").vanished > 0.9, "{lost:?}");
    assert_eq!(of("0.weight").verdict, Verdict::Lost);
    assert_eq!(of("2.weight").verdict, Verdict::Right);
    let mut found = Vec::new();
    for _ in 0..3 {
        // The update would lift them.
        fill(&mut t, &[("2.weight", smallest)]);
        t.train_step(&batch()).unwrap();
        found.extend(t.take_findings());
    }
    let seen: Vec<_> = found
        .iter()
        .map(|f| f.parameter.as_deref().unwrap())
        .collect();
    assert_eq!(seen, ["0.weight", "0.bias"]);
    for finding in &found {
        assert_eq!(
            (finding.layer.as_str(), finding.pass),
            ("2", Pass::Backward)
        );
        let magnitude = finding.magnitude.unwrap();
        assert!(magnitude > 0.0 && magnitude < finding.limit, "{finding}");
        assert!(
            finding
                .to_string()
                .contains("is the smallest that there is")
        );
    }
}

#[test]
fn only_what_does_not_end_is_looked_into_unless_all_is_asked_for() {
    let mut t = trainer(PlanKind::Split);
    t.watch(Numerics::ieee(), false, &BTreeSet::new());
    fill(&mut t, &HUGE);
    let mut steps = Vec::new();
    while !t.progress().loss_scale.has_diverged() {
        t.train_step(&batch()).unwrap();
        steps.extend(
            t.take_findings()
                .into_iter()
                .map(|f| (f.step, f.loss_scale)),
        );
    }
    // The third in a row, the one that brings the scale to 1, and the last.
    assert_eq!(steps, [(3, 256.0), (10, 2.0), (20, 1.0)]);
}

#[test]
fn a_step_repeats_its_bits_with_what_was_drawn_for_it_and_changes_nothing() {
    for plan in [PlanKind::Split, PlanKind::Fused] {
        let x = Input::fp16("x", [INPUTS]);
        let model = Model::build("dropping", BATCH, &[x], |cx, x| {
            let x = cx.layer("0", Linear::new(INPUTS, 32), x[0])?;
            let x = cx.layer("drop", Dropout::new(0.5), x)?;
            Ok([("logits", cx.layer("2", Linear::new(32, CLASSES), x)?)])
        });
        let ieee = Numerics::ieee();
        let mut t = trainer_of(model.unwrap(), Target::SOFTWARE, &ieee, plan);
        t.train_step(&batch()).unwrap();
        for overflows in [false, true] {
            if overflows {
                fill(&mut t, &HUGE);
            }
            let (before, state) = (*t.progress(), t.state().unwrap());
            let first = t.repeat(&before, &batch()).unwrap();
            assert_eq!(t.repeat(&before, &batch()).unwrap(), first);
            assert_eq!(t.state().unwrap(), state);
            let [[loss, _]] = t
                .evaluate_step(&before, &batch(), &Numerics::ieee())
                .unwrap()[..]
            else {
                panic!("one batch has one loss")
            };
            let mut other = before;
            other.loss_scale = LossScale::starting_at(1);
            let scaled = t.repeat(&other, &batch()).unwrap();
            let outcome = t.train_step(&batch()).unwrap();
            assert_eq!(outcome.overflow, overflows);
            assert_eq!(first[0].loss, outcome.loss.to_bits());
            if overflows {
                assert!(!loss.is_finite() && !outcome.loss.is_finite());
            } else {
                assert!((loss / outcome.loss - 1.0).abs() < 1e-3);
                assert_eq!(scaled[0].loss, first[0].loss);
                assert_ne!(scaled[0].outputs, first[0].outputs);
                other.step += 1;
                let drawn_anew = t.repeat(&other, &batch()).unwrap();
                assert_ne!(drawn_anew[0].loss, first[0].loss);
            }
        }
    }
}

fn judged(t: &mut Trainer, numerics: &Numerics) -> Vec<ParameterFidelity> {
    let mut fidelity = Fidelity::new(t, numerics.clone());
    fidelity.add(t, &batch()[0]).unwrap();
    fidelity.parameters()
}

#[test]
fn gradients_are_right_on_every_target_and_wrong_where_something_else_computes() {
    let h16 = Target::new(Chip::H16, Route::E5rt);
    let h13 = Target::new(Chip::H13, Route::E5rt);
    for (target, numerics) in [
        (Target::SOFTWARE, Numerics::ieee()),
        (h16, Numerics::of(&h16)),
        (h13, Numerics::of(&h13).silicon()),
        (h16, Numerics::of(&h16).silicon().pessimistic()),
    ] {
        let mut t = trainer_on(target, &numerics, PlanKind::Split);
        let all = judged(&mut t, &numerics);
        assert_eq!(all.len(), 4);
        for p in &all {
            assert_eq!(p.verdict, Verdict::Right, "{target}, {numerics:?}: {p:?}");
            assert!(p.cosine > 0.999 && p.error.unwrap() < 0.01, "{p:?}");
            assert!(p.exact_norm > 0.0 && p.vanished < 0.05, "{p:?}");
        }
        let weight = all.iter().find(|p| p.path == "0.weight").unwrap();
        assert!(weight.rounding > 0.0 && weight.bound >= 4.0 * weight.rounding * 0.999);
    }
    // An engine that flushes, held to one that does not.
    let flushes = Numerics::ieee().pessimistic();
    let mut t = trainer_on(Target::SOFTWARE, &flushes, PlanKind::Split);
    t.set_loss_scale(LossScale::starting_at(1));
    fill(
        &mut t,
        &[("2.weight", |i| if i / 32 % 3 == 0 { 1e-3 } else { -1e-3 })],
    );
    let as_it_is = judged(&mut t, &flushes);
    let held_to_another = judged(&mut t, &Numerics::ieee());
    let wrong = |all: &[ParameterFidelity]| all.iter().any(|p| p.verdict == Verdict::Wrong);
    assert!(!wrong(&as_it_is), "{as_it_is:?}");
    assert!(wrong(&held_to_another), "{held_to_another:?}");
    assert!(held_to_another[0].subnormal > 0.0);
}
