//! `Encoder`: the ids of a text that comes piece by piece.

use super::{Part, Tokenizer};
use crate::TextError;

/// So much text is worth encoding.
const ENOUGH: usize = 1 << 18;

/// So much is held while a place is looked for at which it can be cut.
pub(super) const MOST: usize = 1 << 22;

/// The ids of a text that comes piece by piece.
///
/// They are those of the whole text, wherever its pieces end: text is held back until a place comes at which it can be
/// cut.
///
/// - For `byte` and `char` that is anywhere.
/// - For `bpe:N`, GPT-2's files and a `tokenizer.json` it is behind a line feed that stands alone between a character
///   which is no blank and a letter or digit: the patterns by which text is divided into words make that line feed a
///   word of its own, or the end of one.
/// - For SentencePiece it is beside such a line feed, where no piece has the two characters side by side. Models of the
///   kind `unigram` add up scores in single precision, so that between equally good pieces a long text may decide
///   otherwise than its parts.
/// - A `tokenizer.json` that puts something before a text, as `Metaspace` and `Prepend` do, has no such place.
///
/// A text of which 4 MiB have no such place is cut behind those, at any character.
#[derive(Debug)]
pub struct Encoder<'a> {
    tokenizer: &'a Tokenizer,
    pending: String,
    /// A place to cut is looked for when so much is pending.
    enough: usize,
    is_first: bool,
    /// Line and column at which `pending` begins, from 1.
    line: u64,
    column: u64,
}

impl<'a> Encoder<'a> {
    pub(super) fn new(tokenizer: &'a Tokenizer) -> Self {
        Self {
            tokenizer,
            pending: String::new(),
            enough: ENOUGH,
            is_first: true,
            line: 1,
            column: 1,
        }
    }

    /// Takes the next piece, and appends the ids that are certain by now.
    ///
    /// # Errors
    /// When the tokenizer has no id for part of it; `document` is the name that the error says.
    pub fn push(
        &mut self,
        document: &str,
        piece: &str,
        ids: &mut Vec<u32>,
    ) -> Result<(), TextError> {
        self.pending.push_str(piece);
        while self.pending.len() >= self.enough {
            let mut end = self.tokenizer.rules.cut(&self.pending);
            if end == 0 {
                if self.pending.len() < MOST {
                    // What has been looked through has no place, however short the next pieces are.
                    self.enough = (2 * self.pending.len()).min(MOST);
                    break;
                }
                end = self.pending.floor_char_boundary(MOST);
            }
            self.enough = ENOUGH;
            self.encode(document, end, false, ids)?;
        }
        Ok(())
    }

    /// Appends the ids of what is left.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn finish(mut self, document: &str, ids: &mut Vec<u32>) -> Result<(), TextError> {
        self.encode(document, self.pending.len(), true, ids)
    }

    fn encode(
        &mut self,
        document: &str,
        end: usize,
        is_last: bool,
        ids: &mut Vec<u32>,
    ) -> Result<(), TextError> {
        let part = Part {
            is_first: self.is_first,
            is_last,
        };
        let text = &self.pending[..end];
        self.tokenizer
            .rules
            .encode(text, part, ids)
            .map_err(|e| e.within(document, self.line, self.column))?;
        let lines = text.bytes().filter(|&b| b == b'\n').count() as u64;
        let last = text.rfind('\n').map_or(0, |at| at + 1);
        let width = text[last..].chars().count() as u64;
        self.column = if lines > 0 { 1 } else { self.column } + width;
        self.line += lines;
        self.is_first = false;
        self.pending.drain(..end);
        Ok(())
    }
}
