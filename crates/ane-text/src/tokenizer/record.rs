//! `TokenizerRecord`: a tokenizer as something to write into a file.

use super::{Tokenizer, character};
use crate::TextError;
use serde::{Deserialize, Serialize};

/// A tokenizer, whole: what a checkpoint holds of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum TokenizerRecord {
    /// `byte`.
    Byte,
    /// `char`.
    Char {
        /// Its characters in the order of their ids.
        characters: String,
    },
}

impl TokenizerRecord {
    /// Makes the tokenizer again.
    ///
    /// # Errors
    /// When the record is none that a tokenizer gave.
    pub fn tokenizer(&self) -> Result<Tokenizer, TextError> {
        match self {
            Self::Byte => Ok(Tokenizer::byte()),
            Self::Char { characters } => character::of_record(characters),
        }
    }
}
