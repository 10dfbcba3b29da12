//! The settings of a layer: its `config`, read by name with the type that a setting has.

use super::error::{KerasError, Place, shortened};
use serde_json::{Map, Value as Json};

/// Largest number of anything: units, filters, rows of a table, elements of a window.
const MOST: u64 = 1 << 24;

/// The `config` of a layer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings<'a> {
    map: &'a Map<String, Json>,
}

impl<'a> Settings<'a> {
    pub(super) fn new(map: &'a Map<String, Json>) -> Self {
        Self { map }
    }

    /// A setting that is there and not null.
    pub(super) fn get(&self, key: &str) -> Option<&'a Json> {
        self.map.get(key).filter(|v| !v.is_null())
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = (&'a String, &'a Json)> {
        self.map.iter().filter(|(_, v)| !v.is_null())
    }

    fn required(&self, key: &str) -> Result<&'a Json, KerasError> {
        self.get(key).ok_or_else(|| KerasError::Missing {
            place: Box::default(),
            key: key.to_owned(),
        })
    }

    /// A count that is at least 1.
    pub(super) fn size(&self, key: &str) -> Result<usize, KerasError> {
        size(key, self.required(key)?, 1)
    }

    /// A count that is at least 1, or what stands for a missing one.
    pub(super) fn size_or(&self, key: &str, missing: usize) -> Result<usize, KerasError> {
        self.get(key).map_or(Ok(missing), |v| size(key, v, 1))
    }

    /// A count for every one of `n` axes, of which each is at least `least`; one number stands for all.
    pub(super) fn sizes(
        &self,
        key: &str,
        n: usize,
        least: u64,
    ) -> Result<Option<Vec<usize>>, KerasError> {
        match self.get(key) {
            None => Ok(None),
            Some(Json::Array(all)) if all.len() == n => {
                let sizes = all.iter().map(|v| size(key, v, least));
                sizes.collect::<Result<_, _>>().map(Some)
            }
            Some(Json::Array(all)) => Err(wrong(key, format!("{n} numbers"), all.len())),
            Some(one) => Ok(Some(vec![size(key, one, least)?; n])),
        }
    }

    /// What is taken off or put on both ends of `n` axes: a number, a number for each axis, or a pair for each.
    pub(super) fn ends(&self, key: &str, n: usize) -> Result<Vec<[usize; 2]>, KerasError> {
        let value = self.required(key)?;
        let pair = |v: &Json| match v {
            Json::Array(both) if both.len() == 2 => {
                Ok([size(key, &both[0], 0)?, size(key, &both[1], 0)?])
            }
            one => Ok([size(key, one, 0)?; 2]),
        };
        match value {
            // Of one axis, a pair is its two ends.
            Json::Array(_) if n == 1 => match value {
                Json::Array(one) if one.len() == 1 => Ok(vec![pair(&one[0])?]),
                both => Ok(vec![pair(both)?]),
            },
            Json::Array(all) if all.len() == n => all.iter().map(pair).collect(),
            Json::Array(all) => Err(wrong(
                key,
                format!("a pair for each of {n} axes"),
                all.len(),
            )),
            one => Ok(vec![pair(one)?; n]),
        }
    }

    /// A truth value.
    pub(super) fn flag(&self, key: &str, missing: bool) -> Result<bool, KerasError> {
        match self.get(key) {
            None => Ok(missing),
            Some(Json::Bool(flag)) => Ok(*flag),
            Some(other) => Err(wrong(key, "true or false", other)),
        }
    }

    /// A finite number.
    pub(super) fn number(&self, key: &str, missing: f64) -> Result<f64, KerasError> {
        self.get(key).map_or(Ok(missing), |v| number(key, v))
    }

    /// A finite number where one is given.
    pub(super) fn optional_number(&self, key: &str) -> Result<Option<f64>, KerasError> {
        self.get(key).map(|v| number(key, v)).transpose()
    }

    /// Numbers, nested as anybody likes, in order.
    pub(super) fn numbers(&self, key: &str) -> Result<Option<Vec<f64>>, KerasError> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let mut all = Vec::new();
        flatten(key, value, &mut all)?;
        Ok(Some(all))
    }

    /// A text.
    pub(super) fn text(&self, key: &str, missing: &'static str) -> Result<&'a str, KerasError> {
        match self.get(key) {
            None => Ok(missing),
            Some(Json::String(text)) => Ok(text),
            Some(other) => Err(wrong(key, "a string", other)),
        }
    }

    /// Whole numbers, which may be negative: one, or a list.
    pub(super) fn integers(&self, key: &str) -> Result<Option<Vec<i64>>, KerasError> {
        match self.get(key) {
            None => Ok(None),
            Some(Json::Array(all)) => {
                let all = all.iter().map(|v| integer(key, v));
                all.collect::<Result<_, _>>().map(Some)
            }
            Some(one) => Ok(Some(vec![integer(key, one)?])),
        }
    }

    /// Refuses what no layer here implements.
    pub(super) fn refuse_common(&self) -> Result<(), KerasError> {
        for (key, value) in self.all() {
            let what = || format!("`{key}` {}", shortened(&value.to_string()));
            if key.ends_with("_regularizer") {
                let help =
                    "take it off the layer, and train with the weight decay of AdamW instead";
                return Err(KerasError::unsupported(what(), help));
            }
            if key.ends_with("_constraint") {
                return Err(KerasError::unsupported(what(), "take it off the layer"));
            }
            if matches!(key.as_str(), "lora_rank" | "quantization_config") {
                let help = "save the model without it";
                return Err(KerasError::unsupported(what(), help));
            }
        }
        for key in ["stateful", "mask_zero", "sparse", "ragged", "renorm"] {
            if self.flag(key, false)? {
                let help = match key {
                    "mask_zero" => "set it to false and weigh the examples instead",
                    _ => "set it to false",
                };
                return Err(KerasError::unsupported(format!("`{key}` true"), help));
            }
        }
        self.refuse_precision()
    }

    /// Refuses types of numbers that are none of ours.
    fn refuse_precision(&self) -> Result<(), KerasError> {
        let name = match self.get("dtype") {
            Some(Json::Object(policy)) => policy.get("config").and_then(|c| c.get("name")),
            other => other,
        };
        let Some(Json::String(name)) = name else {
            return Ok(());
        };
        let known = [
            "float32",
            "float64",
            "float16",
            "bfloat16",
            "mixed_float16",
            "mixed_bfloat16",
        ];
        if known.contains(&name.as_str()) {
            return Ok(());
        }
        let help = "make the layer with float32; training is in fp16 with fp32 weights anyway";
        Err(KerasError::unsupported(format!("`dtype` {name}"), help))
    }
}

