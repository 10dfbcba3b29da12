//! Running the user's own package clients: found on PATH, announced, bounded in time.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::SourceError;
use crate::data::event::FetchEvent;

/// Longest time that a client may take: the packages are tens of megabytes, and a slow line is
/// no reason to give up, but a client that waits for something forever is.
const LIMIT: Duration = Duration::from_mins(10);

/// Most bytes of a failed client's standard error that are kept, counted from its end, which is
/// where clients put the reason.
const STDERR_BYTES: u64 = 2048;

/// The programs on one PATH.
pub(in crate::data) struct Clients<'a> {
    search_path: OsString,
    limit: Duration,
    report: &'a dyn Fn(FetchEvent),
}

impl<'a> Clients<'a> {
    /// The programs on `search_path`, or on the process's own PATH where it is `None`.
    pub(in crate::data) fn new(
        search_path: Option<&OsStr>,
        report: &'a dyn Fn(FetchEvent),
    ) -> Self {
        let search_path = match search_path {
            Some(path) => path.to_owned(),
            None => std::env::var_os("PATH").unwrap_or_default(),
        };
        Self {
            search_path,
            limit: LIMIT,
            report,
        }
    }

    /// Where `program` is, if it is on the path.
    pub(super) fn locate(&self, program: &str) -> Option<PathBuf> {
        std::env::split_paths(&self.search_path)
            // An empty or relative entry would let the scratch directory provide programs.
            .filter(|directory| directory.is_absolute())
            .map(|directory| directory.join(program))
            .find(|path| {
                path.metadata()
                    .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
            })
    }

    /// Runs `program` with `arguments` in `directory` to its end, and gives its command line back.
    ///
    /// The client stays in our process group, so that Ctrl-C at a terminal reaches it too.
    pub(super) fn run(
        &self,
        program: &'static str,
        arguments: &[&OsStr],
        directory: &Path,
    ) -> Result<String, SourceError> {
        let Some(path) = self.locate(program) else {
            return Err(SourceError::NoProgram {
                programs: vec![program],
            });
        };
        let command = command_line(program, arguments);
        (self.report)(FetchEvent::RunningCommand {
            command: command.clone(),
        });

        // A file, not a pipe: nobody has to drain it, and a grandchild that keeps it open after
        // its parent was stopped cannot make us wait.
        let mut stderr = tempfile::tempfile().map_err(SourceError::Scratch)?;
        let start = |source| SourceError::Start {
            command: command.clone(),
            source,
        };
        let mut child = Command::new(path)
            .args(arguments)
            .current_dir(directory)
            .env("PATH", &self.search_path)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr.try_clone().map_err(SourceError::Scratch)?)
            .spawn()
            .map_err(start)?;

        let deadline = Instant::now() + self.limit;
        let mut pause = Duration::from_millis(2);
        let status = loop {
            if let Some(status) = child.try_wait().map_err(start)? {
                break status;
            }
            if Instant::now() >= deadline {
                // It may have ended by itself in this instant, which comes to the same.
                let _ = child.kill();
                let _ = child.wait();
                return Err(SourceError::TimedOut {
                    command,
                    limit: self.limit,
                });
            }
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(100));
        };
        if status.success() {
            return Ok(command);
        }
        let stderr = tail(&mut stderr).unwrap_or_default();
        Err(SourceError::Failed {
            command,
            status,
            stderr,
        })
    }
}

/// The end of `file` as text.
fn tail(file: &mut File) -> io::Result<String> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(STDERR_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(STDERR_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}

/// The command line, quoted so that it can be pasted into a shell.
fn command_line(program: &str, arguments: &[&OsStr]) -> String {
    let mut line = program.to_owned();
    for argument in arguments {
        let argument = argument.to_string_lossy();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+./:@,~%".contains(c);
        line.push(' ');
        // A leading tilde is the one plain character that a shell would expand.
        if !argument.is_empty() && !argument.starts_with('~') && argument.chars().all(plain) {
            line.push_str(&argument);
        } else {
            line.push('\'');
            line.push_str(&argument.replace('\'', r"'\''"));
            line.push('\'');
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::fs;

    use super::*;
    use crate::data::tests::machine::install_program;

    /// A directory with one executable `client` that runs `script`.
    fn with_client(script: &str) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        install_program(&directory.path().join("client"), script);
        directory
    }

    fn run(script: &str, limit: Duration) -> (Result<String, SourceError>, Vec<FetchEvent>) {
        let directory = with_client(script);
        let events = RefCell::new(Vec::new());
        let report = |event| events.borrow_mut().push(event);
        let mut clients = Clients::new(Some(directory.path().as_os_str()), &report);
        clients.limit = limit;
        let outcome = clients.run(
            "client",
            &["a b".as_ref(), "x@1".as_ref()],
            directory.path(),
        );
        (outcome, events.into_inner())
    }

    #[test]
    fn announces_the_command_as_a_shell_would_take_it() {
        let (outcome, events) = run("exit 0", LIMIT);
        let command = "client 'a b' x@1".to_owned();
        assert_eq!(outcome.unwrap(), command);
        assert_eq!(events, [FetchEvent::RunningCommand { command }]);
    }

    #[test]
    fn input_is_empty_so_that_a_question_cannot_hang_it() {
        let (outcome, _) = run("if read -r line; then exit 1; fi", LIMIT);
        outcome.unwrap();
    }

    #[test]
    fn failure_carries_the_end_of_standard_error() {
        let (outcome, _) = run("echo not this; echo no such package >&2; exit 3", LIMIT);
        let error = outcome.unwrap_err().to_string();
        assert_eq!(
            error,
            "`client 'a b' x@1` failed (exit status: 3): no such package"
        );
    }

    #[test]
    fn a_client_that_takes_too_long_is_stopped() {
        let (outcome, _) = run("exec /bin/sleep 60", Duration::from_millis(50));
        let error = outcome.unwrap_err().to_string();
        assert_eq!(error, "`client 'a b' x@1` was stopped after 0.05 s");
    }

    #[test]
    fn finds_executables_only_and_only_in_absolute_directories() {
        let directory = with_client("exit 0");
        fs::write(directory.path().join("plain"), "").unwrap();
        let path = std::env::join_paths([Path::new("."), directory.path()]).unwrap();
        let clients = Clients::new(Some(&path), &|_| {});
        assert_eq!(
            clients.locate("client"),
            Some(directory.path().join("client"))
        );
        assert_eq!(clients.locate("plain"), None);
        assert_eq!(clients.locate("absent"), None);
    }
}
