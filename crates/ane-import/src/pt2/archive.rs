//! The zip: its parts by name, each read once and no further than the file is long.

use super::Pt2Error;
use std::{
    fs::File,
    io::{BufReader, Read},
    path::Path,
};
use zip::{
    CompressionMethod, ZipArchive,
    read::{ArchiveOffset, Config},
};

/// Longest JSON; that of a model of a thousand layers has some 10 MB.
const LARGEST_TEXT: u64 = 1 << 28;

/// An open zip.
pub(super) struct Archive {
    zip: ZipArchive<BufReader<File>>,
    /// The one folder that everything lies in: the stem of the file's first name.
    root: String,
    /// Bytes that may still be read: entries may lie over one another, and come to more than the file.
    left: u64,
}

impl Archive {
    pub(super) fn open(path: &Path) -> Result<Self, Pt2Error> {
        let (file, length) = ane_files::open(path).map_err(|error| Pt2Error::Read {
            path: path.to_owned(),
            error,
        })?;
        // The file holds another zip, PyTorch's pickle of the example inputs, among whose bytes a search for where the
        // archive begins may end.
        let from_the_start = Config {
            archive_offset: ArchiveOffset::Known(0),
        };
        let zip = ZipArchive::with_config(from_the_start, BufReader::new(file));
        let zip = zip.map_err(|e| Pt2Error::Zip {
            error: e.to_string(),
        })?;
        let missing = || Pt2Error::Missing {
            name: "models/model.json".to_owned(),
        };
        let mut names = zip.file_names().filter_map(Result::ok);
        let model = names
            .find(|name| name.ends_with("models/model.json"))
            .ok_or_else(missing)?;
        let root = model.trim_end_matches("models/model.json").to_owned();
        drop(names);
        Ok(Self {
            zip,
            root,
            left: length,
        })
    }

    /// Whether there is such a part.
    pub(super) fn has(&self, name: &str) -> bool {
        let name = format!("{}{name}", self.root);
        self.zip.index_for_name(&name).is_some()
    }

    /// A part that is text.
    pub(super) fn text(&mut self, name: &str) -> Result<Vec<u8>, Pt2Error> {
        self.part(name, LARGEST_TEXT)
    }

    /// A part of at most `limit` bytes.
    pub(super) fn part(&mut self, name: &str, limit: u64) -> Result<Vec<u8>, Pt2Error> {
        let full = format!("{}{name}", self.root);
        let Some(index) = self.zip.index_for_name(&full) else {
            return Err(Pt2Error::Missing { name: full });
        };
        let damaged = |error: String| Pt2Error::Zip { error };
        let entry = self
            .zip
            .by_index(index)
            .map_err(|e| damaged(e.to_string()))?;
        if entry.compression() != CompressionMethod::Stored {
            return Err(Pt2Error::Compressed { name: full });
        }
        let limit = limit.min(self.left);
        let found = entry.size();
        if found > limit {
            return Err(Pt2Error::TooLarge {
                name: full,
                found,
                limit,
            });
        }
        let mut content = Vec::new();
        entry
            .take(limit)
            .read_to_end(&mut content)
            .map_err(|e| damaged(e.to_string()))?;
        if content.len() as u64 != found {
            return Err(damaged(format!("`{full}` ends before its end")));
        }
        self.left -= found;
        Ok(content)
    }
}
