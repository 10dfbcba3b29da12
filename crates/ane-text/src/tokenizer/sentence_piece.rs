//! Tokenizers of SentencePiece: a reader of its `.model` files, and the ids that its own library gives.
//!
//! Text is normalised, which also makes blanks visible as `▁` (U+2581) and puts one before it; then it is divided into
//! pieces, by pairs that are joined in the order of their scores ([`pairs`]) or by the sum of scores ([`unigram`]).
//! What no piece covers becomes its bytes, where the model has them, or the unknown piece, once for neighbours.
//!
//! A text is one sentence here, whatever lines it has. In a text that is encoded in parts there is one blank before the
//! first part only. Pairs never join where no piece has the two characters side by side, so that parts which are cut
//! there have the ids of the whole. A model of the kind `unigram` adds up scores in single precision, which in a long
//! text decides between pieces that are equally good: there the ids are those of the parts.

mod model;
mod normalizer;
mod pairs;
mod unigram;
mod wire;

use super::{
    Part, Rules, Tokenizer,
    record::{Content, TokenizerRecord},
};
use crate::TextError;
use model::{Algorithm, Kind, Model};
use normalizer::SPACE;
use sha2::{Digest, Sha256};
use std::{
    collections::{HashMap, HashSet},
    fmt,
};

/// Line ends that are tried, from the last one, for a place to cut.
const TRIED: usize = 1 << 10;

pub(super) struct SentencePiece {
    /// The file.
    content: Vec<u8>,
    model: Model,
    /// Ids of the pieces that text may become.
    ids: HashMap<Box<str>, u32>,
    /// Ids of the bytes, where there are some.
    bytes: Option<Box<[u32; 256]>>,
    /// Characters that stand side by side in some piece.
    neighbours: HashSet<(char, char)>,
    pairs: pairs::Pairs,
    unigram: unigram::Scores,
}

impl fmt::Debug for SentencePiece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SentencePiece")
            .field("vocabulary", &self.model.pieces.len())
            .finish_non_exhaustive()
    }
}

/// The tokenizer of the content of a `.model` file; `place` is what messages call it.
///
/// # Errors
/// When it is none.
pub(super) fn of_content(
    content: Vec<u8>,
    name: &str,
    place: &str,
) -> Result<Tokenizer, TextError> {
    let model = Model::parse(&content).map_err(|e| TextError::malformed(place, e.to_string()))?;
    let mut ids = HashMap::new();
    let mut neighbours = HashSet::new();
    let mut bytes = model.has_bytes.then(|| Box::new([model.unknown; 256]));
    for (id, piece) in (0..).zip(&model.pieces) {
        match piece.kind {
            Kind::Normal | Kind::UserDefined | Kind::Unused => {
                let behind = piece.text.chars().skip(1);
                neighbours.extend(piece.text.chars().zip(behind));
                ids.insert(piece.text.clone(), id);
            }
            Kind::Byte(byte) => {
                if let Some(bytes) = &mut bytes {
                    bytes[byte as usize] = id;
                }
            }
            Kind::Unknown | Kind::Control => {}
        }
    }
    let unigram = unigram::Scores::of(&model);
    let rules = SentencePiece {
        content,
        model,
        ids,
        bytes,
        neighbours,
        pairs: pairs::Pairs::default(),
        unigram,
    };
    Ok(Tokenizer::new(rules, name))
}

impl SentencePiece {
    /// Appends the ids of a normalised text, with the unknown one for each character that no piece covers.
    fn pieces(&self, text: &str, ids: &mut Vec<u32>) {
        match self.model.algorithm {
            Algorithm::Pairs => self.pairs.encode(self, text, ids),
            Algorithm::Unigram => self.unigram.encode(self, text, ids),
        }
    }

    /// Appends what stands for a text that no piece covers.
    fn push_unknown(&self, text: &str, ids: &mut Vec<u32>) {
        match &self.bytes {
            Some(bytes) => ids.extend(text.bytes().map(|byte| bytes[byte as usize])),
            None => ids.push(self.model.unknown),
        }
    }

