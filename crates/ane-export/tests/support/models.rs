//! Models as a run would have trained them: with weights that are not those they begin with.

use ane_export::Trained;
use ane_train::{
    data::{Description, catalog},
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
        let description = catalog::find(dataset).unwrap().description(true);
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

    pub(crate) fn trained(&self) -> Trained<'_> {
        Trained {
            spec: &self.spec,
            batch: 4,
            description: &self.description,
            weights: &self.weights,
        }
    }
}
