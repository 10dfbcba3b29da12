//! What the program says: results on standard output, remarks on standard error.
//!
//! The standard macros panic where a reader has gone or a disk is full. Here a closed pipe silences what is still to be
//! printed, and the command goes on to its own end and exit code. Any other failure of standard output is kept for
//! [`lost`]; one of standard error has nowhere to be told.

use serde::Serialize;
use serde_json::json;
use std::{
    fmt::Arguments,
    io::{self, ErrorKind, Write},
    sync::{Mutex, PoisonError},
};

/// Prints a line on standard output.
macro_rules! say {
    ($($text:tt)*) => { $crate::output::line(format_args!($($text)*)) };
}

/// Prints a line on standard error.
macro_rules! remark {
    ($($text:tt)*) => { $crate::output::remark_line(format_args!($($text)*)) };
}

pub(crate) use {remark, say};

/// Why nothing is printed any more, once that is so.
static STOPPED: Mutex<Option<io::Error>> = Mutex::new(None);

/// How a command says things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Results on standard output, remarks on standard error.
    Lines,
    /// Results, and why there are none.
    Quiet,
    /// Both on standard output, as an object of JSON a line.
    Events,
}

/// The version of the objects; it changes whenever a field changes its meaning.
pub(crate) const SCHEMA: u32 = 1;

struct Told {
    manner: Manner,
    /// Remarks from before the first event, which says what the others are of.
    waiting: Option<Vec<String>>,
}

static TOLD: Mutex<Told> = Mutex::new(Told {
    manner: Manner::Lines,
    waiting: None,
});

/// Says from now on how things are said.
pub(crate) fn settle(manner: Manner) {
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    *told = Told {
        manner,
        waiting: Some(Vec::new()),
    };
}

/// How things are said.
pub(crate) fn manner() -> Manner {
    TOLD.lock().unwrap_or_else(PoisonError::into_inner).manner
}

/// Whether only results are said.
pub(crate) fn is_quiet() -> bool {
    manner() == Manner::Quiet
}

/// Prints an event, with the fields of an object, where events are what is said.
pub(crate) fn event(name: &str, fields: &impl Serialize) {
    #[derive(Serialize)]
    struct Object<'a, T> {
        event: &'a str,
        #[serde(flatten)]
        fields: &'a T,
    }
    if manner() != Manner::Events {
        return;
    }
    print_object(&Object {
        event: name,
        fields,
    });
    let waiting = TOLD
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .waiting
        .take();
    for message in waiting.into_iter().flatten() {
        event("note", &json!({"message": message}));
    }
}

fn print_object(object: &impl Serialize) {
    let text = serde_json::to_string(object).unwrap_or_default();
    print(&format!("{text}\n"));
}

/// What [`say!`] does. The line is flushed: a log that is followed shows it at once.
pub(crate) fn line(text: Arguments<'_>) {
    write(&format!("{text}\n"));
}

/// Prints a text that has its own line ends on standard output, unless events are said there.
pub(crate) fn write(text: &str) {
    if manner() != Manner::Events {
        print(text);
    }
}

fn print(text: &str) {
    let mut stopped = STOPPED.lock().unwrap_or_else(PoisonError::into_inner);
    if stopped.is_some() {
        return;
    }
    let mut out = io::stdout().lock();
    *stopped = out
        .write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .err();
}

/// What [`remark!`] does.
pub(crate) fn remark_line(text: Arguments<'_>) {
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    match told.manner {
        Manner::Lines => error(&text.to_string()),
        Manner::Quiet => {}
        Manner::Events => match &mut told.waiting {
            Some(waiting) => waiting.push(text.to_string()),
            None => {
                drop(told);
                event("note", &json!({"message": text.to_string()}));
            }
        },
    }
}

/// Prints on standard error, whatever the manner is.
pub(crate) fn error(text: &str) {
    let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
}

/// Why a part of what was to be printed is lost, if it is not by the reader's own choice.
pub(crate) fn lost() -> Option<io::Error> {
    let mut stopped = STOPPED.lock().unwrap_or_else(PoisonError::into_inner);
    stopped.take_if(|e| e.kind() != ErrorKind::BrokenPipe)
}
