//! Compiled programs in a directory: copies of the text and the weights, and what they were compiled for.
//!
//! Bundles are named after what is in them, so that a changed text or weight file has another bundle.

use crate::error::E5rtError;
use ane_ir::Target;
use ane_standin::{Environment, Program, ProgramError, Source};
use std::{
    fs, io,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
};

/// The file that makes a directory a bundle: format, digest of the program, target.
const MANIFEST: &str = "espresso-standin.bundle";
/// First line of the manifest.
const FORMAT: &str = "1";

/// Where the cache keeps a program.
pub(crate) fn path(cache: &Path, source: &Source, target: &Target) -> PathBuf {
    cache.join(format!("{}.{target}.bundle", source.digest()))
}

/// Keeps a program. Other processes see the whole bundle or none.
pub(crate) fn write(cache: &Path, source: &Source, target: &Target) -> Result<(), E5rtError> {
    static UNFINISHED: AtomicU64 = AtomicU64::new(0);
    let number = UNFINISHED.fetch_add(1, Ordering::Relaxed);
    let unfinished = cache.join(format!(".{}.{number}", process::id()));
    let finished = path(cache, source, target);
    let failed = |path: &Path, source: io::Error| ProgramError::File {
        verb: "write",
        path: path.to_owned(),
        source,
    };
    let written = fs::create_dir_all(&unfinished)
        .map_err(|e| failed(&unfinished, e))
        .and_then(|()| source.write(&unfinished))
        .and_then(|()| {
            let manifest = unfinished.join(MANIFEST);
            let text = format!("{FORMAT}\n{}\n{target}\n", source.digest());
            fs::write(&manifest, text).map_err(|e| failed(&manifest, e))
        })
        .and_then(|()| {
            // The bundle that is there holds the same bytes, unless it is damaged.
            let _ = fs::remove_dir_all(&finished);
            match fs::rename(&unfinished, &finished) {
                Err(_) if finished.join(MANIFEST).is_file() => Ok(()),
                renamed => renamed.map_err(|e| failed(&finished, e)),
            }
        });
    let _ = fs::remove_dir_all(&unfinished);
    Ok(written?)
}

/// The program of a bundle.
pub(crate) fn open(path: &Path, environment: &Environment) -> Result<Program, E5rtError> {
    let refused = |reason: String| E5rtError::Bundle {
        path: path.to_owned(),
        reason,
    };
    let manifest = fs::read_to_string(path.join(MANIFEST))
        .map_err(|e| refused(format!("it has no readable `{MANIFEST}`: {e}")))?;
    let lines: Vec<&str> = manifest.lines().collect();
    let [FORMAT, digest, target] = lines[..] else {
        return Err(refused(format!("`{MANIFEST}` is of another format")));
    };
    let target: Target = target.parse().map_err(|e| refused(format!("{e}")))?;
    let source = Source::read(path)?;
    if source.digest() != digest {
        return Err(refused("text or weights have changed since".to_owned()));
    }
    Ok(source.compile(&target, environment.options(&target))?)
}
