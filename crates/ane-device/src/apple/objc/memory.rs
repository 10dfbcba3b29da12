//! A program from memory, compiled and run through `_ANEInMemoryModel`.
//!
//! The text and the weights are given twice: in memory, which only names the program, and as files in a directory of
//! that name, which is what the compiler reads. Unloading removes the directory, whoever else uses it; so no two threads
//! of this process are between writing and unloading at once.

use super::{
    device::Native,
    messages::{InMemoryModel, Refusal, Request, pooled},
};
use crate::apple::AppleError;
use ane_mil::Program;
use objc2::rc::Retained;
use objc2_foundation::NSDictionary;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

/// The text, as the compiler looks for it.
const MODEL: &str = "model.mil";
/// What stands before the path of a weight file in the text.
const MODEL_PATH: &str = "@model_path/";
/// How long the daemon takes to notice that a program was unloaded (maderix).
const RECLAIM: Duration = Duration::from_millis(100);

/// A loaded program; dropping it unloads it.
#[derive(Debug)]
pub(super) struct MemoryProgram {
    model: InMemoryModel,
    directory: Directory,
    mil: PathBuf,
}

/// The directory that the compiler reads, removed with the value.
#[derive(Debug)]
struct Directory(PathBuf);

impl Directory {
    fn write(path: PathBuf, program: &Program) -> Result<Self, AppleError> {
        let this = Self(path);
        let failed = |source| AppleError::Directory {
            what: "write",
            path: this.0.clone(),
            source,
        };
        let weights = ane_mil::WEIGHTS_PATH.trim_start_matches(MODEL_PATH);
        let write = || {
            fs::create_dir_all(&this.0)?;
            fs::write(this.0.join(MODEL), &program.text)?;
            if program.weights.is_empty() {
                return Ok(());
            }
            fs::write(this.0.join(weights), &program.weights)
        };
        write().map_err(failed)?;
        Ok(this)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // The framework has removed it already if all went well.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Whoever is between writing and unloading.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryProgram {
    /// Compiles and loads a program. `mil` is where its text is kept for messages; `compiled` is called when the
    /// compiler is done.
    ///
    /// # Errors
    /// When the directory cannot be written, the compiler refuses the program, or it cannot be loaded.
    pub(super) fn load(
        program: &Program,
        mil: &Path,
        compiled: impl Fn(),
    ) -> Result<Self, AppleError> {
        let _alone = alone();
        pooled(|| {
            let files: &[(&str, &[u8])] = match program.weights.as_slice() {
                [] => &[],
                weights => &[(ane_mil::WEIGHTS_PATH, weights)],
            };
            let model = InMemoryModel::new(&program.text, files)?;
            let path = std::env::temp_dir().join(model.identifier()?);
            let directory = Directory::write(path, program)?;
            model.compile().map_err(|r| r.refused(mil))?;
            compiled();
            load(&model).map_err(|r| r.about(mil))?;
            Ok(Self {
                model,
                directory,
                mil: mil.to_owned(),
            })
        })
    }
}

/// Loads with a second try: places of unloaded programs come back after a while.
fn load(model: &InMemoryModel) -> Result<(), Refusal> {
    model.load().or_else(|_| {
        thread::sleep(RECLAIM);
        model.load()
    })
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
        let _alone = alone();
        // What cannot be unloaded stays loaded until the process ends; there is nobody to tell.
        pooled(|| drop(self.model.unload()));
        let _ = fs::remove_dir_all(&self.directory.0);
    }
}
