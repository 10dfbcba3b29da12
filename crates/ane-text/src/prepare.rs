//! `Prepare`: a corpus to files of tokens, one to train on and one to validate on.

use crate::{
    Corpus, Document, TextError, TokenFile, TokenWriter, Tokenizer, error::SplitError,
    token_file::Sealed,
};
use sha2::{Digest, Sha256};
use std::{
    collections::HashSet,
    fs,
    ops::{ControlFlow, Range},
    path::Path,
};

/// Which part of a corpus validates.
#[derive(Debug, Clone, PartialEq)]
pub enum Split {
    /// None: all of it trains.
    None,
    /// So much of it, above 0 and below 1: of several documents that share of them, one at least, chosen by their names
    /// alone; of a single document its tail, from the beginning of a line.
    Fraction(f64),
    /// Documents by name, or by the last part of it.
    Documents(Vec<String>),
}

/// How far preparing has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Bytes of text that are read.
    pub done: u64,
    /// Bytes of text in all.
    pub total: u64,
    /// Tokens that are written.
    pub tokens: u64,
}

/// Makes files of tokens of a corpus.
///
/// Documents follow each other in the corpus's order; where the tokenizer has an id for the end of a text, it stands
/// behind each. A text is read piece by piece, and its ids are those of the whole ([`Encoder`](crate::tokenizer::Encoder)
/// says where not).
#[derive(Debug)]
pub struct Prepare<'a> {
    /// The text.
    pub corpus: &'a Corpus,
    /// What makes ids of it.
    pub tokenizer: &'a Tokenizer,
    /// Which part of it validates.
    pub split: Split,
    /// Path of the file to train on.
    pub train: &'a Path,
    /// Path of the file to validate on, which is not touched with [`Split::None`].
    pub validation: &'a Path,
}

/// The files that were made.
#[derive(Debug)]
pub struct Prepared {
    /// To train on.
    pub train: TokenFile,
    /// To validate on.
    pub validation: Option<TokenFile>,
}

/// A part of a document.
type Section<'a> = (&'a Document, Range<u64>);

/// Told after each piece of text; `Break` ends it.
pub(crate) type Report<'a> = dyn FnMut(Progress) -> ControlFlow<()> + 'a;

impl Prepare<'_> {
    /// Makes them: both take their names at the end, or neither does.
    ///
    /// `progress` is told after each piece of text; when it says `Break`, the error is [`TextError::Interrupted`].
    ///
    /// # Errors
    /// When a document is no text, the tokenizer lacks an id for it, or nothing is left for one of the files; when the
    /// system cannot write.
    pub fn run(&self, progress: &mut Report<'_>) -> Result<Prepared, TextError> {
        let (train, validation) = self.sections()?;
        let mut state = Progress {
            done: 0,
            total: self.corpus.bytes(),
            tokens: 0,
        };
        let mut write = |path, sections: &[Section<'_>], purpose| {
            if sections.is_empty() {
                return Err(TextError::Split(SplitError::NothingLeft { purpose }));
            }
            self.write(path, sections, purpose, &mut state, progress)
        };
        let train = write(self.train, &train, "train")?;
        let validation = match self.split {
            Split::None => None,
            _ => Some(write(self.validation, &validation, "validate")?),
        };
        let had_validation = self.validation.exists();
        let validation = validation.map(Sealed::persist).transpose()?;
        match train.persist() {
            Ok(train) => Ok(Prepared { train, validation }),
            Err(error) => {
                // One of two new files would be taken for both.
                if validation.is_some() && !had_validation {
                    let _ = fs::remove_file(self.validation);
                }
                Err(error)
            }
        }
    }

    fn write(
        &self,
        path: &Path,
        sections: &[Section<'_>],
        purpose: &'static str,
        state: &mut Progress,
        progress: &mut Report<'_>,
    ) -> Result<Sealed, TextError> {
        let mut writer = TokenWriter::create(path, self.tokenizer)?;
        let mut ids = Vec::new();
        for (document, range) in sections {
            writer.begin_document();
            let before = (state.done, state.tokens, writer.tokens());
            let mut encoder = self.tokenizer.encoder();
            for piece in document.pieces_of(range.clone())? {
                let piece = piece?;
                encoder.push(document.name(), &piece.text, &mut ids)?;
                writer.push(&ids)?;
                ids.clear();
                state.done = before.0 + (piece.bytes - range.start);
                state.tokens = before.1 + (writer.tokens() - before.2);
                if progress(*state).is_break() {
                    return Err(TextError::Interrupted);
                }
            }
            encoder.finish(document.name(), &mut ids)?;
            ids.extend(self.tokenizer.end_of_text());
            writer.push(&ids)?;
            ids.clear();
            state.tokens = before.1 + (writer.tokens() - before.2);
        }
        if writer.tokens() == 0 {
            return Err(TextError::Split(SplitError::NothingLeft { purpose }));
        }
        writer.seal()
    }

    /// The parts that train, and those that validate.
    fn sections(&self) -> Result<(Vec<Section<'_>>, Vec<Section<'_>>), TextError> {
        let documents = self.corpus.documents();
        let validates = match &self.split {
            Split::None => HashSet::new(),
            &Split::Fraction(fraction) => {
                if !(fraction > 0.0 && fraction < 1.0) {
                    return Err(TextError::Split(SplitError::Fraction(fraction)));
                }
                if let [document] = documents {
                    return tail(document, fraction);
                }
                chosen(documents, fraction)
            }
            Split::Documents(names) => named(documents, names)?,
        };
        let sections = documents.iter().enumerate();
        let (validation, train): (Vec<_>, Vec<_>) = sections
            .map(|(at, document)| (at, (document, 0..document.bytes())))
            .partition(|(at, _)| validates.contains(at));
        let only = |sections: Vec<(usize, _)>| sections.into_iter().map(|(_, s)| s).collect();
        Ok((only(train), only(validation)))
    }
}

fn tail(
    document: &Document,
    fraction: f64,
) -> Result<(Vec<Section<'_>>, Vec<Section<'_>>), TextError> {
    let end = document.bytes();
    let wanted = ((1.0 - fraction) * end as f64).round() as u64;
    let cut = document.line_from(wanted.clamp(1, end))?;
    let part = |range: Range<u64>| match range.is_empty() {
        true => Vec::new(),
        false => vec![(document, range)],
    };
    Ok((part(0..cut), part(cut..end)))
}

/// A share of the documents that depends on their names, not on their order.
fn chosen(documents: &[Document], fraction: f64) -> HashSet<usize> {
    let mut order: Vec<usize> = (0..documents.len()).collect();
    order.sort_by_cached_key(|&at| Sha256::digest(documents[at].key()));
    let count = (fraction * documents.len() as f64).round() as usize;
    order.truncate(count.clamp(1, documents.len() - 1));
    order.into_iter().collect()
}

fn named(documents: &[Document], names: &[String]) -> Result<HashSet<usize>, TextError> {
    let mut chosen = HashSet::new();
    for name in names {
        let is_meant = |document: &Document| {
            document.name() == name || Path::new(document.name()).ends_with(name)
        };
        let found = (0..documents.len()).filter(|&at| is_meant(&documents[at]));
        let found: Vec<usize> = found.collect();
        chosen.extend(&found);
        if found.is_empty() {
            let first: Vec<&str> = documents.iter().take(5).map(Document::name).collect();
            let more = if documents.len() > 5 { ", …" } else { "" };
            return Err(TextError::Split(SplitError::NoSuchDocument {
                name: name.clone(),
                there: first.join(", ") + more,
            }));
        }
    }
    Ok(chosen)
}
