//! Which models there are, and for what.

use super::*;

const DIGITS: Examples = Examples {
    shape: [1, 28, 28],
    classes: 10,
};

fn build(spec: &str, examples: &Examples) -> Result<Model, ModelError> {
    spec.parse::<ModelSpec>().unwrap().build(2, examples)
}

fn paths(model: &Model) -> Vec<&str> {
    model.parameters.iter().map(|p| p.path.as_str()).collect()
}

fn numel(model: &Model) -> usize {
    model.parameters.iter().map(|p| p.shape.numel()).sum()
}

#[test]
fn every_name_is_a_model_for_gray_and_for_coloured_images() {
    let coloured = Examples {
        shape: [3, 32, 32],
        classes: 10,
    };
    for entry in ALL {
        for examples in [&DIGITS, &coloured] {
            let model = build(entry.name, examples).unwrap();
            assert_eq!(model.name, entry.name);
            let (name, y) = &model.infer.outputs[0];
            let shape = &model.infer.graph.ty(*y).shape;
            match entry.task {
                Task::Classification => {
                    assert_eq!((name.as_str(), shape), ("logits", &Shape::new(&[2, 10])));
                }
                Task::Reconstruction => {
                    let image: Shape = [2].into_iter().chain(examples.shape).collect();
                    assert_eq!((name.as_str(), shape), ("reconstruction", &image));
                }
            }
        }
    }
}

#[test]
fn the_models_have_the_parameters_of_their_papers() {
    // LeCun 1998 counts 61,706 for 10 classes; He 2015 says 0.27 million for 20 layers.
    assert_eq!(numel(&build("lenet", &DIGITS).unwrap()), 61_706);
    let coloured = Examples {
        shape: [3, 32, 32],
        classes: 10,
    };
    assert_eq!(numel(&build("resnet20", &coloured).unwrap()), 272_474);
    let resnet8 = build("resnet8", &DIGITS).unwrap();
    assert_eq!(
        paths(&resnet8)[..3],
        ["conv1.weight", "bn1.weight", "bn1.bias"]
    );
    assert!(paths(&resnet8).contains(&"layer2.0.downsample.1.bias"));
    assert_eq!(resnet8.buffers[0].path, "bn1.running_mean");
    let tags = |path: &str| {
        let p = resnet8.parameters.iter().find(|p| p.path == path).unwrap();
        (p.tags.bias, p.tags.norm)
    };
    assert_eq!(tags("conv1.weight"), (false, false));
    assert_eq!(tags("bn1.bias"), (true, true));
    assert_eq!(tags("fc.bias"), (true, false));
}

#[test]
fn a_name_or_widths_say_which_model() {
    let mlp = build("mlp", &DIGITS).unwrap();
    let widths = build("784-512-512-10", &DIGITS).unwrap();
    assert_eq!(mlp.parameters, widths.parameters);
    assert!(mlp.train.graph.same_as(&widths.train.graph));
    let settled = "mlp".parse::<ModelSpec>().unwrap().of(&DIGITS);
    assert_eq!(settled.to_string(), "784-512-512-10");
    assert_eq!(
        "resnet8".parse::<ModelSpec>().unwrap().to_string(),
        "resnet8"
    );
    assert_eq!(
        "8-4:gelu".parse::<ModelSpec>().unwrap().to_string(),
        "8-4:gelu"
    );
    let error = "resnet9".parse::<ModelSpec>().unwrap_err().to_string();
    for entry in ALL {
        assert!(error.contains(entry.name), "{error}");
    }
}

#[test]
fn what_a_model_cannot_take_is_named() {
    assert_eq!(
        build("100-10", &DIGITS).unwrap_err().to_string(),
        "model `100-10` is made for 100 values per example, the data set has 784; write that width, or take `mlp`"
    );
    assert_eq!(
        build(
            "784-10",
            &Examples {
                classes: 9,
                ..DIGITS
            }
        )
        .unwrap_err()
        .to_string(),
        "model `784-10` is made for 10 classes, the data set has 9; write that width, or take `mlp`"
    );
    let small = Examples {
        shape: [1, 7, 7],
        classes: 10,
    };
    assert_eq!(
        build("lenet", &small).unwrap_err().to_string(),
        "conv2: Conv2d: the kernel covers 5 elements, but an axis of x [2, 6, 3, 3] has 3 and 0 of padding at each end; take a smaller kernel or more padding"
    );
    assert!(matches!(
        build(
            "mlp",
            &Examples {
                shape: [1, 0, 28],
                ..DIGITS
            }
        )
        .unwrap_err(),
        ModelError::Empty { .. }
    ));
}
