//! What a model is in ONNX: its structure, its names, and what is said where it cannot be one.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

#[path = "support/models.rs"]
mod models;

use ane_export::{
    ExportError, Network, Preprocessing, Weight, numpy,
    onnx::{self, Options, proto::DimensionValue},
};
use ane_ir::{Graph, TensorType, ops::all_samples};
use ane_train::model::BufferForm;
use models::Made;
use onnx::proto::{ModelProto, ValueInfoProto};
use prost::Message;
use std::fs;

/// Name and lengths of a port.
fn port(info: &ValueInfoProto) -> (String, Vec<String>) {
    let ty = info.ty.as_ref().unwrap().tensor_type.as_ref().unwrap();
    let dims = ty.shape.as_ref().unwrap().dim.iter();
    let lengths = dims.map(|d| match d.value.as_ref().unwrap() {
        DimensionValue::DimValue(n) => n.to_string(),
        DimensionValue::DimParam(name) => name.clone(),
    });
    (info.name.clone(), lengths.collect())
}

/// A line for each node: results, op, operands.
fn listing(model: &ModelProto) -> String {
    let graph = model.graph.as_ref().unwrap();
    let mut text = String::new();
    for (name, lengths) in graph.input.iter().map(port) {
        text += &format!("in  {name} [{}]\n", lengths.join(", "));
    }
    for node in &graph.node {
        let settings: Vec<&str> = node.attribute.iter().map(|a| a.name.as_str()).collect();
        let (to, from) = (node.output.join(", "), node.input.join(", "));
        text += &format!("{to} = {}({from}) {settings:?}\n", node.op_type);
    }
    for (name, lengths) in graph.output.iter().map(port) {
        text += &format!("out {name} [{}]\n", lengths.join(", "));
    }
    text
}

#[test]
fn a_network_keeps_its_names_and_takes_any_number_of_examples() {
    let made = Made::new("lenet", "mnist");
    let network = Network::new(&made.trained()).unwrap();
    assert!(network.is_for_any_batch());
    let model = onnx::model(&network, None).unwrap();
    insta::assert_snapshot!("lenet", listing(&model));
    let graph = model.graph.as_ref().unwrap();
    for (path, shape, elements) in &made.weights {
        let tensor = graph.initializer.iter().find(|t| t.name == *path).unwrap();
        let dims: Vec<i64> = shape.iter().map(|&d| d as i64).collect();
        let bytes: Vec<u8> = elements.iter().flat_map(|x| x.to_le_bytes()).collect();
        assert_eq!(
            (&tensor.dims, tensor.data_type, &tensor.raw_data),
            (&dims, 1, &bytes)
        );
    }
}

#[test]
fn running_statistics_are_written_as_pytorch_has_them() {
    let made = Made::new("resnet8", "cifar10");
    let model = onnx::model(&Network::new(&made.trained()).unwrap(), None).unwrap();
    let graph = model.graph.unwrap();
    let held = |path: &str| graph.initializer.iter().find(|t| t.name == path).unwrap();
    let (_, _, expected) = made
        .weights
        .iter()
        .find(|w| w.0 == "bn1.running_var")
        .unwrap();
    let bytes: Vec<u8> = expected.iter().flat_map(|x| x.to_le_bytes()).collect();
    assert_eq!(held("bn1.running_var").raw_data, bytes);
    let of_layer = graph
        .node
        .iter()
        .filter(|n| n.output[0].starts_with("bn1/"));
    let ops: Vec<&str> = of_layer.map(|n| n.op_type.as_str()).collect();
    assert_eq!(ops[..3], ["Add", "Sqrt", "Reciprocal"]);
}

#[test]
fn two_tensors_of_one_name_are_refused() {
    let mut graph = Graph::new();
    let [x, w] = ["x", "w"].map(|name| graph.input(name, TensorType::fp32([2])).unwrap());
    let y = graph.add(x, w).unwrap();
    graph.output("y", y).unwrap();
    let mut network = Network::of_graph("n", graph);
    network.inputs.pop();
    network.weights.push(Weight {
        value: w,
        path: "x".to_owned(),
        form: BufferForm::Plain,
        elements: vec![1.0, 2.0],
    });
    let error = onnx::model(&network, None).unwrap_err();
    assert_eq!(error.to_string(), "two tensors of the model are called `x`");
}

