//! A directory of the user's: each file raw or gzip, under either of the two usual spellings.

use std::path::{Path, PathBuf};

use crate::data::DataError;
use crate::data::catalog::FileSpec;
use crate::data::gzip::{self, MAX_RAW_BYTES};

/// The path of `file` in `directory`, in the first spelling that exists.
pub(in crate::data) fn locate(directory: &Path, file: &FileSpec) -> Option<PathBuf> {
    spellings(file.name)
        .map(|name| directory.join(name))
        .into_iter()
        .find(|path| path.is_file())
}

/// The raw content at `path`, not yet verified.
pub(in crate::data) fn read(path: &Path) -> Result<Vec<u8>, DataError> {
    let content = ane_files::read(path, MAX_RAW_BYTES).map_err(|error| DataError::Unreadable {
        path: path.to_owned(),
        source: error.into(),
    })?;
    gzip::raw(content, MAX_RAW_BYTES).map_err(|source| DataError::Gzip {
        path: path.to_owned(),
        source,
    })
}

/// The original archive unpacks to `train-images.idx3-ubyte`, everything else writes
/// `train-images-idx3-ubyte`; raw is preferred because it is quicker to read.
fn spellings(name: &str) -> [String; 4] {
    let dotted = name.replace("-idx", ".idx");
    [
        name.to_owned(),
        dotted.clone(),
        format!("{name}.gz"),
        format!("{dotted}.gz"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spells_a_name_in_four_ways() {
        assert_eq!(
            spellings("t10k-labels-idx1-ubyte"),
            [
                "t10k-labels-idx1-ubyte",
                "t10k-labels.idx1-ubyte",
                "t10k-labels-idx1-ubyte.gz",
                "t10k-labels.idx1-ubyte.gz",
            ]
        );
    }
}
