//! A plan in a directory, with counters that survive processes.

use super::{Event, Fault, FaultCounts, FaultsError, PlannedFault, due};
use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
};

/// The files of a plan. `counts` is locked while an event is counted; the system gives the lock back when a process ends.
#[derive(Debug)]
pub(super) struct Directory {
    plan: PathBuf,
    counts: PathBuf,
    fired: PathBuf,
}

impl Directory {
    pub(super) fn open(path: &Path) -> Result<Self, FaultsError> {
        let directory = Self {
            plan: path.join("plan"),
            counts: path.join("counts"),
            fired: path.join("fired"),
        };
        directory.planned()?;
        directory.counts()?;
        Ok(directory)
    }

    pub(super) fn at(&self, event: Event) -> Result<Option<Fault>, FaultsError> {
        let mut file = self.locked_counts()?;
        let mut counts = self.read_counts(&mut file)?;
        let number = counts.count(event);
        write_counts(&mut file, &counts).map_err(at(&self.counts))?;
        let Some(due) = due(&self.planned()?, event, number) else {
            return Ok(None);
        };
        append(&self.fired, &due).map_err(at(&self.fired))?;
        Ok(Some(due.fault))
    }

    pub(super) fn counts(&self) -> Result<FaultCounts, FaultsError> {
        self.read_counts(&mut self.locked_counts()?)
    }

    pub(super) fn fired(&self) -> Result<Vec<PlannedFault>, FaultsError> {
        lines(&self.fired)
    }

    fn planned(&self) -> Result<Vec<PlannedFault>, FaultsError> {
        lines(&self.plan)
    }

    fn locked_counts(&self) -> Result<File, FaultsError> {
        let open = || {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&self.counts)?;
            file.lock()?;
            Ok(file)
        };
        open().map_err(at(&self.counts))
    }

    fn read_counts(&self, file: &mut File) -> Result<FaultCounts, FaultsError> {
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(at(&self.counts))?;
        let mut counts = FaultCounts::default();
        if text.is_empty() {
            return Ok(counts);
        }
        let damaged = || FaultsError::Counts {
            path: self.counts.clone(),
        };
        let mut lines = text.lines();
        for event in Event::ALL {
            let line = lines.next().ok_or_else(damaged)?;
            let (name, number) = line.split_once(' ').ok_or_else(damaged)?;
            if name != event.name() {
                return Err(damaged());
            }
            counts.0[event as usize] = number.parse().map_err(|_| damaged())?;
        }
        Ok(counts)
    }
}

/// Overwrites the counters by one write of always the same length: a process that dies leaves the old or the new ones.
fn write_counts(file: &mut File, counts: &FaultCounts) -> io::Result<()> {
    let lines = Event::ALL.map(|event| format!("{} {:020}\n", event.name(), counts.of(event)));
    file.rewind()?;
    file.write_all(lines.concat().as_bytes())
}

fn append(path: &Path, fault: &PlannedFault) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    file.write_all(format!("{fault}\n").as_bytes())?;
    file.sync_all()
}

/// The faults of a file, none when it is missing.
fn lines(path: &Path) -> Result<Vec<PlannedFault>, FaultsError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(at(path)(error)),
    };
    let lines = text.lines().enumerate();
    lines
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(i, line)| {
            line.parse().map_err(|reason| FaultsError::Line {
                path: path.to_owned(),
                line: i + 1,
                reason,
            })
        })
        .collect()
}

fn at(path: &Path) -> impl Fn(io::Error) -> FaultsError {
    let path = path.to_owned();
    move |source| FaultsError::File {
        path: path.clone(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Faults;

    fn directory(plan: &str) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("plan"), plan).unwrap();
        directory
    }

    #[test]
    fn counters_go_on_where_another_opening_stopped() {
        let directory = directory("execute 2 fail\n\nexecute 3 leak\n");
        let open = || Faults::directory(directory.path()).unwrap();
        assert_eq!(open().at(Event::Execute), None);
        assert_eq!(open().at(Event::Load), None);
        assert_eq!(open().at(Event::Execute), Some(Fault::Fail));
        let faults = open();
        assert_eq!(faults.at(Event::Execute), Some(Fault::Leak));
        assert_eq!(faults.at(Event::Execute), None);
        let counts = open().counts().unwrap();
        assert_eq!((counts.of(Event::Execute), counts.of(Event::Load)), (4, 1));
        let fired = std::fs::read_to_string(directory.path().join("fired")).unwrap();
        assert_eq!(fired, "execute 2 fail\nexecute 3 leak\n");
        assert_eq!(open().fired().unwrap().len(), 2);
    }

    #[test]
    fn every_event_is_counted_once_however_many_count() {
        let directory = directory("load 77 fail\n");
        let hits: usize = std::thread::scope(|s| {
            let counting: Vec<_> = (0..4)
                .map(|_| {
                    let faults = Faults::directory(directory.path()).unwrap();
                    s.spawn(move || (0..50).filter(|_| faults.at(Event::Load).is_some()).count())
                })
                .collect();
            counting.into_iter().map(|c| c.join().unwrap()).sum()
        });
        assert_eq!(hits, 1);
        let counts = Faults::directory(directory.path()).unwrap().counts();
        assert_eq!(counts.unwrap().of(Event::Load), 200);
    }

    #[test]
    fn a_plan_that_says_nothing_is_refused_and_damage_later_fails_every_event() {
        let error = |directory: &tempfile::TempDir| {
            let error = Faults::directory(directory.path()).unwrap_err();
            error.to_string()
        };
        let bad = directory("load 1 fail\nload 2 geometry\n");
        assert!(error(&bad).contains("line 2: `geometry` cannot happen at `load`"));
        let good = directory("");
        let faults = Faults::directory(good.path()).unwrap();
        assert_eq!(faults.at(Event::Load), None);
        std::fs::write(good.path().join("counts"), "load\n").unwrap();
        assert_eq!(faults.at(Event::Load), Some(Fault::Fail));
        assert!(error(&good).contains("does not hold four counters"));
    }
}
