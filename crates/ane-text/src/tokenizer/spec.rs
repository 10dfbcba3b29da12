//! `TokenizerSpec`: a tokenizer as a user names it.

use super::{Tokenizer, byte_pair_training, character};
use crate::{Corpus, Progress, TextError};
use std::{
    fmt,
    ops::ControlFlow,
    path::{Path, PathBuf},
    str::FromStr,
};

/// Told how far training has come; `Break` ends it.
pub type TrainingReport<'a> = dyn FnMut(Progress) -> ControlFlow<()> + Send + 'a;

/// A tokenizer as a user names it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenizerSpec {
    /// `byte`: one id per byte.
    Byte,
    /// `char`: the distinct characters of the text.
    Char,
    /// `bpe:N`: pairs of bytes, learned from the text.
    Bpe {
        /// Most ids, 257 at least: the bytes and the end of a text.
        vocabulary: u32,
    },
    /// Files that somebody else made.
    Path(PathBuf),
}

impl TokenizerSpec {
    /// Whether the tokenizer is made of a text.
    #[must_use]
    pub fn needs_corpus(&self) -> bool {
        match self {
            Self::Byte | Self::Path(_) => false,
            Self::Char | Self::Bpe { .. } => true,
        }
    }

    /// The tokenizer; where it is made of a text, of the whole of `corpus`.
    ///
    /// # Errors
    /// When the corpus cannot be read, or the files are no tokenizer.
    pub fn tokenizer(&self, corpus: &Corpus) -> Result<Tokenizer, TextError> {
        self.train(corpus, &mut |_| ControlFlow::Continue(()))
    }

    /// As [`Self::tokenizer`]; `progress` is told after each piece of text that `bpe:N` reads, and may end it.
    ///
    /// # Errors
    /// As [`Self::tokenizer`], and [`TextError::Interrupted`] where `progress` says `Break`.
    pub fn train(
        &self,
        corpus: &Corpus,
        progress: &mut TrainingReport<'_>,
    ) -> Result<Tokenizer, TextError> {
        match self {
            Self::Byte => Ok(Tokenizer::byte()),
            Self::Char => character::of_corpus(corpus),
            &Self::Bpe { vocabulary } => {
                // The number may have been made without the word.
                parse_vocabulary(&vocabulary.to_string())
                    .map_err(|p| wrong(&self.to_string(), p))?;
                byte_pair_training::train(corpus, vocabulary, progress)
            }
            Self::Path(path) => Tokenizer::open(path),
        }
    }
}

fn wrong(given: &str, problem: impl Into<String>) -> TextError {
    TextError::Spec {
        given: given.to_owned(),
        problem: problem.into(),
    }
}

fn parse_vocabulary(given: &str) -> Result<u32, String> {
    let (fewest, most) = (byte_pair_training::FEWEST, byte_pair_training::MOST);
    match given.parse() {
        Ok(vocabulary) if (fewest..=most).contains(&vocabulary) => Ok(vocabulary),
        _ => Err(format!(
            "its vocabulary is `{given}`, expected a number from {fewest} to {most}"
        )),
    }
}

impl FromStr for TokenizerSpec {
    type Err = TextError;

    fn from_str(given: &str) -> Result<Self, TextError> {
        let wrong = |problem: String| wrong(given, problem);
        if let Some(vocabulary) = given.strip_prefix("bpe:") {
            let vocabulary = parse_vocabulary(vocabulary).map_err(wrong)?;
            return Ok(Self::Bpe { vocabulary });
        }
        let nearly = |word| Err(wrong(format!("did you mean `{word}`?")));
        match given {
            "" => Err(wrong("it is empty".to_owned())),
            "byte" => Ok(Self::Byte),
            "char" => Ok(Self::Char),
            path if path.contains(['/', '.']) || Path::new(path).exists() => {
                Ok(Self::Path(path.into()))
            }
            "bytes" => nearly("byte"),
            "chars" | "character" | "characters" => nearly("char"),
            "bpe" => nearly("bpe:4096"),
            _ => Err(wrong("no file has this name".to_owned())),
        }
    }
}

impl fmt::Display for TokenizerSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Byte => f.write_str("byte"),
            Self::Char => f.write_str("char"),
            Self::Bpe { vocabulary } => write!(f, "bpe:{vocabulary}"),
            Self::Path(path) => write!(f, "{}", path.display()),
        }
    }
}
