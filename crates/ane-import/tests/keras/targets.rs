//! The training steps of imported layers are legal on every chip, each as one stage on the engine.

use super::{BATCH, cases};
use ane_import::keras::{Options, import};
use ane_ir::{Chip, Route, Target};
use ane_train::{
    loss::Loss,
    objective::Objective,
    optim::{Adam, OptimizerConfig},
    stage::{Stage, Staged},
    step::{PlanKind, Step, StepConfig},
};
use serde_json::{Value as Json, json};

/// The configuration with a dense layer at its end, so that something is trained and outputs are rows.
fn ending_dense(config: &Json) -> Option<Json> {
    let mut config = config.clone();
    let layers = config.pointer_mut("/config/layers")?.as_array_mut()?;
    layers.push(
        json!({"module": "keras.layers", "class_name": "Flatten", "config": {"name": "flat_end"}}),
    );
    layers.push(json!({"module": "keras.layers", "class_name": "Dense", "config": {"name": "end", "units": 2}}));
    (config["class_name"] == "Sequential").then_some(config)
}

#[test]
fn layers_are_legal_on_every_chip() {
    let mut tried = 0;
    for (name, case) in &cases() {
        let config = ending_dense(&case["config"]).unwrap_or_else(|| case["config"].clone());
        let imported = import(config.to_string().as_bytes(), &Options::new(BATCH)).unwrap();
        let g = &imported.model.infer;
        let rows = g.graph.ty(g.outputs[0].1).shape.rank() == 2;
        if g.outputs.len() > 1 || !rows || imported.model.parameters.is_empty() {
            continue;
        }
        tried += 1;
        let objective = Objective::of(Loss::Mse, "output", "target");
        for chip in Chip::HARDWARE {
            let target = Target::new(chip, Route::ALL[0]);
            let optimizer = OptimizerConfig::Adam(Adam::default());
            let step = Step::train(&StepConfig {
                model: &imported.model,
                objective: &objective,
                plan: PlanKind::Split,
                optimizer: optimizer.as_dyn(),
                max_norm: None,
                target,
            })
            .unwrap_or_else(|e| panic!("{name}: {e}"));
            let staged = Staged::of(&step.graph, &target);
            let staged = staged.unwrap_or_else(|e| panic!("{name} on {target}: {e}"));
            // Rows of a table are looked up on the host, where an engine has no integers; nothing else is.
            if name == "embedding" {
                assert!(staged.host_nodes.iter().all(|n| n.is_known), "{name}");
            } else {
                assert_eq!(staged.stages, [Stage::Engine(0)], "{name} on {target}");
            }
        }
    }
    assert!(tried > 90, "{tried}");
}
