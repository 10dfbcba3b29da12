//! A package of Debian's: downloaded by `apt-get`, unpacked by `dpkg-deb`, never installed.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{Accept, Errand, SourceError, archive_in, scratch};
use crate::data::gzip;

/// A package that holds the files in one directory. No version: each release of Debian has its
/// own, and the checksums pin the content.
#[derive(Debug, Clone, Copy)]
pub struct DebianPackage {
    /// Name.
    pub package: &'static str,
    /// Directory of the files, without the leading slash.
    pub folder: &'static str,
    /// What follows a file's name, such as `.gz`.
    pub suffix: &'static str,
}

impl DebianPackage {
    pub(super) fn obtain(
        &self,
        errand: &Errand<'_>,
        accept: &mut Accept<'_>,
    ) -> Result<(), SourceError> {
        // Looked for first, so that nothing is downloaded that cannot be unpacked.
        if errand.clients.locate("dpkg-deb").is_none() {
            return Err(SourceError::NoProgram {
                programs: vec!["dpkg-deb"],
            });
        }
        let scratch = scratch()?;
        let command = self.download(errand, scratch.path())?;
        let archive = archive_in(scratch.path(), "deb", &command)?;
        let unpacked = scratch.path().join("unpacked");
        let arguments = ["-x".as_ref(), archive.as_ref(), unpacked.as_ref()];
        errand.clients.run("dpkg-deb", &arguments, scratch.path())?;

        for file in errand.wanted {
            let member = format!("{}/{}{}", self.folder, file.name, self.suffix);
            let path = unpacked.join(&member);
            let content = fs::read(&path).map_err(|source| match source.kind() {
                io::ErrorKind::NotFound => SourceError::NotInPackage { member },
                _ => SourceError::Unreadable { path, source },
            })?;
            let content =
                gzip::raw(content, file.fingerprint.bytes).map_err(|source| SourceError::Gzip {
                    file: file.name,
                    source,
                })?;
            accept(file, content)?;
        }
        Ok(())
    }

    /// Downloads the package; a fresh machine has no package lists yet, and only root may get them.
    fn download(&self, errand: &Errand<'_>, directory: &Path) -> Result<String, SourceError> {
        let download = || {
            let arguments = ["download".as_ref(), self.package.as_ref()];
            errand.clients.run("apt-get", &arguments, directory)
        };
        match download() {
            Err(SourceError::Failed { .. }) if owned_by_root(directory) => {
                errand
                    .clients
                    .run("apt-get", &["update".as_ref()], directory)?;
                download()
            }
            outcome => outcome,
        }
    }
}

/// Whether we are root: what we have just made belongs to whom we are.
fn owned_by_root(ours: &Path) -> bool {
    ours.metadata().is_ok_and(|meta| meta.uid() == 0)
}
