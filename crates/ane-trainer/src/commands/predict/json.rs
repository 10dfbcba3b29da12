//! Answers as JSON: an object per line.

use super::{
    Args, Writer,
    answer::{Answer, Said},
};
use crate::output::SCHEMA;
use serde_json::{Map, Value, json};

/// An object per example.
pub(super) struct Json {
    /// Classes that are named.
    top: usize,
    /// Whether the model's outputs are there too.
    logits: bool,
}

impl Json {
    /// What the arguments ask for.
    pub(super) fn of(args: &Args) -> Self {
        Self {
            top: args.top(),
            logits: args.logits,
        }
    }

    /// The fields of an answer.
    pub(super) fn of_answer(&self, answer: &Answer) -> Map<String, Value> {
        let mut object = Map::new();
        let mut set = |name: &str, value| object.insert(name.to_owned(), value);
        set("example", json!(answer.example));
        match &answer.said {
            Said::Classes(classes) => {
                let top = classes.iter().take(self.top);
                set("answer", json!(classes.first().map(|c| &c.0)));
                set(
                    "top",
                    top.map(|(name, p)| json!({"class": name, "probability": p}))
                        .collect(),
                );
            }
            Said::Values(values) => {
                let values = values.iter().map(|(n, x)| (n.clone(), json!(x)));
                set("values", values.collect());
            }
            Said::Outputs => {}
        }
        if self.logits || answer.said == Said::Outputs {
            set("outputs", json!(answer.outputs));
        }
        object
    }
}

impl Writer for Json {
    fn head(&self, _: &mut String) {}

    fn answer(&self, answer: &Answer, out: &mut String) {
        let mut object = self.of_answer(answer);
        object.insert("schema".to_owned(), json!(SCHEMA));
        out.push_str(&Value::from(object).to_string());
        out.push('\n');
    }
}
