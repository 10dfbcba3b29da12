//! What the program says: results on standard output, remarks on standard error.
//!
//! The standard macros panic where a reader has gone or a disk is full. Here a closed pipe silences what is still to be
//! printed, and the command goes on to its own end and exit code. Any other failure of standard output is kept for
//! [`lost`]; one of standard error has nowhere to be told.

use crate::log;
use serde::Serialize;
use serde_json::json;
use std::{
    fmt::Arguments,
    io::{self, ErrorKind, Write},
    os::fd::AsFd,
    path::Path,
    sync::{Mutex, PoisonError},
};
use terminal_size::{Width, terminal_size_of};
use textwrap::{WordSeparator, WordSplitter, core::display_width};

/// Prints a line on standard output.
macro_rules! say {
    ($($text:tt)*) => { $crate::output::line(format_args!($($text)*)) };
}

/// Prints a line on standard error.
macro_rules! remark {
    ($($text:tt)*) => { $crate::output::remark_line(format_args!($($text)*)) };
}

/// Prints a line on standard error where --verbose asks for details.
macro_rules! detail {
    ($($text:tt)*) => { $crate::output::detail_line(format_args!($($text)*)) };
}

pub(crate) use {detail, remark, say};

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
    /// What the command came to as one object of JSON on standard output, remarks on standard error.
    Object,
}

/// The version of the objects; it changes whenever a field changes its meaning.
pub(crate) const SCHEMA: u32 = 1;

/// What shows remarks in the place of standard error.
type Shown = Box<dyn Fn(&str) + Send>;

struct Told {
    manner: Manner,
    /// A screen that has the terminal.
    screen: Option<Shown>,
    /// The command by name, such as `runs list`; none where there is none of that name.
    command: Option<String>,
    /// Whether details are said too.
    verbose: bool,
    /// Remarks from before the first event, which says what the others are of.
    waiting: Option<Vec<String>>,
}

static TOLD: Mutex<Told> = Mutex::new(Told {
    manner: Manner::Lines,
    screen: None,
    command: None,
    verbose: false,
    waiting: None,
});

impl Told {
    /// Shows what is no result.
    fn show_aside(&self, text: &str) {
        match &self.screen {
            Some(show) => show(text),
            None => error(&broken(text, columns(io::stderr()))),
        }
    }
}

/// Says from now on how things are said, by which command, and whether with details.
pub(crate) fn settle(manner: Manner, command: Option<&str>, verbose: bool) {
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    *told = Told {
        manner,
        screen: None,
        command: command.map(str::to_owned),
        verbose,
        waiting: Some(Vec::new()),
    };
}

/// Has remarks shown elsewhere while a screen has the terminal.
pub(crate) fn send_remarks_to(screen: Shown) {
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    told.screen = Some(screen);
}

/// No screen has the terminal any more.
pub(crate) fn keep_remarks() {
    TOLD.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .screen
        .take();
}

/// How things are said.
pub(crate) fn manner() -> Manner {
    TOLD.lock().unwrap_or_else(PoisonError::into_inner).manner
}

/// The command that says them.
fn command() -> Option<String> {
    let told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    told.command.clone()
}

/// Whether only results are said.
pub(crate) fn is_quiet() -> bool {
    manner() == Manner::Quiet
}

/// A path as objects have it: what is no Unicode in it is replaced.
pub(crate) fn path(path: impl AsRef<Path>) -> String {
    path.as_ref().display().to_string()
}

/// Prints what a command came to: as one object with these fields where that is asked for, by `lines` otherwise.
pub(crate) fn result(fields: &impl Serialize, lines: impl FnOnce()) {
    #[derive(Serialize)]
    struct Object<'a, T> {
        schema: u32,
        command: Option<String>,
        #[serde(flatten)]
        fields: &'a T,
    }
    if manner() != Manner::Object {
        return lines();
    }
    print_object(&Object {
        schema: SCHEMA,
        command: command(),
        fields,
    });
}

/// Prints that the command has failed, wherever objects are what is said.
pub(crate) fn failure(fields: &impl Serialize) {
    #[derive(Serialize)]
    struct Failed<'a, T> {
        schema: u32,
        command: Option<String>,
        #[serde(flatten)]
        fields: &'a T,
    }
    let failed = Failed {
        schema: SCHEMA,
        command: command(),
        fields,
    };
    match manner() {
        Manner::Events => event("error", &failed),
        Manner::Object => print_event("error", &failed),
        Manner::Lines | Manner::Quiet => {}
    }
}

fn print_event(name: &str, fields: &impl Serialize) {
    #[derive(Serialize)]
    struct Object<'a, T> {
        event: &'a str,
        #[serde(flatten)]
        fields: &'a T,
    }
    print_object(&Object {
        event: name,
        fields,
    });
}

