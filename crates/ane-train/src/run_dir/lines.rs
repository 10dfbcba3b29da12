//! Files of lines to which a run appends, each a JSON object with the step after which it was written.

use super::row::Row;
use crate::checkpoint::{CheckpointError, replace_file};
use serde::Serialize;
use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
};

/// Most bytes that such a file may have: several times those of the longest run.
const LARGEST: u64 = 1 << 28;

/// `value` as a line.
pub(super) fn line_of(path: &Path, value: &impl Serialize) -> Result<String, CheckpointError> {
    let mut line = serde_json::to_string(value).map_err(|e| CheckpointError::Body {
        path: path.to_owned(),
        reason: e.to_string(),
    })?;
    line.push('\n');
    Ok(line)
}

/// Appends a text to a file, which is made if there is none, in one piece.
pub(super) fn append(path: &Path, text: &str) -> Result<File, CheckpointError> {
    let mut options = OpenOptions::new();
    let mut file = options
        .create(true)
        .append(true)
        .open(path)
        .map_err(CheckpointError::io("append to", path))?;
    file.write_all(text.as_bytes())
        .map_err(CheckpointError::io("append to", path))?;
    Ok(file)
}

/// Appends a text, and waits until it is on the disk.
pub(super) fn append_for_good(path: &Path, text: &str) -> Result<(), CheckpointError> {
    let file = append(path, text)?;
    file.sync_data()
        .map_err(CheckpointError::io("append to", path))
}

/// What a file holds; nothing where there is none.
pub(super) fn read(path: &Path) -> Result<Option<String>, CheckpointError> {
    match ane_files::read(path, LARGEST).map_err(io::Error::from) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(CheckpointError::io("read", path)(e)),
    }
}

/// Drops the lines that are not `wanted`, and what a crash has cut off; gives what is left.
pub(super) fn keep(
    path: &Path,
    wanted: impl Fn(&Row) -> bool,
) -> Result<Option<String>, CheckpointError> {
    let Some(text) = read(path)? else {
        return Ok(None);
    };
    let is_kept = |line: &&str| Row::parse(line).is_some_and(|row| wanted(&row));
    let kept: String = text
        .lines()
        .filter(is_kept)
        .flat_map(|line| [line, "\n"])
        .collect();
    if kept != text {
        replace_file(path, kept.as_bytes())?;
    }
    Ok(Some(kept))
}
