//! What a model's output says of an example.

use ane_train::data::{Description, description::Target};

/// What is said of an example.
#[derive(Debug, PartialEq)]
pub(super) struct Answer {
    /// What the example is called.
    pub(super) example: String,
    /// What is said.
    pub(super) said: Said,
    /// The model's output.
    pub(super) outputs: Vec<f32>,
}

/// What is said of an example.
#[derive(Debug, PartialEq)]
pub(super) enum Said {
    /// Classes and their probabilities, the likeliest first; of equals, the first in order.
    Classes(Vec<(String, f64)>),
    /// Numbers, by name.
    Values(Vec<(String, f32)>),
    /// What is not named: the outputs as they are.
    Outputs,
}

impl Answer {
    /// What a row of outputs says.
    pub(super) fn of(example: String, outputs: &[f32], data: &Description) -> Self {
        let said = match &data.target {
            Target::Classes { names } if names.len() == outputs.len() => {
                let shares = softmax(outputs);
                let mut all: Vec<(String, f64)> = names.iter().cloned().zip(shares).collect();
                all.sort_by(|a, b| b.1.total_cmp(&a.1));
                Said::Classes(all)
            }
            Target::Values { values } if values.len() == outputs.len() => {
                let number = values.iter().zip(outputs);
                Said::Values(
                    number
                        .map(|(v, &y)| (v.name.clone(), v.from_output(y)))
                        .collect(),
                )
            }
            Target::Classes { .. } | Target::Values { .. } | Target::Tokens { .. } => Said::Outputs,
        };
        Self {
            example,
            said,
            outputs: outputs.to_vec(),
        }
    }
}

/// exp(x) / Σ exp(x), of numbers from which the largest is taken off.
fn softmax(logits: &[f32]) -> Vec<f64> {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = logits.iter().map(|&x| f64::from(x - most).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|p| p / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ane_train::data::description::{Input, Quantity, Scaling};

    fn data(target: Target) -> Description {
        Description {
            name: "d".into(),
            title: "d".into(),
            input: Input::Array {
                shape: vec![1],
                scaling: Scaling::uniform(0.0, 1.0),
            },
            target,
            fingerprint: None,
        }
    }

    #[test]
    fn classes_are_in_the_order_of_their_probabilities() {
        let names = ["a", "b", "c"].map(str::to_owned).to_vec();
        let answer = Answer::of(
            "x".into(),
            &[1.0, 3.0, 1.0],
            &data(Target::Classes { names }),
        );
        let Said::Classes(classes) = answer.said else {
            panic!("{answer:?}")
        };
        let order: Vec<&str> = classes.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(order, ["b", "a", "c"]);
        // scipy.special.softmax([1, 3, 1])[1]
        assert!((classes[0].1 - 0.786_986_04).abs() < 1e-8, "{classes:?}");
    }

    #[test]
    fn numbers_come_back_in_the_unit_of_the_data() {
        let values = vec![Quantity {
            name: "price".into(),
            log: true,
            mean: 1.0,
            std: 2.0,
        }];
        let answer = Answer::of("x".into(), &[0.5], &data(Target::Values { values }));
        assert_eq!(
            answer.said,
            Said::Values(vec![("price".into(), 2.0_f32.exp())])
        );
    }
}
