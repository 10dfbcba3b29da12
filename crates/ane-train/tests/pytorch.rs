//! Against PyTorch: forward pass, gradients and ten updates of a small MLP, computed in f64 by
//! `fixtures/make_mlp.py`.

#![allow(clippy::unwrap_used)]

use ane_device::{Settings, open};
use ane_engine::{Pool, simd::Isa};
use ane_ir::{Chip, Numerics, Route, Target};
use ane_train::{
    Trainer, TrainerConfig,
    data::{Batch, Values},
    loss::Loss,
    loss_scale::LossScale,
    models::Mlp,
    objective::Objective,
    optim::{Adam, AdamW, OptimizerConfig, Sgd},
    schedule::Schedule,
    step::PlanKind,
    update::Groups,
};
use half::f16;
use safetensors::SafeTensors;
use std::sync::Arc;

const FIXTURE: &[u8] = include_bytes!("fixtures/mlp_adamw.safetensors");

fn tensor(name: &str) -> Vec<f32> {
    let all = SafeTensors::deserialize(FIXTURE).unwrap();
    let t = all.tensor(name).unwrap();
    t.data()
        .as_chunks::<4>()
        .0
        .iter()
        .map(|c| f32::from_le_bytes(*c))
        .collect()
}

fn labels() -> Vec<i32> {
    let all = SafeTensors::deserialize(FIXTURE).unwrap();
    let t = all.tensor("labels").unwrap();
    t.data()
        .as_chunks::<8>()
        .0
        .iter()
        .map(|c| i64::from_le_bytes(*c) as i32)
        .collect()
}

fn bits(x: &[f32]) -> Vec<u16> {
    x.iter().map(|&x| f16::from_f32(x).to_bits()).collect()
}

fn batch(loss: Loss) -> [Batch; 1] {
    let weights = tensor("weights");
    let mut batch = Batch::new(weights.len(), weights.len());
    batch.weigh(&weights);
    batch.set("x", Values::Fp16(bits(&tensor("x"))));
    batch.set(
        "target",
        match loss {
            Loss::CrossEntropy { .. } => Values::Int32(labels()),
            _ => Values::Fp16(bits(&tensor("mse_targets"))),
        },
    );
    [batch]
}

const PLAIN: Loss = Loss::CrossEntropy {
    label_smoothing: 0.0,
};

fn trainer(
    target: Target,
    numerics: Numerics,
    plan: PlanKind,
    loss: Loss,
    optimizer: OptimizerConfig,
    lr: f64,
    max_norm: Option<f64>,
) -> Trainer {
    let pool = Arc::new(Pool::new(2).unwrap());
    let settings = Settings {
        target,
        numerics,
        pool: Some(pool.clone()),
        ..Settings::default()
    };
    let device = open("software", &settings).unwrap();
    let config = TrainerConfig {
        model: "20-32-24-10".parse::<Mlp>().unwrap().model(16).unwrap(),
        objective: Objective::of(loss, "logits", "target"),
        metrics: Vec::new(),
        units: Vec::new(),
        ema: None,
        groups: Groups::default(),
        lowerings: Vec::new(),
        accumulate: 1,
        plan,
        optimizer,
        lr,
        schedule: Schedule::Constant,
        total_steps: 10,
        max_norm,
        seed: 0,
    };
    let mut t = Trainer::new(config, device, pool, Isa::detect()).unwrap();
    let init: Vec<Vec<f32>> = t
        .parameters()
        .iter()
        .map(|p| tensor(&format!("init.{}", p.path)))
        .collect();
    t.set_weights(&init).unwrap();
    t
}

