//! Images of a data set, which have their channels first, become what a model of Keras takes.

use super::drawn::drawn;
use ane_import::keras::Classifier;
use ane_ir::{DType, Numerics, Tensor, eval};
use ane_train::{loss::Loss, model::Init, models::Examples};
use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Value as Json, json};
use std::sync::LazyLock;

const BATCH: usize = 2;
const SHAPE: [usize; 3] = [2, 3, 4];
const CLASSES: usize = 5;
static IMAGES: LazyLock<Examples> = LazyLock::new(|| Examples::images(SHAPE, CLASSES));
const CROSS_ENTROPY: Loss = Loss::CrossEntropy {
    label_smoothing: 0.0,
};

/// A dense layer of all values of an example, whose kernel is drawn.
fn classifier(shape: &Json, units: usize, activation: &str) -> Classifier {
    let layer = |class: &str, config: Json| json!({"module": "keras.layers", "class_name": class, "config": config});
    let layers = [
        layer(
            "InputLayer",
            json!({"batch_shape": shape, "dtype": "float32", "name": "i"}),
        ),
        layer("Flatten", json!({"name": "f"})),
        layer(
            "Dense",
            json!({"name": "d", "units": units, "use_bias": false, "activation": activation}),
        ),
    ];
    let config = json!({"module": "keras", "class_name": "Sequential", "config": {"name": "m", "layers": layers}});
    let kernel: Vec<u8> = kernel(units)
        .iter()
        .flat_map(|&x| (x as f32).to_le_bytes())
        .collect();
    let view = TensorView::new(Dtype::F32, vec![IMAGES.values(), units], &kernel).unwrap();
    Classifier {
        config: config.to_string().into_bytes(),
        weights: safetensors::serialize([("0.kernel", view)], None).unwrap(),
    }
}

fn kernel(units: usize) -> Vec<f64> {
    drawn("kernel", IMAGES.values() * units)
}

/// Scores of drawn images, and the model's own initial values taken for its weights.
fn scores(classifier: &Classifier) -> Vec<f64> {
    let imported = classifier.import((DType::Fp32, BATCH), &IMAGES, &CROSS_ENTROPY);
    let model = imported.unwrap().model;
    let g = &model.infer;
    let mut graph = g.graph.clone();
    assert_eq!(g.outputs[0].0, "logits");
    graph.output("y", g.outputs[0].1).unwrap();
    let inputs: Vec<Tensor<f64>> = graph
        .inputs()
        .iter()
        .map(|&v| {
            let ty = graph.ty(v).clone();
            let data = if g.inputs == [v] {
                assert_eq!(graph.port(v), "x");
                images()
            } else {
                let Init::Values(values) = &model.parameters[0].init else {
                    panic!("{:?}", model.parameters[0].init);
                };
                values.iter().map(|&x| f64::from(x)).collect()
            };
            Tensor::new(ty, data)
        })
        .collect();
    let mut out = eval(&graph, &inputs, &Numerics::exact()).unwrap();
    out.remove(0).data
}

fn images() -> Vec<f64> {
    drawn("images", BATCH * IMAGES.values())
}

/// What Keras computes: the kernel's rows go over the values in the order of `index`.
fn wanted(index: impl Fn([usize; 3]) -> usize) -> Vec<f64> {
    let ([channels, rows, columns], units) = (SHAPE, CLASSES);
    let (images, kernel) = (images(), kernel(units));
    let mut scores = vec![0.0; BATCH * units];
    for (b, image) in images.chunks(IMAGES.values()).enumerate() {
        for (i, x) in image.iter().enumerate() {
            let at = [
                i / (rows * columns) % channels,
                i / columns % rows,
                i % columns,
            ];
            for u in 0..units {
                scores[b * units + u] += x * kernel[index(at) * units + u];
            }
        }
    }
    scores
}

#[test]
fn images_are_given_with_the_channels_where_a_model_wants_them() {
    let last = wanted(|[c, y, x]| (y * 4 + x) * 2 + c);
    let first = wanted(|[c, y, x]| (c * 3 + y) * 4 + x);
    for (shape, wanted) in [
        (json!([null, 3, 4, 2]), &last),
        (json!([null, 24]), &last),
        (json!([null, 2, 3, 4]), &first),
    ] {
        for activation in ["linear", "softmax"] {
            let found = scores(&classifier(&shape, CLASSES, activation));
            let near = found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-5);
            assert!(near, "{shape}: {found:?}, expected {wanted:?}");
        }
    }
}

#[test]
fn what_is_no_classifier_of_the_images_is_said() {
    let refused = |shape: Json, units, activation| {
        let classifier = classifier(&shape, units, activation);
        let imported = classifier.import((DType::Fp32, BATCH), &IMAGES, &CROSS_ENTROPY);
        imported.unwrap_err().to_string()
    };
    let wrong = refused(json!([null, 3, 4]), 5, "linear");
    assert!(wrong.contains("takes examples [3, 4]"), "{wrong}");
    assert!(
        wrong.contains("3 rows, 4 columns and 2 channels"),
        "{wrong}"
    );
    let wrong = refused(json!([null, 24]), 4, "linear");
    assert!(
        wrong.contains("gives [2, 4], expected logits [2, 5]"),
        "{wrong}"
    );
    let wrong = refused(json!([null, 24]), 5, "sigmoid");
    assert!(wrong.contains("ends with a sigmoid"), "{wrong}");
}
