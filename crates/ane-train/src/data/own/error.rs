//! Why one's own data cannot be used.

use std::{io, path::PathBuf};

/// Least likeness of a name that is offered for one that is not known.
const ALIKE: f64 = 0.8;

/// A file of examples cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("`{}`{}: {problem}", path.display(), place(*row, *line, at.as_deref()))]
pub struct OwnDataError {
    /// The file or folder.
    pub path: PathBuf,
    /// In which example, from 1; a line of names is none.
    pub row: Option<u64>,
    /// In which line, from 1, where the file has lines.
    pub line: Option<u64>,
    /// Where in it.
    pub at: Option<String>,
    /// What is wrong.
    pub problem: Problem,
    /// What the user can do, where it is not what such a problem usually asks for.
    pub advice: Option<String>,
}

/// What is wrong with a file of examples.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The system refused.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// There is nothing that reads such a file.
    #[error("is of no kind that is read here; expected {expected}")]
    Unknown {
        /// Kinds that are.
        expected: String,
    },
    /// The content is not what such a file holds.
    #[error("{0}")]
    Content(String),
    /// Something is asked for that the file has not.
    #[error("there is no {what} `{asked}`; there are {}", shown(known))]
    Missing {
        /// What is asked for, such as a column.
        what: &'static str,
        /// Its name.
        asked: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// Two things that belong together do not fit.
    #[error("expected {expected}, found {found}")]
    Differs {
        /// What would fit.
        expected: String,
        /// What is there.
        found: String,
    },
    /// More than can be.
    #[error("{what}: expected at most {most}, found {found}")]
    TooMany {
        /// Of what.
        what: String,
        /// The limit.
        most: u64,
        /// How many there are.
        found: u64,
    },
}

/// Where something is wrong.
fn place(row: Option<u64>, line: Option<u64>, at: Option<&str>) -> String {
    let counted = match (row, line) {
        (Some(row), Some(line)) => format!(", row {row} (line {line})"),
        (Some(row), None) => format!(", row {row}"),
        (None, Some(line)) => format!(", line {line}"),
        (None, None) => String::new(),
    };
    counted + &at.map_or_else(String::new, |at| format!(", {at}"))
}

/// A name as a shell takes it.
pub(super) fn quoted(name: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./".contains(c);
    match !name.is_empty() && name.chars().all(is_plain) {
        true => name.to_owned(),
        false => format!("'{}'", name.replace('\'', r"'\''")),
    }
}

/// The name that was meant, as far as that can be told.
pub(super) fn nearest<'a>(asked: &str, known: &'a [String]) -> Option<&'a String> {
    let asked = asked.to_lowercase();
    let likeness = |name: &str| strsim::jaro_winkler(&name.to_lowercase(), &asked);
    let nearest = known
        .iter()
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    nearest.filter(|name| likeness(name) >= ALIKE)
}

/// Names in backquotes, the first of many.
pub(super) fn shown(names: &[String]) -> String {
    const MOST: usize = 12;
    let mut text: Vec<String> = names.iter().take(MOST).map(|n| format!("`{n}`")).collect();
    if names.len() > MOST {
        text.push(format!("{} more", names.len() - MOST));
    }
    text.join(", ")
}

impl OwnDataError {
    /// What the user can do.
    pub fn help(&self) -> String {
        if let Some(advice) = &self.advice {
            return advice.clone();
        }
        match &self.problem {
            Problem::Io(e) if e.kind() == io::ErrorKind::InvalidData => {
                "it is damaged, or another kind of file than its name says; get it again".into()
            }
            Problem::Io(_) => "check that it is there and that you may read it".into(),
            Problem::Unknown { .. } => "pass one of these as --data".into(),
            Problem::Missing { what, asked, known } => match nearest(asked, known) {
                Some(name) => format!("did you mean `{name}`?"),
                None => format!("name another {what}, as the file spells it"),
            },
            Problem::Content(_) | Problem::Differs { .. } | Problem::TooMany { .. } => {
                "`ane-trainer data inspect PATH` shows what is read of it; --help of `train` says how to have it read otherwise"
                    .into()
            }
        }
    }
}

impl OwnDataError {
    /// The same with something to do.
    pub(super) fn advise(self, advice: impl Into<String>) -> Self {
        Self {
            advice: Some(advice.into()),
            ..self
        }
    }
}

/// What is said of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sayer<'a>(pub(super) &'a std::path::Path);

impl Sayer<'_> {
    /// A problem of the whole file.
    pub(super) fn whole(&self, problem: impl Into<Problem>) -> OwnDataError {
        OwnDataError {
            path: self.0.to_owned(),
            row: None,
            line: None,
            at: None,
            problem: problem.into(),
            advice: None,
        }
    }

    /// A problem at a place.
    pub(super) fn at(&self, at: impl Into<String>, problem: impl Into<Problem>) -> OwnDataError {
        OwnDataError {
            at: Some(at.into()),
            ..self.whole(problem)
        }
    }

    /// A problem of an example, by its number from 0.
    pub(super) fn row(&self, row: usize, problem: impl Into<Problem>) -> OwnDataError {
        OwnDataError {
            row: Some(row as u64 + 1),
            ..self.whole(problem)
        }
    }

    /// A problem of an example, by its number from 0, at a place in it.
    pub(super) fn in_row(
        &self,
        row: usize,
        at: impl Into<String>,
        problem: impl Into<Problem>,
    ) -> OwnDataError {
        OwnDataError {
            at: Some(at.into()),
            ..self.row(row, problem)
        }
    }

    /// A problem of a line, from 1.
    pub(super) fn line(&self, line: u64, problem: impl Into<Problem>) -> OwnDataError {
        OwnDataError {
            line: Some(line),
            ..self.whole(problem)
        }
    }

    /// Content that is not what it should be.
    pub(super) fn content(&self, what: impl Into<String>) -> OwnDataError {
        self.whole(Problem::Content(what.into()))
    }
}
