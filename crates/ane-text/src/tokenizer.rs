//! `Tokenizer`: text to ids and back.

mod blanks;
mod byte;
mod byte_pair_training;
mod byte_pairs;
mod character;
mod decoder;
mod encoder;
mod files;
mod gpt2;
mod hugging_face;
pub mod record;
mod sentence_piece;
pub mod spec;

use crate::TextError;
use record::TokenizerRecord;
use sha2::{Digest, Sha256};
use std::{
    fmt::{self, Write},
    sync::Arc,
};

pub use decoder::Decoder;
pub use encoder::Encoder;

/// What turns text into ids and back. Clones share it.
#[derive(Clone)]
pub struct Tokenizer {
    rules: Arc<dyn Rules>,
    name: String,
    /// SHA-256 of vocabulary and rules.
    pub(crate) digest: [u8; 32],
    fingerprint: String,
}

/// What one kind of tokenizer does.
pub(crate) trait Rules: fmt::Debug + Send + Sync {
    /// Number of ids, which begin at 0.
    fn vocabulary(&self) -> usize;

    /// The id that ends a document.
    fn end_of_text(&self) -> Option<u32> {
        None
    }

    /// The id that begins one.
    fn begin_of_text(&self) -> Option<u32> {
        None
    }

    /// Appends the ids of a part of a text.
    fn encode(&self, text: &str, part: Part, ids: &mut Vec<u32>) -> Result<(), TextError>;

    /// The last offset at which `text`, which may go on, can be cut such that the ids of its parts are those of the
    /// whole; 0 where there is none.
    fn cut(&self, text: &str) -> usize;

    /// Appends the bytes of an id below the vocabulary, and says whether the beginning of the text is past: some
    /// tokenizers put a blank there which the text has not.
    fn spell(&self, id: u32, is_beginning: bool, bytes: &mut Vec<u8>) -> bool;

    /// The text of ids whose bytes depend on those around them; `None` where [`Rules::spell`] says all.
    fn text(&self, _ids: &[u32]) -> Option<Result<String, TextError>> {
        None
    }

    /// All that it takes to make it again, under a name.
    fn record(&self, name: &str) -> TokenizerRecord;

    /// Feeds vocabulary and rules to a hash, and nothing else.
    fn digest(&self, hash: &mut Sha256);
}

/// Which part of a text is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    /// Nothing stands before it.
    pub(crate) is_first: bool,
    /// Nothing follows.
    pub(crate) is_last: bool,
}

impl Tokenizer {
    pub(crate) fn new(rules: impl Rules + 'static, name: impl Into<String>) -> Self {
        let mut hash = Sha256::new();
        rules.digest(&mut hash);
        let digest = hash.finalize();
        Self {
            rules: Arc::new(rules),
            name: name.into(),
            digest: digest.into(),
            fingerprint: hex(&digest),
        }
    }

    /// One id per byte of UTF-8.
    #[must_use]
    pub fn byte() -> Self {
        Self::new(byte::Byte, "byte")
    }

    /// What messages call it: `byte`, `char`, `bpe:4096`, or the name of its file.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of ids, which begin at 0.
    #[must_use]
    pub fn vocabulary(&self) -> usize {
        self.rules.vocabulary()
    }

    /// The id that ends a document, where it has one.
    #[must_use]
    pub fn end_of_text(&self) -> Option<u32> {
        self.rules.end_of_text()
    }

    /// The id that begins a document, where it has one.
    #[must_use]
    pub fn begin_of_text(&self) -> Option<u32> {
        self.rules.begin_of_text()
    }

    /// SHA-256 of vocabulary and rules in hexadecimal: equal for tokenizers that give equal ids.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The ids of a text. None is added at its beginning or its end.
    ///
    /// # Errors
    /// When the tokenizer has no id for part of it.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TextError> {
        let whole = Part {
            is_first: true,
            is_last: true,
        };
        let mut ids = Vec::new();
        self.rules.encode(text, whole, &mut ids)?;
        Ok(ids)
    }

    /// What encodes a text that comes piece by piece.
    #[must_use]
    pub fn encoder(&self) -> Encoder<'_> {
        Encoder::new(self)
    }

    /// The text of ids. Bytes that are no UTF-8 become U+FFFD.
    ///
    /// # Errors
    /// When an id is not below the vocabulary.
    pub fn decode(&self, ids: &[u32]) -> Result<String, TextError> {
        if let Some(&id) = ids.iter().find(|&&id| !self.has(id)) {
            return Err(self.unknown_id(id));
        }
        if let Some(text) = self.rules.text(ids) {
            return text;
        }
        let mut bytes = Vec::new();
        let mut is_beginning = true;
        for &id in ids {
            is_beginning &= !self.rules.spell(id, is_beginning, &mut bytes);
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// What turns ids into text one by one.
    #[must_use]
    pub fn decoder(&self) -> Decoder<'_> {
        Decoder::new(self)
    }

    /// All that it takes to make the tokenizer again, without the files that it came from.
    #[must_use]
    pub fn record(&self) -> TokenizerRecord {
        self.rules.record(&self.name)
    }

    pub(crate) fn has(&self, id: u32) -> bool {
        (id as usize) < self.vocabulary()
    }

    pub(crate) fn unknown_id(&self, id: u32) -> TextError {
        TextError::UnknownId {
            id,
            tokenizer: self.name.clone(),
            vocabulary: self.vocabulary(),
        }
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokenizer")
            .field("name", &self.name)
            .field("vocabulary", &self.vocabulary())
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}

/// Equal in every id, whatever they are called.
impl PartialEq for Tokenizer {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for Tokenizer {}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
