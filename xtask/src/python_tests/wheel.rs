//! The wheel of the Python package: built by maturin out of what cargo has compiled, and installed for tests.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;

/// The variable by which tests find the wheel.
const VARIABLE: &str = "ANE_TRAINER_WHEEL";

/// Where a wheel is installed.
pub(super) enum Place {
    /// Among the packages of the Python that runs the tests.
    Within,
    /// In a folder of its own, since that Python belongs to somebody else.
    Beside(PathBuf),
}

/// A wheel that was built.
pub(super) struct Wheel {
    path: PathBuf,
}

impl Wheel {
    /// Builds the wheel into a folder, with the maturin of a Python.
    ///
    /// The development profile is that of the other stages, so that nothing is compiled a second time.
    pub(super) fn build(root: &Path, into: &Path, python: &Path, release: bool) -> Result<Wheel> {
        empty(into)?;
        let mut build = Command::new(python);
        build
            .current_dir(root)
            .args(["-m", "maturin", "build", "--quiet", "--profile"])
            .arg(if release { "release" } else { "dev" })
            .args(["--auditwheel", "skip", "--interpreter"])
            .arg(python)
            .arg("--out")
            .arg(into);
        process::forget_package(&mut build);
        process::run(&mut build)?;
        Wheel::find(into)
    }

    fn find(folder: &Path) -> Result<Wheel> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(folder)? {
            paths.push(entry?.path());
        }
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "whl"));
        let count = paths.len();
        match paths.pop() {
            Some(path) if count == 1 => Ok(Wheel { path }),
            _ => bail!("{} holds {count} wheels, not one", folder.display()),
        }
    }

    /// Installs the wheel alone in the place of whatever was built before.
    pub(super) fn install(&self, python: &Path, place: &Place) -> Result<()> {
        let mut install = Command::new(python);
        install.args(["-m", "pip", "install", "-q", "--disable-pip-version-check"]);
        install.args(["--force-reinstall", "--no-deps"]);
        if let Place::Beside(folder) = place {
            empty(folder)?;
            install.arg("--target").arg(folder);
        }
        process::run(install.arg(&self.path))
    }

    /// Tells a command where the wheel is, and what was installed of it.
    pub(super) fn show(&self, command: &mut Command, place: &Place) {
        command.env(VARIABLE, &self.path);
        if let Place::Beside(folder) = place {
            command.env("PYTHONPATH", first_of("PYTHONPATH", folder));
            command.env("PATH", first_of("PATH", &folder.join("bin")));
        }
    }
}

/// The paths that a variable lists, with one before them.
fn first_of(variable: &str, path: &Path) -> OsString {
    let listed = env::var_os(variable).unwrap_or_default();
    let listed = env::split_paths(&listed).filter(|path| !path.as_os_str().is_empty());
    let paths: Vec<PathBuf> = [path.to_path_buf()].into_iter().chain(listed).collect();
    env::join_paths(paths).unwrap_or_else(|_| path.into())
}

/// Makes a folder that is empty.
fn empty(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_must_hold_one_wheel() {
        let folder = tempfile::tempdir().unwrap();
        let count = || Wheel::find(folder.path()).map(|wheel| wheel.path);
        fs::write(folder.path().join("a.txt"), "").unwrap();
        assert!(
            count()
                .unwrap_err()
                .to_string()
                .ends_with("0 wheels, not one")
        );
        fs::write(folder.path().join("a.whl"), "").unwrap();
        assert_eq!(count().unwrap(), folder.path().join("a.whl"));
        fs::write(folder.path().join("b.whl"), "").unwrap();
        assert!(count().is_err());
        empty(folder.path()).unwrap();
        assert!(fs::read_dir(folder.path()).unwrap().next().is_none());
    }

    #[test]
    fn tests_see_what_is_installed_beside_a_python() {
        let wheel = Wheel {
            path: PathBuf::from("a.whl"),
        };
        let mut within = Command::new("python");
        wheel.show(&mut within, &Place::Within);
        assert_eq!(process::describe(&within), "ANE_TRAINER_WHEEL=a.whl python");
        let mut beside = Command::new("python");
        wheel.show(&mut beside, &Place::Beside(PathBuf::from("site")));
        let line = process::describe(&beside);
        assert!(line.contains(" PATH=site/bin"), "{line}");
        assert!(line.contains(" PYTHONPATH=site"), "{line}");
    }
}
