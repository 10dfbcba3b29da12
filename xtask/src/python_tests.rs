//! The Python tests of the tree, in virtual environments that are made for them.
//!
//! What tests need is in a `requirements.txt` in their folder or one above it, whole and with versions;
//! what those that are marked `full` need besides, in a `requirements-full.txt` beside it.
//! Tests below `python` are those of the package: its wheel is built and installed for them.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::test::Outcome;
use crate::tree::Tree;
use crate::{process, python};

mod environment;
mod suite;
mod wheel;

use environment::Environment;
use suite::Suite;
use wheel::{Place, Wheel};

/// The code with which pytest ends when no test was chosen.
const NO_TEST: i32 = 5;

/// What the command line of `python` says.
#[derive(Debug, Args, Default)]
pub(crate) struct Options {
    /// Also run the tests that are marked `full`, with the packages that they need besides, on a wheel built for release.
    #[arg(long)]
    full: bool,
    /// Further arguments of pytest, such as `-k NAME`.
    #[arg(last = true)]
    pytest: Vec<String>,
}

/// Runs every Python test; [`Unavailable`](crate::unavailable::Unavailable) when the environment for it cannot be made.
pub(crate) fn run(root: &Path, options: &Options) -> Result<Outcome> {
    let tree = Tree::load(root)?;
    let suites = suite::all(&tree, options.full)?;
    if suites.is_empty() {
        println!("there are no Python tests in this tree");
        return Ok(Outcome::Absent);
    }
    let named = env::var_os(python::VARIABLE).filter(|path| !path.is_empty());
    let folder = process::target_folder(root).join("python");
    for suite in &suites {
        let (python, place) = match &named {
            Some(named) => (
                named_python(PathBuf::from(named))?,
                Place::Beside(folder.join("package")),
            ),
            None => (
                Environment::below(&folder, suite).prepare(root, &tree)?,
                Place::Within,
            ),
        };
        let mut pytest = pytest(root, &python, suite, options);
        if suite.is_of_the_package() {
            let wheel = Wheel::build(root, &folder.join("wheel"), &python, options.full)?;
            wheel.install(&python, &place)?;
            wheel.show(&mut pytest, &place);
            // What is known of the types of PyTorch takes most of a minute to learn.
            pytest.env("MYPY_CACHE_DIR", folder.join("mypy"));
        }
        run_pytest(&mut pytest, !options.pytest.is_empty())?;
    }
    Ok(Outcome::Passed)
}

/// The command that runs a suite.
fn pytest(root: &Path, python: &Path, suite: &Suite, options: &Options) -> Command {
    let mut pytest = Command::new(python);
    pytest
        .current_dir(root)
        .args(["-m", "pytest", "-q", "-p", "no:cacheprovider"]);
    if options.full {
        pytest.args(["-m", "full or not full"]);
    }
    pytest.args(&suite.tests).args(&options.pytest);
    process::forget_package(&mut pytest);
    pytest
}

/// Runs pytest, which may find nothing to do in a suite when tests were chosen by its arguments.
fn run_pytest(pytest: &mut Command, chosen: bool) -> Result<()> {
    let line = process::describe(pytest);
    println!("$ {line}");
    let status = pytest
        .status()
        .with_context(|| format!("cannot start `{line}`"))?;
    let nothing_of_those = chosen && status.code() == Some(NO_TEST);
    if status.success() || nothing_of_those {
        Ok(())
    } else {
        bail!("`{line}` failed ({status})")
    }
}

/// The Python that the variable names; it is used as it is.
fn named_python(path: PathBuf) -> Result<PathBuf> {
    if !python::can_import(&path, "pytest") {
        bail!(
            "{} is {}, which cannot import pytest: install it there, or unset the variable to have an environment made",
            python::VARIABLE,
            path.display()
        );
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_python_without_pytest_is_refused_by_name() {
        let error = named_python(PathBuf::from("no/such/python")).unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("ANE_TRAINER_PYTHON is no/such/python"),
            "{text}"
        );
    }

    #[test]
    fn finding_no_test_is_an_error_unless_tests_were_chosen() {
        let shell = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            command
        };
        assert!(run_pytest(&mut shell("exit 5"), true).is_ok());
        assert!(run_pytest(&mut shell("exit 5"), false).is_err());
        assert!(run_pytest(&mut shell("exit 1"), true).is_err());
    }

    #[test]
    fn a_full_run_takes_the_tests_that_are_left_out_otherwise() {
        let suite = Suite {
            list: "python/tests/requirements.txt".to_owned(),
            full_list: None,
            tests: vec!["python/tests/test_fit.py".to_owned()],
        };
        let line = |options: &Options| {
            let command = pytest(Path::new("."), Path::new("python"), &suite, options);
            process::describe(&command)
        };
        let plain = line(&Options::default());
        assert_eq!(
            plain,
            "python -m pytest -q -p no:cacheprovider python/tests/test_fit.py"
        );
        let full = line(&Options {
            full: true,
            pytest: vec!["-x".to_owned()],
        });
        assert_eq!(
            full,
            "python -m pytest -q -p no:cacheprovider -m 'full or not full' python/tests/test_fit.py -x"
        );
    }
}
