//! `Model`: what a `.model` file of SentencePiece says, a `ModelProto`.

use super::{
    normalizer::Normalizer,
    wire::{Field, WireError, fields},
};
use sha2::{Digest, Sha256};
use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
};

/// Most pieces.
const MOST: usize = 1 << 24;

/// A file is no model that can be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(super) enum ModelError {
    #[error("it is no file of SentencePiece: {0}")]
    Wire(#[from] WireError),
    #[error("it has no pieces")]
    NoPieces,
    #[error("it has more than {MOST} pieces")]
    ManyPieces,
    #[error("piece {id} is empty")]
    EmptyPiece { id: usize },
    #[error("piece {id}, {text:?}, has the score {score}; expected a finite number")]
    Score { id: usize, text: String, score: f32 },
    #[error("piece {id}, {text:?}, is of type {found}; expected 1 to 6")]
    PieceType { id: usize, text: String, found: u64 },
    #[error("piece {id} is called {text:?}; expected a byte from `<0x00>` to `<0xFF>`")]
    Byte { id: usize, text: String },
    #[error("piece {id}, {text:?}, is there twice")]
    Twice { id: usize, text: String },
    #[error("{found} pieces are unknown ones; expected 1")]
    Unknown { found: usize },
    #[error("it has {found} pieces of bytes; expected {expected}")]
    Bytes { found: usize, expected: usize },
    #[error("its kind is {found}; expected 1, `unigram`, or 2, `bpe`")]
    Algorithm { found: u64 },
    #[error("its rules of normalisation are malformed: {0}")]
    Rules(&'static str),
    #[error("it changes text that is decoded by rules of its own, which are not implemented")]
    Denormalizer,
}

/// How text is divided into pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// By joining pairs.
    Pairs,
    /// By the largest sum of scores.
    Unigram,
}

/// What a piece is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte(u8),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Piece {
    pub(super) text: Box<str>,
    pub(super) score: f32,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone)]
pub(super) struct Model {
    /// By their ids.
    pub(super) pieces: Vec<Piece>,
    pub(super) algorithm: Algorithm,
    pub(super) unknown: u32,
    pub(super) begin: Option<u32>,
    pub(super) end: Option<u32>,
    /// What is unknown becomes bytes.
    pub(super) has_bytes: bool,
    /// The text of the unknown piece.
    pub(super) unknown_surface: String,
    pub(super) normalizer: Normalizer,
    /// Pieces that users defined, by their first character and then by falling length.
    user_defined: HashMap<char, Vec<Box<str>>>,
}

/// What `TrainerSpec` says that is of use.
struct Trainer {
    algorithm: u64,
    has_bytes: bool,
    is_suffix: bool,
    unknown_surface: String,
    begin: String,
    end: String,
}

impl Model {
    pub(super) fn parse(content: &[u8]) -> Result<Self, ModelError> {
        let mut pieces = Vec::new();
        let mut trainer = Trainer::default();
        let mut normalizer = Normalizer::default();
        for field in fields(content) {
            let field = field?;
            match field.number {
                1 if pieces.len() == MOST => return Err(ModelError::ManyPieces),
                1 => pieces.push(Piece::parse(pieces.len(), field.bytes()?)?),
                2 => trainer.parse(field.bytes()?)?,
                3 => normalizer.parse(field.bytes()?)?,
                5 => must_keep_text(field.bytes()?)?,
                _ => {}
            }
        }
        normalizer.is_suffix = trainer.is_suffix;
        let unknown = check(&pieces, &trainer)?;
        let control = |text: &str| {
            let found = (0..).zip(&pieces);
            let mut found = found.filter(|(_, p)| p.kind == Kind::Control && *p.text == *text);
            found.next().map(|(id, _)| id)
        };
        let mut user_defined: HashMap<char, Vec<Box<str>>> = HashMap::new();
        for piece in pieces.iter().filter(|p| p.kind == Kind::UserDefined) {
            if let Some(first) = piece.text.chars().next() {
                let texts = user_defined.entry(first).or_default();
                texts.push(piece.text.clone());
                texts.sort_by_key(|text| Reverse(text.len()));
            }
        }
        Ok(Self {
            algorithm: match trainer.algorithm {
                1 => Algorithm::Unigram,
                2 => Algorithm::Pairs,
                found => return Err(ModelError::Algorithm { found }),
            },
            unknown,
            begin: control(&trainer.begin),
            end: control(&trainer.end),
            has_bytes: trainer.has_bytes,
            unknown_surface: trainer.unknown_surface,
            normalizer,
            user_defined,
            pieces,
        })
    }

