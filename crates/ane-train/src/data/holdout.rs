//! How much of a training set is kept for validation.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Examples that choose the best state, as a count or as a share of the training set.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Holdout {
    /// So many.
    Count(usize),
    /// This share, above 0 and below 1.
    Share(f64),
}

/// A training set cannot be split, or fills no batch.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SplitError {
    /// Nothing would be left to train on, or to validate with.
    #[error(
        "holding out {asked} of {examples} training examples leaves {} to validate with and {} to train on",
        .held_out, .examples.saturating_sub(*.held_out)
    )]
    Holdout {
        /// What was asked for.
        asked: Holdout,
        /// Examples there are.
        examples: usize,
        /// Examples that would be held out.
        held_out: usize,
    },
    /// A text with too few tokens.
    #[error("{tokens} tokens make no example of {context} and what follows them")]
    Tokens {
        /// Tokens there are.
        tokens: usize,
        /// Tokens of an example.
        context: usize,
    },
    /// Fewer examples than rows of a batch.
    #[error("a batch of {batch} is larger than the {examples} training examples")]
    Batch {
        /// Rows of a batch.
        batch: usize,
        /// Examples there are to train on.
        examples: usize,
    },
}

impl SplitError {
    /// What the user can do.
    pub fn help(&self) -> String {
        match self {
            Self::Holdout { examples, .. } => format!(
                "pass --validation with a count below {examples} or a share such as 0.1, or --final to train on all of them"
            ),
            Self::Tokens { .. } => {
                "pass a longer text, a smaller --context, or --final to validate on none of it"
                    .to_owned()
            }
            Self::Batch { examples, .. } => format!("pass --batch {examples} or less"),
        }
    }
}

impl Holdout {
    /// How many of `examples` are held out.
    ///
    /// # Errors
    /// When that is none or all of them.
    pub fn of(self, examples: usize) -> Result<usize, SplitError> {
        let held_out = match self {
            Self::Count(n) => n,
            Self::Share(share) => (share * examples as f64).round() as usize,
        };
        if (1..examples).contains(&held_out) {
            Ok(held_out)
        } else {
            Err(SplitError::Holdout {
                asked: self,
                examples,
                held_out,
            })
        }
    }
}

/// Whether examples fill at least one batch.
///
/// # Errors
/// When they do not.
pub fn fills_a_batch(examples: usize, batch: usize) -> Result<(), SplitError> {
    if examples >= batch {
        return Ok(());
    }
    Err(SplitError::Batch { batch, examples })
}

impl fmt::Display for Holdout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(n) => n.fmt(f),
            Self::Share(share) => share.fmt(f),
        }
    }
}

impl FromStr for Holdout {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(n) = text.parse() {
            return Ok(Self::Count(n));
        }
        let share = text.parse().ok().filter(|&x| x > 0.0 && x < 1.0);
        share.map(Self::Share).ok_or_else(|| {
            format!("`{text}` is neither a number of examples nor a share between 0 and 1")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holdout_is_a_count_or_a_share_and_leaves_something_on_both_sides() {
        assert_eq!("5000".parse::<Holdout>().unwrap().of(60_000), Ok(5_000));
        assert_eq!("0.1".parse::<Holdout>().unwrap().of(60), Ok(6));
        for text in ["1.5", "-3", "half", "0.0"] {
            assert!(text.parse::<Holdout>().is_err(), "{text}");
        }
        for (holdout, examples) in [
            (Holdout::Count(5_000), 5_000),
            (Holdout::Count(5_000), 400),
            (Holdout::Count(0), 400),
            (Holdout::Share(0.001), 60),
        ] {
            let error = holdout.of(examples).unwrap_err();
            assert!(error.to_string().contains(&examples.to_string()));
            assert!(error.help().contains("--validation"));
        }
    }

    #[test]
    fn fewer_examples_than_a_batch_are_refused_with_a_batch_that_fits() {
        assert_eq!(fills_a_batch(128, 128), Ok(()));
        let error = fills_a_batch(60, 128).unwrap_err();
        assert!(error.to_string().contains("batch of 128"));
        assert_eq!(error.help(), "pass --batch 60 or less");
    }

    #[test]
    fn a_holdout_is_stored_as_its_number() {
        for (holdout, json) in [(Holdout::Count(5), "5"), (Holdout::Share(0.25), "0.25")] {
            assert_eq!(serde_json::to_string(&holdout).unwrap(), json);
            assert_eq!(serde_json::from_str::<Holdout>(json).unwrap(), holdout);
        }
    }
}
