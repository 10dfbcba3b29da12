//! `TokenizerSpec`: a tokenizer as a user names it.

use super::{Tokenizer, character};
use crate::{Corpus, TextError};
use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

/// A tokenizer as a user names it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenizerSpec {
    /// `byte`: one id per byte.
    Byte,
    /// `char`: the distinct characters of the text.
    Char,
    /// Files that somebody else made.
    Path(PathBuf),
}

impl TokenizerSpec {
    /// Whether the tokenizer is made of a text.
    #[must_use]
    pub fn needs_corpus(&self) -> bool {
        match self {
            Self::Byte | Self::Path(_) => false,
            Self::Char => true,
        }
    }

    /// The tokenizer; where it is made of a text, of the whole of `corpus`.
    ///
    /// # Errors
    /// When the corpus cannot be read, or the files are no tokenizer.
    pub fn tokenizer(&self, corpus: &Corpus) -> Result<Tokenizer, TextError> {
        match self {
            Self::Byte => Ok(Tokenizer::byte()),
            Self::Char => character::of_corpus(corpus),
            Self::Path(path) => Tokenizer::open(path),
        }
    }
}

impl FromStr for TokenizerSpec {
    type Err = TextError;

    fn from_str(given: &str) -> Result<Self, TextError> {
        let wrong = |problem: &str| TextError::Spec {
            given: given.to_owned(),
            problem: problem.to_owned(),
        };
        match given {
            "" => Err(wrong("it is empty")),
            "byte" => Ok(Self::Byte),
            "char" => Ok(Self::Char),
            "bytes" | "chars" | "character" | "characters" => Err(wrong("it is nearly one")),
            path if path.contains(['/', '.']) || Path::new(path).exists() => {
                Ok(Self::Path(path.into()))
            }
            _ => Err(wrong("no file has this name")),
        }
    }
}

impl fmt::Display for TokenizerSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Byte => f.write_str("byte"),
            Self::Char => f.write_str("char"),
            Self::Path(path) => write!(f, "{}", path.display()),
        }
    }
}
