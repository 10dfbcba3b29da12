//! What a model promises, and what is no model.

use super::*;
use crate::nn::{Activation, Linear};
use ane_ir::{Numerics, Tensor, eval};

#[test]
fn both_modes_share_parameters_and_buffers() {
    let model = Model::build("m", 4, &[Input::fp16("x", [3])], |cx, x| {
        let y = cx.layer("fc", Linear::new(3, 2), x[0])?;
        cx.scope("norm", |cx| {
            let mean = cx.buffer("running_mean", [2], Init::Constant(0.5))?;
            match cx.mode() {
                Mode::Train => {
                    let shape = Shape::new(&[2]);
                    let batch = cx.graph().reduce_mean(y, &[0], true)?;
                    let batch = cx.graph().reshape(batch, &shape)?;
                    cx.update(mean, batch, StatisticKind::Mean, 0.1, 1);
                    let mask = cx.keep_mask([4, 2], 0.75)?;
                    let present = cx.present()?;
                    let y = cx.graph().mul(y, mask)?;
                    Ok(cx.graph().mul(y, present)?)
                }
                Mode::Infer => {
                    let mean = cx.read(mean, BufferForm::Plain)?;
                    Ok(cx.graph().sub(y, mean)?)
                }
            }
        })
    })
    .unwrap();
    let paths: Vec<&str> = model.parameters.iter().map(|p| p.path.as_str()).collect();
    assert_eq!(paths, ["fc.weight", "fc.bias"]);
    assert_eq!(model.buffers[0].path, "norm.running_mean");
    assert_eq!(model.train.outputs[0].0, "output");
    let ports = |g: &ModelGraph| -> Vec<String> {
        g.graph
            .inputs()
            .iter()
            .map(|&v| g.graph.port(v).to_owned())
            .collect()
    };
    assert_eq!(
        ports(&model.train),
        [
            "x",
            "param_fc_weight",
            "param_fc_bias",
            "random_norm_0",
            "present"
        ]
    );
    assert_eq!(
        ports(&model.infer),
        [
            "x",
            "param_fc_weight",
            "param_fc_bias",
            "buffer_norm_running__mean"
        ]
    );
    assert_eq!(model.train.statistics[0].buffer, 0);
    assert_eq!(model.train.randoms[0].path, "norm");
    assert!(model.train.present.is_some() && model.infer.present.is_none());
    assert!(model.infer.statistics.is_empty() && model.train.buffers.is_empty());
}

#[test]
fn errors_name_the_layer() {
    let inputs = [Input::fp16("x", [3])];
    let error = Model::build("m", 4, &inputs, |cx, x| {
        cx.scope("block", |cx| {
            let y = cx.layer("first", Linear::new(3, 2), x[0])?;
            cx.layer("second", Linear::new(5, 2), y)
        })
    })
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "block.second: Linear takes 5 features, x is [4, 2]"
    );
    let error = Model::build("m", 4, &inputs, |cx, x| {
        let y = cx.layer("fc", Linear::new(3, 2), x[0])?;
        cx.layer("sum", |cx: &mut Builder, y| Ok(cx.graph().add(x[0], y)?), y)
    })
    .unwrap_err();
    let error = error.to_string();
    assert!(error.starts_with("add: "), "{error}");
    assert!(error.ends_with(", at sum"), "{error}");
}

#[test]
fn what_is_no_model_is_refused() {
    let fc = || Linear::new(3, 2);
    let inputs = [Input::fp16("x", [3])];
    let twice = Model::build("m", 4, &inputs, |cx, x| {
        cx.layer("fc", fc(), x[0])?;
        cx.layer("fc", fc(), x[0])
    });
    assert_eq!(
        twice.unwrap_err(),
        ModelError::PathTwice {
            path: "fc.weight".into()
        }
    );
    let modes = Model::build("m", 4, &inputs, |cx, x| match cx.mode() {
        Mode::Train => cx.layer("a", fc(), x[0]),
        Mode::Infer => cx.layer("b", fc(), x[0]),
    });
    assert_eq!(
        modes.unwrap_err(),
        ModelError::ModesDiffer {
            path: "a.weight".into()
        }
    );
    let outputs = Model::build("m", 4, &inputs, |cx, x| {
        let y = cx.layer("fc", fc(), x[0])?;
        Ok([("y", y), ("y", y)])
    });
    assert_eq!(
        outputs.unwrap_err(),
        ModelError::OutputTwice { name: "y".into() }
    );
    let rows = Model::build("m", 4, &inputs, |cx, x| {
        Ok(cx.graph().reduce_sum(x[0], &[0], true)?)
    });
    assert!(matches!(
        rows.unwrap_err(),
        ModelError::OutputShape { batch: 4, .. }
    ));
    for (batch, axis) in [(0, 3), (4, 0)] {
        let empty = Model::build("m", batch, &[Input::fp16("x", [axis])], |_, x| Ok(x[0]));
        assert!(matches!(empty.unwrap_err(), ModelError::Empty { .. }));
    }
    let width = Model::build("m", 4, &inputs, |cx, x| {
        cx.layer("fc", Linear::new(3, 0), x[0])
    });
    assert_eq!(
        width.unwrap_err().to_string(),
        "`fc.weight` is [0, 3]: every axis has at least one element"
    );
}

#[test]
fn running_statistics_are_those_of_pytorch() {
    let statistic = |kind| Statistic {
        buffer: 0,
        value: Graph::new().scalar(DType::Fp16, 0.0).unwrap(),
        momentum: 0.1,
        kind,
        count: 2,
    };
    // torch.nn.BatchNorm1d(1) in training on [[[1, 2]], [[3, 6]]]: mean 3, biased variance 3.5, unbiased 14/3.
    let mean = statistic(StatisticKind::Mean).update(0.0, 3.0, 2);
    let variance = statistic(StatisticKind::Variance).update(1.0, 3.5, 2);
    assert!((mean - 0.3).abs() < 1e-7);
    assert!((variance - (0.9 + 0.1 * 14.0 / 3.0)).abs() < 1e-6);
    let lone = Statistic {
        count: 1,
        ..statistic(StatisticKind::Variance)
    };
    assert_eq!(lone.update(1.5, 0.0, 1), 1.5);
}

#[test]
fn masks_keep_the_expectation() {
    let model = Model::build("m", 2, &[Input::fp16("x", [3])], |cx, x| {
        let mask = cx.keep_mask([2, 3], 0.8)?;
        Ok(cx.graph().mul(x[0], mask)?)
    });
    let random = &model.unwrap().train.randoms[0];
    assert_eq!((random.element(0.79), random.element(0.8)), (1.25, 0.0));
}

#[test]
fn a_type_of_ones_own_carries_through() {
    let inputs = [Input::fp16("x", [2])];
    let model = Model::build_in(DType::Fp32, "m", 1, &inputs, |cx, x| {
        let y = cx.layer("fc", Linear::new(2, 1).bias(false), x[0])?;
        cx.layer("relu", Activation::Relu, y)
    })
    .unwrap();
    let mut g = model.train.graph.clone();
    g.output("y", model.train.outputs[0].1).unwrap();
    let x = Tensor::new(TensorType::fp32([1, 2]), vec![0.1_f32, 0.2]);
    let w = Tensor::new(TensorType::fp32([1, 2]), vec![3.0_f32, 5.0]);
    let y = eval(&g, &[x, w], &Numerics::ieee()).unwrap();
    assert!((y[0].data[0] - 1.3).abs() < 1e-6);
}
