//! What a model is as a package of Core ML: read again as a program, it computes what the model does.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

#[path = "support/models.rs"]
mod models;

use ane_export::{
    ExportError,
    coreml::{self, Options, Package, proto},
};
use ane_ir::{
    DType, Graph, Numerics, Tensor, TensorType, eval, ops::Fill, ops::all_samples, testing::tensor,
};
use models::Made;
use proto::{FeatureKind, ValueKind};
use std::{fs, path::Path};

/// Scores of the model in fp32 for one example, by its own graph.
fn scores(made: &Made, x: &Tensor<f32>) -> Vec<f32> {
    let examples = made.description.examples();
    let model = made.spec.build_in(DType::Fp32, 1, &examples).unwrap();
    let mut graph = model.infer.graph.clone();
    graph.output("y", model.infer.outputs[0].1).unwrap();
    let held = |path: &str| &made.weights.iter().find(|w| w.0 == path).unwrap().2;
    let mut inputs = vec![None; graph.inputs().len()];
    let at = |v| graph.inputs().iter().position(|&input| input == v).unwrap();
    inputs[at(model.infer.inputs[0])] = Some(x.data.clone());
    for (parameter, &v) in model.parameters.iter().zip(&model.infer.parameters) {
        inputs[at(v)] = Some(held(&parameter.path).clone());
    }
    for port in &model.infer.buffers {
        let stored = held(&model.buffers[port.buffer].path).iter();
        inputs[at(port.value)] = Some(stored.map(|&x| port.form.of(x)).collect());
    }
    let tensors: Vec<Tensor<f32>> = (graph.inputs().iter().zip(inputs))
        .map(|(&v, data)| Tensor::new(graph.ty(v).clone(), data.unwrap()))
        .collect();
    eval(&graph, &tensors, &Numerics::ieee())
        .unwrap()
        .remove(0)
        .data
}

fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |m, x| m.max(x.abs()))
}

/// What a package makes of an input, read from its files.
fn predicted(package: &Path, x: &Tensor<f32>) -> Tensor<f32> {
    let decoded = Package::read(package).unwrap().decode().unwrap();
    let x = Tensor::new(
        decoded.graph.ty(decoded.graph.inputs()[0]).clone(),
        x.data.clone(),
    );
    eval(&decoded.graph, &[x], &Numerics::ieee())
        .unwrap()
        .remove(0)
}

#[test]
fn a_package_read_again_computes_what_the_model_does() {
    let folder = tempfile::tempdir().unwrap();
    for (model, dataset, shape) in [
        ("mlp", "mnist", &[1, 784][..]),
        ("lenet", "mnist", &[1, 1, 28, 28]),
        ("resnet8", "cifar10", &[1, 3, 32, 32]),
        ("mobilenet-tiny", "cifar10", &[1, 3, 32, 32]),
        ("autoencoder", "mnist", &[1, 1, 28, 28]),
    ] {
        let made = Made::new(model, dataset);
        let path = folder.path().join(format!("{model}.mlpackage"));
        coreml::write(&path, &made.trained(), Options::default()).unwrap();
        let x = tensor::<f32>(&TensorType::fp32(shape), Fill::Signed, 3);
        let (expected, found) = (scores(&made, &x), predicted(&path, &x));
        assert_eq!(expected.len(), found.data.len(), "{model}");
        let off = expected.iter().zip(&found.data).map(|(a, b)| (a - b).abs());
        let off = off.fold(0.0, f32::max);
        assert!(
            off < 5e-3 * largest(&expected),
            "{model}: {off} of {expected:?}"
        );
    }
}

