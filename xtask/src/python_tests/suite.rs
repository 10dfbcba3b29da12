//! Which Python tests run together: those that need the same packages.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, bail};

use crate::tree::Tree;

/// The name of a file that lists packages.
pub(super) const REQUIREMENTS: &str = "requirements.txt";

/// The tests that one list of packages serves.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Suite {
    /// The path of the list.
    pub(super) list: String,
    /// The paths of the tests, sorted.
    pub(super) tests: Vec<String>,
}

impl Suite {
    /// Whether the tests are those of the Python package, and want it installed.
    pub(super) fn is_of_the_package(&self) -> bool {
        self.list.starts_with("python/")
    }
}

/// The `test_*.py` files of the Python package and of the crates' test folders, each with the nearest list above it.
pub(super) fn all(tree: &Tree) -> Result<Vec<Suite>> {
    let mut suites: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for test in tree.paths().filter(|path| is_test(path)) {
        let mut lists = Path::new(test)
            .ancestors()
            .skip(1)
            .map(|folder| folder.join(REQUIREMENTS).to_string_lossy().into_owned());
        let Some(list) = lists.find(|list| tree.file(list).is_some()) else {
            bail!("{test} has no {REQUIREMENTS} in its folder or above, which says what it needs");
        };
        suites.entry(list).or_default().push(test.to_owned());
    }
    let suites = suites.into_iter();
    Ok(suites.map(|(list, tests)| Suite { list, tests }).collect())
}

fn is_test(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    let name = parts.last().copied().unwrap_or_default();
    let in_place = parts[0] == "python" || (parts[0] == "crates" && parts.get(2) == Some(&"tests"));
    in_place && name.starts_with("test_") && name.ends_with(".py")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suites(files: &[&str]) -> Result<Vec<Suite>> {
        let files: Vec<(&str, &str)> = files.iter().map(|path| (*path, "")).collect();
        all(&Tree::fixture(&files))
    }

    fn suite(list: &str, tests: &[&str]) -> Suite {
        Suite {
            list: list.to_owned(),
            tests: tests.iter().map(|&test| test.to_owned()).collect(),
        }
    }

    #[test]
    fn finds_python_tests_where_they_live_and_nowhere_else() {
        let found = suites(&[
            "requirements.txt",
            "python/tests/test_fit.py",
            "python/ane_trainer/fit.py",
            "crates/ane-trainer/tests/export/test_export.py",
            "crates/ane-trainer/src/test_data.py",
            "xtask/peers/test_peer.py",
        ]);
        let tests = [
            "crates/ane-trainer/tests/export/test_export.py",
            "python/tests/test_fit.py",
        ];
        assert_eq!(found.unwrap(), [suite("requirements.txt", &tests)]);
    }

    #[test]
    fn takes_the_nearest_list_in_or_above_the_folder_of_a_test() {
        let found = suites(&[
            "crates/a/requirements.txt",
            "crates/a/tests/x/test_x.py",
            "crates/a/tests/x/requirements.txt",
            "crates/a/tests/y/test_y.py",
            "crates/a/tests/y/test_z.py",
            "crates/b/tests/requirements.txt",
        ]);
        let expected = [
            suite(
                "crates/a/requirements.txt",
                &["crates/a/tests/y/test_y.py", "crates/a/tests/y/test_z.py"],
            ),
            suite(
                "crates/a/tests/x/requirements.txt",
                &["crates/a/tests/x/test_x.py"],
            ),
        ];
        assert_eq!(found.unwrap(), expected);
    }

    #[test]
    fn a_test_without_a_list_is_refused_by_name() {
        let error = suites(&["python/tests/test_fit.py", "crates/a/requirements.txt"]).unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("python/tests/test_fit.py has no"),
            "{text}"
        );
    }
}
