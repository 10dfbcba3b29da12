//! Running a part of a command in a process of its own: private compilers crash and hang.

use crate::{failure::Failure, program::Program};
use serde::de::DeserializeOwned;
use std::{
    io::Read,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

/// Runs this program with `arguments`, which print one JSON value, and returns the value, or how the process ended
/// without one. A process that takes longer than `deadline` is killed.
pub(crate) fn answer<T: DeserializeOwned>(
    arguments: &[String],
    deadline: Duration,
) -> Result<Result<T, String>, Failure> {
    let cannot = |e: std::io::Error| {
        Failure::new(
            format!("cannot run this program again: {e}"),
            "call the program by its full path",
        )
    };
    let (program, leading) = Program::again().map_err(cannot)?;
    let mut child = Command::new(program)
        .args(leading)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(cannot)?;
    let (said, ended) = mpsc::channel();
    let errors = child.stderr.take().map(|mut pipe| {
        thread::spawn(move || {
            let mut text = String::new();
            // What is no text says nothing.
            let _ = pipe.read_to_string(&mut text);
            text
        })
    });
    if let Some(mut pipe) = child.stdout.take() {
        thread::spawn(move || {
            let mut text = String::new();
            let _ = pipe.read_to_string(&mut text);
            // Nobody listens after the deadline.
            let _ = said.send(text);
        });
    }
    let Ok(text) = ended.recv_timeout(deadline) else {
        return end(&mut child)
            .map(|()| {
                Err(format!(
                    "hung: no answer after {} s, killed",
                    deadline.as_secs()
                ))
            })
            .map_err(cannot);
    };
    let status = child.wait().map_err(cannot)?;
    let errors = errors.and_then(|e| e.join().ok()).unwrap_or_default();
    Ok(serde_json::from_str(&text).map_err(|_| {
        let words: Vec<&str> = errors.split_whitespace().filter(|w| *w != "│").collect();
        if words.is_empty() {
            format!("ended with {status}")
        } else {
            format!("ended with {status}: {}", words.join(" "))
        }
    }))
}

fn end(child: &mut Child) -> std::io::Result<()> {
    child.kill()?;
    child.wait().map(|_| ())
}
