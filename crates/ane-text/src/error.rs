//! `TextError`: what can be wrong with a text, a tokenizer or a file of tokens.

use std::{fmt, io, path::PathBuf};

/// A text, a tokenizer or a file of tokens cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// The system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// What a user named cannot be read whole.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: ane_files::ReadError,
    },
    /// The progress callback asked to stop.
    #[error("interrupted; nothing was written")]
    Interrupted,

    /// A file of text has a NUL byte.
    #[error(
        "{document} is not text: the byte at offset {at} is NUL; expected UTF-8 without NUL bytes{}",
        if *.utf16 { ", and this looks like UTF-16: convert it first" } else { "" }
    )]
    Binary {
        /// Its name.
        document: String,
        /// Offset of the byte.
        at: u64,
        /// Whether it begins with the byte order mark of UTF-16.
        utf16: bool,
    },
    /// A file of text is in another encoding.
    #[error(
        "{document} is not UTF-8: the byte at offset {at} is 0x{byte:02x}; convert it, or say that it is Latin-1"
    )]
    NotUtf8 {
        /// Its name.
        document: String,
        /// Offset of the first byte that cannot stand there.
        at: u64,
        /// The byte.
        byte: u8,
    },
    /// There is no text.
    #[error("{document} is empty; expected text")]
    Empty {
        /// The file or the folder.
        document: String,
    },
    /// A folder has no files of text.
    #[error("{} has no texts: expected files that end in .txt or .md", folder.display())]
    NoTexts {
        /// The folder.
        folder: PathBuf,
    },
    /// Folders within folders do not end.
    #[error("{} is {depth} folders deep; expected at most {depth}", folder.display())]
    TooDeep {
        /// The innermost.
        folder: PathBuf,
        /// Folders on the way to it.
        depth: usize,
    },
    /// A corpus is not what its publisher's is.
    #[error("{document} is not the file that is meant: expected {expected}, found {found}")]
    OtherContent {
        /// Its name.
        document: String,
        /// What was expected.
        expected: String,
        /// What was found.
        found: String,
    },
    /// A corpus cannot be divided as asked.
    #[error("{0}")]
    Split(SplitError),

    /// The name of a tokenizer says nothing.
    #[error(
        "`{given}` is no tokenizer: {problem}; expected `byte`, `char`, `bpe:N` such as `bpe:4096`, or a path"
    )]
    Spec {
        /// What was given.
        given: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A tokenizer of characters meets one that it does not know.
    #[error(
        "the tokenizer has no {character:?} (U+{:04X}), found at line {line}, column {column}{}; \
         it knows the {known} characters of the text that it was made of",
        u32::from(*character),
        document.as_ref().map_or_else(String::new, |d| format!(" of {d}"))
    )]
    UnknownCharacter {
        /// The character.
        character: char,
        /// Its line, from 1.
        line: u64,
        /// Its place in the line in characters, from 1.
        column: u64,
        /// The document, where there is one.
        document: Option<String>,
        /// How many characters the tokenizer knows.
        known: usize,
    },
    /// No token has this id.
    #[error("there is no token {id}: the tokenizer `{tokenizer}` has {vocabulary}, from 0")]
    UnknownId {
        /// The id.
        id: u32,
        /// Name of the tokenizer.
        tokenizer: String,
        /// Number of its tokens.
        vocabulary: usize,
    },
    /// The files of a tokenizer are not what they should be.
    #[error("{place} is no tokenizer that can be used: {problem}")]
    Malformed {
        /// The file, or what else it came from.
        place: String,
        /// What was expected and what was found.
        problem: String,
    },
    /// The tokenizer has no ids for a text, or no text for ids.
    #[error("the tokenizer cannot {action}: {problem}")]
    Refused {
        /// What was tried.
        action: &'static str,
        /// Its word.
        problem: String,
    },

    /// A file of tokens cannot be used.
    #[error("{} {problem}", path.display())]
    TokenFile {
        /// Its path.
        path: PathBuf,
        /// What is wrong with it.
        problem: TokenFileError,
    },
}

