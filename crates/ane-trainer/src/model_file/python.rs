//! The user's Python: which one, and a run of it that ends.

use crate::failure::Failure;
use std::{
    ffi::OsString,
    os::fd::AsFd,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How often it is looked whether a Python has ended.
const LOOK: Duration = Duration::from_millis(20);

/// The Python that is named, that of the virtual environment, or the one on the path.
pub(super) fn find(named: Option<&Path>) -> PathBuf {
    if let Some(named) = named {
        return named.to_owned();
    }
    if let Some(environment) = std::env::var_os("VIRTUAL_ENV").filter(|v| !v.is_empty()) {
        return PathBuf::from(environment).join("bin/python");
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = |name: &str| std::env::split_paths(&path).any(|d| d.join(name).is_file());
    let name = ["python3", "python"].into_iter().find(|name| on_path(name));
    PathBuf::from(name.unwrap_or("python3"))
}

/// Runs a program of Python's. What it prints goes to the standard error; it reads nothing, and is ended at the deadline.
pub(super) fn run(
    python: &Path,
    arguments: &[OsString],
    deadline: Duration,
    asked: &str,
) -> Result<ExitStatus, Failure> {
    let said_to = std::io::stderr()
        .as_fd()
        .try_clone_to_owned()
        .map_or_else(|_| Stdio::null(), Stdio::from);
    let mut child = Command::new(python)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(said_to)
        .spawn()
        .map_err(|e| {
            Failure::because(
                format!("cannot run the Python `{}`", python.display()),
                e,
                "name one that has PyTorch by --python",
            )
        })?;
    let failed = |e| {
        Failure::because(
            format!("cannot wait for the Python `{}`", python.display()),
            e,
            "try it again",
        )
    };
    let since = Instant::now();
    loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            return Ok(status);
        }
        if since.elapsed() >= deadline {
            // It may have ended meanwhile; either way it is gone.
            let _ = child.kill();
            let _ = child.wait();
            return Err(Failure::new(
                format!(
                    "`{asked}` was not exported within {} s: the file, the model's constructor or its forward pass does not end",
                    deadline.as_secs()
                ),
                "keep work that takes long out of the file's top level, or pass a longer --model-deadline",
            ));
        }
        thread::sleep(LOOK);
    }
}
