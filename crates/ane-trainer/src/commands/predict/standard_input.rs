//! Examples from standard input: what they are is told from their first bytes.

use crate::failure::Failure;
use std::{
    io::{self, Read, Write},
    path::Path,
};
use tempfile::{Builder, NamedTempFile};

/// Most bytes that are read.
const MOST: u64 = 1 << 30;

/// What standard input held, in a file whose name says what it is.
pub(super) struct StandardInput(NamedTempFile);

impl StandardInput {
    /// Reads it to its end.
    pub(super) fn read() -> Result<Self, Failure> {
        let mut bytes = Vec::new();
        let read = io::stdin().lock().take(MOST + 1).read_to_end(&mut bytes);
        let failed = |e: io::Error| {
            Failure::because(
                "cannot read the examples from standard input",
                e,
                "pass them as files",
            )
        };
        read.map_err(failed)?;
        if bytes.len() as u64 > MOST {
            return Err(Failure::new(
                format!("standard input holds more than {} MB", MOST >> 20),
                "pass the examples as a file, which is read where it lies",
            ));
        }
        let mut file = Builder::new()
            .suffix(end(&bytes))
            .tempfile()
            .map_err(failed)?;
        file.write_all(&bytes).map_err(failed)?;
        Ok(Self(file))
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }
}

/// How a file with this content would end.
fn end(bytes: &[u8]) -> &'static str {
    const KNOWN: [(&[u8], &str); 5] = [
        (b"\x89PNG", ".png"),
        (b"\xff\xd8\xff", ".jpg"),
        (b"\x93NUMPY", ".npy"),
        (b"PK\x03\x04", ".npz"),
        (b"\x1f\x8b", ".csv.gz"),
    ];
    let found = KNOWN.iter().find(|(start, _)| bytes.starts_with(start));
    found.map_or(".csv", |(_, end)| end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_known_by_its_first_bytes_and_text_is_a_table() {
        assert_eq!(end(b"\x89PNG\r\n"), ".png");
        assert_eq!(end(b"\x93NUMPY\x01"), ".npy");
        assert_eq!(end(b"a,b\n1,2\n"), ".csv");
        assert_eq!(end(b""), ".csv");
    }
}
