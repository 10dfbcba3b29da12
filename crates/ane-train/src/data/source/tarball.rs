//! Members of a compressed tar archive.

use std::collections::HashMap;
use std::io::{self, BufReader, Read};
use std::path::PathBuf;

use flate2::bufread::GzDecoder;
use tar::Archive;

use super::{Accept, SourceError};
use crate::data::catalog::FileSpec;

/// Gives the wanted files below `folder` of the .tar.gz in `stream` to `accept`, in the order of the archive; `unreadable`
/// says what a damaged archive is.
pub(super) fn members(
    stream: impl Read,
    folder: &str,
    wanted: &[&FileSpec],
    accept: &mut Accept<'_>,
    unreadable: &dyn Fn(io::Error) -> SourceError,
) -> Result<(), SourceError> {
    let mut missing: HashMap<PathBuf, &FileSpec> = wanted
        .iter()
        .map(|file| (PathBuf::from(folder).join(file.name), *file))
        .collect();
    let mut archive = Archive::new(GzDecoder::new(BufReader::new(stream)));
    for entry in archive.entries().map_err(unreadable)? {
        let mut entry = entry.map_err(unreadable)?;
        let name = entry.path().map_err(unreadable)?.into_owned();
        if let Some(file) = missing.remove(&name) {
            accept(file, read_bounded(&mut entry, file).map_err(unreadable)?)?;
        }
        if missing.is_empty() {
            return Ok(());
        }
    }
    match missing.into_keys().min() {
        None => Ok(()),
        Some(member) => Err(SourceError::NotInPackage {
            member: member.display().to_string(),
        }),
    }
}

/// Reads one byte more than `file` has, at most: enough to see that it is too long.
fn read_bounded(entry: &mut impl Read, file: &FileSpec) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    entry
        .take(file.fingerprint.bytes + 1)
        .read_to_end(&mut content)?;
    Ok(content)
}
