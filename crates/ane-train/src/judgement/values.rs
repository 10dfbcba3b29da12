//! How far off a model is that says numbers, each in its own unit.

use crate::data::description::Quantity;
use serde::Serialize;

/// What answers that are numbers are worth.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ValuesJudged {
    /// By quantity, in order.
    pub quantities: Vec<ValueScore>,
    /// Numbers that were answered, in the units of the quantities, example by example.
    #[serde(skip)]
    pub answered: Vec<f32>,
    /// What they should have been.
    #[serde(skip)]
    pub wanted: Vec<f32>,
}

/// How far off the answers of a quantity are, in its own unit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ValueScore {
    /// Its name.
    pub name: String,
    /// Mean squared error.
    pub mse: f64,
    /// Its root.
    pub rmse: f64,
    /// Mean absolute error.
    pub mae: f64,
    /// The share of the variance that the answers explain: 1 − Σ(y − ŷ)² / Σ(y − ȳ)²; none where all are the same.
    pub r2: Option<f64>,
}

impl ValuesJudged {
    /// Judges rows of outputs by rows of targets, both as the model says them.
    pub(super) fn of(quantities: &[Quantity], outputs: &[f32], targets: &[f32]) -> Self {
        let width = quantities.len().max(1);
        let in_units = |rows: &[f32]| -> Vec<f32> {
            let values = rows.iter().enumerate();
            values
                .map(|(i, &y)| quantities[i % width].from_output(y))
                .collect()
        };
        let (answered, wanted) = (in_units(outputs), in_units(targets));
        let score = |(i, quantity): (usize, &Quantity)| {
            let column = |rows: &[f32]| -> Vec<f64> {
                rows.iter()
                    .skip(i)
                    .step_by(width)
                    .map(|&x| x.into())
                    .collect()
            };
            ValueScore::of(&quantity.name, &column(&answered), &column(&wanted))
        };
        Self {
            quantities: quantities.iter().enumerate().map(score).collect(),
            answered,
            wanted,
        }
    }
}

impl ValueScore {
    fn of(name: &str, answered: &[f64], wanted: &[f64]) -> Self {
        let n = wanted.len().max(1) as f64;
        let errors = || answered.iter().zip(wanted).map(|(a, w)| a - w);
        let squares: f64 = errors().map(|e| e * e).sum();
        let mean = wanted.iter().sum::<f64>() / n;
        let spread: f64 = wanted.iter().map(|w| (w - mean) * (w - mean)).sum();
        Self {
            name: name.to_owned(),
            mse: squares / n,
            rmse: (squares / n).sqrt(),
            mae: errors().map(f64::abs).sum::<f64>() / n,
            r2: (spread > 0.0).then(|| 1.0 - squares / spread),
        }
    }
}
