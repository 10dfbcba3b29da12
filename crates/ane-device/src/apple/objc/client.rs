//! A program in a directory, compiled and run through `_ANEClient`.

use super::{
    device::Native,
    messages::{Client, Model, Request, pooled},
    turn::Turn,
};
use crate::apple::{AppleError, program_dir::ContentHash};
use ane_ir::Target;
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
    /// Loads the program whose text is `mil`, in a directory of its own, after compiling it if the daemon does not have
    /// it for `target`. `compiled` is called when it is.
    ///
    /// # Errors
    /// When the compiler refuses the program, or it cannot be loaded even when it is compiled afresh.
    pub(super) fn load(
        target: &Target,
        mil: &Path,
        hash: &ContentHash,
        compiled: impl Fn(),
    ) -> Result<Self, AppleError> {
        let _turn = Turn::wait();
        pooled(|| {
            let client = Client::shared()?;
            let model = Model::at(directory(mil), hash.as_str())?;
            let compile = || {
                client.compile(&model).map_err(|r| r.refused(mil, target))?;
                compiled();
                Ok(())
            };
            let was_there = client.has_compiled(&model);
            if !was_there {
                compile()?;
            }
            let loaded = match client.load(&model) {
                // What the daemon has may be stale or damaged; compiling it again makes no place for it, though.
                Err(r) if was_there && !r.is_full() => {
                    client.purge(&model);
                    compile()?;
                    client.load(&model)
                }
                loaded => loaded,
            };
            loaded.map_err(|r| r.about(mil))?;
            Ok(Self {
                client,
                model,
                mil: mil.to_owned(),
            })
        })
    }
}

/// The directory of a text.
fn directory(mil: &Path) -> &Path {
    mil.parent().unwrap_or(mil)
}

/// Makes the daemon forget the program whose text was `mil`: its directory is this process's own, so nobody will ask for
/// the program again.
pub(super) fn purge(mil: &Path, hash: &ContentHash) {
    let _turn = Turn::wait();
    pooled(|| {
        let model = Model::at(directory(mil), hash.as_str());
        if let (Ok(client), Ok(model)) = (Client::shared(), model) {
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
        let _turn = Turn::wait();
        // What cannot be unloaded stays loaded until the process ends; there is nobody to tell.
        pooled(|| drop(self.client.unload(&self.model)));
    }
}
