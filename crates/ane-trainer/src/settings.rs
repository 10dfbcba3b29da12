//! Settings of a run that are not on the command line: of a TOML file, of `--set`, of the environment.
//!
//! A setting is a flag of `train` under another name: the heading of the help that it stands under, and the flag's own name
//! with `_` for `-`, such as `optimizer.weight_decay`; of a flag that is called as its heading it is `name` or `path`. So each of them is checked by the flag's own parser, and a new flag is a
//! setting by itself. What ranks higher wins: flags, `--set`, the environment, the file, defaults.

mod environment;
mod file;
mod key;
mod write;

pub(crate) use environment::tell_unknown;
pub(crate) use key::{Key, keys};
pub(crate) use write::{as_json, commented, dumped};

use crate::{failure::Failure, output::detail};
use clap::{
    ArgMatches, Command,
    error::{ContextKind, ContextValue},
    parser::ValueSource,
};
use std::{
    collections::BTreeMap,
    error::Error,
    ffi::OsString,
    path::{Path, PathBuf},
};

/// Where settings are that are no flags.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Configuration")]
pub(crate) struct SettingsArgs {
    /// A TOML file of settings, such as `ane-trainer init` writes; flags win over it
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// A setting as the file has it, such as training.epochs=20; wins over the file and the environment
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Print all settings that are not left to the defaults, as a file for --config, and stop
    #[arg(long)]
    pub(crate) dump_config: bool,
}

/// What a key is set to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// A flag that takes nothing, given or not.
    Switch(bool),
    /// One value, or several.
    Texts(Vec<String>),
}

/// A value and where it comes from.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    pub(crate) value: Value,
    pub(crate) origin: String,
}

/// Settings by key.
pub(crate) type Settings = BTreeMap<String, Setting>;

/// The settings that are not on the command line, of which the highest-ranking of each key is kept; those that contradict a
/// flag that is given are left out, as the flag wins.
pub(crate) fn beside_flags(
    command: &Command,
    given: &ArgMatches,
    args: &SettingsArgs,
) -> Result<Settings, Failure> {
    let keys = keys(command);
    let mut all = match &args.config {
        Some(path) => file::read(path, &keys)?,
        None => Settings::new(),
    };
    let layers = [environment::read(&keys)?, of_set(&args.set, &keys)?];
    for layer in layers {
        for (name, setting) in layer {
            let key = keys.iter().find(|k| k.name == name);
            let rivals = key.map_or(&[][..], |k| &k.rivals);
            all.retain(|other, _| !rivals.contains(other));
            all.insert(name, setting);
        }
    }
    let is_given = |key: &Key| given.value_source(&key.id) == Some(ValueSource::CommandLine);
    for key in keys.iter().filter(|k| is_given(k)) {
        all.retain(|other, _| *other != key.name && !key.rivals.contains(other));
    }
    Ok(all)
}

/// The arguments with the settings behind them, as flags.
pub(crate) fn with_settings(
    arguments: &[OsString],
    settings: &Settings,
    keys: &[Key],
) -> Vec<OsString> {
    let mut all = arguments.to_vec();
    let mut added = Vec::new();
    for (name, setting) in settings {
        let Some(key) = keys.iter().find(|k| k.name == *name) else {
            continue;
        };
        match &setting.value {
            Value::Switch(true) => added.push(format!("--{}", key.long)),
            Value::Switch(false) => {}
            Value::Texts(texts) => {
                added.extend(texts.iter().map(|text| format!("--{}={text}", key.long)));
            }
        }
    }
    // Behind the subcommand, before which only flags of every command stand: what follows `--` would be no flags.
    let at = all.iter().position(|word| word == "train");
    let at = at.map_or(all.len(), |at| at + 1);
    all.splice(at..at, added.into_iter().map(OsString::from));
    all
}

/// Says where each of the settings comes from.
pub(crate) fn tell(settings: &Settings) {
    for (name, setting) in as_json(settings) {
        let (value, origin) = (&setting["value"], &setting["origin"]);
        let origin = origin.as_str().unwrap_or_default();
        detail!("setting {name} is {value}, by {origin}");
    }
}

/// Adds the flags that are given themselves, for who wants to see all that holds.
pub(crate) fn add_flags(settings: &mut Settings, given: &ArgMatches, keys: &[Key]) {
    for key in keys {
        if settings.contains_key(&key.name)
            || given.value_source(&key.id) != Some(ValueSource::CommandLine)
        {
            continue;
        }
        let texts = given.get_raw(&key.id).into_iter().flatten();
        let texts = texts.map(|t| t.to_string_lossy().into_owned()).collect();
        let setting = Setting {
            value: if key.is_switch {
                Value::Switch(true)
            } else {
                Value::Texts(texts)
            },
            origin: format!("--{}", key.long),
        };
        settings.insert(key.name.clone(), setting);
    }
}

/// What the parser says of arguments with settings among them: where a setting is what is wrong, its key and origin.
pub(crate) fn explained(said: &clap::Error, settings: &Settings, keys: &[Key]) -> Option<Failure> {
    let ContextValue::String(argument) = said.get(ContextKind::InvalidArg)? else {
        return None;
    };
    let long = argument.trim_start_matches("--");
    let long = long.split([' ', '=']).next()?;
    let key = keys.iter().find(|k| k.long == long)?;
    let setting = settings.get(&key.name)?;
    let found = match said.get(ContextKind::InvalidValue) {
        Some(ContextValue::String(value)) if !value.is_empty() => format!(", found `{value}`"),
        _ => String::new(),
    };
    let why = match (said.source(), said.get(ContextKind::ValidValue)) {
        (Some(why), _) => why.to_string(),
        (None, Some(ContextValue::Strings(values))) => {
            format!("expected one of {}", values.join(", "))
        }
        _ => {
            let text = said.to_string();
            let first = text.lines().next().unwrap_or_default();
            first.trim_start_matches("error: ").to_owned()
        }
    };
    Some(Failure::usage(
        format!("{}, `{}`: {why}{found}", setting.origin, key.name),
        format!("`ane-trainer train --help` describes it as --{}", key.long),
    ))
}

/// The settings of `--set`.
fn of_set(set: &[String], keys: &[Key]) -> Result<Settings, Failure> {
    let mut all = Settings::new();
    for entry in set {
        let (name, text) = entry.split_once('=').ok_or_else(|| {
            Failure::usage(
                format!("--set {entry}: expected a key and a value with = between them"),
                "such as --set training.epochs=20",
            )
        })?;
        let origin = format!("--set {entry}");
        let key = key::find(name.trim(), keys, &origin)?;
        let value = key.parse(text.trim(), &origin)?;
        all.insert(key.name.clone(), Setting { value, origin });
    }
    Ok(all)
}

/// A path of a file of settings, which is meant from where that file is.
fn from_folder(text: &str, folder: &Path) -> String {
    let path = folder.join(text);
    match path.to_str() {
        Some(joined) if path.exists() => joined.to_owned(),
        _ => text.to_owned(),
    }
}
