//! Models of Keras's against Keras, computed in f64 by `keras/make_fixtures.py`: outputs, gradients of all trained
//! weights, moving statistics; and what is said of configurations that are none.

#![allow(clippy::unwrap_used)]

#[path = "keras/bad_input.rs"]
mod bad_input;
#[path = "keras/classifier.rs"]
mod classifier;
#[path = "keras/compiled.rs"]
mod compiled;
#[path = "keras/drawn.rs"]
mod drawn;
#[path = "keras/targets.rs"]
mod targets;
#[path = "keras/training.rs"]
mod training;

use ane_import::keras::{Head, Imported, Options, Role, import};
use ane_ir::{DType, Graph, Numerics, Tensor, Value, autodiff::vjp, eval};
use ane_train::model::ModelGraph;
use drawn::{drawn, stored, weight};
use safetensors::SafeTensors;
use serde_json::Value as Json;
use std::collections::HashMap;

const CASES: &str = include_str!("keras/fixtures.json");
const TENSORS: &[u8] = include_bytes!("keras/fixtures.safetensors");
const BATCH: usize = 3;
/// Largest difference to Keras, relative to the size of the tensor.
const TOLERANCE: f64 = 1e-5;
fn options() -> Options {
    Options {
        dtype: DType::Fp32,
        ..Options::new(BATCH)
    }
}

fn cases() -> serde_json::Map<String, Json> {
    let Json::Object(cases) = serde_json::from_str(CASES).unwrap() else {
        panic!("the fixture is no object");
    };
    cases
}

fn imported(case: &Json, options: &Options) -> Imported {
    import(case["config"].to_string().as_bytes(), options).unwrap()
}

/// A case that is being compared.
struct Comparison<'a> {
    name: &'a str,
    case: &'a Json,
    imported: Imported,
    all: &'a SafeTensors<'a>,
}

impl Comparison<'_> {
    fn check(&self, key: &str, found: &[f64]) {
        let name = format!("{}/{key}", self.name);
        let t = self
            .all
            .tensor(&name)
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        let (elements, _) = t.data().as_chunks::<4>();
        let wanted: Vec<f64> = elements
            .iter()
            .map(|c| f64::from(f32::from_le_bytes(*c)))
            .collect();
        let found = stored(&name, found);
        assert_eq!(wanted.len(), found.len(), "{name}");
        let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
        let size = norm(&mut wanted.iter().copied());
        let difference = norm(&mut wanted.iter().zip(&found).map(|(a, b)| a - b));
        assert!(
            difference <= TOLERANCE * (size + 1e-3),
            "{name}: {difference:.2e} of {size:.2e}"
        );
    }

    /// The value of `model.weights[i]`.
    fn weight(&self, i: usize) -> Vec<f64> {
        weight(
            &format!("{}/weight.{i}", self.name),
            &self.imported.weights[i].shape,
        )
    }

    /// Position in `model.weights` of a path of ours.
    fn index(&self, path: &str) -> usize {
        let mut all = self.imported.weights.iter();
        all.position(|w| w.path == path).unwrap()
    }

    fn run(
        &self,
        g: &ModelGraph,
        graph: &Graph,
        more: &HashMap<Value, Vec<f64>>,
    ) -> Vec<Tensor<f64>> {
        let model = &self.imported.model;
        let inputs: Vec<Tensor<f64>> = graph
            .inputs()
            .iter()
            .map(|&v| {
                let ty = graph.ty(v).clone();
                let n = ty.shape.numel();
                let data = if let Some(i) = g.inputs.iter().position(|&x| x == v) {
                    let input = &self.case["inputs"][i];
                    let x = drawn(
                        &format!("{}/x.{}", self.name, input[0].as_str().unwrap()),
                        n,
                    );
                    match input[2].as_bool().unwrap() {
                        true => x.iter().map(|x| ((x + 1.0) * 3.5).floor()).collect(),
                        false => x,
                    }
                } else if g.present == Some(v) {
                    vec![1.0; n]
                } else if let Some(i) = g.parameters.iter().position(|&p| p == v) {
                    self.weight(self.index(&model.parameters[i].path))
                } else if let Some(port) = g.buffers.iter().find(|port| port.value == v) {
                    let values = self.weight(self.index(&model.buffers[port.buffer].path));
                    let of = |&x: &f64| f64::from(port.form.of(x as f32));
                    values.iter().map(of).collect()
                } else if g.randoms.iter().any(|r| r.value == v) {
                    // The cases that draw were computed without drawing.
                    vec![1.0; n]
                } else {
                    more[&v].clone()
                };
                Tensor::new(ty, data)
            })
            .collect();
        eval(graph, &inputs, &Numerics::exact()).unwrap()
    }

    fn outputs(&self) {
        let g = &self.imported.model.infer;
        let mut graph = g.graph.clone();
        for (i, (_, v)) in g.outputs.iter().enumerate() {
            let own = graph.identity(*v).unwrap();
            graph.output(&format!("out{i}"), own).unwrap();
        }
        let out = self.run(g, &graph, &HashMap::new());
        for ((name, _), y) in g.outputs.iter().zip(out) {
            self.check(&format!("y.{name}"), &y.data);
        }
    }

    fn gradients(&self) {
        let model = &self.imported.model;
        let g = &model.train;
        let mut graph = g.graph.clone();
        let (mut ys, mut cotangents, mut more) = (Vec::new(), Vec::new(), HashMap::new());
        for (name, y) in &g.outputs {
            let ty = graph.ty(*y).clone();
            let n = ty.shape.numel();
            let cotangent = graph.input(&format!("cotangent_{name}"), ty).unwrap();
            more.insert(
                cotangent,
                drawn(&format!("{}/cotangent.{name}", self.name), n),
            );
            ys.push(*y);
            cotangents.push(cotangent);
        }
        let trained: Vec<usize> = (0..model.parameters.len())
            .filter(|&i| model.parameters[i].trainable)
            .collect();
        let wrt: Vec<Value> = trained.iter().map(|&i| g.parameters[i]).collect();
        let gradients = vjp(&mut graph, &ys, &cotangents, &wrt).unwrap();
        let values = gradients.into_iter().map(Option::unwrap);
        let values = values.chain(g.statistics.iter().map(|s| s.value));
        for (i, v) in values.collect::<Vec<_>>().into_iter().enumerate() {
            let own = graph.identity(v).unwrap();
            graph.output(&format!("out{i}"), own).unwrap();
        }
        if graph.outputs().is_empty() {
            return;
        }
        let out = self.run(g, &graph, &more);
        for (&i, t) in trained.iter().zip(&out) {
            let index = self.index(&model.parameters[i].path);
            self.check(&format!("grad.{index}"), &t.data);
        }
        for (s, t) in g.statistics.iter().zip(&out[trained.len()..]) {
            let index = self.index(&model.buffers[s.buffer].path);
            let running = self.weight(index).into_iter().zip(&t.data);
            let moved: Vec<f64> = running
                .map(|(r, &batch)| f64::from(s.update(r as f32, batch as f32, BATCH)))
                .collect();
            self.check(&format!("moved.{index}"), &moved);
        }
    }

    /// Statistics that are parameters stay what they are in training; gives how many there are.
    fn kept(&self) -> usize {
        let parameters = self.imported.model.parameters.iter();
        let statistics = parameters.filter(|p| p.path.contains("moving_"));
        statistics
            .map(|p| {
                assert!(!p.trainable, "{}", p.path);
                let index = self.index(&p.path);
                self.check(&format!("moved.{index}"), &self.weight(index));
            })
            .count()
    }

    /// Indices, paths and shapes of `model.weights`.
    fn weights(&self) {
        let wanted = self.case["weights"].as_array().unwrap();
        assert_eq!(wanted.len(), self.imported.weights.len(), "{}", self.name);
        for (i, (wanted, found)) in wanted.iter().zip(&self.imported.weights).enumerate() {
            let path = wanted[0].as_str().unwrap().replace('/', ".");
            // Keras may put the name of the outermost model before a path.
            let (index, own) = found.path.split_once('.').unwrap();
            assert_eq!(index, i.to_string(), "{}", self.name);
            assert!(path.ends_with(own), "{}: {path} and {own}", self.name);
            let shape: Vec<usize> = serde_json::from_value(wanted[1].clone()).unwrap();
            if found.role != Role::Unused {
                assert_eq!(found.shape, shape, "{}: {path}", self.name);
            }
        }
    }
}

