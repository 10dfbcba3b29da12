//! `TokenFile`: the ids of many documents, on disk and read by ranges.
//!
//! All numbers are little-endian.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | `ANETOKEN` |
//! | 8 | 4 | version of the format, 1 |
//! | 12 | 4 | bytes of an element: 2 for a vocabulary of at most 65,536, else 4 |
//! | 16 | 8 | number of tokens |
//! | 24 | 8 | vocabulary of the tokenizer |
//! | 32 | 8 | number of documents |
//! | 40 | 32 | fingerprint of the tokenizer |
//! | 72 | 32 | SHA-256 of everything behind the header |
//! | 104 | 32 | SHA-256 of the header up to here |
//! | 136 | tokens × element | the tokens |
//! | | documents × 8 | the token at which each document begins |

mod header;
mod writer;

use crate::{
    TextError, Tokenizer,
    error::{ExpectedLength, TokenFileError},
    tokenizer::hex,
};
use header::Header;
use sha2::{Digest, Sha256};
use std::{fs::File, os::unix::fs::FileExt, path::Path, path::PathBuf};

pub(crate) use writer::Sealed;
pub use writer::TokenWriter;

/// Bytes that are read at once, a multiple of every element's.
const BLOCK: usize = 1 << 20;

/// Bytes of a range that are read at once.
const RANGE_BLOCK: usize = 1 << 13;

/// The type of the numbers in a file of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// Two bytes each.
    U16,
    /// Four bytes each.
    U32,
}

impl Element {
    /// The smaller type that holds every id.
    #[must_use]
    pub fn of_vocabulary(vocabulary: u64) -> Self {
        if vocabulary <= 1 << 16 {
            Self::U16
        } else {
            Self::U32
        }
    }

    /// Bytes of a number.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::U16 => 2,
            Self::U32 => 4,
        }
    }

    fn append(self, id: u32, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&id.to_le_bytes()[..self.bytes()]);
    }

    fn ids(self, bytes: &[u8]) -> impl Iterator<Item = u32> {
        bytes.chunks_exact(self.bytes()).map(|element| {
            let mut id = [0; 4];
            id[..element.len()].copy_from_slice(element);
            u32::from_le_bytes(id)
        })
    }
}

/// The ids of many documents one behind the other, on disk.
#[derive(Debug)]
pub struct TokenFile {
    path: PathBuf,
    file: File,
    header: Header,
    starts: Vec<u64>,
}

impl TokenFile {
    /// Opens a file and reads all of it once: its length, checksums, ids and documents are what they should be. With
    /// `tokenizer`, it was made with that one.
    ///
    /// # Errors
    /// When it cannot be read, and [`TextError::TokenFile`] when it is damaged or another's.
    pub fn open(path: &Path, tokenizer: Option<&Tokenizer>) -> Result<Self, TextError> {
        let (file, length) = ane_files::open(path).map_err(|source| TextError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::check(file, length, path, tokenizer)
    }

    fn check(
        file: File,
        length: u64,
        path: &Path,
        tokenizer: Option<&Tokenizer>,
    ) -> Result<Self, TextError> {
        let wrong = |problem| TextError::TokenFile {
            path: path.to_owned(),
            problem,
        };
        let header = Header::read(&file, length)
            .map_err(TextError::io("read", path))?
            .map_err(wrong)?;
        if let Some(tokenizer) = tokenizer {
            header.is_of(tokenizer).map_err(wrong)?;
        }
        let starts = check_content(&file, &header)
            .map_err(TextError::io("read", path))?
            .map_err(wrong)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            header,
            starts,
        })
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Number of tokens.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.header.tokens
    }

    /// Vocabulary of the tokenizer; every id is less.
    #[must_use]
    pub fn vocabulary(&self) -> u64 {
        self.header.vocabulary
    }

    /// The type of its numbers.
    #[must_use]
    pub fn element(&self) -> Element {
        self.header.element
    }

    /// Fingerprint of the tokenizer, as [`Tokenizer::fingerprint`].
    #[must_use]
    pub fn fingerprint(&self) -> String {
        hex(&self.header.fingerprint)
    }

    /// SHA-256 of tokens and documents in hexadecimal: what data this is.
    #[must_use]
    pub fn sha256(&self) -> String {
        hex(&self.header.content)
    }

    /// The token at which each document begins, in rising order.
    #[must_use]
    pub fn documents(&self) -> &[u64] {
        &self.starts
    }

    /// Fills `out` with the ids from position `at` on. The file is read, never mapped: several threads may.
    ///
    /// # Errors
    /// When the range ends behind the last token, or the system cannot read.
    pub fn read(&self, at: u64, out: &mut [u32]) -> Result<(), TextError> {
        let element = self.header.element;
        let wanted = at.saturating_add(out.len() as u64);
        if wanted > self.header.tokens {
            return Err(TextError::TokenFile {
                path: self.path.clone(),
                problem: TokenFileError::Range {
                    tokens: self.header.tokens,
                    wanted,
                },
            });
        }
        let mut offset = header::BYTES as u64 + at * element.bytes() as u64;
        let mut block = [0; RANGE_BLOCK];
        for ids in out.chunks_mut(RANGE_BLOCK / element.bytes()) {
            let bytes = &mut block[..ids.len() * element.bytes()];
            self.file
                .read_exact_at(bytes, offset)
                .map_err(TextError::io("read", &self.path))?;
            offset += bytes.len() as u64;
            for (slot, id) in ids.iter_mut().zip(element.ids(bytes)) {
                *slot = id;
            }
        }
        Ok(())
    }
}

