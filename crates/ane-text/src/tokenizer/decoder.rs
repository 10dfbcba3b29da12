//! `Decoder`: text out of ids that come one by one.

use super::Tokenizer;
use crate::TextError;

/// Text out of ids that come one by one, as far as it is complete.
///
/// ```
/// # fn main() -> Result<(), ane_text::TextError> {
/// let tokenizer = ane_text::Tokenizer::byte();
/// let mut decoder = tokenizer.decoder();
/// assert_eq!(decoder.push(0xc3)?, "");
/// assert_eq!(decoder.push(0xa9)?, "é");
/// assert_eq!(decoder.push(0xc3)?, "");
/// assert_eq!(decoder.finish()?, "\u{fffd}");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Decoder<'a> {
    tokenizer: &'a Tokenizer,
    /// Bytes that are no whole character yet.
    pending: Vec<u8>,
    is_beginning: bool,
    /// Where ids have no bytes of their own: those that a text may still depend on, of which so many bytes are said.
    ids: Vec<u32>,
    said: usize,
}

/// So many ids are decoded again with each that comes, where ids have no bytes of their own.
const WINDOW: usize = 64;

impl<'a> Decoder<'a> {
    pub(super) fn new(tokenizer: &'a Tokenizer) -> Self {
        Self {
            tokenizer,
            pending: Vec::new(),
            is_beginning: true,
            ids: Vec::new(),
            said: 0,
        }
    }

    /// The text that an id completes; empty while a character is incomplete.
    ///
    /// Bytes that cannot become a character are U+FFFD.
    ///
    /// # Errors
    /// When the id is not below the vocabulary; what came before stays as it is.
    pub fn push(&mut self, id: u32) -> Result<String, TextError> {
        if !self.tokenizer.has(id) {
            return Err(self.tokenizer.unknown_id(id));
        }
        let rules = &self.tokenizer.rules;
        if rules.text(&[]).is_some() {
            return self.push_text(id);
        }
        self.is_beginning &= !rules.spell(id, self.is_beginning, &mut self.pending);
        let complete = complete(&self.pending);
        let rest = self.pending.split_off(complete);
        let text = String::from_utf8_lossy(&self.pending).into_owned();
        self.pending = rest;
        Ok(text)
    }

    /// What is left, with U+FFFD for a character that stays incomplete.
    ///
    /// # Errors
    /// When the tokenizer cannot decode ids that it has, as a malformed file of one may.
    pub fn finish(self) -> Result<String, TextError> {
        match self.tokenizer.rules.text(&self.ids) {
            Some(text) => Ok(text?.get(self.said..).unwrap_or_default().to_owned()),
            None => Ok(String::from_utf8_lossy(&self.pending).into_owned()),
        }
    }

    fn push_text(&mut self, id: u32) -> Result<String, TextError> {
        self.ids.push(id);
        let text = self.text(&self.ids)?;
        // An incomplete character is decoded as U+FFFD until the rest of it comes.
        if text.ends_with('\u{fffd}') {
            return Ok(String::new());
        }
        let new = text.get(self.said..).unwrap_or_default().to_owned();
        self.said = text.len();
        if self.ids.len() >= 2 * WINDOW {
            self.ids.drain(..WINDOW);
            self.said = self.text(&self.ids)?.len();
        }
        Ok(new)
    }

    fn text(&self, ids: &[u32]) -> Result<String, TextError> {
        self.tokenizer.rules.text(ids).unwrap_or(Ok(String::new()))
    }
}

/// How many of the bytes are whole characters, or can no longer become any.
fn complete(bytes: &[u8]) -> usize {
    let mut at = 0;
    loop {
        match std::str::from_utf8(&bytes[at..]) {
            Ok(_) => return bytes.len(),
            Err(error) => {
                at += error.valid_up_to();
                match error.error_len() {
                    Some(length) => at += length,
                    None => return at,
                }
            }
        }
    }
}
