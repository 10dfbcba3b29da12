//! What layers refuse, by name and place, and what they do without parameters.

use super::*;
use crate::model::{Input, Model};
use ane_ir::{Numerics, Tensor, TensorType, eval};

fn build(shape: &[usize], layer: impl Layer) -> Result<Model, ModelError> {
    let inputs = [Input::fp16("x", &shape[1..])];
    Model::build("m", shape[0], &inputs, |cx, x| {
        cx.scope("block.layer", |cx| layer.forward(cx, x[0]))
    })
}

fn refusal(shape: &[usize], layer: impl Layer) -> String {
    build(shape, layer).unwrap_err().to_string()
}

#[test]
fn shapes_that_do_not_fit_are_named_by_the_layers_path() {
    for (message, expected) in [
        (
            refusal(&[2, 5], Linear::new(4, 3)),
            "block.layer: Linear takes 4 features, x is [2, 5]",
        ),
        (
            refusal(&[2, 3, 8, 8], Conv2d::new(1, 4, 3)),
            "block.layer: Conv2d takes 1 channels, x is [2, 3, 8, 8]",
        ),
        (
            refusal(&[2, 3, 8], Conv2d::new(3, 4, 3)),
            "block.layer: Conv2d takes x as [B, C, H, W], found [2, 3, 8]",
        ),
        (
            refusal(&[2, 3, 8, 8], Conv1d::new(3, 4, 3)),
            "block.layer: Conv1d takes x as [B, C, L], found [2, 3, 8, 8]",
        ),
        (
            refusal(&[2, 3], MaxPool2d::new(2)),
            "block.layer: MaxPool2d takes x as [B, C, H, W], found [2, 3]",
        ),
        (
            refusal(&[2, 3, 4, 4], BatchNorm2d::new(4)),
            "block.layer: BatchNorm2d takes 4 channels, x is [2, 3, 4, 4]",
        ),
        (
            refusal(&[2, 3, 4, 4], BatchNorm1d::new(3)),
            "block.layer: BatchNorm1d takes x as [B, C] or [B, C, L], found [2, 3, 4, 4]",
        ),
        (
            refusal(&[2, 3, 4], LayerNorm::new([3])),
            "block.layer: LayerNorm normalises the last axes [3] after a batch, x is [2, 3, 4]",
        ),
        (
            refusal(&[2, 4], LayerNorm::new([2, 4])),
            "block.layer: LayerNorm normalises the last axes [2, 4] after a batch, x is [2, 4]",
        ),
        (
            refusal(&[2, 4, 3], GroupNorm::new(2, 6)),
            "block.layer: GroupNorm takes 6 channels, x is [2, 4, 3]",
        ),
        (
            refusal(&[2, 3, 4, 4], Residual::new(Conv2d::new(3, 4, 1))),
            "block.layer: the path of a residual block gives [2, 4, 4, 4], its shortcut [2, 3, 4, 4]; put a projection on the shortcut",
        ),
        (
            refusal(
                &[2, 3, 4, 4],
                Concat::new()
                    .path("a", Conv2d::new(3, 2, 1))
                    .path("b", Conv2d::new(3, 2, 3)),
            ),
            "block.layer: the first path gives [2, 2, 4, 4], `b` gives [2, 2, 2, 2]: only the channels may differ",
        ),
        (
            refusal(&[2, 3], Concat::new()),
            "block.layer: Concat has no paths",
        ),
        (
            refusal(
                &[2, 3],
                Sequential::new().then(Flatten).then(Linear::new(4, 1)),
            ),
            "block.layer.1: Linear takes 4 features, x is [2, 3]",
        ),
    ] {
        assert_eq!(message, expected);
    }
}

