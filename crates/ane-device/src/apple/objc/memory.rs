//! A program from memory, compiled and run through `_ANEInMemoryModel`.
//!
//! The text and the weights are given twice: in memory, which only names the program, and as files in a directory of
//! that name, which is what the compiler reads. Unloading removes the directory, whoever else uses it. The name is made
//! of the text, and of the weights perhaps: what is hashed of them is the first value of a dictionary without order. So
//! a comment in the text says whose program it is and what its content is; no two processes, devices or contents share a
//! name then.

use super::{
    device::Native,
    messages::{InMemoryModel, Request, pooled},
    turn::Turn,
};
use crate::apple::{
    AppleError,
    options::PROGRAMS,
    program_dir::{ContentHash, record_elsewhere},
};
use ane_ir::Target;
use ane_mil::Program;
use objc2::rc::Retained;
use objc2_foundation::NSDictionary;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The text, as the compiler looks for it.
const MODEL: &str = "model.mil";
/// What stands before the path of a weight file in the text.
const MODEL_PATH: &str = "@model_path/";
/// What the text's only block begins with.
const BLOCK: &str = "\n{\n";
/// The variable that replaces the directory of directories.
const TEMPORARY: &str = "TMPDIR";

/// A loaded program; dropping it unloads it.
#[derive(Debug)]
pub(super) struct MemoryProgram {
    model: InMemoryModel,
    directory: PathBuf,
    mil: PathBuf,
}

/// The text with a comment that no other program has: the content's hash, and `owner`, the name of the program's own
/// directory, which holds process and number.
fn named(program: &Program, hash: &ContentHash, owner: &Path) -> String {
    let owner = owner.file_name().unwrap_or_default().to_string_lossy();
    let comment = format!("{BLOCK}    // {} {owner}\n", hash.as_str());
    program.text.replacen(BLOCK, &comment, 1)
}

fn model(text: &str, program: &Program) -> Result<InMemoryModel, AppleError> {
    let files: &[(&str, &[u8])] = match program.weights.as_slice() {
        [] => &[],
        weights => &[(ane_mil::WEIGHTS_PATH, weights)],
    };
    InMemoryModel::new(text, files)
}

/// Writes what the compiler reads.
fn write(directory: &Path, text: &str, weights: &[u8]) -> Result<(), AppleError> {
    let name = ane_mil::WEIGHTS_PATH.trim_start_matches(MODEL_PATH);
    let write = || {
        fs::create_dir_all(directory)?;
        fs::write(directory.join(MODEL), text)?;
        if weights.is_empty() {
            return Ok(());
        }
        fs::write(directory.join(name), weights)
    };
    write().map_err(|source| AppleError::Directory {
        what: "write",
        path: directory.to_owned(),
        source,
        variable: TEMPORARY,
    })
}

impl MemoryProgram {
    /// Loads a program, after compiling it for `target` if the daemon does not have it. `mil` is where its text is kept for
    /// messages, in a directory of its own; `compiled` is called when the compiler is done.
    ///
    /// # Errors
    /// When the directory cannot be written, the compiler refuses the program, or it cannot be loaded even when it is
    /// compiled afresh.
    pub(super) fn load(
        target: &Target,
        program: &Program,
        hash: &ContentHash,
        mil: &Path,
        compiled: impl Fn(),
    ) -> Result<Self, AppleError> {
        let _turn = Turn::wait();
        pooled(|| {
            let text = named(program, hash, mil.parent().unwrap_or(mil));
            let model = model(&text, program)?;
            let directory = model.directory()?;
            let own = mil.parent().unwrap_or(mil);
            let recorded =
                record_elsewhere(own, &directory).map_err(|source| AppleError::Directory {
                    what: "write",
                    path: own.to_owned(),
                    source,
                    variable: PROGRAMS,
                });
            let loaded = recorded
                .and_then(|()| write(&directory, &text, &program.weights))
                .and_then(|()| load(&model, target, mil, compiled));
            if let Err(e) = loaded {
                let _ = fs::remove_dir_all(&directory);
                return Err(e);
            }
            Ok(Self {
                model,
                directory,
                mil: mil.to_owned(),
            })
        })
    }
}

fn load(
    model: &InMemoryModel,
    target: &Target,
    mil: &Path,
    compiled: impl Fn(),
) -> Result<(), AppleError> {
    let compile = || {
        model.compile().map_err(|r| r.refused(mil, target))?;
        compiled();
        Ok(())
    };
    let was_there = model.is_compiled();
    if !was_there {
        compile()?;
    }
    let loaded = match model.load() {
        // What the daemon has may be stale or damaged; compiling it again makes no place for it, though.
        Err(r) if was_there && !r.is_full() => {
            model.purge();
            compile()?;
            model.load()
        }
        loaded => loaded,
    };
    loaded.map_err(|r| r.about(mil))
}

/// Makes the daemon forget a program that nobody will ask for again; `mil` is what it was loaded with.
pub(super) fn purge(program: &Program, hash: &ContentHash, mil: &Path) {
    let _turn = Turn::wait();
    pooled(|| {
        let text = named(program, hash, mil.parent().unwrap_or(mil));
        if let Ok(model) = model(&text, program) {
            model.purge();
        }
    });
}

impl Native for MemoryProgram {
    fn attributes(&self) -> Result<Retained<NSDictionary>, AppleError> {
        self.model.model()?.attributes()
    }

    fn evaluate(&self, request: &Request) -> Result<(), AppleError> {
        let evaluated = self.model.evaluate(request);
        evaluated.map_err(|r| r.about(&self.mil))
    }
}

impl Drop for MemoryProgram {
    fn drop(&mut self) {
        let _turn = Turn::wait();
        // What cannot be unloaded stays loaded until the process ends; there is nobody to tell.
        pooled(|| drop(self.model.unload()));
        // The framework has removed it already if all went well.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_owners_and_contents_apart() {
        let program = |weights: &[u8]| Program {
            text: "program(1.3)\n[buildInfo = {{}}]\n{\n    func main\n}\n".into(),
            weights: weights.into(),
            in_place: Vec::new(),
        };
        let named = |weights: &[u8], owner: &str| {
            let program = program(weights);
            named(&program, &ContentHash::of(&program, ""), Path::new(owner))
        };
        let text = named(b"a", "programs/x-1-2");
        assert!(text.starts_with("program(1.3)\n[buildInfo = {{}}]\n{\n    // "));
        assert!(text.ends_with(" x-1-2\n    func main\n}\n"), "{text}");
        assert_ne!(text, named(b"b", "programs/x-1-2"));
        assert_ne!(text, named(b"a", "programs/x-1-3"));
    }
}
