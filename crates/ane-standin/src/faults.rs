//! Things that go wrong when a plan says so.
//!
//! A stand-in asks [`Faults::at`] at every [`Event`] and acts on the answer. The plan lives in memory, or in a directory
//! that several processes share: `plan` says what happens when, `counts` counts events over all of them, and `fired`
//! lists the faults that have been given out.

mod directory;

use directory::Directory;
use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
};

/// Something that a stand-in does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// A program is compiled.
    Compile,
    /// A program is loaded.
    Load,
    /// A program is executed once.
    Execute,
    /// A program is unloaded.
    Unload,
}

impl Event {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Compile, Self::Load, Self::Execute, Self::Unload];

    /// Name in a plan.
    pub fn name(self) -> &'static str {
        match self {
            Self::Compile => "compile",
            Self::Load => "load",
            Self::Execute => "execute",
            Self::Unload => "unload",
        }
    }
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The interface's own error.
    Fail,
    /// The process ends.
    Crash,
    /// The call never returns.
    Hang,
    /// Execution is refused as if a buffer had the wrong geometry.
    Geometry,
    /// Outputs keep what they held, and success is reported.
    Unwritten,
    /// Outputs are all zero, and success is reported, as when fp16 gradients underflow (slavko-at-klincov-it/ANE-Training, M4).
    Zeros,
    /// Some bits of the outputs are wrong, and success is reported; at a load, what was compiled is found damaged from then
    /// on.
    Corrupt,
    /// What the event takes or should give back is never given back.
    Leak,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Fail,
        Self::Crash,
        Self::Hang,
        Self::Geometry,
        Self::Unwritten,
        Self::Zeros,
        Self::Corrupt,
        Self::Leak,
    ];

    /// Name in a plan.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Crash => "crash",
            Self::Hang => "hang",
            Self::Geometry => "geometry",
            Self::Unwritten => "unwritten",
            Self::Zeros => "zeros",
            Self::Corrupt => "corrupt",
            Self::Leak => "leak",
        }
    }

    /// Whether `event` can suffer it.
    pub fn fits(self, event: Event) -> bool {
        match self {
            Self::Geometry | Self::Unwritten | Self::Zeros => event == Event::Execute,
            Self::Corrupt => [Event::Load, Event::Execute].contains(&event),
            Self::Fail | Self::Crash | Self::Hang | Self::Leak => true,
        }
    }

    /// Ends the process or never returns, if that is what the fault is; returns it otherwise, for the caller to act on.
    #[must_use]
    pub fn act(self) -> Self {
        match self {
            Self::Crash => std::process::abort(),
            Self::Hang => loop {
                std::thread::park();
            },
            Self::Fail
            | Self::Geometry
            | Self::Unwritten
            | Self::Zeros
            | Self::Corrupt
            | Self::Leak => self,
        }
    }
}

/// A line of a plan: `EVENT N KIND`, the N-th EVENT, counted from 1, suffers KIND.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PlannedFault {
    /// What suffers.
    pub event: Event,
    /// Which of them, from 1.
    pub number: u64,
    /// What it suffers.
    pub fault: Fault,
}

impl fmt::Display for PlannedFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (event, fault) = (self.event.name(), self.fault.name());
        write!(f, "{event} {} {fault}", self.number)
    }
}

impl FromStr for PlannedFault {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [event, number, fault] = words[..] else {
            return Err(format!(
                "expected `EVENT N KIND`, found {} words",
                words.len()
            ));
        };
        let event = Event::ALL
            .into_iter()
            .find(|e| e.name() == event)
            .ok_or_else(|| format!("no event is called `{event}`"))?;
        let fault = Fault::ALL
            .into_iter()
            .find(|f| f.name() == fault)
            .ok_or_else(|| format!("no fault is called `{fault}`"))?;
        let number = number
            .parse()
            .ok()
            .filter(|&n| n > 0)
            .ok_or_else(|| format!("expected a number from 1, found `{number}`"))?;
        if !fault.fits(event) {
            return Err(format!(
                "`{}` cannot happen at `{}`; at `execute` it can",
                fault.name(),
                event.name()
            ));
        }
        Ok(Self {
            event,
            number,
            fault,
        })
    }
}

/// A plan cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FaultsError {
    /// A file cannot be read or written.
    #[error("cannot use `{}`: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A line of the plan says nothing.
    #[error("`{}`, line {line}: {reason}", path.display())]
    Line {
        /// The plan.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// The counters are not what was written.
    #[error("`{}` does not hold four counters; remove it to count from 0", path.display())]
    Counts {
        /// The file.
        path: PathBuf,
    },
}