#[test]
fn kernels_larger_than_the_padded_input_are_refused() {
    for (message, expected) in [
        (
            refusal(&[2, 3, 4, 8], Conv2d::new(3, 1, [7, 3]).padding([1, 0])),
            "block.layer: Conv2d: the kernel covers 7 elements, but an axis of x [2, 3, 4, 8] has 4 and 1 of padding at each end; take a smaller kernel or more padding",
        ),
        (
            refusal(&[2, 3, 4, 4], Conv2d::new(3, 1, 3).dilation(2)),
            "block.layer: Conv2d: the kernel covers 5 elements, but an axis of x [2, 3, 4, 4] has 4 and 0 of padding at each end; take a smaller kernel or more padding",
        ),
        (
            refusal(&[2, 3, 1, 1], MaxPool2d::new(2)),
            "block.layer: MaxPool2d: the kernel covers 2 elements, but an axis of x [2, 3, 1, 1] has 1 and 0 of padding at each end; take a smaller kernel or more padding",
        ),
        (
            refusal(&[2, 3, 4, 4], AvgPool2d::new(3).padding(2)),
            "block.layer: AvgPool2d: padding 2 must be at most half of the kernel 3",
        ),
    ] {
        assert_eq!(message, expected);
    }
    assert!(build(&[2, 3, 4, 4], Conv2d::new(3, 1, 6).padding(1)).is_ok());
}

#[test]
fn settings_that_make_no_layer_are_refused() {
    for (message, expected) in [
        (
            refusal(&[2, 4, 5, 5], Conv2d::new(4, 6, 3).groups(3)),
            "block.layer: Conv2d: 3 groups do not divide 4 channels in and 6 out",
        ),
        (
            refusal(&[2, 4, 5, 5], Conv2d::new(4, 6, 3).groups(4)),
            "block.layer: Conv2d: 4 groups do not divide 4 channels in and 6 out",
        ),
        (
            refusal(&[2, 4, 5, 5], Conv2d::new(4, 6, 3).groups(0)),
            "block.layer: Conv2d: groups must be at least 1, found 0",
        ),
        (
            refusal(&[2, 4, 5, 5], GroupNorm::new(3, 4)),
            "block.layer: GroupNorm: 3 groups do not divide 4 channels in and 4 out",
        ),
        (
            refusal(&[2, 4, 5, 5], Conv2d::new(4, 6, 0)),
            "block.layer: Conv2d: kernel must be at least 1, found 0",
        ),
        (
            refusal(&[2, 4, 5, 5], Conv2d::new(4, 6, 3).stride([1, 0])),
            "block.layer: Conv2d: stride must be at least 1, found 0",
        ),
        (
            refusal(&[2, 4, 5, 5], Conv2d::new(4, 0, 3)),
            "`block.layer.weight` is [0, 4, 3, 3]: every axis has at least one element",
        ),
        (
            refusal(
                &[2, 4, 5, 5],
                ConvTranspose2d::new(4, 4, 3).output_padding(1),
            ),
            "block.layer: ConvTranspose2d: output padding 1 must be less than stride 1 or dilation 1",
        ),
        (
            refusal(&[2, 4, 1, 1], ConvTranspose2d::new(4, 4, 2).padding(1)),
            "block.layer: ConvTranspose2d: padding 1 at each end leaves nothing of an axis of 2",
        ),
        (
            refusal(&[2, 4, 5, 5], AdaptiveAvgPool2d::new(0)),
            "block.layer: AdaptiveAvgPool2d: output must be at least 1, found 0",
        ),
        (
            refusal(&[2, 4], Dropout::new(1.0)),
            "block.layer: Dropout: the probability must be at least 0 and less than 1, found 1",
        ),
        (
            refusal(&[2, 4], Dropout::new(f64::NAN)),
            "block.layer: Dropout: the probability must be at least 0 and less than 1, found NaN",
        ),
    ] {
        assert_eq!(message, expected);
    }
}

#[test]
fn a_norm_over_one_value_is_refused() {
    assert_eq!(
        refusal(&[1, 4, 1, 1], BatchNorm2d::new(4)),
        "block.layer: BatchNorm2d normalises over one value per channel or group of x [1, 4, 1, 1], which leaves nothing of it; take a larger batch or image"
    );
    assert!(refusal(&[1, 4], BatchNorm1d::new(4)).contains("over one value"));
    assert!(refusal(&[2, 4], GroupNorm::new(4, 4)).contains("over one value"));
    assert!(build(&[1, 4, 1, 2], BatchNorm2d::new(4)).is_ok());
}