#[test]
fn models_are_those_of_keras() {
    let all = SafeTensors::deserialize(TENSORS).unwrap();
    let cases = cases();
    let mut compared = 0;
    for (name, case) in &cases {
        let comparison = Comparison {
            name,
            case,
            imported: import(case["config"].to_string().as_bytes(), &options())
                .unwrap_or_else(|e| panic!("{name}: {e}")),
            all: &all,
        };
        comparison.weights();
        comparison.outputs();
        comparison.gradients();
        compared += comparison.kept();
        let model = &comparison.imported.model;
        compared += model.infer.outputs.len() + model.train.statistics.len();
        compared += model.parameters.iter().filter(|p| p.trainable).count();
    }
    assert_eq!(
        compared,
        all.len(),
        "all tensors of the fixture are compared"
    );
}

#[test]
fn every_layer_of_the_list_has_a_case() {
    let cases = cases();
    let text = cases.values().map(|c| c["config"].to_string());
    let text = text.collect::<String>();
    for class in ane_import::keras::classes() {
        if matches!(class, "Activation" | "Identity") {
            continue;
        }
        assert!(
            text.contains(&format!("\"class_name\":\"{class}\"")),
            "{class}"
        );
    }
}

#[test]
fn a_last_softmax_is_taken_off_and_told() {
    let logits = Options {
        logits: true,
        ..options()
    };
    let cases = cases();
    let heads = |name: &str| -> Vec<Option<Head>> {
        let outputs = imported(&cases[name], &logits).outputs;
        outputs.into_iter().map(|o| o.head).collect()
    };
    assert_eq!(heads("lenet"), [Some(Head::Softmax)]);
    assert_eq!(heads("u_net"), [Some(Head::Sigmoid)]);
    // In the order of their names, `class` and `sum`.
    assert_eq!(heads("branches"), [Some(Head::Softmax), None]);
    assert_eq!(heads("mlp"), [None]);
    // A softmax over another axis than the last is no distribution of classes.
    assert_eq!(heads("softmax_layer"), [None]);

    let with = imported(&cases["lenet"], &options());
    assert_eq!(with.outputs[0].head, None);
    let without = imported(&cases["lenet"], &logits);
    let ops = |i: &Imported| i.model.infer.graph.nodes().len();
    assert_eq!(ops(&with), ops(&without) + 1);
}

#[test]
fn parameters_of_frozen_layers_are_not_trained() {
    let imported = imported(&cases()["frozen"], &options());
    let parameters = imported.model.parameters.iter();
    let trained: Vec<&str> = parameters
        .filter(|p| p.trainable)
        .map(|p| p.path.as_str())
        .collect();
    assert_eq!(trained, ["6.last.kernel", "7.last.bias"]);
    assert!(imported.model.buffers.is_empty());
}

#[test]
fn models_are_built_in_fp16_too() {
    for (name, case) in &cases() {
        let options = Options::new(BATCH);
        import(case["config"].to_string().as_bytes(), &options)
            .unwrap_or_else(|e| panic!("{name}: {e}"));
    }
}
