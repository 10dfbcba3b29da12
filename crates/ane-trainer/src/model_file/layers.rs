//! Lists of layers in TOML: `[[layers]]` of a file, or `[[model.layers]]` of a file of settings.

use super::{keras, remove, torch};
use crate::{code::Code, failure::Failure};
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
/// Least likeness of a name that is offered for one that is not known.
const ALIKE: f64 = 0.8;

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
        .with_code(Code::NotThere)
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
        NamedLayer::deserialize(value.clone()).map_err(|e| misread(&file.to_string(), &text, i, &e))
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

/// The failure of the layer `i` of a text: the line of what is wrong with it, and what was meant.
fn misread(file: &str, text: &str, i: usize, e: &toml::de::Error) -> Failure {
    let said = e.message().trim_end();
    let mut names = said.split('`').skip(1).step_by(2);
    let found = names.next().unwrap_or_default();
    // What is missing is in no line of the layer.
    let is_there = !said.starts_with("missing");
    let line = line_of(text, i, found, is_there);
    let known: Vec<&str> = names.collect();
    let likeness = |name: &str| strsim::jaro_winkler(&name.to_lowercase(), &found.to_lowercase());
    let nearest = known
        .iter()
        .filter(|name| is_there && likeness(name) >= ALIKE)
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    let help = match nearest {
        Some(name) => format!("did you mean `{name}`? Types and arguments are those of torch.nn"),
        None => "types and arguments of layers are those of torch.nn, such as type = \"Linear\" with out_features = 64"
            .to_owned(),
    };
    Failure::usage(
        format!("`{file}`, line {line}, layer {i} (from 0): {said}"),
        help,
    )
}

/// The line, from 1, in which the layer `i` has a word, or the one in which it begins.
fn line_of(text: &str, i: usize, word: &str, is_there: bool) -> usize {
    let lines = || text.lines().enumerate();
    let begins = |line: &str| matches!(line.trim(), "[[layers]]" | "[[model.layers]]");
    let mut heads = lines().filter(|(_, line)| begins(line)).map(|(at, _)| at);
    let Some(head) = heads.nth(i) else {
        // The list stands in brackets.
        let found = lines().find(|(_, line)| is_there && line.contains(word));
        return found.map_or(1, |(at, _)| at + 1);
    };
    let end = heads.next().unwrap_or(usize::MAX);
    let mut own = lines().skip(head).take_while(|(at, _)| *at < end);
    let found = own.find(|(_, line)| is_there && line.contains(word));
    found.map_or(head, |(at, _)| at) + 1
}
