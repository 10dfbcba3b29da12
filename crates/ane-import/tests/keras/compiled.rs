//! What `model.compile` was given is read, and what is not implemented is refused.

use super::{cases, options};
use ane_import::keras::{
    Head, Options,
    compile::{LearningRate, compiled},
    import,
};
use ane_train::{loss::Loss, optim::OptimizerConfig, schedule::Schedule};
use serde_json::{Value as Json, json};

const CASES: &str = include_str!("compiled.json");

fn case(name: &str) -> Json {
    let all: Json = serde_json::from_str(CASES).unwrap();
    all[name].clone()
}

#[test]
fn learning_rates_are_those_of_keras() {
    for name in [
        "names",
        "cosine",
        "cosine_alone",
        "piecewise",
        "exponential",
        "staircase",
        "polynomial",
    ] {
        let case = case(name);
        let rate = compiled(&case["config"]).unwrap().learning_rate;
        for pair in case["rates"].as_array().unwrap() {
            let (step, wanted) = (pair[0].as_u64().unwrap(), pair[1].as_f64().unwrap());
            let found = rate.at(step);
            // Keras computes them in fp32.
            assert!(
                (found - wanted).abs() < 1e-6,
                "{name} at {step}: {found}, {wanted}"
            );
            if let Some((peak, schedule)) = rate.schedule(100) {
                let found = schedule.at(step, 100, peak);
                assert!(
                    (found - wanted).abs() < 1e-6,
                    "{name} at {step}: {found}, {wanted}"
                );
            }
        }
    }
    let of = |name: &str| compiled(&case(name)["config"]).unwrap().learning_rate;
    assert_eq!(of("cosine").schedule(100), None);
    assert_eq!(of("cosine_alone").schedule(90), None);
    let step = Schedule::Step {
        every: 0.5,
        gamma: 0.5,
    };
    assert_eq!(of("staircase").schedule(100), Some((0.1, step)));
    assert!(matches!(of("names"), LearningRate::Constant(_)));
}

#[test]
fn optimizers_losses_and_metrics_are_read() {
    let of = |name: &str| compiled(&case(name)["config"]).unwrap();
    let metrics = |name: &str| -> Vec<&str> {
        let metrics = of(name).metrics;
        metrics.iter().map(|m| m.metric.name()).collect()
    };
    let names = of("names");
    let OptimizerConfig::Adam(adam) = &names.optimizer else {
        panic!("{:?}", names.optimizer)
    };
    assert_eq!((adam.betas, adam.eps), ((0.9, 0.999), 1e-7));
    assert_eq!(names.losses[0].head, Some(Head::Softmax));
    assert!(names.losses[0].sparse);
    assert_eq!(metrics("names"), ["accuracy"]);

    let cosine = of("cosine");
    let OptimizerConfig::Sgd(sgd) = &cosine.optimizer else {
        panic!("{:?}", cosine.optimizer)
    };
    assert_eq!((sgd.momentum, sgd.nesterov), (0.9, true));
    assert_eq!(cosine.max_norm, Some(1.0));
    let smoothed = Loss::CrossEntropy {
        label_smoothing: 0.1,
    };
    assert_eq!(
        (cosine.losses[0].loss, cosine.losses[0].head),
        (smoothed, None)
    );
    assert_eq!(metrics("cosine"), ["top5"]);
    assert_eq!(cosine.other_metrics, ["AUC"]);

    let OptimizerConfig::AdamW(adamw) = of("piecewise").optimizer else {
        panic!()
    };
    assert_eq!(adamw.weight_decay, 0.004);
    assert_eq!(metrics("piecewise"), ["mse", "mae"]);

    // A decay of Adam's is decoupled, too.
    let exponential = of("exponential");
    let OptimizerConfig::AdamW(adamw) = exponential.optimizer else {
        panic!()
    };
    assert_eq!(adamw.weight_decay, 0.01);
    assert_eq!(exponential.accumulate, 2);
    assert_eq!(exponential.losses[0].loss, Loss::BceWithLogits);
    assert_eq!(exponential.losses[0].head, Some(Head::Sigmoid));
    assert_eq!(metrics("exponential"), ["binary_accuracy"]);

    let polynomial = of("polynomial");
    assert_eq!(polynomial.losses[0].output.as_deref(), Some("output"));
    assert_eq!(polynomial.losses[0].weight, 2.0);
    assert_eq!(of("staircase").losses[0].loss, Loss::Huber { delta: 1.0 });
}

#[test]
fn what_is_not_implemented_is_said() {
    for (name, says) in [
        (
            "rmsprop",
            "`RMSprop` is not implemented; use SGD, Adam or AdamW",
        ),
        ("clipvalue", "global_clipnorm"),
        ("amsgrad", "`amsgrad`"),
        ("restarts", "`CosineDecayRestarts`"),
        ("kl", "`KLDivergence`"),
        ("summed", "`reduction` sum"),
        ("ignored", "`ignore_class`"),
    ] {
        let error = compiled(&case(name)["config"]).unwrap_err().to_string();
        assert!(error.contains(says), "{name}: {error}");
    }
    for config in [
        json!(null),
        json!({}),
        json!({"optimizer": 3}),
        json!({"optimizer": "adam", "loss": 3}),
        json!({"optimizer": "adam", "loss": {"class_name": "function", "module": "builtins", "config": "mine"}}),
        json!({"optimizer": "adam", "loss": "mse", "loss_weights": {"nobody": 1}}),
        json!({"optimizer": {"class_name": "Adam", "module": "keras.optimizers", "config": {"learning_rate": "x"}}}),
    ] {
        compiled(&config).unwrap_err();
    }
}

#[test]
fn a_loss_on_probabilities_wants_the_activation_that_makes_them() {
    let loss = |loss: &str| compiled(&json!({"optimizer": "adam", "loss": loss})).unwrap();
    let outputs = |name: &str| {
        let options = Options {
            logits: true,
            ..options()
        };
        let config = cases()[name]["config"].to_string();
        import(config.as_bytes(), &options).unwrap().outputs
    };
    let softmax = loss("sparse_categorical_crossentropy");
    assert!(softmax.takes_probabilities());
    softmax.check(&outputs("lenet")).unwrap();
    let error = softmax.check(&outputs("mlp")).unwrap_err().to_string();
    assert!(error.contains("from_logits"), "{error}");
    loss("mse").check(&outputs("mlp")).unwrap();
    loss("binary_crossentropy")
        .check(&outputs("u_net"))
        .unwrap();
    loss("binary_crossentropy")
        .check(&outputs("lenet"))
        .unwrap_err();
}
