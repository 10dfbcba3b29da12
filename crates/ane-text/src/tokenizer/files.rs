//! Tokenizers that somebody else made, as files.

use super::{Tokenizer, gpt2, hugging_face, sentence_piece};
use crate::TextError;
use std::path::Path;

/// Bytes of the largest file that is read.
const MOST: u64 = 1 << 28;

/// Files of a folder that are a tokenizer, in the order in which they are looked for.
const WHOLE: &[&str] = &["tokenizer.json", "tokenizer.model"];

impl Tokenizer {
    /// The tokenizer at a path: a `tokenizer.json` of Hugging Face's, a `.model` of SentencePiece's, GPT-2's vocabulary
    /// and merges (`encoder.json` and `vocab.bpe`, or `vocab.json` and `merges.txt`), by either of them, or a folder
    /// with one of these.
    ///
    /// # Errors
    /// When there is none, or it is damaged.
    pub fn open(path: &Path) -> Result<Self, TextError> {
        if path.is_dir() {
            return Self::open_folder(path);
        }
        if let Some((vocabulary, merges)) = gpt2::pair_with(path) {
            return gpt2::open(&vocabulary, &merges);
        }
        let bytes = read(path)?;
        let (name, place) = (name_of(path), path.display().to_string());
        // A message of SentencePiece begins with the key of a field, which is no brace.
        let is_json = path.extension().is_some_and(|e| e == "json") || bytes.starts_with(b"{");
        if is_json {
            hugging_face::of_json(&bytes, &name, &place)
        } else {
            sentence_piece::of_content(bytes, &name, &place)
        }
    }

    fn open_folder(folder: &Path) -> Result<Self, TextError> {
        let mut whole = WHOLE.iter().map(|name| folder.join(name));
        if let Some(file) = whole.find(|file| file.is_file()) {
            return Self::open(&file);
        }
        for (vocabulary, merges) in gpt2::PAIRS {
            let (vocabulary, merges) = (folder.join(vocabulary), folder.join(merges));
            if vocabulary.is_file() && merges.is_file() {
                return gpt2::open(&vocabulary, &merges);
            }
        }
        let pairs = gpt2::PAIRS.iter().map(|(a, b)| format!("`{a}` with `{b}`"));
        let whole = WHOLE.iter().map(|name| format!("`{name}`"));
        let expected: Vec<String> = whole.chain(pairs).collect();
        let problem = format!("expected {} in the folder", expected.join(", or "));
        Err(TextError::malformed(&folder.display().to_string(), problem))
    }
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, TextError> {
    ane_files::read(path, MOST).map_err(|source| TextError::Read {
        path: path.to_owned(),
        source,
    })
}

/// What a tokenizer is called: its file, or its folder where that says more.
pub(super) fn name_of(path: &Path) -> String {
    let name = |path: &Path| {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned());
        name.unwrap_or_else(|| path.display().to_string())
    };
    match path.parent().filter(|p| p.file_name().is_some()) {
        Some(folder) => format!("{}/{}", name(folder), name(path)),
        None => name(path),
    }
}