#[test]
fn a_classifier_takes_pixels_and_says_probabilities() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("digits.mlpackage");
    let made = Made::new("mlp", "mnist");
    let options = Options {
        classifier: true,
        image_input: true,
        ..Options::default()
    };
    let package = coreml::write(&path, &made.trained(), options).unwrap();
    let description = package.model.description.as_ref().unwrap();
    let kind = |feature: &proto::FeatureDescription| feature.ty.clone().unwrap().kind.unwrap();
    let FeatureKind::Image(image) = kind(&description.input[0]) else {
        panic!("a picture was asked for")
    };
    assert_eq!((image.width, image.height, image.color_space), (28, 28, 10));
    assert_eq!(description.predicted_feature_name, "classLabel");
    assert_eq!(description.predicted_probabilities_name, "classLabel_probs");
    let decoded = package.decode().unwrap();
    let names: Vec<String> = (0..10).map(|i| i.to_string()).collect();
    assert_eq!(decoded.classes, Some(names));
    let pixels: Vec<f32> = (0..784).map(|i| (i * 7 % 256) as f32).collect();
    let scaled = pixels
        .iter()
        .map(|p| (p / 255.0 - 0.1307) / 0.3081)
        .collect();
    let logits = scores(&made, &Tensor::new(TensorType::fp32([1, 784]), scaled));
    let highest = logits.iter().copied().fold(f32::MIN, f32::max);
    let weights: Vec<f32> = logits.iter().map(|x| (x - highest).exp()).collect();
    let total: f32 = weights.iter().sum();
    let x = Tensor::new(TensorType::fp32([1, 1, 28, 28]), pixels);
    for (weight, found) in weights.iter().zip(predicted(&path, &x).data) {
        assert!(
            (weight / total - found).abs() < 5e-3,
            "{} {found}",
            weight / total
        );
    }
    let swift = coreml::sample(&package.model, "digits.mlpackage");
    for part in [
        "UNTESTED",
        "imageConstraint",
        "classLabel_probs",
        "digits.mlpackage",
    ] {
        assert!(swift.contains(part), "{swift}");
    }
}

#[test]
fn numbers_go_in_and_come_out_in_the_units_of_the_data() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prices.mlpackage");
    let made = Made::prices();
    let options = Options {
        with_preprocessing: true,
        ..Options::default()
    };
    coreml::write(&path, &made.trained(), options).unwrap();
    for [carat, depth] in [[0.3_f32, 61.0], [2.0, 58.5], [1.0, 63.1]] {
        let scaled = vec![(carat - 0.8) / 0.5, (depth - 61.7) / 1.4];
        let said = scores(&made, &Tensor::new(TensorType::fp32([1, 2]), scaled))[0];
        let price = (said * 1.01 + 7.8).exp();
        let raw = Tensor::new(TensorType::fp32([1, 2]), vec![carat, depth]);
        let found = predicted(&path, &raw).data[0];
        assert!((found - price).abs() < 5e-3 * price, "{found} {price}");
    }
}

#[test]
fn what_does_not_suit_the_examples_is_refused() {
    let refused = |model: &str, dataset: &str, options: Options| {
        let made = Made::new(model, dataset);
        let error = coreml::package(&made.trained(), options).unwrap_err();
        assert!(matches!(error, ExportError::Examples { .. }), "{error}");
        error.to_string()
    };
    let classifier = Options {
        classifier: true,
        ..Options::default()
    };
    let found = refused("autoencoder", "mnist", classifier);
    assert!(
        found.contains("a classifier is for models that give one example a score"),
        "{found}"
    );
}

#[test]
fn every_sample_of_every_op_comes_back_as_it_was_or_is_refused_with_a_reason() {
    let mut refused = Vec::new();
    for sample in all_samples() {
        let mut graph = Graph::new();
        let operands = sample.operands.iter().enumerate();
        let xs: Vec<_> = operands
            .map(|(i, (ty, fill))| {
                let x: Tensor<f64> = tensor(ty, *fill, i as u64);
                let literal = ane_ir::Literal::from_f64(ty.clone(), &x.data);
                match i {
                    0 => graph.input("x", ty.clone()).unwrap(),
                    _ => graph.constant(literal).unwrap(),
                }
            })
            .collect();
        let ys = graph
            .push_segments(sample.op.clone(), &xs, &sample.segments)
            .unwrap();
        for (i, y) in ys.into_iter().enumerate() {
            graph.output(&format!("y{i}"), y).unwrap();
        }
        let package = match coreml::package_of_graph(&graph) {
            Ok(package) => package,
            Err(error) => {
                refused.push(error.to_string());
                continue;
            }
        };
        let decoded = package
            .decode()
            .unwrap_or_else(|e| panic!("{}: {e}", sample.op.name()));
        // Defaults that are written out make another op that computes the same.
        let again = coreml::package_of_graph(&decoded.graph).unwrap();
        let values = |g: &Graph| g.values().map(|v| g.ty(v).clone()).collect::<Vec<_>>();
        assert_eq!(
            values(&decoded.graph),
            values(&graph),
            "{}",
            sample.op.name()
        );
        assert_eq!(again.weights, package.weights);
        if !graph.inputs().is_empty() {
            let x: Tensor<f32> = tensor(graph.ty(graph.inputs()[0]), sample.operands[0].1, 9);
            let numerics = Numerics::ieee();
            let run = |g: &Graph| eval(g, std::slice::from_ref(&x), &numerics).unwrap();
            let bits = |g: &Graph| -> Vec<u32> {
                run(g)
                    .iter()
                    .flat_map(|y| &y.data)
                    .map(|x| x.to_bits())
                    .collect()
            };
            assert_eq!(bits(&graph), bits(&decoded.graph), "{}", sample.op.name());
        }
    }
    refused.dedup();
    insta::assert_snapshot!("refused", refused.join("\n"));
}

