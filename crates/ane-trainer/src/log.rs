//! What a training says on its way, in `log.txt` of its run directory: remarks, details and its failure, each line with its
//! time, whatever is said elsewhere.

use jiff::Timestamp;
use std::{
    fs::File,
    io::Write,
    path::Path,
    sync::{Mutex, PoisonError},
};

enum Log {
    /// No training, or a run directory that takes no lines.
    None,
    /// What was said before there is a run directory.
    Waiting(Vec<String>),
    Kept(File),
}

static LOG: Mutex<Log> = Mutex::new(Log::None);

/// Keeps lines from now on, for the run that is about to begin.
pub(crate) fn begin() {
    *LOG.lock().unwrap_or_else(PoisonError::into_inner) = Log::Waiting(Vec::new());
}

/// Writes the lines to the end of a file, those that are there and those to come. A run has not failed where that cannot
/// be done: why is returned.
pub(crate) fn keep_in(path: &Path) -> Option<std::io::Error> {
    let mut log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
    let Log::Waiting(lines) = std::mem::replace(&mut *log, Log::None) else {
        return None;
    };
    let opened = File::options().create(true).append(true).open(path);
    let written = opened.and_then(|mut file| {
        file.write_all(lines.concat().as_bytes())?;
        Ok(file)
    });
    match written {
        Ok(file) => {
            *log = Log::Kept(file);
            None
        }
        Err(e) => Some(e),
    }
}

/// Notes a text, every line of it with the time.
pub(crate) fn note(text: &str) {
    let mut log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
    if matches!(*log, Log::None) {
        return;
    }
    let now = Timestamp::now();
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let text: String = lines.map(|line| format!("{now:.3} {line}\n")).collect();
    match &mut *log {
        Log::None => {}
        Log::Waiting(lines) => lines.push(text),
        Log::Kept(file) => {
            // What the run comes to is elsewhere: it goes on without the line.
            let _ = file.write_all(text.as_bytes());
        }
    }
}
