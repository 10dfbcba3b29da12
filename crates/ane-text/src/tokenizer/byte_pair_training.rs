//! `bpe:N`: pairs of bytes that are joined, learned from a text.
//!
//! Text is divided into words as GPT-2 divides it. The ids of the 256 bytes come first, in the order of GPT-2's
//! alphabet, then one for each pair in the order in which pairs are joined: always the one that is seen most often, and
//! twice at least. The last is `<|endoftext|>`, which is learned nothing from where the text has it.

use super::{Tokenizer, blanks, byte_pairs::words, encoder, hugging_face, spec::TrainingReport};
use crate::{Corpus, Progress, TextError};
use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};
use tokenizers::{
    AddedToken, Tokenizer as Inner, Trainer,
    models::bpe::{BPE, BpeTrainer},
    pre_tokenizers::byte_level::ByteLevel,
};

/// Fewest ids: the bytes, and the end of a text.
pub(super) const FEWEST: u32 = 257;

/// Most ids, so that a slip of the finger does not fill the memory.
pub(super) const MOST: u32 = 1 << 20;

const END: &str = "<|endoftext|>";

/// Learns pairs until there are `vocabulary` ids, or no pair is seen twice.
///
/// # Errors
/// When the corpus cannot be read, or `progress` says `Break`.
pub(super) fn train(
    corpus: &Corpus,
    vocabulary: u32,
    progress: &mut TrainingReport<'_>,
) -> Result<Tokenizer, TextError> {
    let name = format!("bpe:{vocabulary}");
    let failed = |error: tokenizers::Error| TextError::Refused {
        action: "be trained",
        problem: error.to_string(),
    };
    let alphabet: HashSet<char> = (0..=255).map(blanks::character_of).collect();
    let mut trainer = BpeTrainer::builder()
        .vocab_size(vocabulary as usize - 1)
        .min_frequency(2)
        .show_progress(false)
        .initial_alphabet(alphabet)
        .build();
    // The words are counted by several threads, which take turns at this.
    let error = Mutex::new(None);
    let texts = texts(corpus, progress);
    let texts = texts.map_while(|text| match text {
        Ok(text) => Some(text),
        Err(e) => {
            *error.lock().unwrap_or_else(PoisonError::into_inner) = Some(e);
            None
        }
    });
    let counted = trainer.feed(texts, |text| Ok(words(text).map(blanks::spelled).collect()));
    if let Some(error) = error.into_inner().unwrap_or_default() {
        return Err(error);
    }
    counted.map_err(failed)?;
    let mut pairs = BPE::default();
    trainer.train(&mut pairs).map_err(failed)?;
    let mut inner = Inner::new(pairs);
    let bytes = ByteLevel::new(false, false, true);
    inner.with_pre_tokenizer(Some(bytes));
    inner.with_decoder(Some(bytes));
    let end = AddedToken::from(END, true).normalized(false);
    inner.add_special_tokens([end]).map_err(failed)?;
    hugging_face::of_inner(inner, &name, &name)
}

/// The text of a corpus in parts whose words are those of the whole.
fn texts<'a>(
    corpus: &'a Corpus,
    progress: &'a mut TrainingReport<'_>,
) -> impl Iterator<Item = Result<String, TextError>> + Send + 'a {
    let total = corpus.bytes();
    let mut before = 0;
    let pieces = corpus.documents().iter().flat_map(move |document| {
        let first = before;
        before += document.bytes();
        let (pieces, error) = match document.pieces() {
            Ok(pieces) => (Some(pieces), None),
            Err(error) => (None, Some(Err(error))),
        };
        let pieces = pieces.into_iter().flatten();
        let pieces = pieces.map(move |piece| piece.map(|p| (p.text, first + p.bytes)));
        let end = Some(Ok((String::new(), before)));
        error.into_iter().chain(pieces).chain(end)
    });
    let mut pending = String::new();
    let parts = pieces.map(move |piece| {
        let (text, done) = piece?;
        let tokens = 0;
        let now = Progress {
            done,
            total,
            tokens,
        };
        if progress(now).is_break() {
            return Err(TextError::Interrupted);
        }
        pending.push_str(&text);
        // Nothing more comes of this document.
        let end = match text.is_empty() {
            true => pending.len(),
            false => blanks::last_line_apart(&pending),
        };
        let end = match end {
            0 if pending.len() >= encoder::MOST => pending.len(),
            end => end,
        };
        let rest = pending.split_off(end);
        Ok(std::mem::replace(&mut pending, rest))
    });
    parts.flat_map(|part| match part {
        Ok(part) => part.split(END).map(|text| Ok(text.to_owned())).collect(),
        Err(error) => vec![Err(error)],
    })
}
