//! A line of the files in which a run notes what it goes through: values by name, in the order of the file.

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use std::fmt;

/// The values of a line. Each keeps the text that it has in the file, so that no digit changes on the way to another one.
#[derive(Debug, Clone, Default)]
pub struct Row(Vec<(String, Box<RawValue>)>);

impl Row {
    /// The line, if it is a whole one: what a crash has cut off is none.
    pub fn parse(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }

    /// The lines of a text that are whole.
    pub fn all(text: &str) -> Vec<Self> {
        text.lines().filter_map(Self::parse).collect()
    }

    /// Names and texts, in order; `null` has no text.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| {
            let text = value.get();
            (name.as_str(), if text == "null" { "" } else { text })
        })
    }

    /// Names and numbers, in order, without what is no number.
    pub fn numbers(&self) -> impl Iterator<Item = (&str, f64)> {
        self.texts()
            .filter_map(|(name, text)| Some((name, text.parse().ok()?)))
    }

    /// The number called `name`.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.numbers().find(|(n, _)| *n == name).map(|(_, x)| x)
    }

    /// The step after which the line was written.
    pub fn step(&self) -> Option<u64> {
        let (_, text) = self.texts().find(|(name, _)| *name == "step")?;
        text.parse().ok()
    }
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Row;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("values by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row, A::Error> {
                let mut row = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    row.push(entry);
                }
                Ok(Row(row))
            }
        }
        from.deserialize_map(InOrder)
    }
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_order_and_their_digits() {
        let row = Row::parse(r#"{"step": 3, "b": 0.10000000000000001, "a": null}"#).unwrap();
        let texts: Vec<_> = row.texts().collect();
        assert_eq!(
            texts,
            [("step", "3"), ("b", "0.10000000000000001"), ("a", "")]
        );
        let numbers: Vec<_> = row.numbers().collect();
        assert_eq!(numbers, [("step", 3.0), ("b", 0.1)]);
        assert_eq!((row.step(), row.number("a")), (Some(3), None));
        let text = serde_json::to_string(&row).unwrap();
        assert_eq!(text, r#"{"step":3,"b":0.10000000000000001,"a":null}"#);
    }

    #[test]
    fn a_line_that_was_cut_off_is_none() {
        let all = Row::all("{\"step\":1}\n{\"step\":2}\n{\"st");
        let steps: Vec<_> = all.iter().map(Row::step).collect();
        assert_eq!(steps, [Some(1), Some(2)]);
    }
}
