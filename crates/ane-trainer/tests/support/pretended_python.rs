//! A Python that a shell script plays, and one with a model of Keras.

use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// A program that stands for a Python.
pub(crate) fn pretended(dir: &Path, script: &str) -> PathBuf {
    let path = dir.join("python");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// What a Python with Keras has: a model of one layer for MNIST, as the exporter writes it.
pub(crate) struct Keras {
    /// Where they lie.
    pub(crate) dir: TempDir,
}

impl Keras {
    pub(crate) fn new() -> Self {
        let keras = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        keras.takes(json!([null, 28, 28, 1]), "softmax");
        let kernel = vec![0; 4 * 784 * 10];
        let tensors =
            [("0.d.kernel", vec![784, 10]), ("1.d.bias", vec![10])].map(|(name, shape)| {
                let bytes = 4 * shape.iter().product::<usize>();
                let view = TensorView::new(Dtype::F32, shape, &kernel[..bytes]).unwrap();
                (name, view)
            });
        let bytes = safetensors::serialize(tensors, None).unwrap();
        fs::write(keras.dir.path().join("weights.safetensors"), bytes).unwrap();
        keras
    }

    /// Has the model take examples of this shape and end in this activation.
    pub(crate) fn takes(&self, shape: Value, activation: &str) {
        let layer = |class: &str, config: Value| json!({"module": "keras.layers", "class_name": class, "config": config});
        let layers = [
            layer(
                "InputLayer",
                json!({"batch_shape": shape, "dtype": "float32", "name": "i"}),
            ),
            layer("Flatten", json!({"name": "f"})),
            layer(
                "Dense",
                json!({"name": "d", "units": 10, "activation": activation}),
            ),
        ];
        let model = json!({"module": "keras", "class_name": "Sequential", "config": {"name": "m", "layers": layers}});
        fs::write(self.dir.path().join("config.json"), model.to_string()).unwrap();
    }

    /// The Python, whose model is compiled so.
    pub(crate) fn compiled(&self, said: Value) -> PathBuf {
        let answer = json!({"ok": true, "framework": "keras", "version": "3", "compile": said, "compile_error": null});
        fs::write(self.dir.path().join("answer.json"), answer.to_string()).unwrap();
        let script = format!(
            "to=$(dirname \"$2\"); cd '{}'; cp config.json weights.safetensors \"$to\"; cp answer.json \"$to/result.json\"",
            self.dir.path().display()
        );
        pretended(self.dir.path(), &script)
    }
}

/// A model in an empty file of a folder, such as `net.py:Net`: what it holds is what the pretended Python says.
pub(crate) fn model_in(dir: &Path, name: &str) -> String {
    let file = name.split(':').next().unwrap();
    fs::write(dir.join(file), "").unwrap();
    dir.join(name).to_str().unwrap().to_owned()
}
