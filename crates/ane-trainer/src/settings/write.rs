//! Settings as a TOML file: a new one with every key, and what holds for a run.

use super::{Key, Setting, Settings, Value};
use serde_json::{Map, json};
use std::fmt::Write;

/// Widest line of a comment.
const WIDTH: usize = 100;

/// A file with every key, its description and its default, all but `set` behind comment signs.
pub(crate) fn commented(keys: &[Key], set: &[(&str, String)]) -> String {
    let mut text = String::from(
        "# Settings of a run: `ane-trainer train --config THIS`.\n\
         # Flags win over --set, that over the environment, such as ANE_TRAINER_TRAINING_EPOCHS=20,\n\
         # and that over this file.\n",
    );
    let mut section = "";
    for key in keys {
        let (of_key, name) = key.name.split_once('.').unwrap_or(("", &key.name));
        if of_key != section {
            section = of_key;
            let _ = writeln!(text, "\n[{section}]");
        }
        let (help, default) = match key.help.split_once(" [default: ") {
            Some((help, default)) => (help, Some(default.trim_end_matches(']'))),
            None => (key.help.as_str(), None),
        };
        text.push_str(&comment(help));
        if let Some(default) = default {
            text.push_str(&comment(&format!("Default: {default}")));
        }
        match set.iter().find(|(name, _)| *name == key.name) {
            Some((_, value)) => {
                let _ = writeln!(text, "{name} = {}", quoted(value));
            }
            None => {
                let example = if key.is_switch { "true" } else { "…" };
                let _ = writeln!(text, "# {name} = {example}");
            }
        }
    }
    text
}

/// The settings that hold, with where each comes from.
pub(crate) fn dumped(keys: &[Key], settings: &Settings) -> String {
    let mut text = String::new();
    let mut section = "";
    for key in keys {
        let Some(setting) = settings.get(&key.name) else {
            continue;
        };
        let (of_key, name) = key.name.split_once('.').unwrap_or(("", &key.name));
        if of_key != section {
            let gap = if section.is_empty() { "" } else { "\n" };
            section = of_key;
            let _ = writeln!(text, "{gap}[{section}]");
        }
        let value = match &setting.value {
            Value::Switch(on) => on.to_string(),
            Value::Texts(texts) if key.takes_several => {
                let all: Vec<String> = texts.iter().map(|t| quoted(t)).collect();
                format!("[{}]", all.join(", "))
            }
            Value::Texts(texts) => quoted(&texts.join(",")),
        };
        let _ = writeln!(text, "{name} = {value}  # {}", setting.origin);
    }
    text
}

/// The same by key, each with its value and where it comes from.
pub(crate) fn as_json(settings: &Settings) -> Map<String, serde_json::Value> {
    let object = |(name, setting): (&String, &Setting)| {
        let value = match &setting.value {
            Value::Switch(on) => json!(on),
            Value::Texts(texts) => json!(texts),
        };
        let object = json!({"value": value, "origin": setting.origin});
        (name.clone(), object)
    };
    settings.iter().map(object).collect()
}

/// A text as TOML has it, a number as itself.
fn quoted(text: &str) -> String {
    match text.parse::<f64>() {
        Ok(x) if x.is_finite() && toml::from_str::<toml::Table>(&format!("x = {text}")).is_ok() => {
            text.to_owned()
        }
        _ => toml::Value::String(text.to_owned()).to_string(),
    }
}

/// Lines of a comment.
fn comment(text: &str) -> String {
    let mut lines = String::new();
    let mut line = String::from("#");
    for word in text.split_whitespace() {
        if line.len() + 1 + word.len() > WIDTH {
            lines.push_str(&line);
            lines.push('\n');
            line = String::from("#  ");
        }
        line.push(' ');
        line.push_str(word);
    }
    lines + &line + "\n"
}