/// How often each event has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FaultCounts([u64; 4]);

impl FaultCounts {
    /// How often `event` has happened.
    pub fn of(&self, event: Event) -> u64 {
        self.0[event as usize]
    }

    fn count(&mut self, event: Event) -> u64 {
        self.0[event as usize] += 1;
        self.of(event)
    }
}

/// A plan and its counters. Clones share them.
#[derive(Debug, Clone)]
pub struct Faults(Arc<Plan>);

#[derive(Debug)]
enum Plan {
    Memory {
        planned: Vec<PlannedFault>,
        state: Mutex<(FaultCounts, Vec<PlannedFault>)>,
    },
    Directory(Directory),
}

impl Faults {
    /// Nothing goes wrong; events are counted all the same.
    pub fn none() -> Self {
        Self::planned([])
    }

    /// What goes wrong in this process.
    pub fn planned(faults: impl IntoIterator<Item = PlannedFault>) -> Self {
        Self(Arc::new(Plan::Memory {
            planned: faults.into_iter().collect(),
            state: Mutex::default(),
        }))
    }

    /// What goes wrong in all processes that share a directory. `plan` is read at every event and may be missing.
    ///
    /// # Errors
    /// When the directory is not there, its files cannot be read and written, or the plan has a line that says nothing.
    pub fn directory(path: &Path) -> Result<Self, FaultsError> {
        Ok(Self(Arc::new(Plan::Directory(Directory::open(path)?))))
    }

    /// Counts an event and says what it suffers.
    ///
    /// The count is stored, and the fault listed among the fired ones, before this returns. A directory that can no
    /// longer be used makes every event [`Fault::Fail`], with the reason on standard error, so that a run that was meant
    /// to suffer does not succeed by accident.
    pub fn at(&self, event: Event) -> Option<Fault> {
        match &*self.0 {
            Plan::Memory { planned, state } => {
                let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                let number = state.0.count(event);
                let due = due(planned, event, number)?;
                state.1.push(due);
                Some(due.fault)
            }
            Plan::Directory(directory) => directory.at(event).unwrap_or_else(|error| {
                eprintln!("planned faults: {error}");
                Some(Fault::Fail)
            }),
        }
    }

    /// How often each event has happened, over all processes that share the plan.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn counts(&self) -> Result<FaultCounts, FaultsError> {
        match &*self.0 {
            Plan::Memory { state, .. } => {
                Ok(state.lock().unwrap_or_else(PoisonError::into_inner).0)
            }
            Plan::Directory(directory) => directory.counts(),
        }
    }

    /// The faults that have been given out, in order.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn fired(&self) -> Result<Vec<PlannedFault>, FaultsError> {
        match &*self.0 {
            Plan::Memory { state, .. } => {
                let state = state.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(state.1.clone())
            }
            Plan::Directory(directory) => directory.fired(),
        }
    }
}

fn due(planned: &[PlannedFault], event: Event, number: u64) -> Option<PlannedFault> {
    planned
        .iter()
        .find(|p| p.event == event && p.number == number)
        .copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_event_that_was_named_suffers_and_no_other() {
        let planned = ["execute 3 corrupt", "load 1 fail", "execute 1 unwritten"];
        let planned = planned.map(|line| line.parse::<PlannedFault>().unwrap());
        let faults = Faults::planned(planned);
        let shared = faults.clone();
        assert_eq!(faults.at(Event::Compile), None);
        assert_eq!(faults.at(Event::Execute), Some(Fault::Unwritten));
        assert_eq!(shared.at(Event::Execute), None);
        assert_eq!(faults.at(Event::Execute), Some(Fault::Corrupt));
        assert_eq!(shared.at(Event::Load), Some(Fault::Fail));
        assert_eq!(faults.at(Event::Load), None);
        assert_eq!(faults.counts().unwrap().of(Event::Execute), 3);
        assert_eq!(
            faults.fired().unwrap(),
            [planned[2], planned[0], planned[1]]
        );
    }

    #[test]
    fn lines_print_and_parse() {
        for event in Event::ALL {
            for fault in Fault::ALL {
                let planned = PlannedFault {
                    event,
                    number: 12,
                    fault,
                };
                let parsed = planned.to_string().parse();
                assert_eq!(parsed.ok(), fault.fits(event).then_some(planned));
            }
        }
        for line in [
            "",
            "execute 1",
            "execute 0 fail",
            "execute one fail",
            "run 1 fail",
            "load 1 x",
        ] {
            assert!(line.parse::<PlannedFault>().is_err(), "{line}");
        }
    }
}
