//! Which models there are, and for what.

use super::*;
use std::sync::LazyLock;

static DIGITS: LazyLock<Examples> = LazyLock::new(|| Examples::images([1, 28, 28], 10));

fn build(spec: &str, examples: &Examples) -> Result<Model, ModelError> {
    spec.parse::<ModelSpec>().unwrap().build(2, examples)
}

fn model_task(spec: &str, examples: &Examples) -> Task {
    spec.parse::<ModelSpec>().unwrap().task(examples)
}

fn paths(model: &Model) -> Vec<&str> {
    model.parameters.iter().map(|p| p.path.as_str()).collect()
}

fn numel(model: &Model) -> usize {
    model.parameters.iter().map(|p| p.shape.numel()).sum()
}

#[test]
fn every_name_is_a_model_for_gray_and_for_coloured_images() {
    let coloured = Examples::images([3, 32, 32], 10);
    for entry in ALL {
        let spec = ModelSpec::Named(entry);
        if spec.recipe().is_some() {
            let refused = build(entry.name, &coloured).unwrap_err().to_string();
            assert!(
                refused.contains("learns the next token of a text"),
                "{refused}"
            );
            continue;
        }
        for examples in [&*DIGITS, &coloured] {
            let model = build(entry.name, examples).unwrap();
            assert_eq!(model.name, entry.name);
            let (name, y) = &model.infer.outputs[0];
            let shape = &model.infer.graph.ty(*y).shape;
            match model_task(entry.name, examples) {
                Task::Classification => {
                    assert_eq!((name.as_str(), shape), ("logits", &Shape::new(&[2, 10])));
                }
                Task::Reconstruction => {
                    let axes = examples.shape.dims().iter().copied();
                    let image: Shape = [2].into_iter().chain(axes).collect();
                    assert_eq!((name.as_str(), shape), ("reconstruction", &image));
                }
                Task::Regression | Task::Language => panic!("images have classes"),
            }
        }
    }
}

#[test]
fn the_models_have_the_parameters_of_their_papers() {
    // LeCun 1998 counts 61,706 for 10 classes; He 2015 says 0.27 million for 20 layers.
    assert_eq!(numel(&build("lenet", &DIGITS).unwrap()), 61_706);
    let coloured = Examples::images([3, 32, 32], 10);
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
        build("784-10", &Examples::images([1, 28, 28], 9))
            .unwrap_err()
            .to_string(),
        "model `784-10` is made for 10 classes, the data set has 9; write that width, or take `mlp`"
    );
    let small = Examples::images([1, 7, 7], 10);
    assert_eq!(
        build("lenet", &small).unwrap_err().to_string(),
        "conv2: Conv2d: the kernel covers 5 elements, but an axis of x [2, 6, 3, 3] has 3 and 0 of padding at each end; take a smaller kernel or more padding"
    );
    assert!(matches!(
        build("mlp", &Examples::images([1, 0, 28], 10)).unwrap_err(),
        ModelError::Empty { .. }
    ));
}

#[test]
fn rows_of_numbers_are_for_an_mlp_which_says_numbers_where_there_are_no_classes() {
    let table = Examples {
        shape: [26].into(),
        outputs: Outputs::Values(2),
    };
    let mlp = build("mlp", &table).unwrap();
    let (name, y) = &mlp.infer.outputs[0];
    let shape = &mlp.infer.graph.ty(*y).shape;
    assert_eq!((name.as_str(), shape), ("values", &Shape::new(&[2, 2])));
    assert_eq!(
        build("lenet", &table).unwrap_err().to_string(),
        "model `lenet` takes images [channels, rows, columns], an example of the data set is [26]; take `mlp`"
    );
    assert_eq!(
        build("26-8-3", &table).unwrap_err().to_string(),
        "model `26-8-3` is made for 3 values to be said, the data set has 2; write that width, or take `mlp`"
    );
}
