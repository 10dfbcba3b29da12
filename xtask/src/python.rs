//! Finding a Python interpreter that has what is needed.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process;

/// The variable that names the Python to use.
pub(crate) const VARIABLE: &str = "ANE_TRAINER_PYTHON";

/// The places looked at, best first: the variable, the tree's virtual environment, the system's Python.
pub(crate) fn candidates(root: &Path) -> Vec<PathBuf> {
    let named = env::var_os(VARIABLE)
        .filter(|path| !path.is_empty())
        .map(PathBuf::from);
    let local = Some(root.join(".venv").join("bin").join("python")).filter(|path| path.exists());
    [named, local, Some(PathBuf::from("python3"))]
        .into_iter()
        .flatten()
        .collect()
}

/// Whether this Python starts and can import the module.
pub(crate) fn can_import(python: &Path, module: &str) -> bool {
    process::succeeds(
        Command::new(python)
            .arg("-c")
            .arg(format!("import {module}")),
    )
}

/// The first candidate that can import the module.
pub(crate) fn with_module(root: &Path, module: &str) -> Option<PathBuf> {
    candidates(root)
        .into_iter()
        .find(|python| can_import(python, module))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefers_the_virtual_environment_of_the_tree() {
        let root = tempfile::tempdir().unwrap();
        let local = root.path().join(".venv/bin/python");
        assert!(!candidates(root.path()).contains(&local));
        std::fs::create_dir_all(local.parent().unwrap()).unwrap();
        std::fs::write(&local, "").unwrap();
        let found = candidates(root.path());
        let position = |path: &Path| found.iter().position(|candidate| candidate == path);
        assert!(
            position(&local) < position(Path::new("python3")),
            "{found:?}"
        );
    }

    #[test]
    fn a_python_that_is_not_there_imports_nothing() {
        assert!(!can_import(Path::new("no/such/python"), "sys"));
    }
}
