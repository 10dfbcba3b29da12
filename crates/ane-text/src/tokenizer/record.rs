//! `TokenizerRecord`: a tokenizer as something to write into a file.

use super::{Tokenizer, character, hugging_face, sentence_piece};
use crate::TextError;
use base64::{Engine, engine::general_purpose::STANDARD};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};

/// Bytes that a record may become.
const MOST: u64 = 1 << 28;

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
    /// One that Hugging Face's `tokenizers` reads.
    HuggingFace {
        /// What it is called.
        name: String,
        /// Its `tokenizer.json`.
        json: Content,
    },
    /// One of SentencePiece.
    SentencePiece {
        /// What it is called.
        name: String,
        /// Its `.model` file.
        model: Content,
    },
}

/// The bytes of a file: gzip, in base64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Content(String);

impl Content {
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        let written = gzip.write_all(bytes).and_then(|()| gzip.finish());
        Self(STANDARD.encode(written.expect("memory takes what is written")))
    }

    fn bytes(&self) -> Result<Vec<u8>, TextError> {
        let wrong = |problem: String| TextError::malformed("a record of a tokenizer", problem);
        let gzip = STANDARD.decode(&self.0);
        let gzip = gzip.map_err(|e| wrong(format!("it is no base64: {e}")))?;
        let mut bytes = Vec::new();
        let mut reader = GzDecoder::new(gzip.as_slice()).take(MOST);
        let read = reader.read_to_end(&mut bytes);
        read.map_err(|e| wrong(format!("it is no gzip: {e}")))?;
        Ok(bytes)
    }
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
            Self::HuggingFace { name, json } => {
                let place = format!("the record of `{name}`");
                hugging_face::of_json(&json.bytes()?, name, &place)
            }
            Self::SentencePiece { name, model } => {
                let place = format!("the record of `{name}`");
                sentence_piece::of_content(model.bytes()?, name, &place)
            }
        }
    }
}