    /// The longest piece that users defined at the beginning of a text.
    pub(super) fn user_defined<'a>(&self, text: &'a str) -> Option<&'a str> {
        if self.user_defined.is_empty() {
            return None;
        }
        let texts = self.user_defined.get(&text.chars().next()?)?;
        let found = texts.iter().find(|u| text.starts_with(&***u))?;
        Some(&text[..found.len()])
    }

    pub(super) fn digest(&self, hash: &mut Sha256) {
        let mut text = |text: &[u8]| {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        };
        let flags = [
            self.algorithm == Algorithm::Pairs,
            self.has_bytes,
            self.normalizer.adds_prefix,
            self.normalizer.removes_spaces,
            self.normalizer.escapes_spaces,
            self.normalizer.is_suffix,
        ];
        text(&flags.map(u8::from));
        text(self.unknown_surface.as_bytes());
        text(self.normalizer.rules.content());
        for control in [self.begin, self.end] {
            text(&control.unwrap_or(u32::MAX).to_le_bytes());
        }
        for piece in &self.pieces {
            text(piece.text.as_bytes());
            let kind = match piece.kind {
                Kind::Normal => 1,
                Kind::Unknown => 2,
                Kind::Control => 3,
                Kind::UserDefined => 4,
                Kind::Unused => 5,
                Kind::Byte(_) => 6,
            };
            text(&[kind]);
            text(&piece.score.to_le_bytes());
        }
    }
}

impl Piece {
    fn parse(id: usize, message: &[u8]) -> Result<Self, ModelError> {
        let (mut text, mut score, mut kind) = ("", 0.0, 1);
        for field in fields(message) {
            let field = field?;
            match field.number {
                1 => text = field.text()?,
                2 => score = field.float()?,
                3 => kind = field.number()?,
                _ => {}
            }
        }
        if text.is_empty() {
            return Err(ModelError::EmptyPiece { id });
        }
        let owned = || text.to_owned();
        if !score.is_finite() {
            let text = owned();
            return Err(ModelError::Score { id, text, score });
        }
        let kind = match kind {
            1 => Kind::Normal,
            2 => Kind::Unknown,
            3 => Kind::Control,
            4 => Kind::UserDefined,
            5 => Kind::Unused,
            6 => Kind::Byte(byte(text).ok_or_else(|| ModelError::Byte { id, text: owned() })?),
            found => {
                let text = owned();
                return Err(ModelError::PieceType { id, text, found });
            }
        };
        Ok(Self {
            text: text.into(),
            score,
            kind,
        })
    }
}

/// The byte of a piece such as `<0x0A>`.
fn byte(text: &str) -> Option<u8> {
    let digits = text.strip_prefix("<0x")?.strip_suffix('>')?;
    let is_digit = |d: u8| d.is_ascii_digit() || (b'A'..=b'F').contains(&d);
    let is_written_so = digits.len() == 2 && digits.bytes().all(is_digit);
    is_written_so.then(|| u8::from_str_radix(digits, 16).ok())?
}

/// What must hold of all pieces together; gives the unknown one.
fn check(pieces: &[Piece], trainer: &Trainer) -> Result<u32, ModelError> {
    if pieces.is_empty() {
        return Err(ModelError::NoPieces);
    }
    let mut texts = HashSet::new();
    let mut unknown = Vec::new();
    let mut bytes = 0;
    for (id, piece) in pieces.iter().enumerate() {
        // Of the other kinds none comes from text, so that these may be called what those are.
        let is_of_text = matches!(piece.kind, Kind::Normal | Kind::UserDefined | Kind::Unused);
        if !texts.insert((is_of_text, &piece.text)) {
            let text = piece.text.to_string();
            return Err(ModelError::Twice { id, text });
        }
        match piece.kind {
            Kind::Unknown => unknown.push(id),
            Kind::Byte(_) => bytes += 1,
            _ => {}
        }
    }
    let expected = if trainer.has_bytes { 256 } else { 0 };
    if bytes != expected {
        let found = bytes;
        return Err(ModelError::Bytes { found, expected });
    }
    match unknown[..] {
        // There are at most `MOST`.
        [id] => Ok(id as u32),
        _ => Err(ModelError::Unknown {
            found: unknown.len(),
        }),
    }
}

impl Default for Trainer {
    fn default() -> Self {
        Self {
            algorithm: 1,
            has_bytes: false,
            is_suffix: false,
            unknown_surface: " \u{2047} ".to_owned(),
            begin: "<s>".to_owned(),
            end: "</s>".to_owned(),
        }
    }
}

impl Trainer {
    fn parse(&mut self, message: &[u8]) -> Result<(), WireError> {
        for field in fields(message) {
            let field = field?;
            let text = |field: &Field<'_>| field.text().map(str::to_owned);
            match field.number {
                3 => self.algorithm = field.number()?,
                24 => self.is_suffix = field.flag()?,
                35 => self.has_bytes = field.flag()?,
                44 => self.unknown_surface = text(&field)?,
                46 => self.begin = text(&field)?,
                47 => self.end = text(&field)?,
                _ => {}
            }
        }
        Ok(())
    }
}

/// Whether the rules for decoded text are none.
fn must_keep_text(message: &[u8]) -> Result<(), ModelError> {
    for field in fields(message) {
        let field = field?;
        if field.number == 2 && !field.bytes()?.is_empty() {
            return Err(ModelError::Denormalizer);
        }
    }
    Ok(())
}
