//! Event files as TensorBoard reads them: scalars by tag and step.
//!
//! An event file is a sequence of records (`record`), each a message (`message`). The first names the version of the
//! format; the second begins a session, at which TensorBoard forgets what earlier files say of its step and later ones.
//! Every event is written whole at once, so that a file can be read while it grows.

mod message;
mod record;

use message::{Event, SessionLog, Summary, Value, event::What};
use prost::Message;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

/// The version of the format: values are forgotten by sessions, not by steps that go backwards.
const VERSION: &str = "brain.Event:2";
/// How the names of event files begin; TensorBoard looks for `tfevents` and reads files in the order of their names.
const PREFIX: &str = "events.out.tfevents.";

/// An event file that is being written.
#[derive(Debug)]
pub struct EventFile {
    file: File,
    path: PathBuf,
}

/// Whether a directory has event files.
pub fn has_events(directory: &Path) -> bool {
    !numbers(directory).is_empty()
}

/// The numbers that the names of event files begin with.
fn numbers(directory: &Path) -> Vec<u64> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| {
            let name = entry.ok()?.file_name();
            let number = name.to_str()?.strip_prefix(PREFIX)?.split('.').next()?;
            number.parse().ok()
        })
        .collect()
}

impl EventFile {
    /// A new file in `directory`, which is made if there is none, with a session that begins with `first_step`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create(directory: &Path, first_step: u64) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        // Two sessions may begin in the same second, and the later one has to be read later.
        let after_others = numbers(directory).into_iter().max().map_or(0, |n| n + 1);
        let mut number = (now() as u64).max(after_others);
        let (file, path) = loop {
            let path = directory.join(format!("{PREFIX}{number:010}.ane-trainer"));
            match OpenOptions::new().create_new(true).append(true).open(&path) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => number += 1,
                other => break (other?, path),
            }
        };
        let mut events = Self { file, path };
        events.write(0, What::FileVersion(VERSION.to_owned()))?;
        events.begin_session(first_step)?;
        Ok(events)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Has what was written of `first_step` and later ones forgotten: they come again.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn begin_session(&mut self, first_step: u64) -> io::Result<()> {
        let start = SessionLog {
            status: message::START,
        };
        self.write(first_step, What::SessionLog(start))
    }

    /// Writes scalars of a step, as fp32, which is what TensorBoard keeps.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn scalars<'a>(
        &mut self,
        step: u64,
        scalars: impl IntoIterator<Item = (&'a str, f64)>,
    ) -> io::Result<()> {
        let value = |(tag, value): (&str, f64)| Value {
            tag: tag.to_owned(),
            simple_value: Some(value as f32),
        };
        let value: Vec<Value> = scalars.into_iter().map(value).collect();
        match value.is_empty() {
            true => Ok(()),
            false => self.write(step, What::Summary(Summary { value })),
        }
    }

    fn write(&mut self, step: u64, what: What) -> io::Result<()> {
        let event = Event {
            wall_time: now(),
            step: i64::try_from(step).unwrap_or(i64::MAX),
            what: Some(what),
        };
        self.file.write_all(&record::of(&event.encode_to_vec()))
    }
}

/// Seconds since 1970.
fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |d| d.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The events of a file.
    fn events(path: &Path) -> Vec<Event> {
        let bytes = fs::read(path).unwrap();
        let payloads = record::read(&bytes);
        payloads
            .iter()
            .map(|payload| Event::decode(*payload).unwrap())
            .collect()
    }

    #[test]
    fn a_file_says_its_version_and_its_session_before_any_value() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = EventFile::create(dir.path(), 8).unwrap();
        file.scalars(9, [("train/loss", 0.25), ("lr", 1e-3)])
            .unwrap();
        file.scalars(10, []).unwrap();
        let events = events(file.path());
        assert_eq!(events[0].what, Some(What::FileVersion(VERSION.into())));
        let start = SessionLog { status: 1 };
        assert_eq!(
            (events[1].step, &events[1].what),
            (8, &Some(What::SessionLog(start)))
        );
        let Some(What::Summary(summary)) = &events[2].what else {
            panic!("{:?}", events[2])
        };
        let values: Vec<_> = summary
            .value
            .iter()
            .map(|v| (v.tag.as_str(), v.simple_value.unwrap()))
            .collect();
        assert_eq!(
            (events[2].step, values),
            (9, vec![("train/loss", 0.25), ("lr", 1e-3)])
        );
        assert_eq!(events.len(), 3);
    }

    #[test]
    fn files_of_later_sessions_have_later_names() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!has_events(dir.path()));
        let files = [(); 3].map(|()| EventFile::create(dir.path(), 1).unwrap().path);
        assert!(files.is_sorted() && files[0] != files[1], "{files:?}");
        assert!(has_events(dir.path()));
        // A clock that was ahead: its file's name is later than the time.
        fs::write(dir.path().join(format!("{PREFIX}9999999998.x")), "").unwrap();
        let last = EventFile::create(dir.path(), 1).unwrap().path;
        assert!(last.to_str().unwrap().contains("9999999999"), "{last:?}");
    }
}
