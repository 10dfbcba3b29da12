//! Transformers against Hugging Face's, computed in f64 by `fixtures/make_transformers.py`: losses of tokens, scores, gradients
//! of all parameters; and against themselves, token by token with a cache.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

#[path = "support/drawn.rs"]
mod drawn;

use ane_ir::{DType, Graph, Numerics, Tensor, TensorType, Value, autodiff::vjp, eval};
use ane_train::{
    data::{LABEL, Values},
    decoding_inputs,
    loss::Loss,
    model::{Model, ModelGraph},
    models::{
        Examples, Gpt2, Llama, ModelSpec, Outputs,
        decoder::{Decoder, LOGITS, model_of, port},
    },
    objective::{IGNORED, Objective},
};
use drawn::{drawn, stored};
use half::f16;
use safetensors::SafeTensors;

const FIXTURE: &[u8] = include_bytes!("fixtures/transformers.safetensors");
// As in the script.
const BATCH: usize = 3;
const POSITIONS: usize = 7;
const CONTEXT: usize = 8;
const VOCABULARY: usize = 29;
/// Largest difference, relative to the norm of the tensor: angles of positions are of f32 on both sides, rounded differently.
const TOLERANCE: f64 = 1e-5;

fn examples(positions: usize) -> Examples {
    Examples {
        shape: [positions].into(),
        outputs: Outputs::Tokens(VOCABULARY),
    }
}

fn gpt2() -> Gpt2 {
    Gpt2::of(&examples(CONTEXT), 2, 12, 3)
}

fn llama(tied: bool, key_heads: usize) -> Llama {
    Llama {
        key_heads,
        tied,
        ..Llama::of(&examples(CONTEXT), 2, 16, 4, 20)
    }
}

/// Every model of the fixture, with its label smoothing.
fn all() -> Vec<(&'static str, Box<dyn Decoder>, f64)> {
    vec![
        ("gpt2", Box::new(gpt2()), 0.0),
        ("gpt2-smoothed", Box::new(gpt2()), 0.1),
        ("llama", Box::new(llama(true, 4)), 0.0),
        ("llama-grouped", Box::new(llama(false, 2)), 0.0),
    ]
}

fn fixture(name: &str) -> Vec<f64> {
    let all = SafeTensors::deserialize(FIXTURE).unwrap();
    let t = all.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}"));
    let (elements, rest) = t.data().as_chunks::<8>();
    assert!(rest.is_empty());
    elements.iter().map(|c| f64::from_le_bytes(*c)).collect()
}

fn check(name: &str, found: &[f64]) {
    let wanted = fixture(name);
    assert_eq!(wanted.len(), found.len(), "{name}");
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    let size = norm(&mut wanted.iter().copied());
    let difference = norm(&mut wanted.iter().zip(found).map(|(a, b)| a - b));
    assert!(
        // What is 0 in exact arithmetic, such as the gradient of a bias of keys, is what a softmax in f32 leaves there.
        difference <= TOLERANCE * (size + 0.2),
        "{name}: {difference:.2e} of {size:.2e}"
    );
}

/// Ids drawn for a batch.
fn tokens(name: &str) -> Vec<i32> {
    let unit = drawn(name, BATCH * POSITIONS);
    unit.iter()
        .map(|x| ((x + 1.0) / 2.0 * VOCABULARY as f64) as i32)
        .collect()
}

fn targets(name: &str) -> Vec<i32> {
    let mut all = tokens(name);
    for at in [(1, 2), (1, 3), (1, 4), (2, 0)] {
        all[at.0 * POSITIONS + at.1] = IGNORED;
    }
    all
}

/// The values of a parameter.
fn parameter(name: &str, path: &str, ty: &TensorType) -> Vec<f64> {
    let values = drawn(&format!("{name}/param.{path}"), ty.shape.numel());
    let is_norm = ty.shape.rank() == 1 && path.ends_with("weight");
    let of = |x: &f64| match ty.shape.rank() {
        1 if is_norm => 1.0 + 0.25 * x,
        1 => 0.25 * x,
        _ => 0.5 * x,
    };
    values.iter().map(of).collect()
}

/// Evaluates a graph of a model: parameters by name, other inputs as `given` says.
fn run(
    name: &str,
    model: &Model,
    of: &ModelGraph,
    graph: &Graph,
    given: &dyn Fn(&str, &TensorType) -> Vec<f64>,
) -> Vec<Tensor<f64>> {
    let inputs = graph.inputs().iter().map(|&v| {
        let ty = graph.ty(v).clone();
        let data = match of.parameters.iter().position(|&p| p == v) {
            Some(i) => parameter(name, &model.parameters[i].path, &ty),
            None => given(graph.port(v), &ty),
        };
        Tensor::new(ty, data)
    });
    eval(graph, &inputs.collect::<Vec<_>>(), &Numerics::exact()).unwrap()
}

fn real(values: &[i32]) -> Vec<f64> {
    values.iter().map(|&x| f64::from(x)).collect()
}

