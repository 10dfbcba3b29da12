//! `Header`: what a file of tokens says of itself.

use super::{Element, length};
use crate::{
    Tokenizer,
    error::{ExpectedLength, TokenFileError},
    tokenizer::hex,
};
use sha2::{Digest, Sha256};
use std::{fs::File, io, os::unix::fs::FileExt};

/// Length of a header.
pub(super) const BYTES: usize = 136;

const MAGIC: &[u8; 8] = b"ANETOKEN";
const VERSION: u32 = 1;
/// Where its own checksum stands.
const SEAL: usize = 104;

#[derive(Debug, Clone)]
pub(super) struct Header {
    pub(super) element: Element,
    pub(super) tokens: u64,
    pub(super) vocabulary: u64,
    pub(super) documents: u64,
    pub(super) fingerprint: [u8; 32],
    /// SHA-256 of everything behind the header.
    pub(super) content: [u8; 32],
}

impl Header {
    pub(super) fn bytes(&self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(0, MAGIC);
        put(8, &VERSION.to_le_bytes());
        put(12, &[self.element.bytes() as u8, 0, 0, 0]);
        put(16, &self.tokens.to_le_bytes());
        put(24, &self.vocabulary.to_le_bytes());
        put(32, &self.documents.to_le_bytes());
        put(40, &self.fingerprint);
        put(72, &self.content);
        let seal = Sha256::digest(&bytes[..SEAL]);
        bytes[SEAL..].copy_from_slice(&seal);
        bytes
    }

    /// Reads the header of a file of `found` bytes, and holds it against them.
    pub(super) fn read(file: &File, found: u64) -> io::Result<Result<Self, TokenFileError>> {
        let mut bytes = [0; BYTES];
        let there = usize::try_from(found).map_or(BYTES, |found| found.min(BYTES));
        file.read_exact_at(&mut bytes[..there], 0)?;
        Ok(Self::parse(&bytes, there, found))
    }

    fn parse(bytes: &[u8; BYTES], there: usize, found: u64) -> Result<Self, TokenFileError> {
        let magic = &bytes[..there.min(MAGIC.len())];
        if !MAGIC.starts_with(magic) || magic.is_empty() {
            let found = match magic {
                [] => "nothing".to_owned(),
                _ => format!("`{}`", magic.escape_ascii()),
            };
            return Err(TokenFileError::Magic { found });
        }
        if there < BYTES {
            return Err(length(found, ExpectedLength::AtLeast(BYTES as u64)));
        }
        let version = u32::from_le_bytes(field(bytes, 8));
        if version != VERSION {
            return Err(TokenFileError::Version {
                found: version,
                expected: VERSION,
            });
        }
        if Sha256::digest(&bytes[..SEAL])[..] != bytes[SEAL..] {
            return Err(TokenFileError::Header);
        }
        let vocabulary = u64::from_le_bytes(field(bytes, 24));
        let element = Element::of_vocabulary(vocabulary);
        let size = u32::from_le_bytes(field(bytes, 12));
        if size as usize != element.bytes() {
            return Err(TokenFileError::Element {
                found: size,
                expected: element.bytes() as u32,
                vocabulary,
            });
        }
        let header = Self {
            element,
            tokens: u64::from_le_bytes(field(bytes, 16)),
            vocabulary,
            documents: u64::from_le_bytes(field(bytes, 32)),
            fingerprint: field(bytes, 40),
            content: field(bytes, 72),
        };
        let expected = header
            .length()
            .map_or(ExpectedLength::Absurd, ExpectedLength::Exactly);
        if expected != ExpectedLength::Exactly(found) {
            return Err(length(found, expected));
        }
        Ok(header)
    }

    /// The length that a file has with this header, where there is one.
    fn length(&self) -> Option<u64> {
        let tokens = self.tokens.checked_mul(self.element.bytes() as u64)?;
        let documents = self.documents.checked_mul(8)?;
        tokens.checked_add(documents)?.checked_add(BYTES as u64)
    }

    /// Where the tokens end.
    pub(super) fn tokens_end(&self) -> u64 {
        BYTES as u64 + self.tokens * self.element.bytes() as u64
    }

    /// Where the file ends.
    pub(super) fn end(&self) -> u64 {
        self.tokens_end() + self.documents * 8
    }

    /// Whether it was made with this tokenizer.
    pub(super) fn is_of(&self, tokenizer: &Tokenizer) -> Result<(), TokenFileError> {
        let found = hex(&self.fingerprint);
        if found == tokenizer.fingerprint() {
            return Ok(());
        }
        Err(TokenFileError::Tokenizer {
            found,
            expected: tokenizer.fingerprint().to_owned(),
            tokenizer: tokenizer.name().to_owned(),
        })
    }
}

fn field<const N: usize>(bytes: &[u8; BYTES], at: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[at..at + N]);
    field
}
