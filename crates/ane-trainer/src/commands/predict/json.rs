//! Answers as JSON: an object per line.

use super::{
    Writer,
    answer::{Answer, Said},
};
use serde_json::{Value, json};

/// An object per example.
pub(super) struct Json {
    /// Classes that are named.
    pub(super) top: usize,
    /// Whether the model's outputs are there too.
    pub(super) logits: bool,
}

impl Writer for Json {
    fn head(&self, _: &mut String) {}

    fn answer(&self, answer: &Answer, out: &mut String) {
        let mut object = json!({"schema": 1, "example": answer.example});
        match &answer.said {
            Said::Classes(classes) => {
                let top = classes.iter().take(self.top);
                object["answer"] = classes.first().map_or(Value::Null, |c| json!(c.0));
                object["top"] = top
                    .map(|(name, p)| json!({"class": name, "probability": p}))
                    .collect();
            }
            Said::Values(values) => {
                object["values"] = values.iter().map(|(n, x)| (n.clone(), json!(x))).collect();
            }
            Said::Outputs => {}
        }
        if self.logits || answer.said == Said::Outputs {
            object["outputs"] = json!(answer.outputs);
        }
        out.push_str(&object.to_string());
        out.push('\n');
    }
}
