//! A configuration as names and texts, for people.

use serde_json::{Map, Value};
use std::{collections::BTreeMap, path::Path};

/// Digits of a number that people read.
const DIGITS: i32 = 6;

/// The settings of a configuration by their names, those of an object behind its own and a dot.
pub(super) fn flat(config: &Map<String, Value>) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    add(&mut all, "", config);
    all
}

fn add(all: &mut BTreeMap<String, String>, before: &str, map: &Map<String, Value>) {
    for (name, value) in map {
        let name = format!("{before}{name}");
        match value {
            Value::Null => {}
            Value::Object(inner) => add(all, &format!("{name}."), inner),
            Value::Array(items) if items.iter().any(Value::is_object) => {
                for (i, item) in items.iter().enumerate() {
                    match item {
                        Value::Object(inner) => add(all, &format!("{name}.{i}."), inner),
                        other => drop(all.insert(format!("{name}.{i}"), text(other))),
                    }
                }
            }
            other => drop(all.insert(name, text(other))),
        }
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(n) if n.is_f64() => short(n.as_f64().unwrap_or(f64::NAN)),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// A number with at most [`DIGITS`] digits that count.
pub(super) fn short(x: f64) -> String {
    if x == 0.0 || !x.is_finite() {
        return x.to_string();
    }
    let magnitude = x.abs().log10().floor() as i32;
    if !(-4..=14).contains(&magnitude) {
        let text = format!("{x:.*e}", DIGITS as usize - 1);
        return match text.split_once('e') {
            Some((digits, power)) => format!("{}e{power}", trimmed(digits)),
            None => text,
        };
    }
    let decimals = (DIGITS - 1 - magnitude).max(0) as usize;
    trimmed(&format!("{x:.decimals$}")).to_owned()
}

fn trimmed(digits: &str) -> &str {
    match digits.contains('.') {
        true => digits.trim_end_matches('0').trim_end_matches('.'),
        false => digits,
    }
}

/// A data set as a table has it: its name, or that of its file without the ending.
pub(crate) fn data_name(dataset: &str) -> String {
    let name = Path::new(dataset).file_stem();
    let name = name.map_or(dataset.into(), |name| name.to_string_lossy());
    name.strip_suffix(".csv").unwrap_or(&name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_six_digits_that_count() {
        for (x, wanted) in [
            (0.0, "0"),
            (0.001, "0.001"),
            (0.1 + 0.2, "0.3"),
            (2.0 / 3.0, "0.666667"),
            (-1234.56789, "-1234.57"),
            (123_456_789.0, "123456789"),
            (0.000_312_254_123, "0.000312254"),
            (0.000_031_225_412_3, "3.12254e-5"),
            (1e-8, "1e-8"),
            (1.5e300, "1.5e300"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(short(x), wanted);
        }
    }

    #[test]
    fn objects_are_names_with_dots() {
        let config = serde_json::json!({
            "lr": 0.001, "none": null, "seed": 3, "loss": {"kind": "mse"},
            "optimizer": {"betas": [0.9, 0.999]}, "groups": [{"parameters": "a.*", "lr": 0.1}],
        });
        let all = flat(config.as_object().unwrap());
        let lines: Vec<String> = all.iter().map(|(n, t)| format!("{n}: {t}")).collect();
        assert_eq!(
            lines,
            [
                "groups.0.lr: 0.1",
                "groups.0.parameters: a.*",
                "loss.kind: mse",
                "lr: 0.001",
                "optimizer.betas: 0.9, 0.999",
                "seed: 3",
            ]
        );
    }

    #[test]
    fn data_is_called_as_its_file_is() {
        let found = ["mnist", "/tmp/a b/t.csv", "x/t.csv.gz", "photos/"].map(data_name);
        assert_eq!(found, ["mnist", "t", "t", "photos"]);
    }
}
