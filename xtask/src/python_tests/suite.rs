//! Which Python tests run together: those that need the same packages.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, bail};

use crate::tree::Tree;

/// The name of a file that lists packages.
pub(super) const REQUIREMENTS: &str = "requirements.txt";

/// The name of a file beside it, which lists what tests marked `full` need besides.
const REQUIREMENTS_OF_FULL: &str = "requirements-full.txt";

/// The tests that one list of packages serves.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Suite {
    /// The path of the list.
    pub(super) list: String,
    /// The path of the list that is installed besides, in a full run and where there is one.
    pub(super) full_list: Option<String>,
    /// The paths of the tests, sorted.
    pub(super) tests: Vec<String>,
}

impl Suite {
    /// Whether the tests are those of the Python package, and want it installed.
    pub(super) fn is_of_the_package(&self) -> bool {
        self.list.starts_with("python/")
    }

    /// The paths of all lists of what is installed.
    pub(super) fn lists(&self) -> impl Iterator<Item = &str> {
        [&self.list]
            .into_iter()
            .chain(&self.full_list)
            .map(String::as_str)
    }
}

/// The `test_*.py` files of the Python package and of the crates' test folders, each with the nearest list above it.
pub(super) fn all(tree: &Tree, full: bool) -> Result<Vec<Suite>> {
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
    let suite = |(list, tests): (String, Vec<String>)| {
        let beside = Path::new(&list).with_file_name(REQUIREMENTS_OF_FULL);
        let full_list = Some(beside.to_string_lossy().into_owned())
            .filter(|path| full && tree.file(path).is_some());
        Suite {
            list,
            full_list,
            tests,
        }
    };
    Ok(suites.into_iter().map(suite).collect())
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
        all(&Tree::fixture(&files), false)
    }

    fn suite(list: &str, tests: &[&str]) -> Suite {
        Suite {
            list: list.to_owned(),
            full_list: None,
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
    fn a_full_run_alone_takes_what_is_listed_for_it() {
        let files = [
            ("crates/a/tests/test_a.py", ""),
            ("crates/a/tests/requirements.txt", ""),
            ("python/tests/test_fit.py", ""),
            ("python/tests/requirements.txt", ""),
            ("python/tests/requirements-full.txt", ""),
        ];
        let tree = Tree::fixture(&files);
        let lists = |full: bool| {
            let suites = all(&tree, full).unwrap();
            let lists: Vec<Vec<String>> = suites
                .iter()
                .map(|suite| suite.lists().map(str::to_owned).collect())
                .collect();
            lists
        };
        let of_a = ["crates/a/tests/requirements.txt"];
        let plain = "python/tests/requirements.txt";
        assert_eq!(lists(false), [&of_a[..], &[plain]]);
        let both = [plain, "python/tests/requirements-full.txt"];
        assert_eq!(lists(true), [&of_a[..], &both]);
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