#[test]
fn with_preprocessing_the_input_is_what_a_file_holds() {
    let made = Made::new("mlp", "mnist");
    let trained = made.trained();
    let network = Network::new(&trained).unwrap();
    let raw = Preprocessing::of(trained.description, Some(784)).unwrap();
    let model = onnx::model(&network, Some(&raw)).unwrap();
    insta::assert_snapshot!("mlp_with_preprocessing", listing(&model));
    let prices = Made::prices();
    let trained = prices.trained();
    let raw = Preprocessing::of(trained.description, Some(2)).unwrap();
    let model = onnx::model(&Network::new(&trained).unwrap(), Some(&raw)).unwrap();
    insta::assert_snapshot!("prices_with_preprocessing", listing(&model));
}

#[test]
fn every_sample_of_every_op_is_lowered_or_refused_with_a_reason() {
    let mut refused = Vec::new();
    for sample in all_samples() {
        let mut graph = Graph::new();
        let operands = sample.operands.iter().enumerate();
        let xs: Vec<_> = operands
            .map(|(i, (ty, _))| graph.input(&format!("x{i}"), ty.clone()).unwrap())
            .collect();
        let ys = graph
            .push_segments(sample.op.clone(), &xs, &sample.segments)
            .unwrap();
        for (i, y) in ys.into_iter().enumerate() {
            graph.output(&format!("y{i}"), y).unwrap();
        }
        let network = Network::of_graph("sample", graph);
        if let Err(error) = onnx::model(&network, None) {
            refused.push(error.to_string());
        }
    }
    refused.dedup();
    insta::assert_snapshot!("refused", refused.join("\n"));
}

#[test]
fn what_onnx_has_not_is_refused_by_op_and_place_and_leaves_no_file() {
    let mut graph = Graph::new();
    let x = graph.input("x", TensorType::fp32([2, 3, 4])).unwrap();
    let indices = TensorType::new(ane_ir::DType::Int32, [2, 2]);
    let indices = graph.input("indices", indices).unwrap();
    let y = graph
        .scope("encoder.1", |g| {
            let op = ane_ir::ops::gather::Gather {
                axis: 1,
                batch_dims: 1,
                validate_indices: false,
            };
            g.push(op, &[x, indices])
        })
        .unwrap();
    graph.output("y", y).unwrap();
    let error = onnx::model(&Network::of_graph("n", graph), None).unwrap_err();
    let text = error.to_string();
    for part in ["ONNX", "`gather`", "encoder.1", "each example by itself"] {
        assert!(text.contains(part), "{text}");
    }
    assert!(error.help().contains("--format safetensors"));
}

#[test]
fn a_file_that_cannot_be_written_leaves_the_old_one_and_nothing_beside_it() {
    let made = Made::new("mlp", "mnist");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.onnx");
    onnx::write(&file, &made.trained(), Options::default()).unwrap();
    let model = ModelProto::decode(&fs::read(&file).unwrap()[..]).unwrap();
    let metadata = model.metadata_props.iter();
    let names: Vec<&str> = metadata.map(|p| p.key.as_str()).collect();
    assert!(
        names.contains(&"class_names") && names.contains(&"input_scaling"),
        "{names:?}"
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    // Weights of another model.
    let mut other = Made::new("mlp", "mnist");
    other.weights[0].2.pop();
    let error = onnx::write(&file, &other.trained(), Options::default()).unwrap_err();
    assert!(matches!(
        error,
        ExportError::Weight {
            expected: 401_408,
            found: 401_407,
            ..
        }
    ));
    let missing = folder.path().join("none").join("model.npz");
    let error = numpy::write(&missing, &made.weights).unwrap_err();
    assert!(error.to_string().contains("none"), "{error}");
    assert!(error.help().contains("--output"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let again = ModelProto::decode(&fs::read(&file).unwrap()[..]).unwrap();
    assert_eq!(again, model);
}
