//! A program in a directory, compiled and run through `_ANEClient`.

use super::{
    device::Native,
    messages::{Client, Model, Request, pooled},
};
use crate::apple::{
    AppleError,
    program_dir::{ContentHash, ProgramDir},
};
use objc2::rc::Retained;
use objc2_foundation::NSDictionary;
use std::path::{Path, PathBuf};

/// A loaded program; dropping it unloads it.
#[derive(Debug)]
pub(super) struct ClientProgram {
    client: Client,
    model: Model,
    mil: PathBuf,
}

impl ClientProgram {
    /// Loads the program in `files`, after compiling it if the daemon does not have it. `compiled` is called when it is.
    ///
    /// # Errors
    /// When the compiler refuses the program, or it cannot be loaded even when it is compiled afresh.
    pub(super) fn load(
        files: &ProgramDir,
        hash: &ContentHash,
        compiled: impl Fn(),
    ) -> Result<Self, AppleError> {
        let mil = files.mil();
        pooled(|| {
            let client = Client::shared()?;
            let model = Model::at(files.path(), hash.as_str())?;
            let compile = || {
                client.compile(&model).map_err(|r| r.refused(&mil))?;
                compiled();
                Ok(())
            };
            let was_there = client.has_compiled(&model);
            if !was_there {
                compile()?;
            }
            let loaded = match client.load(&model) {
                // What the daemon has may be stale or damaged.
                Err(_) if was_there => {
                    client.purge(&model);
                    compile()?;
                    client.load(&model)
                }
                loaded => loaded,
            };
            loaded.map_err(|r| r.about(&mil))?;
            Ok(Self { client, model, mil })
        })
    }
}

/// Makes the daemon forget the program that was in `directory`: the directory is this process's own, so nobody will ask
/// for the program again.
pub(super) fn purge(directory: &Path, hash: &ContentHash) {
    pooled(|| {
        if let (Ok(client), Ok(model)) = (Client::shared(), Model::at(directory, hash.as_str())) {
            client.purge(&model);
        }
    });
}

impl Native for ClientProgram {
    fn attributes(&self) -> Result<Retained<NSDictionary>, AppleError> {
        self.model.attributes()
    }

    fn evaluate(&self, request: &Request) -> Result<(), AppleError> {
        let evaluated = self.client.evaluate(&self.model, request);
        evaluated.map_err(|r| r.about(&self.mil))
    }
}

impl Drop for ClientProgram {
    fn drop(&mut self) {
        // What cannot be unloaded stays loaded until the process ends; there is nobody to tell.
        pooled(|| drop(self.client.unload(&self.model)));
    }
}
