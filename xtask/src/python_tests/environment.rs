//! Virtual environments, each made once for its lists of packages and kept below the target folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::suite::{REQUIREMENTS, Suite};
use crate::process;
use crate::tree::Tree;
use crate::unavailable::Unavailable;

/// The interpreters that are tried, best first.
const INTERPRETERS: &[&str] = &["python3", "python3.13", "python3.12", "python3.11"];

/// The versions 3.N for which the packages that the lists name are built.
const VERSIONS: std::ops::RangeInclusive<u32> = 11..=13;

/// What stands in for the libraries of CUDA that PyTorch's wheel is linked with.
const CUDA_STAND_INS: &str = "xtask/python/cuda_stand_ins.py";

/// What that is made of, which decides with the list what an environment is.
const SCRIPTS: &[&str] = &[CUDA_STAND_INS, "xtask/python/elf.py"];

/// A virtual environment for a suite of tests.
pub(super) struct Environment {
    folder: PathBuf,
    lists: Vec<String>,
}

impl Environment {
    /// The one for a suite, among those in a folder.
    pub(super) fn below(folder: &Path, suite: &Suite) -> Environment {
        let place = suite.list.rsplit_once('/').map_or("root", |(path, _)| path);
        let mut name = place.replace('/', "-");
        if suite.full_list.is_some() {
            name.push_str("-full");
        }
        Environment {
            folder: folder.join(name),
            lists: suite.lists().map(str::to_owned).collect(),
        }
    }

    /// The interpreter, with what the lists name and nothing else; [`Unavailable`] when this machine cannot make it.
    pub(super) fn prepare(&self, root: &Path, tree: &Tree) -> Result<PathBuf> {
        let base = Interpreter::find(INTERPRETERS)?;
        let text = |path: &str| tree.file(path).map_or("", |file| file.text.as_str());
        let lists: String = self.lists.iter().map(|list| text(list)).collect();
        let has_torch = lists.lines().any(|line| line.starts_with("torch=="));
        let mut wanted = format!("{}\n{lists}", base.told);
        if has_torch {
            wanted.extend(SCRIPTS.iter().copied().map(text));
        }
        if self.holds(&wanted) {
            let named = self.lists.join(" and ");
            println!("{} holds what is named by {named}", self.folder.display());
        } else {
            self.make(root, &base, has_torch)?;
            fs::write(self.record(), &wanted)?;
        }
        Ok(self.python())
    }

    /// Makes the environment anew, so that nothing is left of what earlier lists asked for.
    fn make(&self, root: &Path, base: &Interpreter, has_torch: bool) -> Result<()> {
        let mut create = Command::new(base.program);
        create.args(["-m", "venv", "--clear"]).arg(&self.folder);
        process::run(&mut create).map_err(cannot_be_made)?;
        fill(&self.lists, || {
            let mut install = Command::new(self.python());
            install.current_dir(root).args([
                "-m",
                "pip",
                "install",
                "-q",
                "--disable-pip-version-check",
            ]);
            install
        })?;
        if has_torch {
            let mut stand_in = Command::new(self.python());
            stand_in.current_dir(root).args(["-B", CUDA_STAND_INS]);
            process::run(&mut stand_in).context("PyTorch was installed and cannot be imported")?;
        }
        Ok(())
    }

