//! The training step of MNIST is legal on every chip by every route.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

use ane_ir::{Chip, Route, Target};
use ane_train::{
    legalize,
    loss::Loss,
    models::Mlp,
    objective::Objective,
    optim::OptimizerConfig,
    step::{PlanKind, Step, StepConfig},
};

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
                        let legal = legalize(&step.graph, &target);
                        let legal = legal.unwrap_or_else(|e| panic!("{plan:?} {e}"));
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
