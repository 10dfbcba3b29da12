//! What a run has learned as files of ONNX, Core ML and NumPy, and that nothing is overwritten or left half.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

#[path = "support/program.rs"]
mod program;

use ane_export::{
    coreml::Package,
    onnx::proto::{DimensionValue, ModelProto, ValueInfoProto},
};
use program::{fails, says};
use prost::Message;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The directory of a run of three steps.
fn run(dir: &Path, model: &str) -> String {
    let out = dir.join("run").to_str().unwrap().to_owned();
    let steps = [
        "--epochs",
        "1",
        "--max-steps",
        "3",
        "--batch",
        "500",
        "--device",
        "software",
    ];
    says(&[&["train", model, "--out", &out], &steps[..]].concat());
    out
}

/// Names of what is in a directory, in order.
fn listing(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name());
    let mut names: Vec<String> = names.map(|n| n.into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn every_format_is_written_beside_the_run_and_replaced_only_when_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let out = run(dir.path(), "784-8-10");
    let before = listing(Path::new(&out));
    for (format, name) in [
        ("onnx", "model.onnx"),
        ("numpy", "model.npz"),
        ("mlpackage", "model.mlpackage"),
    ] {
        let told = says(&["export", &out, "--format", format]);
        for part in [
            &format!("{name}: 4 tensors"),
            "best.ckpt",
            "inputs: (pixel / 255 - mean) / std",
            "std 0.3081",
        ] {
            assert!(told.contains(part), "{told}");
        }
        let again = ["export", &out, "--format", format];
        fails(&again, 2, &[name, "there already", "--force"]);
        says(&[&again[..], &["--force"]].concat());
    }
    let mut after = before;
    after.extend(["model.mlpackage", "model.npz", "model.onnx"].map(str::to_owned));
    after.sort();
    assert_eq!(listing(Path::new(&out)), after);
}

#[test]
fn a_package_comes_with_classes_pictures_and_a_sample() {
    let dir = tempfile::tempdir().unwrap();
    let out = run(dir.path(), "784-8-10");
    let all = ["export", &out, "--format", "mlpackage"];
    let flags = ["--classifier", "--image-input", "--swift"];
    let told = says(&[&all[..], &flags].concat());
    assert!(
        told.contains("as files hold them") && told.contains("model.swift"),
        "{told}"
    );
    let package = Package::read(&Path::new(&out).join("model.mlpackage")).unwrap();
    let classes = package.decode().unwrap().classes.unwrap();
    assert_eq!((classes.len(), classes[9].as_str()), (10, "9"));
    // The sample is the user's as well.
    fs::remove_dir_all(Path::new(&out).join("model.mlpackage")).unwrap();
    fs::write(Path::new(&out).join("model.swift"), "mine").unwrap();
    fails(
        &[&all[..], &flags].concat(),
        2,
        &["model.swift", "there already"],
    );
    says(&all);
}

#[test]
fn raw_pixels_go_into_a_model_that_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let out = run(dir.path(), "784-8-10");
    let told = says(&["export", &out, "--format", "onnx", "--with-preprocessing"]);
    assert!(told.contains("as files hold them"), "{told}");
    let bytes = fs::read(Path::new(&out).join("model.onnx")).unwrap();
    let model = ModelProto::decode(&bytes[..]).unwrap();
    let nodes = model.graph.unwrap().node;
    assert_eq!([&nodes[0].op_type, &nodes[1].op_type], ["Sub", "Div"]);
    let held = |key: &str| model.metadata_props.iter().find(|p| p.key == key).unwrap();
    assert_eq!(held("preprocessing_inside").value, "true");
    assert!(held("class_names").value.starts_with(r#"["0","1""#));
}

#[test]
fn a_model_that_was_traced_for_one_batch_takes_any() {
    let dir = tempfile::tempdir().unwrap();
    let traced =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../ane-import/tests/pytorch/digits.pt2");
    let out = run(dir.path(), traced.to_str().unwrap());
    says(&["export", &out, "--format", "onnx"]);
    says(&["export", &out, "--format", "mlpackage", "--classifier"]);
    let bytes = fs::read(Path::new(&out).join("model.onnx")).unwrap();
    let graph = ModelProto::decode(&bytes[..]).unwrap().graph.unwrap();
    let lengths = |info: &ValueInfoProto| {
        let ty = info.ty.clone().unwrap().tensor_type.unwrap();
        ty.shape.unwrap().dim[0].value.clone().unwrap()
    };
    let any = DimensionValue::DimParam("batch".to_owned());
    assert_eq!(
        [lengths(&graph.input[0]), lengths(&graph.output[0])],
        [any.clone(), any]
    );
    let package = Package::read(&Path::new(&out).join("model.mlpackage")).unwrap();
    let program = package.decode().unwrap().graph;
    assert_eq!(program.ty(program.outputs()[0]).shape.dims(), [1, 10]);
}

#[test]
fn what_cannot_be_written_leaves_everything_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let out = run(dir.path(), "784-8-10");
    let inside = |name: &str| -> String {
        let path: PathBuf = dir.path().join(name);
        path.to_str().unwrap().to_owned()
    };
    let before = (listing(dir.path()), listing(Path::new(&out)));
    let cases: [(&[&str], i32, &[&str]); 7] = [
        (
            &["--format", "onnx", "--swift"],
            2,
            &["--swift", "--format onnx", "leave --swift out"],
        ),
        (
            &["--format", "numpy", "--with-preprocessing"],
            2,
            &["--with-preprocessing", "numpy"],
        ),
        (&["--format", "tflite"], 2, &["tflite", "onnx", "mlpackage"]),
        (
            &["--format", "mlpackage", "--output", &inside("m.mlmodel")],
            2,
            &["m.mlmodel", ".mlpackage"],
        ),
        (
            &["--format", "onnx", "--output", &inside("none/m.onnx")],
            1,
            &["none/m.onnx", "another --output"],
        ),
        (
            &[
                "--format",
                "mlpackage",
                "--output",
                &inside("none/m.mlpackage"),
            ],
            1,
            &["none", "another --output"],
        ),
        (
            &["--format", "onnx", "--force", "--output", &out],
            1,
            &["cannot rename to"],
        ),
    ];
    for (flags, code, parts) in cases {
        fails(&[&["export", &out], flags].concat(), code, parts);
    }
    // A directory that is no package is not replaced by one.
    let directory = inside("photos.mlpackage");
    fs::create_dir(&directory).unwrap();
    fs::write(Path::new(&directory).join("holiday.png"), "mine").unwrap();
    let all = [
        "export",
        &out,
        "--format",
        "mlpackage",
        "--output",
        &directory,
        "--force",
    ];
    fails(&all, 1, &["photos.mlpackage", "no package"]);
    assert_eq!(listing(Path::new(&directory)), ["holiday.png"]);
    fs::remove_dir_all(&directory).unwrap();
    assert_eq!((listing(dir.path()), listing(Path::new(&out))), before);
}

#[test]
fn an_autoencoder_has_no_classes_to_tell() {
    let dir = tempfile::tempdir().unwrap();
    let out = run(dir.path(), "autoencoder");
    let all = ["export", &out, "--format", "mlpackage"];
    fails(
        &[&all[..], &["--classifier"]].concat(),
        2,
        &["a classifier", "leave that flag out"],
    );
    says(&all);
}
