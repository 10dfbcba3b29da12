//! The files that the checks look at: a root and the texts below it, read once.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

pub(crate) mod module_list;
pub(crate) mod rust_code;

use rust_code::RustCode;

/// Every file below a root that git tracks or would track.
pub(crate) struct Tree {
    paths: BTreeSet<String>,
    files: Vec<File>,
}

/// One text file.
pub(crate) struct File {
    /// The path from the root, with `/` between its parts.
    pub(crate) path: String,
    /// The whole text.
    pub(crate) text: String,
    code: OnceCell<RustCode>,
}

impl Tree {
    /// Reads what `git ls-files` names, or, where there is no repository, every file that is not hidden or built.
    pub(crate) fn load(root: &Path) -> Result<Tree> {
        match tracked(root) {
            Some(paths) => Tree::read(root, paths),
            None => {
                println!(
                    "note: not a git repository, so every file that is not hidden or built counts"
                );
                Tree::walk(root)
            }
        }
    }

    /// Reads every file below the root, except hidden folders (but for `.ci`, `.cargo`, `.github`) and build products.
    pub(crate) fn walk(root: &Path) -> Result<Tree> {
        let mut paths = Vec::new();
        let mut folders = vec![PathBuf::new()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(root.join(&folder))
                .with_context(|| format!("cannot read {}", folder.display()))?
            {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                let path = folder.join(&name);
                if !entry.file_type()?.is_dir() {
                    paths.push(path.to_string_lossy().replace('\\', "/"));
                } else if !is_left_out(&name) {
                    folders.push(path);
                }
            }
        }
        Tree::read(root, paths)
    }

    fn read(root: &Path, paths: Vec<String>) -> Result<Tree> {
        let mut tree = Tree {
            paths: BTreeSet::new(),
            files: Vec::new(),
        };
        for path in paths {
            let place = root.join(&path);
            // A tracked file may have been deleted, and a link or a submodule is not a file of ours.
            if !fs::symlink_metadata(&place).is_ok_and(|metadata| metadata.is_file()) {
                continue;
            }
            let bytes = fs::read(&place).with_context(|| format!("cannot read {path}"))?;
            if let Ok(text) = String::from_utf8(bytes) {
                tree.files.push(File {
                    path: path.clone(),
                    text,
                    code: OnceCell::new(),
                });
            }
            tree.paths.insert(path);
        }
        tree.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(tree)
    }

    /// The paths of all files, binary ones too, sorted.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.paths.iter().map(String::as_str)
    }

    /// The text files, sorted by path.
    pub(crate) fn files(&self) -> impl Iterator<Item = &File> {
        self.files.iter()
    }

    /// The Rust files, sorted by path.
    pub(crate) fn rust_files(&self) -> impl Iterator<Item = &File> {
        self.files().filter(|file| file.extension() == "rs")
    }

    /// The text file at a path.
    pub(crate) fn file(&self, path: &str) -> Option<&File> {
        self.files
            .binary_search_by(|file| file.path.as_str().cmp(path))
            .ok()
            .map(|i| &self.files[i])
    }

    /// Whether a path is a file, or a folder with a file in it.
    pub(crate) fn contains(&self, path: &str) -> bool {
        let folder = format!("{path}/");
        path.is_empty()
            || self.paths.contains(path)
            || self
                .paths
                .range(folder.clone()..)
                .next()
                .is_some_and(|p| p.starts_with(&folder))
    }

    /// Writes files into a fresh folder and reads them back.
    #[cfg(test)]
    pub(crate) fn fixture(files: &[(&str, &str)]) -> Tree {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let place = root.path().join(path);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::write(place, text).unwrap();
        }
        Tree::walk(root.path()).unwrap()
    }
}

impl File {
    /// What follows the last dot of the name.
    pub(crate) fn extension(&self) -> &str {
        Path::new(&self.path)
            .extension()
            .and_then(|extension| extension.to_str())
            .unwrap_or_default()
    }

    /// The name up to its last dot.
    pub(crate) fn stem(&self) -> &str {
        Path::new(&self.path)
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or_default()
    }

    /// Whether this is the file of a module, given by its path without `.rs`, or a file in its folder.
    pub(crate) fn is_module(&self, module: &str) -> bool {
        let rest = self.path.strip_prefix(module);
        rest.is_some_and(|rest| rest.starts_with('/') || rest == ".rs")
    }

    /// The parts of the path.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &str> {
        self.path.split('/')
    }

    /// The text as Rust code, with comments and strings set apart.
    pub(crate) fn code(&self) -> &RustCode {
        self.code.get_or_init(|| RustCode::new(&self.text))
    }

    /// The lines with their numbers, from 1.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .split_terminator('\n')
            .enumerate()
            .map(|(i, line)| (i + 1, line))
    }
}

fn is_left_out(folder: &str) -> bool {
    let hidden = folder.starts_with('.') && ![".ci", ".cargo", ".github"].contains(&folder);
    hidden || ["target", "__pycache__"].contains(&folder)
}

fn tracked(root: &Path) -> Option<Vec<String>> {
    let mut command = Command::new("git");
    command.current_dir(root).args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]);
    let output = command
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let names = String::from_utf8_lossy(&output.stdout).into_owned();
    Some(names.split_terminator('\0').map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walks_past_build_products_and_hidden_folders() {
        let tree = Tree::fixture(&[
            ("a.rs", "//! a\n"),
            ("target/b.rs", ""),
            (".venv/c.py", ""),
            (".ci/run", ""),
            ("d/e.rs", ""),
        ]);
        assert_eq!(
            tree.paths().collect::<Vec<_>>(),
            [".ci/run", "a.rs", "d/e.rs"]
        );
        assert!(tree.contains("d") && tree.contains("d/e.rs") && tree.contains(""));
        assert!(!tree.contains("d/e") && !tree.contains("target"));
    }

    #[test]
    fn reads_what_git_would_track() {
        let root = tempfile::tempdir().unwrap();
        if !process_git(root.path(), &["init", "--quiet"]) {
            return; // a machine without git has no repository to read
        }
        fs::write(root.path().join(".gitignore"), "/built\n").unwrap();
        fs::write(root.path().join("built"), "").unwrap();
        fs::write(root.path().join("tracked.rs"), "").unwrap();
        fs::write(root.path().join("deleted.rs"), "").unwrap();
        assert!(process_git(
            root.path(),
            &["add", "tracked.rs", "deleted.rs"]
        ));
        fs::remove_file(root.path().join("deleted.rs")).unwrap();
        fs::write(root.path().join("new.bin"), [0xff, 0xfe]).unwrap();
        let tree = Tree::load(root.path()).unwrap();
        assert_eq!(
            tree.paths().collect::<Vec<_>>(),
            [".gitignore", "new.bin", "tracked.rs"]
        );
        assert!(
            tree.file("new.bin").is_none(),
            "a file that is no text has no text"
        );
    }

    fn process_git(root: &Path, arguments: &[&str]) -> bool {
        crate::process::succeeds(Command::new("git").current_dir(root).args(arguments))
    }
}
