//! Exported programs of PyTorch against PyTorch, computed in f64 by `pytorch/make_exported.py`: logits of both modes,
//! gradients, running statistics; and what is said of files that are none.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

#[path = "exported/bad_input.rs"]
mod bad_input;

use ane_import::model::TorchModel;
use ane_ir::{DType, Graph, Numerics, Tensor, Value, autodiff::vjp, eval};
use ane_train::{
    model::{KeptValues, Model, ModelGraph},
    models::Examples,
};
use serde_json::Value as Json;
use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::LazyLock,
};

const BATCH: usize = 3;
/// Largest difference to PyTorch, relative to the size of the tensor.
const TOLERANCE: f64 = 1e-5;
static EXAMPLES: LazyLock<Examples> = LazyLock::new(|| Examples::images([1, 4, 4], 4));

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/pytorch")
        .join(name)
}

fn model_of(name: &str, with_eval: bool) -> Model {
    let eval = file(&format!("{name}.eval.pt2"));
    let train = file(&format!("{name}.train.pt2"));
    let eval = with_eval.then_some(eval.as_path());
    let read = TorchModel::open(name, &train, eval).unwrap();
    read.model(DType::Fp32, BATCH, &EXAMPLES).unwrap()
}

fn said(name: &str) -> Json {
    let text = std::fs::read_to_string(file(&format!("{name}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn numbers(json: &Json) -> Vec<f64> {
    let all = json.as_array().unwrap();
    all.iter().map(|x| x.as_f64().unwrap()).collect()
}

fn check(what: &str, found: &[f64], json: &Json) {
    let wanted = numbers(json);
    assert_eq!(found.len(), wanted.len(), "{what}");
    let size = wanted.iter().fold(1e-3_f64, |a, x| a.max(x.abs()));
    for (i, (f, w)) in found.iter().zip(&wanted).enumerate() {
        let distance = (f - w).abs() / size;
        assert!(distance < TOLERANCE, "{what}[{i}]: {f}, PyTorch has {w}");
    }
}

/// Runs a forward pass with its initial values; masks keep everything.
fn run(
    model: &Model,
    g: &ModelGraph,
    graph: &Graph,
    x: &[f64],
    more: &HashMap<Value, Vec<f64>>,
) -> Vec<Vec<f64>> {
    let wide = |x: Vec<f32>| -> Vec<f64> { x.into_iter().map(f64::from).collect() };
    let inputs: Vec<Tensor<f64>> = graph
        .inputs()
        .iter()
        .map(|&v| {
            let ty = graph.ty(v).clone();
            let ones = vec![1.0; ty.shape.numel()];
            let data = if v == g.inputs[0] {
                x.to_vec()
            } else if g.present == Some(v) {
                ones
            } else if let Some(r) = g.randoms.iter().find(|r| r.value == v) {
                assert!((r.keep - 0.75).abs() < 1e-12);
                ones
            } else if let Some(i) = g.parameters.iter().position(|&p| p == v) {
                wide(model.parameters[i].initial(0, i))
            } else if let Some(port) = g.buffers.iter().find(|b| b.value == v) {
                let buffer = model.buffers[port.buffer].initial();
                wide(buffer.into_iter().map(|x| port.form.of(x)).collect())
            } else {
                more[&v].clone()
            };
            Tensor::new(ty, data)
        })
        .collect();
    let outputs = eval(graph, &inputs, &Numerics::exact()).unwrap();
    outputs.into_iter().map(|t| t.data).collect()
}

fn evaluation(name: &str, with_eval: bool) {
    let model = model_of(name, with_eval);
    let json = said(name);
    let mut graph = model.infer.graph.clone();
    graph.output("y", model.infer.outputs[0].1).unwrap();
    let y = run(
        &model,
        &model.infer,
        &graph,
        &numbers(&json["x"]),
        &HashMap::new(),
    );
    check(&format!("{name}/eval"), &y[0], &json["eval"]);
}

fn training(name: &str) {
    let model = model_of(name, true);
    let json = said(name);
    let g = &model.train;
    let mut graph = g.graph.clone();
    let y = g.outputs[0].1;
    let ty = graph.ty(y).clone();
    let n = ty.shape.numel();
    let cotangent = graph.input("cotangent", ty).unwrap();
    let gradients = vjp(&mut graph, &[y], &[cotangent], &g.parameters).unwrap();
    let mut names = vec![None];
    let mut values = vec![y];
    for (p, gradient) in model.parameters.iter().zip(gradients) {
        let wanted = p.trainable && gradient.is_some();
        let has = json["gradients"].get(&p.path).is_some();
        assert_eq!(wanted, has, "{name}: {} has a gradient", p.path);
        if let Some(gradient) = gradient.filter(|_| wanted) {
            names.push(Some(p.path.clone()));
            values.push(gradient);
        }
    }
    assert_eq!(
        names.len() - 1,
        json["gradients"].as_object().unwrap().len()
    );
    values.extend(g.statistics.iter().map(|s| s.value));
    for (i, &v) in values.iter().enumerate() {
        let own = graph.identity(v).unwrap();
        graph.output(&format!("out{i}"), own).unwrap();
    }
    let seed: Vec<f64> = (0..n)
        .map(|i| 2.0 * i as f64 / (n - 1) as f64 - 1.0)
        .collect();
    let more = HashMap::from([(cotangent, seed)]);
    let out = run(&model, g, &graph, &numbers(&json["x"]), &more);
    check(&format!("{name}/train"), &out[0], &json["train"]);
    for (path, found) in names.iter().zip(&out).skip(1) {
        let path = path.as_ref().unwrap();
        check(
            &format!("{name}/gradient of {path}"),
            found,
            &json["gradients"][path],
        );
    }
    for (s, found) in g.statistics.iter().zip(&out[names.len()..]) {
        let buffer = &model.buffers[s.buffer];
        let next: Vec<f64> = buffer
            .initial()
            .iter()
            .zip(found)
            .map(|(&running, &batch)| f64::from(s.update(running, batch as f32, BATCH)))
            .collect();
        check(
            &format!("{name}/{}", buffer.path),
            &next,
            &json["buffers"][&buffer.path],
        );
    }
    assert_eq!(
        g.statistics.len(),
        json["buffers"].as_object().unwrap().len()
    );
}

#[test]
fn an_mlp_with_frozen_parts_in_place_ops_and_no_grad_is_pytorchs() {
    evaluation("mlp", true);
    training("mlp");
}

#[test]
fn a_cnn_with_batch_norm_and_dropout_is_pytorchs() {
    evaluation("cnn", true);
    training("cnn");
}

#[test]
fn a_transformer_with_a_tied_weight_and_an_open_batch_is_pytorchs() {
    evaluation("transformer", true);
    training("transformer");
}

#[test]
fn the_training_graph_alone_evaluates_too() {
    for name in ["mlp", "cnn", "transformer"] {
        evaluation(name, false);
    }
}

#[test]
fn the_state_dict_is_whole() {
    for name in ["mlp", "cnn", "transformer"] {
        let model = model_of(name, true);
        let json = said(name);
        let parameters = model.parameters.iter().map(|p| p.path.clone());
        let buffers = model.buffers.iter().map(|b| b.path.clone());
        let kept = model.kept.iter().map(|k| k.path.clone());
        let found: BTreeSet<String> = parameters.chain(buffers).chain(kept).collect();
        let keys = json["keys"].as_array().unwrap().iter();
        let wanted: BTreeSet<String> = keys.map(|k| k.as_str().unwrap().to_owned()).collect();
        assert_eq!(found, wanted, "{name}");
    }
    let tied = model_of("transformer", true).kept;
    let same = KeptValues::SameAs("head.weight".to_owned());
    assert_eq!(tied[0].values, same);
    let frozen = model_of("mlp", true).parameters;
    let frozen: Vec<_> = frozen.iter().filter(|p| !p.trainable).collect();
    assert_eq!(frozen[0].path, "first.bias");
}
