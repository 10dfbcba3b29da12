//! `BytePairs`: the ids of GPT-2's kind of tokenizer, word by word out of a cache.
//!
//! Text is divided as GPT-2 divides it, by the pattern
//!
//! ```text
//! 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//! ```
//!
//! and words come again and again, so that most ids are looked up. The pattern's look ahead keeps the last of several
//! blanks for the word that follows; it is done by hand here, since the other patterns then are a finite automaton.

use super::blanks;
use regex::Regex;
use serde_json::Value;
use std::{
    collections::HashMap,
    ops::Range,
    sync::{LazyLock, Mutex, PoisonError},
};
use tokenizers::{Model, ModelWrapper, Tokenizer as Inner};

static WORD: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"'(?:s|t|re|ve|m|ll|d)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+")
        .expect("the pattern is a constant")
});

/// Words that are kept.
const MOST_WORDS: usize = 1 << 18;

/// Bytes of the longest word that is kept.
const LONGEST: usize = 64;

pub(super) struct BytePairs {
    /// Tokens that have their id wherever they are written out.
    added: Vec<(String, u32)>,
    cache: Mutex<Cache>,
}

#[derive(Default)]
struct Cache {
    /// Where the ids of a word are.
    words: HashMap<Box<str>, Range<u32>>,
    ids: Vec<u32>,
}

impl BytePairs {
    /// Whether a tokenizer is of the kind: byte pairs of GPT-2's words, with nothing before or between.
    pub(super) fn new(inner: &Inner, value: &Value) -> Option<Self> {
        let words = &value["pre_tokenizer"];
        let is_of_the_kind = matches!(inner.get_model(), ModelWrapper::BPE(_))
            && value["normalizer"].is_null()
            && words["type"] == "ByteLevel"
            && words["add_prefix_space"] == false
            && words["use_regex"] == true;
        let added = value["added_tokens"].as_array()?;
        let plain = |token: &Value| {
            let keeps = ["single_word", "lstrip", "rstrip"];
            let id = u32::try_from(token["id"].as_u64()?).ok()?;
            let content = token["content"].as_str().filter(|c| !c.is_empty())?;
            keeps
                .iter()
                .all(|&k| token[k] == false)
                .then(|| (content.to_owned(), id))
        };
        // One token cannot overlap another.
        let added: Vec<_> = added.iter().map(plain).collect::<Option<_>>()?;
        (is_of_the_kind && added.len() <= 1).then(|| Self {
            added,
            cache: Mutex::default(),
        })
    }

    /// Appends the ids of a text.
    ///
    /// # Errors
    /// When the model refuses a word.
    pub(super) fn encode(
        &self,
        inner: &Inner,
        text: &str,
        ids: &mut Vec<u32>,
    ) -> tokenizers::Result<()> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rest = text;
        while let Some((content, id)) = self.added.first()
            && let Some((before, behind)) = rest.split_once(content.as_str())
        {
            cache.encode(inner, before, ids)?;
            ids.push(*id);
            rest = behind;
        }
        cache.encode(inner, rest, ids)
    }
}

impl Cache {
    fn encode(&mut self, inner: &Inner, text: &str, ids: &mut Vec<u32>) -> tokenizers::Result<()> {
        for word in words(text) {
            if let Some(at) = self.words.get(word) {
                ids.extend_from_slice(&self.ids[at.start as usize..at.end as usize]);
                continue;
            }
            let tokens = inner.get_model().tokenize(&blanks::spelled(word))?;
            let start = ids.len();
            ids.extend(tokens.iter().map(|token| token.id));
            if word.len() <= LONGEST && self.words.len() < MOST_WORDS {
                // At most `MOST_WORDS` × `LONGEST` ids.
                let first = self.ids.len() as u32;
                self.ids.extend_from_slice(&ids[start..]);
                let last = self.ids.len() as u32;
                self.words.insert(word.into(), first..last);
            }
        }
        Ok(())
    }
}

/// The words of a text, one behind the other.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let found = WORD.find_at(text, at)?;
        let mut end = found.end();
        if end < text.len()
            && let Some(last) = found.as_str().chars().next_back()
            && last.is_whitespace()
            && found.len() > last.len_utf8()
        {
            end -= last.len_utf8();
        }
        at = end;
        Some(&text[found.start()..end])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_gpt_2() {
        let cases: &[(&str, &[&str])] = &[
            ("", &[]),
            (
                "It's we'll o'clock",
                &["It", "'s", " we", "'ll", " o", "'", "clock"],
            ),
            ("a  b   ", &["a", " ", " b", "   "]),
            ("a\n\n b\n", &["a", "\n\n", " b", "\n"]),
            ("x1 23 ¿?..!", &["x", "1", " 23", " ¿?..!"]),
            ("\u{3000} é\u{301}", &["\u{3000}", " é", "\u{301}"]),
            ("日本 ²½", &["日本", " ²½"]),
        ];
        for (text, expected) in cases {
            assert_eq!(words(text).collect::<Vec<_>>(), *expected, "{text:?}");
        }
    }
}
