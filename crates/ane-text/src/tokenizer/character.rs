//! `char`: one id for each distinct character of the text that it is made of, in their order in Unicode.

use super::{Part, Rules, Tokenizer, record::TokenizerRecord};
use crate::{Corpus, TextError};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

#[derive(Debug)]
pub(super) struct Characters {
    /// In rising order.
    characters: Vec<char>,
    /// The id of each character of ASCII, or `NONE`.
    ascii: [u32; 128],
}

const NONE: u32 = u32::MAX;

impl Characters {
    fn new(characters: Vec<char>) -> Self {
        let mut ascii = [NONE; 128];
        for (id, &character) in (0..).zip(&characters) {
            if let Some(slot) = ascii.get_mut(character as usize) {
                *slot = id;
            }
        }
        Self { characters, ascii }
    }

    fn id(&self, character: char) -> Option<u32> {
        match self.ascii.get(character as usize) {
            Some(&id) => (id != NONE).then_some(id),
            None => {
                let at = self.characters.binary_search(&character).ok()?;
                u32::try_from(at).ok()
            }
        }
    }

    fn unknown(&self, text: &str, at: usize, character: char) -> TextError {
        let before = &text[..at];
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        TextError::UnknownCharacter {
            character,
            line: before.bytes().filter(|&b| b == b'\n').count() as u64 + 1,
            column: before[line_start..].chars().count() as u64 + 1,
            document: None,
            known: self.characters.len(),
        }
    }
}

/// Of the distinct characters of a corpus.
///
/// # Errors
/// When the corpus cannot be read, or has no text.
pub(super) fn of_corpus(corpus: &Corpus) -> Result<Tokenizer, TextError> {
    let mut ascii = [false; 128];
    let mut others = BTreeSet::new();
    for document in corpus.documents() {
        for piece in document.pieces()? {
            for character in piece?.text.chars() {
                match ascii.get_mut(character as usize) {
                    Some(seen) => *seen = true,
                    None => drop(others.insert(character)),
                }
            }
        }
    }
    let ascii = (0u8..128).filter(|&c| ascii[c as usize]).map(char::from);
    let characters: Vec<char> = ascii.chain(others).collect();
    // A file of nothing but a byte order mark.
    if characters.is_empty() {
        return Err(TextError::Empty {
            document: corpus.documents()[0].name().to_owned(),
        });
    }
    Ok(Tokenizer::new(Characters::new(characters), "char"))
}

/// Of characters in rising order, as a record has them.
///
/// # Errors
/// When they are in another order, or none.
pub(super) fn of_record(characters: &str) -> Result<Tokenizer, TextError> {
    let characters: Vec<char> = characters.chars().collect();
    if characters.is_empty() || !characters.is_sorted_by(|a, b| a < b) {
        let problem = "expected its characters once each and in rising order";
        return Err(TextError::malformed("a record of `char`", problem));
    }
    Ok(Tokenizer::new(Characters::new(characters), "char"))
}

impl Rules for Characters {
    fn vocabulary(&self) -> usize {
        self.characters.len()
    }

    fn encode(&self, text: &str, _: Part, ids: &mut Vec<u32>) -> Result<(), TextError> {
        ids.reserve(text.len());
        for (at, character) in text.char_indices() {
            let id = self.id(character);
            ids.push(id.ok_or_else(|| self.unknown(text, at, character))?);
        }
        Ok(())
    }

    fn cut(&self, text: &str) -> usize {
        text.len()
    }

    fn spell(&self, id: u32, _: bool, bytes: &mut Vec<u8>) -> bool {
        if let Some(character) = self.characters.get(id as usize) {
            bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        true
    }

    fn record(&self, _: &str) -> TokenizerRecord {
        TokenizerRecord::Char {
            characters: self.characters.iter().collect(),
        }
    }

    fn digest(&self, hash: &mut Sha256) {
        hash.update("char");
        for &character in &self.characters {
            hash.update(u32::from(character).to_le_bytes());
        }
    }
}
