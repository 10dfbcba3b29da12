//! A package in memory and as a directory, which takes its name when it is whole.

use super::{
    decode::{self, Decoded},
    proto::Model,
};
use crate::ExportError;
use ane_train::checkpoint::replace_file;
use prost::Message;
use serde_json::{Value, json};
use std::{fs, io, path::Path};

/// The directory below which the files of Core ML are.
const ITEMS: &str = "com.apple.CoreML";
/// What the manifest calls the specification and the weights; any two different names do.
const SPECIFICATION: &str = "8E6D1A0C-0F5B-4C1E-9C57-3B1D5F0A7E01";
const WEIGHTS: &str = "8E6D1A0C-0F5B-4C1E-9C57-3B1D5F0A7E02";

/// A package: the specification and the weight file, which is empty where no constant is long.
#[derive(Debug, Clone, PartialEq)]
pub struct Package {
    /// `model.mlmodel`.
    pub model: Model,
    /// `weights/weight.bin`.
    pub weights: Vec<u8>,
}

impl Package {
    /// What the program computes.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn decode(&self) -> Result<Decoded, String> {
        let program = self.model.ml_program.as_ref();
        decode::program(program.ok_or("it has no program")?, &self.weights)
    }

    /// Reads the directory `path`.
    ///
    /// # Errors
    /// When a file is missing, or is not what it should be.
    pub fn read(path: &Path) -> Result<Self, ExportError> {
        let wrong = |difference: String| ExportError::ReadBack {
            file: path.display().to_string(),
            difference,
        };
        let read = |path: &Path| fs::read(path).map_err(|e| io_error("read", path)(e));
        let manifest = read(&path.join("Manifest.json"))?;
        let manifest: Value =
            serde_json::from_slice(&manifest).map_err(|e| wrong(e.to_string()))?;
        let item = |name: &Value| {
            let name = name.as_str()?;
            manifest["itemInfoEntries"][name]["path"].as_str()
        };
        let root = item(&manifest["rootModelIdentifier"]);
        let root = root.ok_or_else(|| wrong("the manifest names no model".to_owned()))?;
        let data = path.join("Data");
        let model =
            Model::decode(&read(&data.join(root))?[..]).map_err(|e| wrong(e.to_string()))?;
        let weights = match item(&json!(WEIGHTS)) {
            Some(folder) => read(&data.join(folder).join("weight.bin"))?,
            None => Vec::new(),
        };
        Ok(Self { model, weights })
    }

    /// Makes the directory `path` this package, after it was read again from the disk.
    ///
    /// # Errors
    /// When it cannot be written or comes back otherwise; what had the name stays as it is then.
    pub fn write(&self, path: &Path) -> Result<(), ExportError> {
        let folder = path.parent().filter(|f| !f.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let beside = tempfile::Builder::new()
            .prefix(".ane-trainer-")
            .tempdir_in(folder)
            .map_err(io_error("write in", folder))?;
        let (new, old) = (beside.path().join("new"), beside.path().join("old"));
        self.write_files(&new)?;
        let wrong = |difference: String| ExportError::ReadBack {
            file: path.display().to_string(),
            difference,
        };
        if Self::read(&new)? != *self {
            return Err(wrong("it holds another model".to_owned()));
        }
        self.decode().map_err(wrong)?;
        // A directory that has content cannot be renamed over, so the old one steps aside first.
        let there = path.symlink_metadata().is_ok();
        if there && path.is_dir() && !path.join("Manifest.json").is_file() {
            let other = "it is a directory that is no package";
            let other = io::Error::new(io::ErrorKind::AlreadyExists, other);
            return Err(io_error("replace", path)(other));
        }
        if there {
            fs::rename(path, &old).map_err(io_error("replace", path))?;
        }
        fs::rename(&new, path).map_err(|e| {
            if there {
                // What was there comes back; if even that fails, the first error says what is wrong.
                let _ = fs::rename(&old, path);
            }
            io_error("rename to", path)(e)
        })
    }

    fn write_files(&self, to: &Path) -> Result<(), ExportError> {
        let items = to.join("Data").join(ITEMS);
        let mut entries = json!({
            SPECIFICATION: entry("CoreML Model Specification", "model.mlmodel"),
        });
        let put = |path: &Path, bytes: &[u8]| {
            let failed = |e| io_error("write", path)(io::Error::other(e));
            replace_file(path, bytes).map_err(failed)
        };
        fs::create_dir_all(&items).map_err(io_error("make", &items))?;
        put(&items.join("model.mlmodel"), &self.model.encode_to_vec())?;
        if !self.weights.is_empty() {
            entries[WEIGHTS] = entry("CoreML Model Weights", "weights");
            let weights = items.join("weights");
            fs::create_dir(&weights).map_err(io_error("make", &weights))?;
            put(&weights.join("weight.bin"), &self.weights)?;
        }
        let manifest = json!({
            "fileFormatVersion": "1.0.0",
            "itemInfoEntries": entries,
            "rootModelIdentifier": SPECIFICATION,
        });
        let text = format!("{manifest:#}\n");
        put(&to.join("Manifest.json"), text.as_bytes())
    }
}

/// An item of the manifest.
fn entry(description: &str, name: &str) -> Value {
    json!({
        "author": ITEMS,
        "description": description,
        "name": name,
        "path": format!("{ITEMS}/{name}"),
    })
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ExportError + use<> {
    let path = path.to_owned();
    move |source| ExportError::Io {
        action,
        path,
        source,
    }
}
