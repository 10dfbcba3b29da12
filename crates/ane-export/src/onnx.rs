//! ONNX: a model that any of its runtimes executes, in fp32, with PyTorch's names for the weights.
//!
//! Opset 17 and IR version 8, which runtimes of 2022 and later read. The axis of the examples is called `batch` where
//! the model is for any number of them. Inputs are what the model takes, or with preprocessing inside what a file holds:
//! pixels from 0 to 255, numbers as they come. Outputs are what the model computes, so logits rather than probabilities.

mod builder;
mod lower;
pub mod proto;

use crate::{ExportError, Network, OwnUnits, Preprocessing, Trained, file};
use ane_ir::{DType, Literal, TensorType, Value};
use ane_train::model::BufferForm;
use builder::{Builder, Setting, info, tensor};
use lower::Call;
use prost::Message;
use proto::{ModelProto, OperatorSetIdProto, StringStringEntryProto};
use serde_json::json;
use std::{collections::HashSet, path::Path};

/// Name of the format in messages.
const FORMAT: &str = "ONNX";
/// Version of the ops.
const OPSET: i64 = 17;
/// Version of the file format.
const IR_VERSION: i64 = 8;

/// What an exported model takes and says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Whether what a file holds goes in, such as pixels from 0 to 255, and numbers come out in the units of the data.
    pub with_preprocessing: bool,
}

/// Writes a model as an ONNX file, and reads it again.
///
/// # Errors
/// When the model has what ONNX has not, or the file cannot be written; an old file stays as it is then.
pub fn write(path: &Path, trained: &Trained<'_>, options: Options) -> Result<(), ExportError> {
    let network = Network::new(trained)?;
    let preprocessing = if options.with_preprocessing {
        Some(preprocessing(&network, trained)?)
    } else {
        None
    };
    let mut model = model(&network, preprocessing.as_ref())?;
    model.metadata_props = metadata(trained, options);
    file::replace(path, &model.encode_to_vec(), |bytes| check(bytes, &model))
}

/// The subtraction and division of the only input.
fn preprocessing(network: &Network, trained: &Trained<'_>) -> Result<Preprocessing, ExportError> {
    let values = match network.inputs[..] {
        [x] if network.graph.ty(x).dtype.is_float() => {
            Some(network.graph.ty(x).shape.numel() / network.batch)
        }
        _ => None,
    };
    Preprocessing::of(trained.description, values)
}

/// A network as a model, which with `preprocessing` takes what that makes its input of, and says numbers in the units of the data.
///
/// # Errors
/// When it has what ONNX has not.
pub fn model(
    network: &Network,
    preprocessing: Option<&Preprocessing>,
) -> Result<ModelProto, ExportError> {
    let graph = &network.graph;
    let units = preprocessing.and_then(|raw| raw.units.as_ref());
    let mut to = Builder::new(&network.name);
    // Ports and weights have the names that others know; every other name gives way.
    let mut names: Vec<String> = vec![String::new(); graph.values().len()];
    for &port in graph.inputs().iter().chain(graph.outputs()) {
        if !network.weights.iter().any(|w| w.value == port) {
            to.claim(graph.port(port))?;
            if units.is_none() || graph.inputs().contains(&port) {
                names[port.index()] = graph.port(port).to_owned();
            }
        }
    }
    let mut paths = HashSet::new();
    for weight in &network.weights {
        if paths.insert(&weight.path) {
            to.claim(&weight.path)?;
        }
    }
    for &input in &network.inputs {
        match preprocessing {
            Some(raw) => names[input.index()] = prepared(&mut to, network, input, raw),
            None => {
                let (name, ty) = (graph.port(input), graph.ty(input));
                let about = "as the model takes it: see input_scaling in the metadata";
                to.input(info(name, ty.dtype, &network.lengths(input), about));
            }
        }
    }
    weights(&mut to, network, &mut names);
    for (position, node) in graph.nodes().iter().enumerate() {
        to.set_place(graph.place(position).path());
        for v in &node.results {
            if names[v.index()].is_empty() {
                names[v.index()] = to.name_at(node.op.name());
            }
        }
        let pick = |values: &[Value]| -> Vec<String> {
            values.iter().map(|v| names[v.index()].clone()).collect()
        };
        let operands = pick(&node.operands);
        let call = Call {
            to: &mut to,
            graph,
            node,
            twin: network.twin_of(position),
            operands: &operands.iter().map(String::as_str).collect::<Vec<_>>(),
            results: &pick(&node.results),
        };
        lower::lower(call).map_err(|reason| ExportError::Unsupported {
            format: FORMAT,
            op: node.op.name(),
            place: graph.place(position).suffix(),
            reason,
        })?;
    }
    for &output in graph.outputs() {
        let (name, ty) = (graph.port(output), graph.ty(output));
        let about = match units {
            Some(units) => {
                in_own_units(&mut to, &names[output.index()], name, units);
                "in the units of the data"
            }
            None => "",
        };
        to.output(info(name, ty.dtype, &network.lengths(output), about));
    }
    Ok(ModelProto {
        ir_version: IR_VERSION,
        producer_name: "ane-trainer".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        doc_string: String::new(),
        graph: Some(to.finish()),
        opset_import: vec![OperatorSetIdProto {
            domain: String::new(),
            version: OPSET,
        }],
        metadata_props: Vec::new(),
    })
}

