//! Where the device `apple` finds its frameworks and keeps its files.

use serde::{Deserialize, Serialize};
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

/// Replaces the path of the Espresso framework.
pub(super) const ESPRESSO: &str = "ANE_TRAINER_ESPRESSO";
/// Replaces the path of the AppleNeuralEngine framework.
pub(super) const NEURAL_ENGINE: &str = "ANE_TRAINER_NEURALENGINE";
/// Replaces the path of the IOSurface framework.
pub(super) const IO_SURFACE: &str = "ANE_TRAINER_IOSURFACE";
/// Replaces the directory of programs.
pub(super) const PROGRAMS: &str = "ANE_TRAINER_PROGRAMS";

/// Programs that may be loaded at once. Recent systems end at 127 a process, some reports at 96 to 118
///; the rest is left to other users of the engine in this process.
const RESIDENT: usize = 100;

/// Where the device `apple` finds its frameworks and keeps its files. The default is macOS's own places, or what the
/// environment says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppleOptions {
    /// The Espresso framework, or `ANE_TRAINER_ESPRESSO`.
    pub espresso: PathBuf,
    /// The AppleNeuralEngine framework, or `ANE_TRAINER_NEURALENGINE`.
    pub neural_engine: PathBuf,
    /// The IOSurface framework, or `ANE_TRAINER_IOSURFACE`.
    pub io_surface: PathBuf,
    /// The directory in which every program has a directory, or `ANE_TRAINER_PROGRAMS`.
    pub programs: PathBuf,
    /// Whether the user has named the chip of the target, so that compilers are told it although the system does not say
    /// that it is this machine's.
    pub chip_is_named: bool,
    /// Most programs that are loaded at once; the least recently used one makes room.
    pub resident: usize,
}

impl Default for AppleOptions {
    fn default() -> Self {
        Self::from(|name| std::env::var_os(name))
    }
}

impl AppleOptions {
    /// Files that are opened instead of Apple's frameworks, with the variables that name them. While there are any, what
    /// runs may be something other than Apple's engine.
    pub fn replaced(&self) -> Vec<(&'static str, &Path)> {
        let apple = Self::from(|_| None);
        [
            (ESPRESSO, &self.espresso, &apple.espresso),
            (IO_SURFACE, &self.io_surface, &apple.io_surface),
            (NEURAL_ENGINE, &self.neural_engine, &apple.neural_engine),
        ]
        .into_iter()
        .filter(|(_, ours, apples)| ours != apples)
        .map(|(variable, ours, _)| (variable, ours.as_path()))
        .collect()
    }

    fn from(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let path = |name: &str, default: &str| {
            let set = variable(name).filter(|value| !value.is_empty());
            set.map_or_else(|| PathBuf::from(default), PathBuf::from)
        };
        let private =
            |name: &str| format!("/System/Library/PrivateFrameworks/{name}.framework/{name}");
        let user = variable("USER").unwrap_or_else(|| "user".into());
        let mut own = OsString::from("ane-trainer-");
        own.push(Path::new(&user).file_name().unwrap_or("user".as_ref()));
        let own = std::env::temp_dir().join(own);
        Self {
            espresso: path(ESPRESSO, &private("Espresso")),
            neural_engine: path(NEURAL_ENGINE, &private("AppleNeuralEngine")),
            io_surface: path(
                IO_SURFACE,
                "/System/Library/Frameworks/IOSurface.framework/IOSurface",
            ),
            programs: variable(PROGRAMS)
                .filter(|value| !value.is_empty())
                .map_or(own, PathBuf::from),
            chip_is_named: false,
            resident: RESIDENT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_replaces_paths() {
        let plain = AppleOptions::from(|_| None);
        assert!(plain.espresso.ends_with("Espresso.framework/Espresso"));
        let set = AppleOptions::from(|name| match name {
            ESPRESSO => Some("/there/libespresso.so".into()),
            PROGRAMS => Some("/there/programs".into()),
            IO_SURFACE => Some("".into()),
            "USER" => Some("../them".into()),
            _ => None,
        });
        assert_eq!(set.espresso, Path::new("/there/libespresso.so"));
        assert_eq!(set.programs, Path::new("/there/programs"));
        assert_eq!(set.io_surface, plain.io_surface);
        assert!(plain.replaced().is_empty());
        assert_eq!(set.replaced(), [(ESPRESSO, set.espresso.as_path())]);
        let them = AppleOptions::from(|name| (name == "USER").then(|| "../them".into()));
        assert!(them.programs.ends_with("ane-trainer-them"));
    }
}