#[test]
fn dropout_multiplies_by_its_mask_in_training_alone() {
    let model = build(&[2, 3], Dropout::new(0.2)).unwrap();
    let random = &model.train.randoms[0];
    assert_eq!((random.path.as_str(), random.ordinal), ("block.layer", 0));
    assert!((random.keep - 0.8).abs() < 1e-12);
    let run = |g: &crate::model::ModelGraph, inputs: &[Vec<f64>]| {
        let mut graph = g.graph.clone();
        let y = graph.identity(g.outputs[0].1).unwrap();
        graph.output("y", y).unwrap();
        let inputs: Vec<Tensor<f64>> = inputs
            .iter()
            .map(|x| Tensor::new(TensorType::fp16([2, 3]), x.clone()))
            .collect();
        eval(&graph, &inputs, &Numerics::exact()).unwrap()[0]
            .data
            .clone()
    };
    let x = vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    let mask = vec![1.25, 0.0, 1.25, 1.25, 1.25, 0.0];
    assert_eq!(
        run(&model.train, &[x.clone(), mask]),
        [1.25, 0.0, 3.75, 5.0, 6.25, 0.0]
    );
    assert_eq!(run(&model.infer, std::slice::from_ref(&x)), x);
    let none = build(&[2, 3], Dropout::new(0.0)).unwrap();
    assert!(none.train.randoms.is_empty());
}

#[test]
fn layers_that_share_a_scope_draw_by_ordinals() {
    let twice = |cx: &mut Builder, x: Value| {
        let x = Dropout::new(0.5).forward(cx, x)?;
        Dropout::new(0.5).forward(cx, x)
    };
    let model = build(&[2, 3], twice).unwrap();
    let drawn: Vec<_> = model
        .train
        .randoms
        .iter()
        .map(|r| (r.path.as_str(), r.ordinal, r.port.as_str()))
        .collect();
    assert_eq!(
        drawn,
        [
            ("block.layer", 0, "random_block_layer_0"),
            ("block.layer", 1, "random_block_layer_1")
        ]
    );
}

#[test]
fn initial_values_are_those_of_pytorchs_layers() {
    let model = build(&[2, 4, 5, 5], Conv2d::new(4, 6, 3).groups(2)).unwrap();
    // 2 channels of 3×3: the fan-in of a group.
    let bound = Init::Uniform(1.0 / 18.0_f64.sqrt());
    assert!(model.parameters.iter().all(|p| p.init == bound));
    let model = build(&[2, 4, 5, 5], ConvTranspose2d::new(4, 6, 3)).unwrap();
    let bound = Init::Uniform(1.0 / 54.0_f64.sqrt());
    assert!(model.parameters.iter().all(|p| p.init == bound));
    let model = build(&[2, 4, 5, 5], BatchNorm2d::new(4)).unwrap();
    let begin: Vec<_> = model.parameters.iter().map(|p| p.initial(0, 0)).collect();
    assert_eq!(begin, [[1.0; 4], [0.0; 4]]);
    let begin: Vec<_> = model.buffers.iter().map(|b| b.initial()[0]).collect();
    assert_eq!(begin, [0.0, 1.0]);
}

#[test]
fn heads_indices_and_halves_that_do_not_fit_are_refused() {
    for (message, expected) in [
        (
            refusal(&[2, 3], Embedding::new(5, 4)),
            "block.layer: Embedding takes indices of int32, found tensor<fp16, [2, 3]>",
        ),
        (
            refusal(&[2, 3, 5], RmsNorm::new(4)),
            "block.layer: RMSNorm takes 4 features, x is [2, 3, 5]",
        ),
        (
            Heads::of("Llama", 130, 4, 4).unwrap_err().to_string(),
            "Llama: 4 heads do not divide a width of 130",
        ),
        (
            Heads::of("Llama", 128, 4, 3).unwrap_err().to_string(),
            "Llama: 3 heads of keys and values do not divide 4 heads of queries",
        ),
        (
            refusal(&[2, 1, 3, 5], |cx: &mut Builder, x| {
                Rope::new(cx, 3, 5, 1e4)?.rotate(cx, x)
            }),
            "block.layer: RoPE: 2 halves do not divide a head of 5 numbers",
        ),
    ] {
        assert_eq!(message, expected);
    }
}