#[test]
fn damage_is_noticed_and_nothing_is_believed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.mlpackage");
    let made = Made::new("lenet", "mnist");
    let package = coreml::write(&path, &made.trained(), Options::default()).unwrap();
    assert_eq!(Package::read(&path).unwrap(), package);
    let mut shorter = package.clone();
    shorter.weights.truncate(1000);
    assert!(shorter.decode().is_err());
    let mut pointing = package.clone();
    let main = pointing
        .model
        .ml_program
        .as_mut()
        .unwrap()
        .functions
        .get_mut("main")
        .unwrap();
    let block = main.block_specializations.values_mut().next().unwrap();
    for operation in &mut block.operations {
        if let Some(value) = operation.attributes.get_mut("val")
            && let Some(ValueKind::BlobFile(blob)) = &mut value.value
        {
            blob.offset += 64;
        }
    }
    assert!(pointing.decode().is_err());
    let mut cyclic = package.clone();
    let main = cyclic
        .model
        .ml_program
        .as_mut()
        .unwrap()
        .functions
        .get_mut("main")
        .unwrap();
    main.block_specializations
        .values_mut()
        .next()
        .unwrap()
        .operations
        .reverse();
    assert!(cyclic.decode().is_err());
    let mut mistyped = package.clone();
    let main = mistyped.model.ml_program.as_mut().unwrap();
    let main = main.functions.get_mut("main").unwrap();
    let other_type = main.inputs[0].ty.clone();
    let block = main.block_specializations.values_mut().next().unwrap();
    block.operations.last_mut().unwrap().outputs[0].ty = other_type;
    assert!(mistyped.decode().is_err());
    // Where Core ML looks for weights.
    let file = |value: &proto::Value| match &value.value {
        Some(ValueKind::BlobFile(blob)) => Some(blob.file_name.clone()),
        _ => None,
    };
    let main = &package.model.ml_program.as_ref().unwrap().functions["main"];
    let operations = main
        .block_specializations
        .values()
        .flat_map(|b| &b.operations);
    let mut files = operations.filter_map(|o| o.attributes.get("val").and_then(file));
    assert!(files.all(|name| name == "@model_path/weights/weight.bin"));
    assert!(
        path.join("Data/com.apple.CoreML/weights/weight.bin")
            .is_file()
    );
    // A package in place of another; then one that cannot be written.
    let other = coreml::package(&Made::new("mlp", "mnist").trained(), Options::default()).unwrap();
    other.write(&path).unwrap();
    assert_eq!(Package::read(&path).unwrap(), other);
    let missing = folder.path().join("none").join("m.mlpackage");
    let error = other.write(&missing).unwrap_err();
    assert!(error.to_string().contains("none"), "{error}");
    let directory = folder.path().join("mine");
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("file"), "mine").unwrap();
    let error = other.write(&directory).unwrap_err();
    assert!(error.to_string().contains("cannot replace"), "{error}");
    assert_eq!(fs::read(directory.join("file")).unwrap(), b"mine");
    fs::remove_dir_all(&directory).unwrap();
    let mut broken = package;
    broken.weights.clear();
    assert!(matches!(
        broken.write(&path),
        Err(ExportError::ReadBack { .. })
    ));
    assert_eq!(Package::read(&path).unwrap(), other);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}