/// Why a corpus cannot be divided.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SplitError {
    /// A fraction outside of its range.
    #[error("the fraction to validate on is {0}; expected a number above 0 and below 1")]
    Fraction(f64),
    /// A name that no document has.
    #[error("no document is called {name}; there are {there}")]
    NoSuchDocument {
        /// The name.
        name: String,
        /// Some that there are.
        there: String,
    },
    /// One side would have no text.
    #[error("no text is left to {purpose} on; take another fraction, or a longer text")]
    NothingLeft {
        /// The side.
        purpose: &'static str,
    },
}

/// What is wrong with a file of tokens.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenFileError {
    /// It begins otherwise.
    #[error("is no file of tokens: it begins with {found}, expected `ANETOKEN`")]
    Magic {
        /// Its first bytes.
        found: String,
    },
    /// It is of another version of this format.
    #[error("is of version {found} of the format; expected {expected}: prepare it again")]
    Version {
        /// Its version.
        found: u32,
        /// The version that is read.
        expected: u32,
    },
    /// Its header was changed after it was written.
    #[error("is damaged: the checksum of its header does not fit")]
    Header,
    /// Its elements are of another type than files of so many tokens hold.
    #[error(
        "holds elements of {found} bytes; expected {expected} for a vocabulary of {vocabulary}"
    )]
    Element {
        /// Bytes of an element, by its header.
        found: u32,
        /// Bytes that they should have.
        expected: u32,
        /// Tokens of its tokenizer.
        vocabulary: u64,
    },
    /// It is shorter or longer than its header says.
    #[error("is damaged: it has {found} bytes, expected {expected}")]
    Length {
        /// Its length.
        found: u64,
        /// The length that its header says.
        expected: ExpectedLength,
    },
    /// Its tokens were changed after it was written.
    #[error("is damaged: the SHA-256 of its tokens is {found}, expected {expected}")]
    Checksum {
        /// Of what it holds.
        found: String,
        /// What its header says.
        expected: String,
    },
    /// A token is none of its tokenizer's.
    #[error("holds the id {id} at position {at}; expected less than {vocabulary}")]
    Id {
        /// The id.
        id: u32,
        /// Where, in tokens.
        at: u64,
        /// Tokens of its tokenizer.
        vocabulary: u64,
    },
    /// Its documents do not begin one behind the other.
    #[error("is damaged: its document {document} begins at token {start}, expected {expected}")]
    Starts {
        /// Which, from 0.
        document: u64,
        /// Where it begins.
        start: u64,
        /// Where it may.
        expected: String,
    },
    /// It was made with another tokenizer.
    #[error(
        "was made with another tokenizer: fingerprint {found}, expected {expected} of `{tokenizer}`; prepare it again"
    )]
    Tokenizer {
        /// By its header.
        found: String,
        /// That of the tokenizer at hand.
        expected: String,
        /// The tokenizer at hand.
        tokenizer: String,
    },
    /// More was asked for than it holds.
    #[error("has {tokens} tokens; expected at least {wanted}")]
    Range {
        /// How many it has.
        tokens: u64,
        /// The end of what was asked for.
        wanted: u64,
    },
}

/// A length that may be more than a number holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpectedLength {
    /// Exactly so many bytes.
    Exactly(u64),
    /// At least so many, as a header has.
    AtLeast(u64),
    /// More than any file has.
    Absurd,
}

impl fmt::Display for ExpectedLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(bytes) => write!(f, "{bytes}"),
            Self::AtLeast(bytes) => write!(f, "at least {bytes}"),
            Self::Absurd => f.write_str("more than any file has"),
        }
    }
}

impl TextError {
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }

    pub(crate) fn malformed(place: &str, problem: impl Into<String>) -> Self {
        Self::Malformed {
            place: place.to_owned(),
            problem: problem.into(),
        }
    }

    /// Says where a piece of text lies from which an unknown character came.
    pub(crate) fn within(self, name: &str, first_line: u64, first_column: u64) -> Self {
        match self {
            Self::UnknownCharacter {
                character,
                line,
                column,
                document: None,
                known,
            } => Self::UnknownCharacter {
                character,
                line: line + first_line - 1,
                column: if line == 1 {
                    column + first_column - 1
                } else {
                    column
                },
                document: Some(name.to_owned()),
                known,
            },
            other => other,
        }
    }
}