/// Weights under PyTorch's names, and what the graph reads of them.
fn weights(to: &mut Builder, network: &Network, names: &mut [String]) {
    let mut written = HashSet::new();
    for weight in &network.weights {
        let ty = network.graph.ty(weight.value);
        let elements: Vec<f64> = weight.elements.iter().map(|&x| f64::from(x)).collect();
        if written.insert(&weight.path) {
            let literal = Literal::from_f64(TensorType::new(ty.dtype, ty.shape.clone()), &elements);
            to.initializer(tensor(weight.path.clone(), &literal));
        }
        names[weight.value.index()] = match weight.form {
            BufferForm::Plain => weight.path.clone(),
            BufferForm::ReciprocalRoot { epsilon } => {
                let place = weight.path.rsplit_once('.').map_or("", |(place, _)| place);
                to.set_place(place);
                let epsilon = to.scalar(ty.dtype, epsilon);
                let shifted = to.node("Add", &[&weight.path, &epsilon], Vec::new());
                let root = to.node("Sqrt", &[&shifted], Vec::new());
                to.node("Reciprocal", &[&root], Vec::new())
            }
        };
    }
}

/// An input of raw numbers, brought to what the model takes; the name of that.
fn prepared(to: &mut Builder, network: &Network, input: Value, raw: &Preprocessing) -> String {
    let lengths = network.lengths(input);
    let shape: Vec<Option<usize>> = (lengths.first().copied().into_iter())
        .chain(raw.shape.iter().map(|&d| Some(d)))
        .collect();
    let name = network.graph.port(input);
    let about = "as a file holds it: pixels from 0 to 255, or numbers";
    to.input(info(name, DType::Fp32, &shape, about));
    to.set_place("preprocessing");
    let constant = |to: &mut Builder, values: &[f32]| {
        let values: Vec<f64> = values.iter().map(|&x| f64::from(x)).collect();
        let literal =
            Literal::from_f64(TensorType::new(DType::Fp32, raw.broadcast.clone()), &values);
        to.constant(tensor(String::new(), &literal))
    };
    let (offset, divisor) = (constant(to, &raw.offset), constant(to, &raw.divisor));
    let centred = to.node("Sub", &[name, &offset], Vec::new());
    let scaled = to.node("Div", &[&centred, &divisor], Vec::new());
    if shape == lengths {
        return scaled;
    }
    let wanted: Vec<i64> = lengths.iter().map(|d| d.map_or(-1, |d| d as i64)).collect();
    let wanted = to.ints(&wanted);
    to.node(
        "Reshape",
        &[&scaled, &wanted],
        vec![("allowzero", Setting::Int(0))],
    )
}

/// Makes the output `name` of numbers as the model says them.
fn in_own_units(to: &mut Builder, said: &str, name: &str, units: &OwnUnits) {
    to.set_place("own_units");
    let constant = |to: &mut Builder, values: &[f32]| {
        let values: Vec<f64> = values.iter().map(|&x| f64::from(x)).collect();
        let ty = TensorType::new(DType::Fp32, [values.len()]);
        to.constant(tensor(String::new(), &Literal::from_f64(ty, &values)))
    };
    let (factor, offset) = (constant(to, &units.factor), constant(to, &units.offset));
    let scaled = to.node("Mul", &[said, &factor], Vec::new());
    if units.exp {
        let logarithm = to.node("Add", &[&scaled, &offset], Vec::new());
        to.node_to("Exp", &[&logarithm], Vec::new(), &[name.to_owned()]);
    } else {
        to.node_to("Add", &[&scaled, &offset], Vec::new(), &[name.to_owned()]);
    }
}

/// What a reader of the model has to know of its inputs and outputs.
fn metadata(trained: &Trained<'_>, options: Options) -> Vec<StringStringEntryProto> {
    let description = trained.description;
    let mut entries = vec![
        ("architecture", trained.spec.to_string()),
        ("dataset", description.name.clone()),
        ("description", json!(description).to_string()),
        ("input_scaling", json!(description.input).to_string()),
        (
            "preprocessing_inside",
            options.with_preprocessing.to_string(),
        ),
    ];
    if let Some(names) = description.class_names() {
        entries.push(("class_names", json!(names).to_string()));
    }
    let entry = |(key, value): (&str, String)| StringStringEntryProto {
        key: key.to_owned(),
        value,
    };
    entries.into_iter().map(entry).collect()
}

/// What is other in a file than in the model that was written; nothing if it is the same and sound: every operand is
/// there before it is read, no name stands for two values, and every tensor has the elements that its shape says.
fn check(bytes: &[u8], written: &ModelProto) -> Result<(), String> {
    let read = ModelProto::decode(bytes).map_err(|e| e.to_string())?;
    let graph = read.graph.as_ref().ok_or("it has no graph")?;
    let mut known: HashSet<&str> = graph.input.iter().map(|x| x.name.as_str()).collect();
    for tensor in &graph.initializer {
        if !known.insert(&tensor.name) {
            return Err(format!("`{}` is there twice", tensor.name));
        }
        let elements = tensor.dims.iter().product::<i64>();
        let size = match tensor.data_type {
            builder::INT64 => 8,
            code => DType::ALL
                .into_iter()
                .find(|&dtype| builder::code(dtype) == code)
                .map_or(0, DType::bytes),
        };
        if elements as usize * size != tensor.raw_data.len() {
            return Err(format!(
                "`{}` has not as many elements as its shape",
                tensor.name
            ));
        }
    }
    for node in &graph.node {
        let given = node.input.iter().filter(|x| !x.is_empty());
        if let Some(missing) = given.into_iter().find(|&x| !known.contains(x.as_str())) {
            return Err(format!(
                "`{}` reads `{missing}`, which nothing makes",
                node.name
            ));
        }
        for output in &node.output {
            if !known.insert(output) {
                return Err(format!("`{output}` is made twice"));
            }
        }
    }
    if let Some(output) = graph
        .output
        .iter()
        .find(|x| !known.contains(x.name.as_str()))
    {
        return Err(format!("nothing makes the output `{}`", output.name));
    }
    if read != *written {
        return Err("it holds another model".to_owned());
    }
    Ok(())
}
