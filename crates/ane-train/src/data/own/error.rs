//! Why one's own data cannot be used.

use std::{io, path::PathBuf};

/// A file of examples cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("`{}`{}: {problem}", path.display(), at.as_ref().map(|at| format!(", {at}")).unwrap_or_default())]
pub struct OwnDataError {
    /// The file or folder.
    pub path: PathBuf,
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

/// Names in backquotes, the first of many.
fn shown(names: &[String]) -> String {
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
            Problem::Missing { what, .. } => format!("name another {what}, as the file spells it"),
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

    /// Content that is not what it should be.
    pub(super) fn content(&self, what: impl Into<String>) -> OwnDataError {
        self.whole(Problem::Content(what.into()))
    }
}
