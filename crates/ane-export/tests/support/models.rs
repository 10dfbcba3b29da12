//! Models as a run would have trained them: with weights that are not those they begin with.

use ane_export::Trained;
use ane_train::{
    data::{
        Description, catalog,
        description::{Column, ColumnKind, Input, Quantity, Target},
    },
    models::ModelSpec,
    store::NamedWeight,
};

/// A model with weights.
pub(crate) struct Made {
    pub(crate) spec: ModelSpec,
    pub(crate) description: Description,
    pub(crate) weights: Vec<NamedWeight>,
}

impl Made {
    /// A named model for a data set of the catalog.
    pub(crate) fn new(spec: &str, dataset: &str) -> Self {
        let description = catalog::find(dataset).unwrap().description(true).unwrap();
        Self::of(spec, description)
    }

    /// A named model for examples of one's own.
    pub(crate) fn of(spec: &str, description: Description) -> Self {
        let spec: ModelSpec = spec.parse().unwrap();
        let model = spec.build(2, &description.examples()).unwrap();
        let mut weights = Vec::new();
        for (i, p) in model.parameters.iter().enumerate() {
            weights.push((p.path.clone(), p.shape.dims().to_vec(), p.initial(7, i)));
        }
        for b in &model.buffers {
            let n = b.shape.numel();
            // Both differ from channel to channel. Variances are positive, and means so small that a ReLU behind them
            // lets something pass.
            let is_variance = b.path.ends_with("var");
            let value = |i: usize| match is_variance {
                true => 0.05 + i as f32 / n as f32,
                false => 0.05 * (i as f32).sin(),
            };
            let values = (0..n).map(value).collect();
            weights.push((b.path.clone(), b.shape.dims().to_vec(), values));
        }
        Self {
            spec,
            description,
            weights,
        }
    }

    /// A model that says the logarithm of a price for two numbers.
    pub(crate) fn prices() -> Self {
        let number = |name: &str, mean, std| Column {
            name: name.into(),
            kind: ColumnKind::Number {
                mean,
                std,
                missing: None,
            },
        };
        let description = Description {
            name: "prices".into(),
            title: "prices".into(),
            input: Input::Table {
                columns: vec![number("carat", 0.8, 0.5), number("depth", 61.7, 1.4)],
            },
            target: Target::Values {
                values: vec![Quantity {
                    name: "price".into(),
                    log: true,
                    mean: 7.8,
                    std: 1.01,
                }],
            },
            fingerprint: None,
        };
        Self::of("2-8-1", description)
    }

    pub(crate) fn trained(&self) -> Trained<'_> {
        Trained {
            spec: &self.spec,
            batch: 4,
            description: &self.description,
            weights: &self.weights,
        }
    }
}
