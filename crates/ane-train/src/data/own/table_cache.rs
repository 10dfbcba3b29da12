//! Large tables as numbers, kept in the cache so that their text is read once.

use super::{
    OwnDataError,
    error::Sayer,
    raw::RawColumn,
    roles::Roles,
    rows::{Element, Rows},
    settings::DataSettings,
    table::Table,
};
use crate::{checkpoint::replace_file, data::cache, data::description::Description};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

/// Size of a file from which its numbers are kept.
const LARGE: u64 = 32 << 20;

/// Where the numbers of one table are.
#[derive(Debug)]
pub(super) struct TableCache {
    directory: PathBuf,
}

/// What there is beside the numbers.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    columns: Vec<RawColumn>,
    rows: usize,
}

impl TableCache {
    /// The place for a table that is large enough, where there is a cache.
    pub(super) fn of(
        path: &Path,
        key: &str,
        roles: &Roles,
        settings: &DataSettings,
        known: Option<&Description>,
    ) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        if metadata.len() < LARGE {
            return None;
        }
        let time = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        let asked = serde_json::to_string(&(
            path.canonicalize().ok()?,
            metadata.len(),
            time.as_nanos() as u64,
            key,
            &settings.categorical,
            (&roles.inputs, &roles.labels, roles.weights),
            known.map(|d| &d.input),
            env!("CARGO_PKG_VERSION"),
        ));
        let name: String = Sha256::digest(asked.ok()?)
            .iter()
            .take(16)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Some(Self {
            directory: cache::default_root().ok()?.join("tables").join(name),
        })
    }

    fn head(&self) -> PathBuf {
        self.directory.join("table.json")
    }

    fn rows(&self) -> PathBuf {
        self.directory.join("rows.f32")
    }

    /// The table, if it is there whole.
    pub(super) fn read(&self) -> Option<Table> {
        let head = ane_files::read(&self.head(), 1 << 28).ok()?;
        let head: Head = serde_json::from_slice(&head).ok()?;
        let form = (Element::Fp32, head.columns.len(), head.rows);
        Some(Table {
            rows: Rows::of_file(&self.rows(), 0, form).ok()?,
            columns: head.columns,
        })
    }

    /// Keeps the table whose cells `write` writes, which says how many rows it has. The head comes last: without it nothing is there.
    pub(super) fn write(
        &self,
        columns: Vec<RawColumn>,
        write: impl FnOnce(&mut dyn Write) -> Result<usize, OwnDataError>,
        say: &Sayer<'_>,
    ) -> Result<Table, OwnDataError> {
        let not_kept = |e: io::Error| {
            say.content(format!(
                "cannot be kept as numbers in `{}`: {e}",
                self.directory.display()
            ))
            .advise(format!(
                "let {} name a directory that can be written and has space left",
                cache::CACHE_VARIABLE
            ))
        };
        fs::create_dir_all(&self.directory).map_err(not_kept)?;
        let unfinished = self
            .directory
            .join(format!(".writing-{}", std::process::id()));
        let made = File::create(&unfinished)
            .map_err(not_kept)
            .and_then(|file| {
                let mut out = BufWriter::with_capacity(1 << 20, file);
                let rows = write(&mut out)?;
                out.flush().map_err(not_kept)?;
                fs::rename(&unfinished, self.rows()).map_err(not_kept)?;
                Ok(rows)
            });
        let rows = made.inspect_err(|_| {
            // It may not have been made.
            let _ = fs::remove_file(&unfinished);
        })?;
        let head = Head { columns, rows };
        let text = serde_json::to_vec(&head).map_err(|e| not_kept(e.into()))?;
        replace_file(&self.head(), &text).map_err(|e| not_kept(io::Error::other(e)))?;
        self.read()
            .ok_or_else(|| not_kept(io::ErrorKind::UnexpectedEof.into()))
    }
}
