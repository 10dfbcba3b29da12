//! The user's Python: which one, and a run of it that ends.

use crate::{code::Code, failure::Failure, numbers::whole};
use std::{
    ffi::OsString,
    os::fd::AsFd,
    path::PathBuf,
    process::{Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How often it is looked whether a Python has ended.
const LOOK: Duration = Duration::from_millis(20);

/// Flags that say in which Python a model file is read.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct PythonArgs {
    /// Python that has what a model file imports [default: that of VIRTUAL_ENV, or python3 of PATH]
    #[arg(long, value_name = "PATH", help_heading = "Model")]
    pub(crate) python: Option<PathBuf>,
    /// Seconds that a model file may take to be imported and traced [default: 300]
    #[arg(long, value_name = "SECONDS", value_parser = whole(1..=86_400), help_heading = "Model")]
    pub(crate) model_deadline: Option<u64>,
}

impl PythonArgs {
    /// The Python that is named, that of the virtual environment, or the one on the path.
    pub(super) fn path(&self) -> PathBuf {
        if let Some(named) = &self.python {
            return named.clone();
        }
        if let Some(environment) = std::env::var_os("VIRTUAL_ENV").filter(|v| !v.is_empty()) {
            return PathBuf::from(environment).join("bin/python");
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let on_path = |name: &str| std::env::split_paths(&path).any(|d| d.join(name).is_file());
        let name = ["python3", "python"].into_iter().find(|name| on_path(name));
        PathBuf::from(name.unwrap_or("python3"))
    }

    /// Runs a program of Python's for a model. What it prints goes to the standard error; it reads nothing, and is ended
    /// at the deadline.
    pub(super) fn run(&self, arguments: &[OsString], model: &str) -> Result<ExitStatus, Failure> {
        let python = self.path();
        let deadline = Duration::from_secs(self.model_deadline.unwrap_or(300));
        let said_to = std::io::stderr()
            .as_fd()
            .try_clone_to_owned()
            .map_or_else(|_| Stdio::null(), Stdio::from);
        let mut child = Command::new(&python)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(said_to)
            .spawn()
            .map_err(|e| {
                Failure::because(
                    format!("cannot run the Python `{}`", python.display()),
                    e,
                    "name one that has PyTorch or Keras by --python",
                )
                .with_code(Code::ModelFile)
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
                        "`{model}` was not exported within {} s: the file, the model's constructor or its forward pass does not end",
                        deadline.as_secs()
                    ),
                    "keep work that takes long out of the file's top level, or pass a longer --model-deadline",
                )
                .with_code(Code::ModelFile));
            }
            thread::sleep(LOOK);
        }
    }
}
