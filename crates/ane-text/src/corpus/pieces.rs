//! `Pieces`: the text of a document in bounded memory, checked as it is read.

use super::{Encoding, ReadSeek};
use crate::TextError;
use std::{
    io::{self, ErrorKind, Read},
    ops::Range,
};

/// Bytes that are read at once.
const BLOCK: usize = 1 << 20;

/// The byte order mark, which is no text.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// A part of a document's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The text: whole characters, and whole lines where they are not too long.
    pub text: String,
    /// Bytes of the document that are read, with this piece.
    pub bytes: u64,
}

/// The text of a document, piece by piece of at most 1 MiB.
pub struct Pieces {
    reader: Box<dyn ReadSeek>,
    name: String,
    encoding: Encoding,
    /// Offset of the first byte of `pending`.
    at: u64,
    end: u64,
    pending: Vec<u8>,
    is_done: bool,
}

impl Pieces {
    pub(super) fn new(
        reader: Box<dyn ReadSeek>,
        name: String,
        encoding: Encoding,
        range: Range<u64>,
    ) -> Self {
        Self {
            reader,
            name,
            encoding,
            at: range.start,
            end: range.end,
            pending: Vec::new(),
            is_done: range.is_empty(),
        }
    }

    fn piece(&mut self) -> Result<Piece, TextError> {
        let had = self.pending.len();
        let left = self.end - self.at - had as u64;
        let wanted = left.min((BLOCK - had) as u64);
        let read = (&mut self.reader)
            .take(wanted)
            .read_to_end(&mut self.pending)
            .map_err(TextError::io("read", &self.name))?;
        if (read as u64) < wanted {
            let shorter = io::Error::new(ErrorKind::UnexpectedEof, "it became shorter");
            return Err(TextError::io("read", &self.name)(shorter));
        }
        self.is_done = wanted == left;
        if let Some(nul) = self.pending.iter().position(|&byte| byte == 0) {
            let begins = |mark: &[u8]| self.at == 0 && self.pending.starts_with(mark);
            return Err(TextError::Binary {
                document: self.name.clone(),
                at: self.at + nul as u64,
                utf16: begins(b"\xff\xfe") || begins(b"\xfe\xff"),
            });
        }
        let line = self.pending.iter().rposition(|&byte| byte == b'\n');
        let end = match line {
            _ if self.is_done => self.pending.len(),
            Some(line) => line + 1,
            None => self.pending.len(),
        };
        let text = match self.encoding {
            Encoding::Latin1 => self.pending[..end].iter().map(|&b| char::from(b)).collect(),
            Encoding::Utf8 => self.utf8(end)?,
        };
        let used = match self.encoding {
            Encoding::Latin1 => end,
            Encoding::Utf8 => text.len(),
        };
        let is_marked = self.at == 0 && self.encoding == Encoding::Utf8;
        self.pending.drain(..used);
        self.at += used as u64;
        let text = match text.as_bytes().strip_prefix(MARK) {
            Some(_) if is_marked => text[MARK.len()..].to_owned(),
            _ => text,
        };
        Ok(Piece {
            text,
            bytes: self.at,
        })
    }

    /// The characters of the first bytes; of the last one more bytes may come.
    fn utf8(&self, end: usize) -> Result<String, TextError> {
        let bytes = &self.pending[..end];
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(error) if error.error_len().is_none() && !self.is_done => {
                Ok(String::from_utf8_lossy(&bytes[..error.valid_up_to()]).into_owned())
            }
            Err(error) => Err(TextError::NotUtf8 {
                document: self.name.clone(),
                at: self.at + error.valid_up_to() as u64,
                byte: bytes[error.valid_up_to()],
            }),
        }
    }
}

impl Iterator for Pieces {
    type Item = Result<Piece, TextError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let piece = self.piece();
        self.is_done |= piece.is_err();
        Some(piece)
    }
}
