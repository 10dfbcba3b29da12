//! The keys that settings have: the flags of a command by the heading that they stand under.

use super::Value;
use crate::failure::Failure;
use clap::{Arg, ArgAction, Command, ValueHint};
use std::collections::HashSet;

/// Least likeness of a name that is offered for one that is not known.
const ALIKE: f64 = 0.8;
/// Heading of the flags that are no settings themselves.
const OWN: &str = "Configuration";

/// A key.
#[derive(Debug)]
pub(crate) struct Key {
    /// Section and name, such as `training.epochs`.
    pub(crate) name: String,
    /// The flag without its dashes.
    pub(crate) long: String,
    /// What the flag is to the parser.
    pub(crate) id: String,
    /// What the help says of it.
    pub(crate) help: String,
    /// Keys of flags that contradict this one.
    pub(super) rivals: Vec<String>,
    /// Whether it takes several values.
    pub(super) takes_several: bool,
    /// Whether it takes none.
    pub(super) is_switch: bool,
    /// Whether its value is a path.
    pub(super) is_path: bool,
}

/// Every key of a command, section by section.
pub(crate) fn keys(command: &Command) -> Vec<Key> {
    let names: Vec<(&Arg, String)> = command
        .get_arguments()
        .filter_map(|arg| Some((arg, name(arg)?)))
        .collect();
    let key = |(arg, name): &(&Arg, String)| {
        let own = command.get_arg_conflicts_with(arg);
        let others = names.iter().filter(|(other, _)| {
            let back = command.get_arg_conflicts_with(other);
            let is = |all: &[&Arg], arg: &Arg| all.iter().any(|a| a.get_id() == arg.get_id());
            is(&own, other) || is(&back, arg)
        });
        Key {
            name: name.clone(),
            long: arg.get_long().unwrap_or_default().to_owned(),
            id: arg.get_id().to_string(),
            help: arg.get_help().map(ToString::to_string).unwrap_or_default(),
            rivals: others.map(|(_, name)| name.clone()).collect(),
            takes_several: matches!(arg.get_action(), ArgAction::Append),
            is_switch: matches!(arg.get_action(), ArgAction::SetTrue),
            is_path: is_path(arg),
        }
    };
    let mut keys: Vec<Key> = names.iter().map(key).collect();
    let mut sections: Vec<String> = keys.iter().map(|k| k.section().to_owned()).collect();
    let mut seen = HashSet::new();
    sections.retain(|section| seen.insert(section.clone()));
    keys.sort_by_key(|k| sections.iter().position(|s| s == k.section()));
    keys
}

fn is_path(arg: &Arg) -> bool {
    matches!(
        arg.get_value_hint(),
        ValueHint::AnyPath | ValueHint::FilePath | ValueHint::DirPath
    )
}

/// The key of a flag; none of one that is no setting.
fn name(arg: &Arg) -> Option<String> {
    let heading = arg.get_help_heading().filter(|h| *h != OWN)?;
    let (section, long) = (heading.to_lowercase(), arg.get_long()?);
    // `data.data` says less than `data.path`.
    let own = if is_path(arg) { "path" } else { "name" };
    let name = if long == section { own } else { long };
    Some(format!("{section}.{}", name.replace('-', "_")))
}

/// The key called `name`.
pub(super) fn find<'a>(name: &str, keys: &'a [Key], origin: &str) -> Result<&'a Key, Failure> {
    if let Some(found) = keys.iter().find(|k| k.name == name) {
        return Ok(found);
    }
    let part = |text: &str, last: bool| {
        let (section, name) = text.split_once('.').unwrap_or(("", text));
        (if last { name } else { section }).to_owned()
    };
    let likeness = |key: &&Key| {
        let of = |last| strsim::jaro_winkler(&part(&key.name, last), &part(name, last));
        // The section may be wrong, or missing.
        of(true) + 0.01 * of(false)
    };
    let nearest = keys
        .iter()
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    let nearest = nearest.filter(|k| likeness(k) >= ALIKE);
    let help = match nearest {
        Some(key) => format!("did you mean `{}`?", key.name),
        None => "`ane-trainer init` writes a file with every key there is".to_owned(),
    };
    Err(Failure::usage(
        format!("{origin}: there is no setting `{name}`"),
        help,
    ))
}

impl Key {
    /// What stands before the dot.
    pub(super) fn section(&self) -> &str {
        self.name.split('.').next().unwrap_or_default()
    }

    /// The value of a text.
    pub(super) fn parse(&self, text: &str, origin: &str) -> Result<Value, Failure> {
        if !self.is_switch {
            return Ok(Value::Texts(vec![text.to_owned()]));
        }
        match text {
            "true" | "1" => Ok(Value::Switch(true)),
            "false" | "0" => Ok(Value::Switch(false)),
            _ => Err(self.wrong(origin, "true or false", text)),
        }
    }

    /// The value of an element of a file.
    pub(super) fn of_toml(&self, value: &toml::Value, origin: &str) -> Result<Value, Failure> {
        let text = |value: &toml::Value| match value {
            toml::Value::String(text) => Ok(text.clone()),
            toml::Value::Integer(n) => Ok(n.to_string()),
            toml::Value::Float(x) => Ok(x.to_string()),
            toml::Value::Boolean(b) => Ok(b.to_string()),
            toml::Value::Datetime(_) | toml::Value::Array(_) | toml::Value::Table(_) => Err(self
                .wrong(
                    origin,
                    "a text, a number or true or false",
                    &value.to_string(),
                )),
        };
        match value {
            toml::Value::Boolean(b) if self.is_switch => Ok(Value::Switch(*b)),
            other if self.is_switch => Err(self.wrong(origin, "true or false", &other.to_string())),
            toml::Value::Array(all) if self.takes_several => Ok(Value::Texts(
                all.iter().map(text).collect::<Result<_, _>>()?,
            )),
            toml::Value::Array(all) => {
                // Sides of pictures and the like are written with something between them.
                let all: Vec<String> = all.iter().map(text).collect::<Result<_, _>>()?;
                Ok(Value::Texts(vec![all.join(",")]))
            }
            other => Ok(Value::Texts(vec![text(other)?])),
        }
    }

    fn wrong(&self, origin: &str, expected: &str, found: &str) -> Failure {
        Failure::usage(
            format!(
                "{origin}, `{}`: expected {expected}, found {found}",
                self.name
            ),
            format!("`ane-trainer train --help` describes it as --{}", self.long),
        )
    }
}