/// Reads everything behind the header, and gives where documents begin.
fn check_content(
    file: &File,
    header: &Header,
) -> std::io::Result<Result<Vec<u64>, TokenFileError>> {
    let mut hash = Sha256::new();
    let mut outside = None;
    let mut starts = Vec::new();
    let tokens_end = header.tokens_end();
    let mut offset = header::BYTES as u64;
    let mut block = vec![0; BLOCK];
    let mut position = 0;
    while offset < header.end() {
        let end = if offset < tokens_end {
            tokens_end
        } else {
            header.end()
        };
        let length = usize::try_from(end - offset).map_or(BLOCK, |left| left.min(BLOCK));
        let bytes = &mut block[..length];
        file.read_exact_at(bytes, offset)?;
        hash.update(&bytes);
        if offset < tokens_end {
            for id in header.element.ids(bytes) {
                if u64::from(id) >= header.vocabulary && outside.is_none() {
                    outside = Some((id, position));
                }
                position += 1;
            }
        } else {
            let numbers = bytes.chunks_exact(8);
            starts
                .extend(numbers.map(|n| n.iter().rev().fold(0, |sum, &b| sum << 8 | u64::from(b))));
        }
        offset += length as u64;
    }
    let found = hash.finalize();
    // Damage explains an id that is none better than a tokenizer does.
    if found[..] != header.content {
        return Ok(Err(TokenFileError::Checksum {
            found: hex(&found),
            expected: hex(&header.content),
        }));
    }
    if let Some((id, at)) = outside {
        let vocabulary = header.vocabulary;
        return Ok(Err(TokenFileError::Id { id, at, vocabulary }));
    }
    Ok(check_starts(&starts, header.tokens).map(|()| starts))
}

fn check_starts(starts: &[u64], tokens: u64) -> Result<(), TokenFileError> {
    let mut least = 0;
    for (document, &start) in (0..).zip(starts) {
        let expected = match document {
            0 if start != 0 => "0".to_owned(),
            _ if start < least || start >= tokens => format!("{least} to below {tokens}"),
            _ => {
                least = start + 1;
                continue;
            }
        };
        return Err(TokenFileError::Starts {
            document,
            start,
            expected,
        });
    }
    Ok(())
}

/// A length that is exactly, or at least, so many bytes.
fn length(found: u64, expected: ExpectedLength) -> TokenFileError {
    TokenFileError::Length { found, expected }
}

#[cfg(test)]
mod tests;