fn targets() -> Vec<(Target, Numerics)> {
    let mut all = vec![(Target::SOFTWARE, Numerics::ieee())];
    for chip in Chip::HARDWARE {
        let t = Target::new(chip, Route::E5rt);
        all.push((t, Numerics::of(&t)));
    }
    let h16 = Target::new(Chip::H16, Route::E5rt);
    all.push((h16, Numerics::of(&h16).pessimistic()));
    all
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

fn norm(x: &[f32]) -> f64 {
    x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt()
}

/// ‖Δ‖ / (‖g‖ + 1e-3·‖g_all‖) of every gradient.
fn check_gradients(t: &Trainer, prefix: &str) {
    let want: Vec<Vec<f32>> = t
        .parameters()
        .iter()
        .map(|p| tensor(&format!("{prefix}.{}", p.path)))
        .collect();
    let all = want.iter().map(|g| norm(g).powi(2)).sum::<f64>().sqrt();
    for (i, want) in want.iter().enumerate() {
        let found = t.gradient(i).unwrap();
        let difference: Vec<f32> = found.iter().zip(want).map(|(a, b)| a - b).collect();
        let error = norm(&difference) / (norm(want) + 1e-3 * all);
        assert!(
            error <= 2e-3,
            "{prefix}.{}: {error:.2e}",
            t.parameters()[i].path
        );
    }
}

#[test]
fn forward_pass_and_gradients_are_pytorchs() {
    for (target, numerics) in targets() {
        for (loss, prefix, value) in [
            (PLAIN, "grad", "loss"),
            (
                Loss::CrossEntropy {
                    label_smoothing: 0.1,
                },
                "smooth_grad",
                "smooth_loss",
            ),
            (Loss::Mse, "mse_grad", "mse_loss"),
        ] {
            let optimizer = OptimizerConfig::Sgd(Sgd::default());
            let mut t = trainer(
                target,
                numerics.clone(),
                PlanKind::Split,
                loss,
                optimizer,
                0.0,
                None,
            );
            let found = t.evaluate(&batch(loss)[0]).unwrap().loss;
            let want = tensor(value)[0];
            assert!(
                (found - want).abs() <= 2e-3 * want,
                "{target} {value}: {found} {want}"
            );
            assert!(
                largest_difference(&t.predict(&batch(loss)[0]).unwrap()[0].1, &tensor("logits"))
                    <= 1e-3,
                "{target}"
            );
            t.train_step(&batch(loss)).unwrap();
            check_gradients(&t, prefix);
        }
    }
}

/// The largest norm of the clipped run.
const CLIP: f64 = 0.05;

#[test]
fn the_norm_and_the_coefficient_of_clipping_are_pytorchs() {
    const RATE: f64 = 1.0;
    let all = f64::from(tensor("grad_norm")[0]);
    assert!(CLIP < all / 2.0 && all < 1.0);
    for (target, numerics) in targets() {
        for plan in [PlanKind::Split, PlanKind::Fused] {
            // Above the norm nothing is clipped.
            for (max_norm, want) in [(CLIP, CLIP / (all + 1e-6)), (1.0, 1.0)] {
                let optimizer = OptimizerConfig::Sgd(Sgd::default());
                let numerics = numerics.clone();
                let max_norm = Some(max_norm);
                let mut t = trainer(target, numerics, plan, PLAIN, optimizer, RATE, max_norm);
                let before = t.weights().unwrap();
                let outcome = t.train_step(&batch(PLAIN)).unwrap();
                if plan == PlanKind::Split {
                    let found = outcome.grad_norm.unwrap();
                    assert!((found - all).abs() <= 1e-3 * all, "{target}: {found} {all}");
                }
                // w' = w − rate · coefficient · g: the coefficient is how far the weights went along PyTorch's gradient.
                let (mut along, mut square) = (0.0, 0.0);
                for ((name, _, after), (_, _, before)) in t.weights().unwrap().iter().zip(&before) {
                    for ((a, b), g) in after
                        .iter()
                        .zip(before)
                        .zip(tensor(&format!("grad.{name}")))
                    {
                        along += f64::from(b - a) * f64::from(g);
                        square += f64::from(g).powi(2);
                    }
                }
                let found = along / (RATE * square);
                assert!(
                    (found - want).abs() <= 2e-3 * want,
                    "{target} {}: {found} {want}",
                    plan.name()
                );
            }
        }
    }
}

fn optimizers() -> Vec<(&'static str, OptimizerConfig, f64, Option<f64>)> {
    let sgd = |momentum, nesterov| {
        OptimizerConfig::Sgd(Sgd {
            momentum,
            nesterov,
            weight_decay: 0.0,
        })
    };
    let l2 = 0.2;
    let adamw_decay = AdamW {
        weight_decay: 0.5,
        ..AdamW::default()
    };
    let adam_l2 = Adam {
        weight_decay: l2,
        ..Adam::default()
    };
    let sgd_l2 = Sgd {
        momentum: 0.9,
        weight_decay: l2,
        ..Sgd::default()
    };
    vec![
        (
            "adamw10",
            OptimizerConfig::AdamW(AdamW::default()),
            1e-3,
            None,
        ),
        ("adam10", OptimizerConfig::Adam(Adam::default()), 1e-3, None),
        ("sgd10", sgd(0.0, false), 0.05, None),
        ("sgdm10", sgd(0.9, false), 0.05, None),
        ("nesterov10", sgd(0.9, true), 0.05, None),
        (
            "adamw_decay_10",
            OptimizerConfig::AdamW(adamw_decay),
            1e-3,
            None,
        ),
        ("adam_l2_10", OptimizerConfig::Adam(adam_l2), 1e-3, None),
        ("sgd_l2_10", OptimizerConfig::Sgd(sgd_l2), 0.05, None),
        // Not Adam, which divides a constant scale out again.
        ("clip10", sgd(0.0, false), 1.0, Some(CLIP)),
    ]
}

#[test]
fn defaults_are_pytorchs() {
    let (_, metadata) = SafeTensors::read_metadata(FIXTURE).unwrap();
    let torch = &metadata.metadata().as_ref().unwrap()["torch"];
    let torch: serde_json::Value = serde_json::from_str(torch).unwrap();
    let ours: serde_json::Map<_, _> = OptimizerConfig::all()
        .iter()
        .map(|o| {
            let mut settings = serde_json::to_value(o).unwrap();
            settings.as_object_mut().unwrap().remove("name").unwrap();
            (o.as_dyn().name().to_owned(), settings)
        })
        .collect();
    assert_eq!(serde_json::Value::Object(ours), torch["defaults"]);
}

#[test]
fn the_default_runs_decay_moves_the_weights_further_than_the_comparison_lets_pass() {
    let with = tensor("adamw_decay_10.0.weight");
    let without = tensor("adamw10.0.weight");
    let difference: Vec<f32> = with.iter().zip(&without).map(|(a, b)| a - b).collect();
    assert!(norm(&difference) > 4e-3 * norm(&without));
}

#[test]
fn an_l2_penalty_moves_the_weights_further_than_the_comparison_lets_pass() {
    for (with, without) in [("adam_l2_10", "adam10"), ("sgd_l2_10", "sgdm10")] {
        let (with, without) = (
            tensor(&format!("{with}.0.weight")),
            tensor(&format!("{without}.0.weight")),
        );
        let difference: Vec<f32> = with.iter().zip(&without).map(|(a, b)| a - b).collect();
        assert!(norm(&difference) > 0.05 * norm(&without));
    }
}

#[test]
fn ten_updates_are_pytorchs_for_every_optimizer_and_plan() {
    for (target, numerics) in targets() {
        for plan in [PlanKind::Split, PlanKind::Fused] {
            for (name, optimizer, lr, max_norm) in optimizers() {
                let mut t = trainer(
                    target,
                    numerics.clone(),
                    plan,
                    PLAIN,
                    optimizer,
                    lr,
                    max_norm,
                );
                let b = batch(PLAIN);
                for _ in 0..10 {
                    let outcome = t.train_step(&b).unwrap();
                    assert!(!outcome.overflow);
                }
                for (parameter, _, found) in t.weights().unwrap() {
                    let want = tensor(&format!("{name}.{parameter}"));
                    // In the norm: Adam moves an element whose gradient is all rounding by a whole step, whichever way.
                    let difference: Vec<f32> =
                        found.iter().zip(&want).map(|(a, b)| a - b).collect();
                    let error = norm(&difference) / norm(&want);
                    assert!(
                        error <= 1e-3,
                        "{target} {} {name}.{parameter}: {error:.2e}",
                        plan.name()
                    );
                }
            }
        }
    }
}

#[test]
fn the_loss_scale_does_not_change_the_update() {
    for plan in [PlanKind::Split, PlanKind::Fused] {
        let run = |scale: u32| {
            let optimizer = OptimizerConfig::Sgd(Sgd {
                momentum: 0.9,
                ..Sgd::default()
            });
            let mut t = trainer(
                Target::SOFTWARE,
                Numerics::ieee(),
                plan,
                PLAIN,
                optimizer,
                0.05,
                None,
            );
            t.set_loss_scale(LossScale::starting_at(scale));
            t.train_step(&batch(PLAIN)).unwrap();
            t.weights().unwrap()
        };
        for ((_, _, a), (_, _, b)) in run(256).iter().zip(&run(4096)) {
            assert!(largest_difference(a, b) <= 2e-5);
        }
    }
}

#[test]
fn an_overflow_changes_nothing_but_the_scale() {
    for plan in [PlanKind::Split, PlanKind::Fused] {
        let optimizer = OptimizerConfig::AdamW(AdamW::default());
        let mut t = trainer(
            Target::SOFTWARE,
            Numerics::ieee(),
            plan,
            PLAIN,
            optimizer,
            1e-3,
            None,
        );
        let good = batch(PLAIN);
        t.train_step(&good).unwrap();
        let (before, state, updates) = (
            t.weights().unwrap(),
            t.state().unwrap(),
            t.progress().updates,
        );
        let mut bad = good.clone();
        let huge = f16::from_f32(60_000.0).to_bits();
        bad[0].set("x", Values::Fp16(vec![huge; 16 * 20]));
        let outcome = t.train_step(&bad).unwrap();
        assert!(outcome.overflow, "{}", plan.name());
        assert_eq!(t.weights().unwrap(), before);
        assert_eq!(t.state().unwrap(), state);
        assert_eq!(t.progress().updates, updates);
        assert_eq!(t.progress().step, 2);
        assert_eq!(t.progress().loss_scale.get(), 512.0);
        assert!(!t.train_step(&good).unwrap().overflow);
    }
}

#[test]
fn padding_with_weight_zero_changes_nothing() {
    // The fixture's ninth example has weight zero: whatever it holds must not matter.
    let optimizer = OptimizerConfig::Sgd(Sgd::default());
    let mut t = trainer(
        Target::SOFTWARE,
        Numerics::ieee(),
        PlanKind::Split,
        PLAIN,
        optimizer.clone(),
        0.0,
        None,
    );
    let mut b = batch(PLAIN);
    let zero = tensor("weights").iter().position(|&w| w == 0.0).unwrap();
    let mut x = bits(&tensor("x"));
    x[zero * 20..(zero + 1) * 20].fill(0);
    b[0].set("x", Values::Fp16(x));
    t.train_step(&b).unwrap();
    check_gradients(&t, "grad");
}