    /// Whether it was made whole, for this list and by this Python.
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

/// A Python that environments are made of.
struct Interpreter {
    program: &'static str,
    /// Its version and where it lies.
    told: String,
}

impl Interpreter {
    /// The first of some programs that is of a version that fits.
    fn find(programs: &[&'static str]) -> Result<Interpreter> {
        let script = "import platform, sys; print(platform.python_version(), sys.base_prefix)";
        let mut seen = Vec::new();
        for &program in programs {
            let Ok(told) = process::stdout(Command::new(program).args(["-c", script])) else {
                continue;
            };
            let told = told.trim().to_owned();
            if fits(&told) {
                return Ok(Interpreter { program, told });
            }
            seen.push(format!("`{program}` is {told}"));
        }
        let (first, last) = (VERSIONS.start(), VERSIONS.end());
        let seen = if seen.is_empty() {
            "there is none".to_owned()
        } else {
            seen.join(", ")
        };
        let reason =
            format!("the tests need a Python of version 3.{first} to 3.{last}, and {seen}");
        Err(Unavailable(reason).into())
    }
}

/// Whether what a Python says of itself begins with a version for which packages are built.
fn fits(told: &str) -> bool {
    let mut numbers = told.split('.');
    let major = numbers.next();
    let minor = numbers.next().and_then(|minor| minor.parse().ok());
    major == Some("3") && minor.is_some_and(|minor| VERSIONS.contains(&minor))
}

fn cannot_be_made(error: anyhow::Error) -> Unavailable {
    Unavailable(format!("no Python environment could be made: {error}"))
}

/// Installs pytest and then what the lists name, with commands that take what to install as further arguments.
fn fill(lists: &[String], install: impl Fn() -> Command) -> Result<()> {
    process::run(install().arg("pytest")).map_err(cannot_be_made)?;
    let mut all = install();
    all.arg("--no-deps");
    for list in lists {
        all.args(["-r", list]);
    }
    // The index was reached for pytest, so a list is wrong.
    process::run(&mut all)
        .with_context(|| format!("what {} asks for cannot be had", lists.join(" with ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(target: &Path, full_list: Option<&str>) -> Environment {
        let suite = Suite {
            list: "crates/a/tests/requirements.txt".to_owned(),
            full_list: full_list.map(str::to_owned),
            tests: Vec::new(),
        };
        Environment::below(target, &suite)
    }

    #[test]
    fn an_environment_is_named_after_the_place_of_its_list() {
        let folder = environment(Path::new("target"), None).folder;
        assert_eq!(folder, Path::new("target/crates-a-tests"));
    }

    #[test]
    fn a_full_run_leaves_the_environment_of_the_others_as_it_is() {
        let full = environment(
            Path::new("target"),
            Some("crates/a/tests/requirements-full.txt"),
        );
        assert_eq!(full.folder, Path::new("target/crates-a-tests-full"));
        assert_eq!(full.lists.len(), 2);
    }

    #[test]
    fn an_environment_holds_what_was_installed_last_and_nothing_when_unfinished() {
        let target = tempfile::tempdir().unwrap();
        let environment = environment(target.path(), None);
        assert!(!environment.holds(""));
        fs::create_dir_all(environment.folder.join("bin")).unwrap();
        fs::write(environment.python(), "").unwrap();
        assert!(!environment.holds(""));
        fs::write(environment.record(), "3.11.7\nnumpy\n").unwrap();
        assert!(environment.holds("3.11.7\nnumpy\n"));
        assert!(!environment.holds("3.12.1\nnumpy\n"));
        assert!(!environment.holds("3.11.7\nnumpy\nscipy\n"));
    }

    #[test]
    fn a_list_that_cannot_be_installed_is_an_error_and_no_lack_of_the_machine() {
        let shell = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script, "sh"]);
            command
        };
        let lists = ["requirements.txt".to_owned()];
        let error = fill(&lists, || shell("test \"$1\" = pytest")).unwrap_err();
        assert!(!error.is::<Unavailable>(), "{error:#}");
        assert!(error.to_string().contains("requirements.txt"), "{error:#}");
        let error = fill(&lists, || shell("exit 1")).unwrap_err();
        assert!(error.is::<Unavailable>(), "{error:#}");
    }

    #[test]
    fn a_machine_without_a_fitting_python_lacks_it() {
        let error = Interpreter::find(&["no/such/python3"]).map(|python| python.told);
        let error = error.unwrap_err();
        assert!(error.is::<Unavailable>(), "{error:#}");
        assert!(error.to_string().contains("there is none"), "{error:#}");
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(fits("3.11.7 /usr"));
        assert!(fits("3.13.0rc1 /usr"));
        for told in ["3.9.1 /usr", "3.14.0 /usr", "3.1.2 /usr", "2.11.0 /usr", ""] {
            assert!(!fits(told), "{told}");
        }
    }
}
