//! What a reader of a run's weights has to know to use them, as the metadata of their file.

use super::RunConfig;
use crate::data::DatasetSpec;
use serde_json::json;
use std::collections::BTreeMap;

impl RunConfig {
    /// The model, what its inputs are made of, and what its outputs mean; values that are no names are JSON.
    pub fn weights_metadata(&self, data: &DatasetSpec) -> BTreeMap<String, String> {
        let entries = [
            ("architecture", self.model.clone()),
            ("dataset", data.name.to_owned()),
            ("class_names", json!(data.class_names).to_string()),
            ("input_shape", json!(data.example_shape).to_string()),
            ("input_scaling", self.input_scaling(data)),
        ];
        entries.map(|(key, value)| (key.to_owned(), value)).into()
    }

    /// How pixels become inputs, as JSON: a formula and its numbers.
    pub fn input_scaling(&self, data: &DatasetSpec) -> String {
        let mean = if self.centred {
            data.normalisation.mean
        } else {
            0.0
        };
        // The shortest digits that are this number in f32, not those of its f64 neighbour.
        format!(
            r#"{{"formula":"(pixel / 255 - mean) / std","mean":{mean:?},"std":{:?}}}"#,
            data.normalisation.std
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::catalog;

    #[test]
    fn the_scaling_is_the_one_that_the_run_was_trained_with() {
        let mnist = catalog::find("mnist").unwrap();
        let mut config = RunConfig::default();
        let scaling = |config: &RunConfig| {
            let text = config.weights_metadata(mnist)["input_scaling"].clone();
            serde_json::from_str::<serde_json::Value>(&text).unwrap()
        };
        let number = |value: &serde_json::Value| value.as_f64().unwrap() as f32;
        assert_eq!(number(&scaling(&config)["mean"]), 0.0);
        config.centred = true;
        let seen = scaling(&config);
        assert_eq!(number(&seen["mean"]), mnist.normalisation.mean);
        assert_eq!(number(&seen["std"]), mnist.normalisation.std);
    }
}
