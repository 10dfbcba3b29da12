//! Core ML: an `.mlpackage` with an ML Program in fp16, which Xcode and `MLModel` open.
//!
//! Specification version 7, which macOS 13 and iOS 16 read first. A package is a directory: `Manifest.json`, and below
//! `Data/com.apple.CoreML` the specification `model.mlmodel` and the weights `weights/weight.bin`, in the format of
//! [`ane_mil::blob`]. Inputs and outputs are fp32, or a picture and a class where that is asked for; inside all real
//! numbers are fp16, and the program is for one example.

mod decode;
mod encode;
mod opset;
mod package;
mod program;
pub mod proto;
mod swift;

pub use decode::Decoded;
pub use package::Package;
pub use swift::sample;

use crate::{ExportError, Network, Trained};
use ane_train::data::description::{Input, Target};
use program::Port;
use proto::{
    ArrayDataType, ArrayFeatureType, ColorSpace, DictionaryFeatureType, Empty, FeatureDescription,
    FeatureKind, FeatureType, ImageFeatureType, Metadata, Model, ModelDescription,
};
use serde_json::json;
use std::path::Path;

/// Name of the format in messages.
const FORMAT: &str = "Core ML";
/// The specification that macOS 13 and iOS 16 read.
const SPECIFICATION: i32 = 7;
/// Name of the output of a classifier that is the name of a class.
const LABEL: &str = "classLabel";
/// Name of the output of a classifier that is the probability of each class.
const PROBABILITIES: &str = "classLabel_probs";

/// What a package takes and says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Whether it says the name of a class and the probability of each, instead of logits.
    pub classifier: bool,
    /// Whether it takes a picture, of bytes and of any source that Core ML scales, instead of an array as the model does.
    pub image_input: bool,
    /// Whether what a file holds goes in, and numbers come out in the units of the data.
    pub with_preprocessing: bool,
}

/// Writes a model as a package, and reads it again.
///
/// # Errors
/// When the model has what Core ML has not, its examples are not what is asked for, or the package cannot be written; an
/// old one stays as it is then.
pub fn write(path: &Path, trained: &Trained<'_>, options: Options) -> Result<Package, ExportError> {
    let package = package(trained, options)?;
    package.write(path)?;
    Ok(package)
}

/// The package in memory.
///
/// # Errors
/// As [`write()`], but for files.
pub fn package(trained: &Trained<'_>, options: Options) -> Result<Package, ExportError> {
    let network = Network::new(trained)?;
    let graph = program::build(&network, trained, options)?;
    let classes = match (&trained.description.target, options.classifier) {
        (Target::Classes { names }, true) => Some(&names[..]),
        _ => None,
    };
    let (program, weights) = encode::program(&graph.graph, classes)?;
    let inputs = graph
        .inputs
        .iter()
        .map(|port| input(port, trained, options));
    let mut description = ModelDescription {
        input: inputs.collect(),
        output: graph.outputs.iter().map(array).collect(),
        metadata: Some(metadata(trained, options)),
        ..ModelDescription::default()
    };
    if options.classifier {
        LABEL.clone_into(&mut description.predicted_feature_name);
        PROBABILITIES.clone_into(&mut description.predicted_probabilities_name);
        let probabilities = DictionaryFeatureType {
            string_key_type: Some(Empty {}),
        };
        description.output = vec![
            feature(LABEL, "the likeliest class", FeatureKind::String(Empty {})),
            feature(
                PROBABILITIES,
                "the probability of each class",
                FeatureKind::Dictionary(probabilities),
            ),
        ];
    }
    let model = Model {
        specification_version: SPECIFICATION,
        description: Some(description),
        ml_program: Some(program),
    };
    Ok(Package { model, weights })
}

/// A program of any graph whose inputs and outputs are fp32, fp16 or int32, with its weights.
///
/// # Errors
/// When it has what Core ML has not.
pub fn package_of_graph(graph: &ane_ir::Graph) -> Result<Package, ExportError> {
    let port = |&v: &ane_ir::Value| Port {
        name: graph.port(v).to_owned(),
        ty: graph.ty(v).clone(),
    };
    let (program, weights) = encode::program(graph, None)?;
    let description = ModelDescription {
        input: graph.inputs().iter().map(port).map(|p| array(&p)).collect(),
        output: graph
            .outputs()
            .iter()
            .map(port)
            .map(|p| array(&p))
            .collect(),
        ..ModelDescription::default()
    };
    let model = Model {
        specification_version: SPECIFICATION,
        description: Some(description),
        ml_program: Some(program),
    };
    Ok(Package { model, weights })
}

fn feature(name: &str, about: &str, kind: FeatureKind) -> FeatureDescription {
    FeatureDescription {
        name: name.to_owned(),
        short_description: about.to_owned(),
        ty: Some(FeatureType { kind: Some(kind) }),
    }
}

/// A port that is an array.
fn array(port: &Port) -> FeatureDescription {
    let data_type = if port.ty.dtype.is_float() {
        ArrayDataType::Float32
    } else {
        ArrayDataType::Int32
    };
    let array = ArrayFeatureType {
        shape: port.ty.shape.dims().iter().map(|&d| d as i64).collect(),
        data_type: data_type as i32,
    };
    feature(&port.name, "", FeatureKind::MultiArray(array))
}

/// An input: a picture where that is asked for, otherwise what the model takes.
fn input(port: &Port, trained: &Trained<'_>, options: Options) -> FeatureDescription {
    match &trained.description.input {
        Input::Image { shape, .. } if options.image_input => {
            let [channels, height, width] = *shape;
            let color_space = if channels == 1 {
                ColorSpace::Grayscale
            } else {
                ColorSpace::Rgb
            };
            let picture = ImageFeatureType {
                width: width as i64,
                height: height as i64,
                color_space: color_space as i32,
            };
            feature(
                &port.name,
                "a picture; the program scales its pixels as in training",
                FeatureKind::Image(picture),
            )
        }
        _ if options.with_preprocessing => FeatureDescription {
            short_description: "as a file holds it: pixels from 0 to 255, or numbers".to_owned(),
            ..array(port)
        },
        _ => FeatureDescription {
            short_description: "as the model takes it: see input_scaling in the metadata"
                .to_owned(),
            ..array(port)
        },
    }
}

fn metadata(trained: &Trained<'_>, options: Options) -> Metadata {
    let description = trained.description;
    let mut user_defined = vec![
        ("architecture", trained.spec.to_string()),
        ("dataset", description.name.clone()),
        ("description", json!(description).to_string()),
        ("input_scaling", json!(description.input).to_string()),
        (
            "preprocessing_inside",
            (options.image_input || options.with_preprocessing).to_string(),
        ),
    ];
    if let Some(names) = description.class_names() {
        user_defined.push(("class_names", json!(names).to_string()));
    }
    Metadata {
        short_description: format!("{}, trained on {}", trained.spec, description.title),
        version_string: env!("CARGO_PKG_VERSION").to_owned(),
        author: "ane-trainer".to_owned(),
        user_defined: user_defined
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect(),
    }
}
