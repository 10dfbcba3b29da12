//! `Fingerprint`: the length and SHA-256 by which a file's raw content is known.

use std::fmt;

use sha2::{Digest, Sha256};

/// A SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sha256Digest([u8; 32]);

impl Sha256Digest {
    /// Parses 64 hexadecimal digits; meant for constants, where a slip stops the build.
    ///
    /// # Panics
    ///
    /// If `hex` is anything but 64 lower-case hexadecimal digits.
    #[must_use]
    pub const fn from_hex(hex: &str) -> Self {
        let hex = hex.as_bytes();
        assert!(hex.len() == 64, "a SHA-256 has 64 hexadecimal digits");
        let mut digest = [0; 32];
        let mut i = 0;
        while i < digest.len() {
            digest[i] = nibble(hex[2 * i]) << 4 | nibble(hex[2 * i + 1]);
            i += 1;
        }
        Self(digest)
    }

    /// Its 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Hashes `content`.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        Self(Sha256::digest(content).into())
    }
}

const fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => panic!("a SHA-256 is written in lower-case hexadecimal digits"),
    }
}

impl fmt::Display for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Length and SHA-256 of a file's raw (decompressed) content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    /// Length in bytes.
    pub bytes: u64,
    /// SHA-256 of all of them.
    pub sha256: Sha256Digest,
}

impl Fingerprint {
    /// The fingerprint written down in a catalog.
    ///
    /// # Panics
    ///
    /// As [`Sha256Digest::from_hex`].
    #[must_use]
    pub const fn pinned(bytes: u64, sha256: &str) -> Self {
        Self {
            bytes,
            sha256: Sha256Digest::from_hex(sha256),
        }
    }

    /// The fingerprint of `content`.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        Self {
            bytes: content.len() as u64,
            sha256: Sha256Digest::of(content),
        }
    }

    /// Compares `content` with this fingerprint.
    ///
    /// # Errors
    ///
    /// If length or SHA-256 differ.
    pub fn check(&self, content: &[u8]) -> Result<(), Mismatch> {
        let found = Self::of(content);
        if found == *self {
            Ok(())
        } else {
            Err(Mismatch {
                expected: *self,
                found,
            })
        }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes with sha-256 {}", self.bytes, self.sha256)
    }
}

/// Content that is not the published one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found {found}")]
pub struct Mismatch {
    /// The published fingerprint.
    pub expected: Fingerprint,
    /// The fingerprint of what was found.
    pub found: Fingerprint,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SHA-256 of the three bytes `abc`, the first example of the standard (FIPS 180-4).
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn digest_agrees_with_the_standard_and_prints_as_it_was_written() {
        assert_eq!(Sha256Digest::of(b"abc"), Sha256Digest::from_hex(ABC));
        assert_eq!(Sha256Digest::of(b"abc").to_string(), ABC);
    }

    #[test]
    fn mismatch_names_both_sides() {
        let error = Fingerprint::pinned(3, ABC)
            .check(b"abcd")
            .unwrap_err()
            .to_string();
        assert!(error.starts_with(&format!(
            "expected 3 bytes with sha-256 {ABC}, found 4 bytes"
        )));
    }
}
