//! What a reader of a run's weights has to know to use them, as the metadata of their file.

use super::RunConfig;
use crate::data::{
    Description,
    description::{Input, Target},
};
use serde_json::json;
use std::collections::BTreeMap;

impl RunConfig {
    /// The model, what its inputs are made of, and what its outputs mean; values that are no names are JSON.
    pub fn weights_metadata(&self, data: &Description) -> BTreeMap<String, String> {
        let mut entries = BTreeMap::from([
            ("architecture", self.model.clone()),
            ("dataset", data.name.clone()),
            ("input_shape", json!(data.shape()).to_string()),
            ("input_scaling", input_scaling(data)),
        ]);
        match &data.target {
            Target::Classes { names } => entries.insert("class_names", json!(names).to_string()),
            Target::Values { values } => entries.insert("values", json!(values).to_string()),
            Target::Tokens { count } => entries.insert("vocabulary", count.to_string()),
        };
        let entries = entries.into_iter();
        entries
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    }
}

/// How what a file holds becomes inputs, as JSON: a formula and its numbers.
fn input_scaling(data: &Description) -> String {
    // The shortest digits that are this number in f32, not those of its f64 neighbour.
    let number = |x: &[f32]| match x {
        [one] => format!("{one:?}"),
        several => format!("{several:?}"),
    };
    match &data.input {
        Input::Image { scaling, .. } => format!(
            r#"{{"formula":"(pixel / 255 - mean) / std","mean":{},"std":{}}}"#,
            number(&scaling.mean),
            number(&scaling.std)
        ),
        Input::Array { scaling, .. } => format!(
            r#"{{"formula":"(x - mean) / std","mean":{},"std":{}}}"#,
            number(&scaling.mean),
            number(&scaling.std)
        ),
        Input::Table { columns } => {
            json!({"formula": "(x - mean) / std of numbers; 1 at the value of a category", "columns": columns})
                .to_string()
        }
        Input::Tokens { tokenizer, .. } => {
            json!({"formula": "ids of the tokenizer", "tokenizer": tokenizer}).to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::catalog;

    #[test]
    fn the_scaling_is_the_one_that_the_run_was_trained_with() {
        let mnist = catalog::find("mnist").unwrap();
        let scaling = |centred: bool| {
            let text = &RunConfig::default().weights_metadata(&mnist.description(centred).unwrap());
            serde_json::from_str::<serde_json::Value>(&text["input_scaling"]).unwrap()
        };
        let normalisation = mnist.images().unwrap().normalisation;
        let number = |value: &serde_json::Value| value.as_f64().unwrap() as f32;
        assert_eq!(number(&scaling(false)["mean"]), 0.0);
        let seen = scaling(true);
        assert_eq!(number(&seen["mean"]), normalisation.mean);
        assert_eq!(number(&seen["std"]), normalisation.std);
    }
}
