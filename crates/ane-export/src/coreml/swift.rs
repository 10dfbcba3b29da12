//! A sample in Swift that loads a package and predicts. No machine with Swift has compiled it.

use super::proto::{FeatureKind, Model};
use std::fmt::Write;

/// Source of a command line program for a package of this file name.
pub fn sample(model: &Model, package: &str) -> String {
    let description = model.description.clone().unwrap_or_default();
    let mut inputs = String::new();
    let mut uses_pictures = false;
    for input in &description.input {
        let name = &input.name;
        match input.ty.as_ref().and_then(|ty| ty.kind.as_ref()) {
            Some(FeatureKind::Image(image)) => {
                uses_pictures = true;
                let (width, height) = (image.width, image.height);
                let _ = writeln!(
                    inputs,
                    "    // Core ML brings the picture to {width} by {height} pixels; the program inside scales them.\n    \
                     \"{name}\": try MLFeatureValue(\n        imageAt: URL(fileURLWithPath: CommandLine.arguments[2]),\n        \
                     constraint: model.modelDescription.inputDescriptionsByName[\"{name}\"]!.imageConstraint!),"
                );
            }
            Some(FeatureKind::MultiArray(array)) => {
                let shape: Vec<String> = array.shape.iter().map(ToString::to_string).collect();
                let shape = shape.join(", ");
                let _ = writeln!(
                    inputs,
                    "    // Fill it as the model was trained: see input_scaling in the metadata.\n    \
                     \"{name}\": MLFeatureValue(multiArray: try MLMultiArray(shape: [{shape}], dataType: .float32)),"
                );
            }
            _ => {}
        }
    }
    let arguments = if uses_pictures { " picture.png" } else { "" };
    let mut outputs = String::new();
    for output in &description.output {
        let _ = writeln!(
            outputs,
            "print(\"{0}:\", result.featureValue(for: \"{0}\")!)",
            output.name
        );
    }
    format!(
        "// UNTESTED: written by ane-trainer on a machine without Swift, as a beginning.\n\
         //\n\
         // swiftc predict.swift && ./predict {package}{arguments}\n\
         \n\
         import CoreML\n\
         import Foundation\n\
         \n\
         let package = URL(fileURLWithPath: CommandLine.arguments[1])\n\
         let compiled = try MLModel.compileModel(at: package)\n\
         let configuration = MLModelConfiguration()\n\
         configuration.computeUnits = .cpuAndNeuralEngine\n\
         let model = try MLModel(contentsOf: compiled, configuration: configuration)\n\
         \n\
         let input = try MLDictionaryFeatureProvider(dictionary: [\n\
         {inputs}])\n\
         let result = try model.prediction(from: input)\n\
         {outputs}"
    )
}