/// Prints an event, with the fields of an object, where events are what is said.
pub(crate) fn event(name: &str, fields: &impl Serialize) {
    if manner() != Manner::Events {
        return;
    }
    print_event(name, fields);
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
    let text = broken(&text.to_string(), columns(io::stdout()));
    write(&format!("{text}\n"));
}

/// Columns of a terminal; no end of them where there is none.
pub(crate) fn columns(terminal: impl AsFd) -> usize {
    match terminal_size_of(terminal) {
        Some((Width(columns @ 1..), _)) => usize::from(columns),
        _ => usize::MAX,
    }
}

/// Lines broken between words, further in than where they begin, and paths that are longer than a line behind a `/`. A
/// command, or a path with nothing beside it, stays whole: it is copied.
fn broken(text: &str, columns: usize) -> String {
    let line = |line: &str| {
        let line = line.trim_end();
        let words = line.trim_start();
        let is_command = words.starts_with(concat!(env!("CARGO_PKG_NAME"), " "));
        let is_whole = is_command || !words.contains(' ');
        if is_whole || display_width(line) <= columns {
            return line.to_owned();
        }
        let indent = " ".repeat(line.len() - words.len() + 2);
        let options = textwrap::Options::new(columns)
            .subsequent_indent(&indent)
            .break_words(false)
            .word_separator(WordSeparator::AsciiSpace)
            .word_splitter(WordSplitter::NoHyphenation);
        let lines = textwrap::wrap(line, options);
        let parts = lines.iter().flat_map(|line| parts(line, columns, &indent));
        parts.collect::<Vec<_>>().join("\n")
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// A line in parts that have room, each but the last up to a `/`; a name that has none stays in one piece.
fn parts(line: &str, columns: usize, indent: &str) -> Vec<String> {
    let (mut parts, mut rest) = (Vec::new(), line.to_owned());
    while display_width(&rest) > columns {
        // What stands before the first name is no part of it.
        let begin = rest.len() - rest.trim_start().len() + 1;
        let ends = rest.match_indices('/').map(|(at, _)| at + 1);
        let ends = ends.filter(|&end| end > begin && end < rest.len());
        let (with_room, without): (Vec<usize>, Vec<usize>) =
            ends.partition(|&end| display_width(&rest[..end]) <= columns);
        let Some(&end) = with_room.last().or(without.first()) else {
            break;
        };
        let next = format!("{indent}{}", &rest[end..]);
        rest.truncate(end);
        parts.push(std::mem::replace(&mut rest, next));
    }
    parts.push(rest);
    parts
}

/// Prints a text that has its own line ends on standard output, unless objects are said there.
pub(crate) fn write(text: &str) {
    if matches!(manner(), Manner::Lines | Manner::Quiet) {
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
    let text = text.to_string();
    log::note(&text);
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    match told.manner {
        Manner::Lines | Manner::Object => told.show_aside(&text),
        Manner::Quiet => {}
        Manner::Events => match &mut told.waiting {
            Some(waiting) => waiting.push(text),
            None => {
                drop(told);
                event("note", &json!({"message": text}));
            }
        },
    }
}

/// Prints again on standard error what a screen alone has shown.
pub(crate) fn repeat(remarks: &[String]) {
    let columns = columns(io::stderr());
    remarks
        .iter()
        .for_each(|text| error(&broken(text, columns)));
}

/// What [`detail!`] does. Standard error is free for it in every manner.
pub(crate) fn detail_line(text: Arguments<'_>) {
    let text = text.to_string();
    log::note(&text);
    let told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    if told.verbose {
        told.show_aside(&text);
    }
}

/// Whether details are said.
pub(crate) fn is_verbose() -> bool {
    TOLD.lock().unwrap_or_else(PoisonError::into_inner).verbose
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words_and_commands_are_not() {
        let path = "a sentence about /a/path/that-is-far/too-long in it";
        let found = broken(path, 20);
        assert_eq!(
            found,
            "a sentence about\n  /a/path/\n  that-is-far/\n  too-long\n  in it"
        );
        let fits = "a sentence about /a/path/that/is-as-long-as-a-line";
        assert_eq!(
            broken(fits, 36),
            "a sentence about\n  /a/path/that/is-as-long-as-a-line"
        );
        let name = "at /a-name-that-is-far-too-long/and/one that is not";
        let expected = "at\n  /a-name-that-is-far-too-long/\n  and/one\n  that is not";
        assert_eq!(broken(name, 22), expected);
        let alone = "/a/path/that-is-far/too-long";
        assert_eq!(broken(alone, 20), alone);
        let command = "continue with:\n  ane-trainer train --resume runs/2026-11-30-mnist";
        assert_eq!(broken(command, 20), command);
        assert_eq!(broken("  one two three", 8), "  one\n    two\n    three");
        assert_eq!(broken(path, usize::MAX), path);
    }
}
