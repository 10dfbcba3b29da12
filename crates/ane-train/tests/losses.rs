//! Every loss against PyTorch, example by example: values and gradients in f64, and their safety in fp16. The fixture is
//! made by `fixtures/make_losses.py`.

#![allow(clippy::unwrap_used)]

use ane_ir::{DType, Graph, Numerics, Tensor, TensorType, autodiff::vjp, eval};
use ane_train::loss::Loss;
use safetensors::SafeTensors;

const FIXTURE: &[u8] = include_bytes!("fixtures/losses.safetensors");
const ROWS: usize = 12;
const WIDTH: usize = 10;

fn fixture(name: &str) -> Vec<f64> {
    let all = SafeTensors::deserialize(FIXTURE).unwrap();
    let t = all.tensor(name).unwrap();
    let (elements, _) = t.data().as_chunks::<8>();
    elements.iter().map(|c| f64::from_le_bytes(*c)).collect()
}

fn labels() -> Vec<usize> {
    let all = SafeTensors::deserialize(FIXTURE).unwrap();
    let t = all.tensor("labels").unwrap();
    let (elements, _) = t.data().as_chunks::<8>();
    elements
        .iter()
        .map(|c| i64::from_le_bytes(*c) as usize)
        .collect()
}

const CASES: [(&str, Loss); 7] = [
    (
        "cross_entropy",
        Loss::CrossEntropy {
            label_smoothing: 0.0,
        },
    ),
    (
        "cross_entropy_smoothed",
        Loss::CrossEntropy {
            label_smoothing: 0.1,
        },
    ),
    ("mse", Loss::Mse),
    ("l1", Loss::L1),
    ("huber", Loss::Huber { delta: 1.0 }),
    ("huber_delta", Loss::Huber { delta: 0.25 }),
    ("bce_with_logits", Loss::BceWithLogits),
];

/// Losses of the rows, and their gradients by the predictions.
fn run(loss: Loss, dtype: DType, numerics: &Numerics, x: &[f64], t: &[f64]) -> [Vec<f64>; 2] {
    let rows = x.len() / WIDTH;
    let ty = TensorType::new(dtype, [rows, WIDTH]);
    let mut g = Graph::new();
    let prediction = g.input("x", ty.clone()).unwrap();
    let target = g.input("t", ty.clone()).unwrap();
    let y = loss.per_example(&mut g, prediction, target).unwrap();
    assert_eq!(g.ty(y).shape.dims(), [rows, 1]);
    let seed = g.input("seed", TensorType::new(dtype, [rows, 1])).unwrap();
    let dx = vjp(&mut g, &[y], &[seed], &[prediction]).unwrap()[0].unwrap();
    g.output("y", y).unwrap();
    g.output("dx", dx).unwrap();
    let inputs = [
        Tensor::new(ty.clone(), x.to_vec()),
        Tensor::new(ty, t.to_vec()),
        Tensor::full(TensorType::new(dtype, [rows, 1]), 1.0),
    ];
    let out = eval(&g, &inputs, numerics).unwrap();
    [out[0].data.clone(), out[1].data.clone()]
}

#[test]
fn losses_are_those_of_pytorch() {
    for (name, loss) in CASES {
        let part = |part: &str| fixture(&format!("{name}/{part}"));
        let found = run(
            loss,
            DType::Fp32,
            &Numerics::exact(),
            &part("x"),
            &part("t"),
        );
        for (part, found) in ["y", "dx"].into_iter().zip(&found) {
            let wanted = fixture(&format!("{name}/{part}"));
            assert_eq!(wanted.len(), found.len());
            for (i, (w, f)) in wanted.iter().zip(found).enumerate() {
                assert!(
                    (w - f).abs() <= 1e-6 * (1.0 + w.abs()),
                    "{name}/{part}[{i}]: {f}, not {w}"
                );
            }
        }
    }
}

#[test]
fn the_row_of_a_class_is_what_pytorch_takes_the_class_for() {
    for (name, loss) in &CASES[..2] {
        let rows: Vec<f64> = labels()
            .iter()
            .flat_map(|&class| loss.target_row(class, WIDTH))
            .map(f64::from)
            .collect();
        let wanted = fixture(&format!("{name}/t"));
        let alike = rows.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1e-7);
        assert!(alike, "{name}");
    }
}

#[test]
fn losses_and_gradients_stay_numbers_in_half_precision() {
    // The far predictions of the fixture are up to 60 from their targets.
    for (name, loss) in CASES {
        let part = |part: &str| fixture(&format!("{name}/{part}"));
        for numerics in [Numerics::ieee(), Numerics::ieee().pessimistic()] {
            let found = run(loss, DType::Fp16, &numerics, &part("x"), &part("t"));
            for (part, found) in ["y", "dx"].into_iter().zip(&found) {
                let wanted = fixture(&format!("{name}/{part}"));
                for (i, (w, f)) in wanted.iter().zip(found).enumerate() {
                    let error = (w - f).abs();
                    assert!(
                        error <= 0.02 * (0.2 + w.abs()),
                        "{name}/{part}[{i}]: {f}, not {w}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_confident_right_answer_has_a_gradient_of_its_own_size() {
    // σ(−9) is 1.2e-4, and 1 − σ(9) is 0 in half precision.
    let x = [9.0, -9.0].repeat(WIDTH / 2);
    let t = [1.0, 0.0].repeat(WIDTH / 2);
    let [_, dx] = run(Loss::BceWithLogits, DType::Fp16, &Numerics::ieee(), &x, &t);
    let size = 1.0 / (1.0 + 9.0_f64.exp()) / WIDTH as f64;
    for (i, dx) in dx.iter().enumerate() {
        let wanted = if i % 2 == 0 { -size } else { size };
        assert!((dx - wanted).abs() < 0.02 * size, "{dx}, not {wanted}");
    }
}

#[test]
fn names_and_defaults_are_pytorchs() {
    let (_, metadata) = SafeTensors::read_metadata(FIXTURE).unwrap();
    let defaults = &metadata.metadata().as_ref().unwrap()["defaults"];
    let defaults: serde_json::Value = serde_json::from_str(defaults).unwrap();
    for loss in Loss::ALL {
        assert_eq!(loss.name().parse(), Ok(loss));
        match loss {
            Loss::CrossEntropy { label_smoothing } => {
                assert_eq!(defaults["label_smoothing"], label_smoothing);
            }
            Loss::Huber { delta } => assert_eq!(defaults["huber_delta"], delta),
            Loss::Mse | Loss::L1 | Loss::BceWithLogits => {}
        }
    }
    let error = "hinge".parse::<Loss>().unwrap_err().to_string();
    assert!(
        error.starts_with("no loss is called `hinge`; there are cross-entropy, "),
        "{error}"
    );
}

#[test]
fn the_fixture_has_a_row_per_example() {
    assert_eq!(labels().len(), ROWS);
    assert_eq!(fixture("mse/x").len(), ROWS * WIDTH);
}
