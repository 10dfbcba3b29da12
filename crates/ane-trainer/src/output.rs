//! What the program says: results on standard output, remarks on standard error.
//!
//! The standard macros panic where a reader has gone or a disk is full. Here a closed pipe silences what is still to be
//! printed, and the command goes on to its own end and exit code. Any other failure of standard output is kept for
//! [`lost`]; one of standard error has nowhere to be told.

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

/// What [`say!`] does. The line is flushed: a log that is followed shows it at once.
pub(crate) fn line(text: Arguments<'_>) {
    write(&format!("{text}\n"));
}

/// Prints a text that has its own line ends on standard output.
pub(crate) fn write(text: &str) {
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
    let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
}

/// Why a part of what was to be printed is lost, if it is not by the reader's own choice.
pub(crate) fn lost() -> Option<io::Error> {
    let mut stopped = STOPPED.lock().unwrap_or_else(PoisonError::into_inner);
    stopped.take_if(|e| e.kind() != ErrorKind::BrokenPipe)
}