    /// Whether text can be cut between two characters of it, once it is normalised.
    fn is_apart(&self, before: char, behind: char) -> bool {
        !self.neighbours.contains(&(before, behind))
    }

    /// The longest piece that users defined at the beginning of a text: such are never divided.
    fn user_defined<'a>(&self, text: &'a str) -> Option<&'a str> {
        self.model.user_defined(text)
    }
}

impl Rules for SentencePiece {
    fn vocabulary(&self) -> usize {
        self.model.pieces.len()
    }

    fn end_of_text(&self) -> Option<u32> {
        self.model.end
    }

    fn begin_of_text(&self) -> Option<u32> {
        self.model.begin
    }

    fn encode(&self, text: &str, part: Part, ids: &mut Vec<u32>) -> Result<(), TextError> {
        let text = self.model.normalise(text, part);
        let first = ids.len();
        self.pieces(&text, ids);
        if self.bytes.is_none() {
            let unknown = self.model.unknown;
            let mut kept = first;
            for at in first..ids.len() {
                if ids[at] != unknown || kept == first || ids[kept - 1] != unknown {
                    ids[kept] = ids[at];
                    kept += 1;
                }
            }
            ids.truncate(kept);
        }
        Ok(())
    }

    fn cut(&self, text: &str) -> usize {
        let whole = Part {
            is_first: false,
            is_last: false,
        };
        let alone = |character: char| {
            let text = self
                .model
                .normalise(character.encode_utf8(&mut [0; 4]), whole);
            let mut characters = text.chars();
            characters.next().filter(|_| characters.next().is_none())
        };
        let Some(line) = alone('\n') else { return 0 };
        let ends = text.match_indices('\n').map(|(at, _)| at).rev();
        for at in ends.take(TRIED) {
            let before = text[..at].chars().next_back();
            let behind = text[at + 1..].chars().next();
            let (Some(before), Some(behind)) = (before, behind) else {
                continue;
            };
            // These stand for themselves whatever is around them.
            if !before.is_ascii_graphic() || !behind.is_ascii_alphanumeric() {
                continue;
            }
            let (before, behind) = (alone(before), alone(behind));
            let (Some(before), Some(behind)) = (before, behind) else {
                continue;
            };
            // Words begin with their blank.
            let (left, right, place) = match line {
                SPACE => (before, line, at),
                _ => (line, behind, at + 1),
            };
            // Two unknown pieces side by side are one.
            let is_known = self
                .ids
                .contains_key(right.encode_utf8(&mut [0; 4]) as &str);
            if is_known && self.is_apart(left, right) {
                return place;
            }
        }
        0
    }

    fn spell(&self, id: u32, is_beginning: bool, bytes: &mut Vec<u8>) -> bool {
        let Some(piece) = self.model.pieces.get(id as usize) else {
            return false;
        };
        match piece.kind {
            Kind::Control => false,
            Kind::Byte(byte) => {
                bytes.push(byte);
                true
            }
            Kind::Unknown => {
                bytes.extend_from_slice(self.model.unknown_surface.as_bytes());
                !self.model.unknown_surface.is_empty()
            }
            Kind::Normal | Kind::UserDefined | Kind::Unused => {
                let normalizer = &self.model.normalizer;
                let may_drop = normalizer.adds_prefix || normalizer.removes_spaces;
                let stripped = piece.text.strip_prefix(SPACE);
                let is_dropped = is_beginning && may_drop && stripped.is_some();
                let text = stripped.filter(|_| is_dropped).unwrap_or(&piece.text);
                for character in text.chars() {
                    let character = if character == SPACE { ' ' } else { character };
                    bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                }
                !text.is_empty() || (is_dropped && !normalizer.removes_spaces)
            }
        }
    }

    fn record(&self, name: &str) -> TokenizerRecord {
        TokenizerRecord::SentencePiece {
            name: name.to_owned(),
            model: Content::of(&self.content),
        }
    }

    fn digest(&self, hash: &mut Sha256) {
        hash.update("sentence-piece");
        self.model.digest(hash);
    }
}
