//! The Python tests of the tree, in a virtual environment that is made for them.
//!
//! What tests need is in a `requirements.txt` in their folder or one above it; pytest comes along.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::test::Outcome;
use crate::tree::Tree;
use crate::unavailable::Unavailable;
use crate::{process, python};

/// The name of a file that lists packages.
const REQUIREMENTS: &str = "requirements.txt";

/// Runs every Python test; [`Unavailable`] when the environment for it cannot be made.
pub(crate) fn run(root: &Path) -> Result<Outcome> {
    let tree = Tree::load(root)?;
    let tests = test_files(&tree);
    if tests.is_empty() {
        println!("there are no Python tests in this tree");
        return Ok(Outcome::Absent);
    }
    let python = match env::var_os(python::VARIABLE).filter(|path| !path.is_empty()) {
        Some(named) => named_python(PathBuf::from(named))?,
        None => Environment::below(&process::target_folder(root)).prepare(root, &tree, &tests)?,
    };
    let mut pytest = Command::new(python);
    pytest
        .current_dir(root)
        .args(["-m", "pytest", "-q", "-p", "no:cacheprovider"])
        .args(tests);
    process::run(&mut pytest)?;
    Ok(Outcome::Passed)
}

/// The `test_*.py` files of the Python package and of the crates' test folders.
fn test_files(tree: &Tree) -> Vec<String> {
    let is_test = |path: &&str| {
        let parts: Vec<&str> = path.split('/').collect();
        let name = parts.last().copied().unwrap_or_default();
        let in_place =
            parts[0] == "python" || (parts[0] == "crates" && parts.get(2) == Some(&"tests"));
        in_place && name.starts_with("test_") && name.ends_with(".py")
    };
    tree.paths().filter(is_test).map(str::to_owned).collect()
}

/// The lists of packages in the folders of tests and above them.
fn requirements(tree: &Tree, tests: &[String]) -> BTreeSet<String> {
    let folders = tests
        .iter()
        .flat_map(|test| Path::new(test).ancestors().skip(1));
    let lists: BTreeSet<PathBuf> = folders.map(|folder| folder.join(REQUIREMENTS)).collect();
    let is_list = |path: &&str| lists.contains(Path::new(path));
    tree.paths().filter(is_list).map(str::to_owned).collect()
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

/// A virtual environment for the tests.
struct Environment {
    folder: PathBuf,
}

impl Environment {
    fn below(target: &Path) -> Environment {
        Environment {
            folder: target.join("python"),
        }
    }

    /// The interpreter, with everything that the lists of the tests ask for.
    fn prepare(&self, root: &Path, tree: &Tree, tests: &[String]) -> Result<PathBuf> {
        let lists = requirements(tree, tests);
        let text = |path: &String| tree.file(path).map_or("", |file| file.text.as_str());
        let wanted: String = lists.iter().map(text).collect();
        if !self.holds(&wanted) {
            self.make(root, &lists)?;
            fs::write(self.record(), &wanted)?;
        }
        Ok(self.python())
    }

    /// Makes the environment anew, so that nothing is left of what earlier lists asked for.
    fn make(&self, root: &Path, lists: &BTreeSet<String>) -> Result<()> {
        let mut create = Command::new("python3");
        create.args(["-m", "venv", "--clear"]).arg(&self.folder);
        process::run(&mut create).map_err(cannot_be_made)?;
        fill(lists, || {
            let mut install = Command::new(self.python());
            install.current_dir(root).args([
                "-m",
                "pip",
                "install",
                "-q",
                "--disable-pip-version-check",
            ]);
            install
        })
    }

    /// Whether it was made whole, for these lists.
    fn holds(&self, wanted: &str) -> bool {
        self.python().exists()
            && fs::read_to_string(self.record()).is_ok_and(|installed| installed == wanted)
    }

    fn python(&self) -> PathBuf {
        self.folder.join("bin/python")
    }

    /// Where it is written down what is installed, as the last thing that is done.
    fn record(&self) -> PathBuf {
        self.folder.join(REQUIREMENTS)
    }
}

fn cannot_be_made(error: anyhow::Error) -> Unavailable {
    Unavailable(format!("no Python environment could be made: {error}"))
}

/// Installs pytest and then what the lists ask for, with commands that take what to install as further arguments.
fn fill(lists: &BTreeSet<String>, install: impl Fn() -> Command) -> Result<()> {
    process::run(install().arg("pytest")).map_err(cannot_be_made)?;
    for list in lists {
        // The index was reached for pytest, so the list is wrong.
        process::run(install().arg("-r").arg(list))
            .with_context(|| format!("what {list} asks for cannot be had"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_python_tests_where_they_live_and_nowhere_else() {
        let tree = Tree::fixture(&[
            ("python/tests/test_fit.py", ""),
            ("python/ane_trainer/fit.py", ""),
            ("crates/ane-trainer/tests/export/test_export.py", ""),
            ("crates/ane-trainer/src/test_data.py", ""),
            ("xtask/peers/test_peer.py", ""),
        ]);
        let expected = [
            "crates/ane-trainer/tests/export/test_export.py",
            "python/tests/test_fit.py",
        ];
        assert_eq!(test_files(&tree), expected);
    }

    #[test]
    fn takes_the_lists_in_and_above_the_folders_of_tests() {
        let tree = Tree::fixture(&[
            ("crates/a/requirements.txt", ""),
            ("crates/a/tests/x/test_x.py", ""),
            ("crates/a/tests/x/requirements.txt", ""),
            ("crates/a/tests/y/requirements.txt", ""),
            ("crates/b/tests/requirements.txt", ""),
            ("xtask/peers/requirements.txt", ""),
        ]);
        let lists = requirements(&tree, &test_files(&tree));
        let expected = [
            "crates/a/requirements.txt",
            "crates/a/tests/x/requirements.txt",
        ];
        assert!(lists.iter().eq(expected), "{lists:?}");
    }

    #[test]
    fn an_environment_holds_what_was_installed_last_and_nothing_when_unfinished() {
        let target = tempfile::tempdir().unwrap();
        let environment = Environment::below(target.path());
        assert!(!environment.holds(""));
        fs::create_dir_all(environment.folder.join("bin")).unwrap();
        fs::write(environment.python(), "").unwrap();
        assert!(!environment.holds(""));
        fs::write(environment.record(), "numpy\n").unwrap();
        assert!(environment.holds("numpy\n"));
        assert!(!environment.holds("numpy\nscipy\n"));
    }

    #[test]
    fn a_list_that_cannot_be_installed_is_an_error_and_no_lack_of_the_machine() {
        let lists = BTreeSet::from(["requirements.txt".to_owned()]);
        let shell = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script, "sh"]);
            command
        };
        let error = fill(&lists, || shell("test \"$1\" = pytest")).unwrap_err();
        assert!(!error.is::<Unavailable>(), "{error:#}");
        assert!(error.to_string().contains("requirements.txt"), "{error:#}");
        let error = fill(&lists, || shell("exit 1")).unwrap_err();
        assert!(error.is::<Unavailable>(), "{error:#}");
    }

    #[test]
    fn a_named_python_without_pytest_is_refused_by_name() {
        let error = named_python(PathBuf::from("no/such/python")).unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("ANE_TRAINER_PYTHON is no/such/python"),
            "{text}"
        );
    }
}
