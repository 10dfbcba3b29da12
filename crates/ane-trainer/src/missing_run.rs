//! What is said of a run that there is not: the nearest that there is.

use crate::{code::Code, failure::Failure};
use ane_train::run_dir::RunDir;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Where runs are, unless somebody says.
pub(crate) const FOLDER: &str = "runs";
/// Least likeness of a name that is offered for one that is not known.
const ALIKE: f64 = 0.8;

/// The failure of a path that leads to no run.
pub(crate) fn missing_run(path: &Path) -> Failure {
    let message = match path.is_dir() {
        true => format!(
            "`{}` is no run: there is no config.json in it that can be read",
            path.display()
        ),
        false => format!("there is no run `{}`", path.display()),
    };
    let list = "`ane-trainer runs list` shows those there are";
    let help = match nearest(path) {
        Some(run) => format!("did you mean {}? {list}", run.display()),
        None => list.to_owned(),
    };
    Failure::new(message, help).with_code(Code::NoRun)
}

/// The run whose name is most like the last part of a path, beside it or where runs are.
fn nearest(path: &Path) -> Option<PathBuf> {
    let asked = path.file_name()?.to_string_lossy();
    let likeness = |run: &PathBuf| {
        let name = run.file_name().unwrap_or_default().to_string_lossy();
        strsim::jaro_winkler(&name, &asked)
    };
    let beside = path.parent().filter(|p| !p.as_os_str().is_empty());
    let folders = beside.into_iter().chain([Path::new(FOLDER)]);
    let entries = folders.filter_map(|folder| fs::read_dir(folder).ok());
    let mut runs: Vec<PathBuf> = entries
        .flat_map(|entries| entries.flatten().map(|entry| entry.path()))
        .filter(|run| run != path && RunDir::open(run).config().is_file())
        .collect();
    runs.sort();
    let nearest = runs
        .into_iter()
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    nearest.filter(|run| likeness(run) >= ALIKE)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

    use super::*;

    #[test]
    fn the_nearest_run_is_offered_and_no_other_folder() {
        let dir = tempfile::tempdir().unwrap();
        for (name, is_run) in [("digits-amber-fox", true), ("digits-amber-f", false)] {
            fs::create_dir(dir.path().join(name)).unwrap();
            if is_run {
                fs::write(dir.path().join(name).join("config.json"), "{}").unwrap();
            }
        }
        let wanted = dir.path().join("digits-amber-fox");
        let asked = |name: &str| nearest(&dir.path().join(name));
        assert_eq!(asked("digits-amber-foxx"), Some(wanted));
        assert_eq!(asked("mnist"), None);
    }
}
