//! The programs of every model are legal on every chip by every route, each as one stage.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

use ane_device::open;
use ane_engine::{Pool, simd::Isa};
use ane_ir::{Chip, Route, Target};
use ane_train::{
    Trainer,
    config::RunConfig,
    data::{Batch, IMAGE, LABEL, Values},
    loss::Loss,
    models::{self, Examples, Mlp, ModelSpec, Outputs, Task, decoder::TOKENS},
    objective::Objective,
    optim::OptimizerConfig,
    stage::{Stage, Staged},
    step::{PlanKind, Step, StepConfig},
};
use std::sync::{Arc, LazyLock};

#[test]
fn every_plan_and_optimizer_is_legal_on_every_chip_by_every_route() {
    let model: Mlp = "784-512-512-10".parse().unwrap();
    let model = model.model(128).unwrap();
    let loss = Loss::CrossEntropy {
        label_smoothing: 0.1,
    };
    let objective = Objective::of(loss, "logits", "label");
    for plan in [PlanKind::Split, PlanKind::Fused] {
        for optimizer in OptimizerConfig::all() {
            for max_norm in [None, Some(1.0)] {
                for chip in Chip::HARDWARE {
                    for route in Route::ALL {
                        let target = Target::new(chip, route);
                        let step = Step::train(&StepConfig {
                            model: &model,
                            objective: &objective,
                            plan,
                            optimizer: optimizer.as_dyn(),
                            max_norm,
                            target,
                        })
                        .unwrap();
                        let staged = Staged::of(&step.graph, &target);
                        let staged = staged.unwrap_or_else(|e| panic!("{plan:?} {e}"));
                        assert_eq!(staged.stages, [Stage::Engine(0)], "{plan:?} {target}");
                        assert!(staged.engine[0].graph.same_as(&step.graph));
                        let legal = &staged.engine[0].legal;
                        // Ports keep their names and order, whatever becomes of their types.
                        let names = |g: &ane_ir::Graph| -> Vec<String> {
                            let ports = g.inputs().iter().chain(g.outputs());
                            ports.map(|&v| g.port(v).to_owned()).collect()
                        };
                        assert_eq!(names(legal.graph()), names(&step.graph));
                    }
                }
            }
        }
    }
}

static DIGITS: LazyLock<Examples> = LazyLock::new(|| Examples::images([1, 28, 28], 10));

/// Black images, all of class 0.
fn batch(rows: usize) -> Batch {
    let mut batch = Batch::new(rows, rows);
    batch.set(IMAGE, Values::Fp16(vec![0; rows * DIGITS.values()]));
    batch.set(LABEL, Values::Int32(vec![0; rows]));
    batch
}

/// Compiles training, evaluation and prediction of every model, by a device that compiles everything that is legal.
fn every_model_is_legal(plan: PlanKind) {
    let pool = Arc::new(Pool::new(1).unwrap());
    for entry in models::ALL {
        if ModelSpec::Named(entry).recipe().is_some() {
            continue;
        }
        for chip in Chip::HARDWARE {
            for route in Route::ALL {
                let config = RunConfig {
                    model: entry.name.to_owned(),
                    batch: 64,
                    plan,
                    target: Target::new(chip, route),
                    loss: match ModelSpec::Named(entry).task(&DIGITS) {
                        Task::Classification => Loss::CrossEntropy {
                            label_smoothing: 0.0,
                        },
                        Task::Regression | Task::Reconstruction => Loss::Mse,
                        Task::Language => unreachable!("language models are left out"),
                    },
                    ..RunConfig::default()
                };
                let device = open("null", &config.settings(&pool, Isa::detect())).unwrap();
                let name = format!("{} {} on {}", entry.name, plan.name(), config.target);
                let trainer = config.trainer(&DIGITS, 1).unwrap();
                let compiled =
                    Trainer::new(trainer, device, pool.clone(), Isa::detect()).and_then(|mut t| {
                        // Nothing may slip to the host, in training or in inference.
                        assert_eq!(t.stages().stages, [Stage::Engine(0)], "{name}");
                        t.require_ane()?;
                        let b = batch(64);
                        t.evaluate(&b)?;
                        t.predict(&b)?;
                        Ok(t.device().counts().compiles)
                    });
                assert_eq!(compiled.unwrap_or_else(|e| panic!("{name}: {e}")), 3);
            }
        }
    }
}

#[test]
fn every_split_model_is_legal_on_every_chip_by_every_route() {
    every_model_is_legal(PlanKind::Split);
}

#[test]
fn every_fused_model_is_legal_on_every_chip_by_every_route() {
    every_model_is_legal(PlanKind::Fused);
}

/// Compiles training and evaluation of a language model for every chip and route: what is looked up is on the host, and nothing
/// else.
fn a_language_model_is_legal(name: &str, vocabulary: usize) {
    let pool = Arc::new(Pool::new(1).unwrap());
    let examples = Examples {
        shape: [32].into(),
        outputs: Outputs::Tokens(vocabulary),
    };
    for chip in Chip::HARDWARE {
        for route in Route::ALL {
            let config = RunConfig {
                model: name.to_owned(),
                batch: 2,
                target: Target::new(chip, route),
                ..RunConfig::default()
            };
            let device = open("null", &config.settings(&pool, Isa::detect())).unwrap();
            let name = format!("{name} on {}", config.target);
            let trainer = config.trainer(&examples, 1).unwrap();
            let trained = Trainer::new(trainer, device, pool.clone(), Isa::detect());
            let mut t = trained.unwrap_or_else(|e| panic!("{name}: {e}"));
            t.require_ane().unwrap_or_else(|e| panic!("{name}: {e}"));
            let mut batch = Batch::new(2, 2);
            for tokens in [TOKENS, LABEL] {
                batch.set(tokens, Values::Int32(vec![0; 64]));
            }
            t.evaluate(&batch).unwrap_or_else(|e| panic!("{name}: {e}"));
        }
    }
}

#[test]
fn a_gpt_is_legal_on_every_chip() {
    a_language_model_is_legal("char-gpt", 81);
}

#[test]
fn a_llama_with_a_large_vocabulary_is_legal_on_every_chip() {
    a_language_model_is_legal("llama-15m", 32_000);
}
