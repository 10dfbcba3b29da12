//! Settings of a TOML file: a table for each heading.

use super::{Setting, Settings, Value, from_folder, key, key::Key};
use crate::{code::Code, failure::Failure};
use std::{collections::BTreeMap, io, path::Path};
use toml::Spanned;

/// Most bytes of a file.
const LARGEST: u64 = 1 << 20;

/// Where a file of settings may have a list of layers, instead of the name of a model.
const LAYERS_SECTION: &str = "model";
const LAYERS: &str = "layers";

/// A table of settings, or a setting that stands outside of any.
type Entries = BTreeMap<Spanned<String>, Spanned<toml::Value>>;

/// The settings of a file.
pub(super) fn read(path: &Path, keys: &[Key]) -> Result<Settings, Failure> {
    let file = path.display();
    let bytes = ane_files::read(path, LARGEST).map_err(|e| {
        Failure::because(
            format!("cannot read the settings of `{file}`"),
            io::Error::from(e),
            "`ane-trainer init` writes such a file",
        )
        .with_code(Code::NotThere)
    })?;
    let text = String::from_utf8(bytes).map_err(|_| {
        Failure::usage(format!("`{file}` is not text in UTF-8"), "save it as UTF-8")
    })?;
    let tables: Entries = toml::from_str(&text).map_err(|e| {
        let at = e.span().map_or(String::new(), |span| {
            format!(", line {}", line(&text, span.start))
        });
        Failure::usage(
            format!("`{file}`{at}: {}", e.message().trim_end_matches('\n')),
            "mend that line; `ane-trainer init` writes a file that can be read",
        )
    })?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut all = Settings::new();
    for (section, table) in &tables {
        let origin = |at: usize| format!("`{file}`, line {}", line(&text, at));
        let toml::Value::Table(entries) = table.get_ref() else {
            let here = origin(section.span().start);
            return Err(match key::find(section.get_ref(), keys, &here) {
                Ok(_) => Failure::usage(
                    format!("{here}: `{}` is not in a table", section.get_ref()),
                    "write it under the name of its table, such as [training]",
                ),
                Err(e) => e,
            });
        };
        for (name, value) in entries {
            if is_list_of_layers(section.get_ref(), name, value) {
                // The list is read from the file that it stands in.
                let setting = Setting {
                    value: Value::Texts(vec![path.display().to_string()]),
                    origin: format!("`{file}`, [[{LAYERS_SECTION}.{LAYERS}]]"),
                };
                all.insert(format!("{LAYERS_SECTION}.name"), setting);
                continue;
            }
            let whole = format!("{}.{name}", section.get_ref());
            let here = origin(place_of(&text, table.span().start, section.get_ref(), name));
            let key = key::find(&whole, keys, &here)?;
            let mut value = key.of_toml(value, &here)?;
            if let (true, Value::Texts(texts)) = (key.is_path, &mut value) {
                for text in texts {
                    *text = from_folder(text, folder);
                }
            }
            all.insert(
                whole,
                Setting {
                    value,
                    origin: here,
                },
            );
        }
    }
    Ok(all)
}

/// Whether an entry is a list of layers.
fn is_list_of_layers(section: &str, name: &str, value: &toml::Value) -> bool {
    let tables = value.as_array().map_or(&[][..], |all| all);
    section == LAYERS_SECTION && name == LAYERS && tables.iter().all(toml::Value::is_table)
}

/// The number of the line that a byte is in, from 1.
fn line(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|&b| b == b'\n').count() + 1
}

/// Where an entry of a table begins: the first line of it that has its name before an equals sign.
fn place_of(text: &str, from: usize, section: &str, name: &str) -> usize {
    // A table's own span may be that of its last part.
    let from = text.find(&format!("[{section}]")).unwrap_or(from);
    let mut at = from;
    for line in text.get(from..).unwrap_or_default().split_inclusive('\n') {
        let key = line
            .split_once('=')
            .map(|(key, _)| key.trim().trim_matches('"'));
        if key == Some(name) {
            return at;
        }
        at += line.len();
    }
    from
}