#[test]
fn losses_scores_and_gradients_are_those_of_hugging_face() {
    for (name, decoder, label_smoothing) in all() {
        let model = model_of(&*decoder, DType::Fp32, name, BATCH, POSITIONS).unwrap();
        let of = &model.train;
        let mut graph = of.graph.clone();
        let one = TensorType::new(DType::Fp32, [BATCH, 1]);
        let weight = graph.input("example_weight", one).unwrap();
        let divisor = graph
            .input("divisor", TensorType::new(DType::Fp32, [1, 1]))
            .unwrap();
        let loss = Loss::CrossEntropy { label_smoothing };
        let objective = Objective::of(loss, LOGITS, LABEL);
        let minimised = objective
            .build(&mut graph, &model, of, weight, divisor)
            .unwrap();
        let loss = minimised.loss.unwrap();
        let seed = graph.scalar(DType::Fp32, 1.0).unwrap();
        let seed = graph.reshape(seed, &[1, 1].into()).unwrap();
        let gradients = vjp(&mut graph, &[loss], &[seed], &of.parameters).unwrap();
        let logits = of.head.as_ref().unwrap().1.logits(&mut graph).unwrap();
        let mut outputs: Vec<Value> = gradients.into_iter().map(Option::unwrap).collect();
        outputs.extend([minimised.token_losses[0].1, logits]);
        for (i, &v) in outputs.iter().enumerate() {
            graph.output(&format!("found_{i}"), v).unwrap();
        }
        let (x, y) = (
            tokens(&format!("{name}/tokens")),
            targets(&format!("{name}/targets")),
        );
        let counted = y.iter().filter(|&&t| t != IGNORED).count() as f64;
        let found = run(name, &model, of, &graph, &|port, ty| match port {
            "tokens" => real(&x),
            "target" => y.iter().map(|&t| f64::from(t.max(0))).collect(),
            "target_weight" => y
                .iter()
                .map(|&t| f64::from(u8::from(t != IGNORED)) / counted)
                .collect(),
            _ => vec![1.0; ty.shape.numel()],
        });
        for (p, gradient) in model.parameters.iter().zip(&found) {
            let key = format!("{name}/grad.{}", p.path);
            check(&key, &stored(&key, &gradient.data));
        }
        let rest = &found[model.parameters.len()..];
        let losses = rest[0]
            .data
            .iter()
            .zip(&y)
            .map(|(&l, &t)| if t == IGNORED { 0.0 } else { l });
        check(&format!("{name}/losses"), &losses.collect::<Vec<_>>());
        check(&format!("{name}/logits"), &rest[1].data);
    }
}

#[test]
fn a_cache_gives_the_scores_of_whole_sequences() {
    for (name, decoder, _) in all() {
        let x = tokens(&format!("{name}/tokens"));
        let sizes = decoder.sizes();
        let mut caches: Vec<(String, Vec<f64>)> = Vec::new();
        let mut logits = vec![0.0; BATCH * POSITIONS * VOCABULARY];
        // Three positions in a program for four, one alone, and three again.
        let mut done = 0;
        for (taken, positions) in [(3, 4), (1, 1), (3, 4)] {
            let model = decoder.with_cache(DType::Fp32, BATCH, positions).unwrap();
            let rows: Vec<Vec<u32>> = x
                .chunks(POSITIONS)
                .map(|row| row[done..done + taken].iter().map(|&t| t as u32).collect())
                .collect();
            let rows: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
            let inputs = decoding_inputs(&sizes, (done, positions), &rows);
            let given = |name: &str, ty: &TensorType| -> Vec<f64> {
                if let Some((_, values)) = inputs.iter().find(|(n, _)| n == name) {
                    return match values {
                        Values::Int32(x) => real(x),
                        Values::Fp16(x) => x.iter().map(|&b| f16::from_bits(b).to_f64()).collect(),
                        Values::UInt8(_) => unreachable!(),
                    };
                }
                let cache = caches.iter().find(|(n, _)| n == name);
                cache.map_or_else(|| vec![0.0; ty.shape.numel()], |(_, values)| values.clone())
            };
            let mut graph = model.infer.graph.clone();
            for (name, v) in &model.infer.outputs {
                graph.output(name, *v).unwrap();
            }
            let found = run(name, &model, &model.infer, &graph, &given);
            for (b, of_sequence) in found[0].data.chunks(positions * VOCABULARY).enumerate() {
                let at = (b * POSITIONS + done) * VOCABULARY;
                logits[at..at + taken * VOCABULARY]
                    .copy_from_slice(&of_sequence[..taken * VOCABULARY]);
            }
            let names =
                (0..sizes.layers).flat_map(|l| [false, true].map(|v| port::cache(l, v, false)));
            caches = names
                .zip(&found[1..])
                .map(|(n, t)| (n, t.data.clone()))
                .collect();
            done += taken;
        }
        // Angles and masks are of fp16 here.
        let wanted = fixture(&format!("{name}/logits"));
        let largest = wanted.iter().fold(0.0, |a: f64, x| a.max(x.abs()));
        for (found, wanted) in logits.iter().zip(&wanted) {
            assert!(
                (found - wanted).abs() <= 2e-3 * largest,
                "{name}: {found} {wanted}"
            );
        }
    }
}

#[test]
fn scores_and_gradients_of_images_are_those_of_hugging_face() {
    let name = "vit-tiny";
    let images = Examples::images([1, 14, 14], 10);
    let spec: ModelSpec = name.parse().unwrap();
    let model = spec.build_in(DType::Fp32, BATCH, &images).unwrap();
    let of = &model.train;
    let mut graph = of.graph.clone();
    let logits = of.outputs[0].1;
    let ty = graph.ty(logits).clone();
    let ct = graph.input("ct", ty).unwrap();
    let gradients = vjp(&mut graph, &[logits], &[ct], &of.parameters).unwrap();
    let found = gradients.into_iter().map(Option::unwrap).chain([logits]);
    for (i, v) in found.collect::<Vec<Value>>().into_iter().enumerate() {
        graph.output(&format!("found_{i}"), v).unwrap();
    }
    let found = run(name, &model, of, &graph, &|port, ty| {
        drawn(&format!("{name}/{port}"), ty.shape.numel())
    });
    for (p, gradient) in model.parameters.iter().zip(&found) {
        let key = format!("{name}/grad.{}", p.path);
        check(&key, &stored(&key, &gradient.data));
    }
    check(
        &format!("{name}/logits"),
        &found[model.parameters.len()].data,
    );
}
