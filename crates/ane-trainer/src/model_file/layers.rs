//! Lists of layers in TOML: `[[layers]]` of a file, or `[[model.layers]]` of a file of settings.

use super::{keras, remove, torch};
use crate::failure::Failure;
use ane_ir::DType;
use ane_train::{
    checkpoint::replace_file,
    model::{Model, ModelError},
    models::{Examples, Imported, LayerList, ModelSource, NamedLayer},
};
use serde::Deserialize;
use std::{fs, io, path::Path};

/// The list, in a run directory.
const LAYERS: &str = "layers.toml";
/// What a folder of a run may have of a list of layers.
pub(super) const FILES: [&str; 1] = [LAYERS];
/// Most bytes of a file.
const LARGEST: u64 = 1 << 20;

/// A list, and the text that it was read from.
struct LayersFile {
    name: String,
    list: LayerList,
    text: String,
}

impl ModelSource for LayersFile {
    fn build(&self, dtype: DType, batch: usize, examples: &Examples) -> Result<Model, ModelError> {
        self.list.build(&self.name, dtype, batch, examples)
    }

    fn save(&self, directory: &Path) -> io::Result<()> {
        fs::create_dir_all(directory)?;
        remove(directory, &torch::FILES)?;
        remove(directory, &keras::FILES)?;
        replace_file(&directory.join(LAYERS), self.text.as_bytes()).map_err(io::Error::other)
    }
}

/// Whether a folder has a list of layers.
pub(super) fn is_in(directory: &Path) -> bool {
    directory.join(LAYERS).is_file()
}

/// The model of a folder of a run.
pub(super) fn of_run(name: &str, directory: &Path) -> Result<Imported, Failure> {
    read(name, &directory.join(LAYERS))
}

/// The model of a file that is called as the model is.
pub(super) fn of_file(name: &str) -> Result<Imported, Failure> {
    read(name, Path::new(name))
}

fn read(name: &str, path: &Path) -> Result<Imported, Failure> {
    let file = path.display();
    let refused = |why: String| {
        Failure::usage(
            format!("`{file}`: {why}"),
            "a layer is such as [[layers]] with type = \"Linear\" and out_features = 64, as torch.nn has it",
        )
    };
    let bytes = ane_files::read(path, LARGEST).map_err(|e| {
        Failure::because(
            format!("cannot read the layers of `{file}`"),
            io::Error::from(e),
            "name a TOML file of [[layers]]",
        )
    })?;
    let text = String::from_utf8(bytes).map_err(|_| refused("it is not text in UTF-8".into()))?;
    let tables: toml::Table = text.parse().map_err(|e: toml::de::Error| {
        let before = e.span().map_or(0, |span| span.start);
        let line = text.bytes().take(before).filter(|&b| b == b'\n').count() + 1;
        refused(format!("line {line}: {}", e.message()))
    })?;
    let of_model = || tables.get("model")?.get("layers");
    let layers = tables.get("layers").or_else(of_model);
    let Some(layers) = layers.and_then(toml::Value::as_array) else {
        return Err(refused("there are no [[layers]] in it".into()));
    };
    let layer = |(i, value): (usize, &toml::Value)| {
        NamedLayer::deserialize(value.clone())
            .map_err(|e| refused(format!("layer {i}, from 0: {}", e.message())))
    };
    let layers = layers
        .iter()
        .enumerate()
        .map(layer)
        .collect::<Result<_, _>>()?;
    let file = LayersFile {
        name: name.to_owned(),
        list: LayerList { layers },
        text,
    };
    Ok(Imported::new(name, file))
}