/// A setting of another type or value.
pub(super) fn wrong(
    key: &str,
    expected: impl Into<String>,
    found: impl std::fmt::Display,
) -> KerasError {
    KerasError::Setting {
        place: Box::<Place>::default(),
        key: shortened(key),
        expected: expected.into(),
        found: shortened(&found.to_string()),
    }
}

/// A count within bounds.
pub(super) fn size(key: &str, value: &Json, least: u64) -> Result<usize, KerasError> {
    value
        .as_u64()
        .filter(|n| (least..=MOST).contains(n))
        .and_then(|n| usize::try_from(n).ok())
        .ok_or_else(|| wrong(key, format!("a whole number from {least} to {MOST}"), value))
}

/// A whole number within bounds.
pub(super) fn integer(key: &str, value: &Json) -> Result<i64, KerasError> {
    value
        .as_i64()
        .filter(|n| n.unsigned_abs() <= MOST)
        .ok_or_else(|| wrong(key, format!("a whole number of at most {MOST}"), value))
}

/// A finite number.
pub(super) fn number(key: &str, value: &Json) -> Result<f64, KerasError> {
    value
        .as_f64()
        .filter(|x| x.is_finite())
        .ok_or_else(|| wrong(key, "a number", value))
}

fn flatten(key: &str, value: &Json, all: &mut Vec<f64>) -> Result<(), KerasError> {
    match value {
        Json::Array(values) => values.iter().try_for_each(|v| flatten(key, v, all)),
        one => {
            all.push(number(key, one)?);
            Ok(())
        }
    }
}
