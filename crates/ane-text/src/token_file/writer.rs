//! `TokenWriter`: a file of tokens that takes its name once it is whole.

use super::{Element, TokenFile, header, header::Header};
use crate::{TextError, Tokenizer};
use sha2::{Digest, Sha256};
use std::{
    fs::{File, Permissions},
    io::{BufWriter, Seek, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use tempfile::{NamedTempFile, TempPath};

/// How files begin that are not finished.
const UNFINISHED: &str = ".ane-text-";

/// Writes a file of tokens under another name, beside the one that it is to have.
///
/// Dropped before it is finished, or after an error, it leaves nothing behind.
#[derive(Debug)]
pub struct TokenWriter {
    path: PathBuf,
    tokenizer: Tokenizer,
    element: Element,
    file: BufWriter<NamedTempFile>,
    hash: Sha256,
    tokens: u64,
    starts: Vec<u64>,
    bytes: Vec<u8>,
}

/// A file of tokens that is whole, and waits for its name.
#[derive(Debug)]
pub(crate) struct Sealed {
    content: TokenFile,
    unnamed: TempPath,
}

impl TokenWriter {
    /// Begins a file of ids of a tokenizer.
    ///
    /// # Errors
    /// When the folder cannot be written in.
    pub fn create(path: &Path, tokenizer: &Tokenizer) -> Result<Self, TextError> {
        let folder = folder(path);
        let file = tempfile::Builder::new()
            .prefix(UNFINISHED)
            // As any other file of the user's: what the umask leaves of it.
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder)
            .map_err(TextError::io("write in", folder))?;
        let mut writer = Self {
            path: path.to_owned(),
            element: Element::of_vocabulary(tokenizer.vocabulary() as u64),
            tokenizer: tokenizer.clone(),
            file: BufWriter::with_capacity(1 << 20, file),
            hash: Sha256::new(),
            tokens: 0,
            starts: Vec::new(),
            bytes: Vec::new(),
        };
        // The header is known at the end.
        writer.write(&[0; header::BYTES])?;
        Ok(writer)
    }

    /// Begins a document. One that gets no tokens is as if it had not begun.
    pub fn begin_document(&mut self) {
        if self.starts.last() != Some(&self.tokens) {
            self.starts.push(self.tokens);
        }
    }

    /// Appends ids.
    ///
    /// # Errors
    /// When an id is none of the tokenizer's, or the system cannot write.
    pub fn push(&mut self, ids: &[u32]) -> Result<(), TextError> {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        for &id in ids {
            if !self.tokenizer.has(id) {
                return Err(self.tokenizer.unknown_id(id));
            }
            self.element.append(id, &mut bytes);
        }
        self.hash.update(&bytes);
        self.write(&bytes)?;
        self.tokens += ids.len() as u64;
        self.bytes = bytes;
        Ok(())
    }

    /// Number of tokens so far.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Brings the file to disk, reads it again, and gives it its name in place of what had it.
    ///
    /// # Errors
    /// When the system cannot write, or what comes back is something else.
    pub fn finish(self) -> Result<TokenFile, TextError> {
        self.seal()?.persist()
    }

    /// As [`Self::finish`], but for the name.
    ///
    /// # Errors
    /// As [`Self::finish`].
    pub(crate) fn seal(mut self) -> Result<Sealed, TextError> {
        while self.starts.last().is_some_and(|&s| s >= self.tokens) {
            self.starts.pop();
        }
        let starts: Vec<u8> = self.starts.iter().flat_map(|s| s.to_le_bytes()).collect();
        self.hash.update(&starts);
        self.write(&starts)?;
        let header = Header {
            element: self.element,
            tokens: self.tokens,
            vocabulary: self.tokenizer.vocabulary() as u64,
            documents: self.starts.len() as u64,
            fingerprint: self.tokenizer.digest,
            content: self.hash.clone().finalize().into(),
        };
        self.file
            .rewind()
            .map_err(TextError::io("write", &self.path))?;
        self.write(&header.bytes())?;
        let file = self.file.into_inner();
        let file = file.map_err(|e| TextError::io("write", &self.path)(e.into_error()))?;
        let (file, unnamed) = file.into_parts();
        file.sync_all()
            .map_err(TextError::io("flush", &self.path))?;
        let length = file.metadata().map(|m| m.len());
        let length = length.map_err(TextError::io("read", &self.path))?;
        let content = TokenFile::check(file, length, &self.path, Some(&self.tokenizer))?;
        Ok(Sealed { content, unnamed })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), TextError> {
        self.file
            .write_all(bytes)
            .map_err(TextError::io("write", &self.path))
    }
}

impl Sealed {
    /// Gives the file its name.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn persist(self) -> Result<TokenFile, TextError> {
        let path = &self.content.path;
        self.unnamed
            .persist(path)
            .map_err(|e| TextError::io("rename to", path)(e.error))?;
        // The rename itself must survive a power cut.
        let folder = folder(path);
        File::open(folder)
            .and_then(|f| f.sync_all())
            .map_err(TextError::io("flush", folder))?;
        Ok(self.content)
    }
}

fn folder(path: &Path) -> &Path {
    // A bare name has an empty parent, which is no folder.
    let folder = path.parent().filter(|f| !f.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}
