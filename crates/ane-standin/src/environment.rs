//! What the environment variables of the stand-ins say. They are read here and nowhere else.
//!
//! | variable | meaning | unset |
//! |---|---|---|
//! | `ANE_STANDIN_ANY_CHIP` | any value: programs for other chips run too | refused |
//! | `ANE_STANDIN_CHIP` | the chip that the machine pretends to have, `h13` to `h17` | `h16` |
//! | `ANE_STANDIN_FAULTS` | directory of planned [`Faults`] | no faults |
//! | `ANE_STANDIN_IN_PLACE` | `state` or `poison`: an output in the buffer of an input is its next value, or not-a-numbers | `state` |
//! | `ANE_STANDIN_LOG` | any value: reasons of errors go to standard error | silence |
//! | `ANE_STANDIN_MAX_COMPILES` | programs that a process may compile | any number |
//! | `ANE_STANDIN_MAX_LOADED` | programs that may be loaded at a time | 126 |
//! | `ANE_STANDIN_MISALIGN` | any value: memory for the processor starts 16 bytes beside a multiple of 64 | at one |
//! | `ANE_STANDIN_NUMERICS` | `ieee`, `pessimistic` or `silicon` | `ieee` |
//! | `ANE_STANDIN_REFUSE_MAP` | any value: surfaces of in-memory models cannot be mapped, as libane saw | they can |
//! | `ANE_STANDIN_THREADS` | threads of the engine | one per processor |
//! | `ANE_STANDIN_TMPDIR` | directory below which in-memory models have theirs | `TMPDIR` |
//! | `ANE_STANDIN_WEIGHTS_HASH` | `data` or `offset`: what of a weight file names an in-memory model | `data` |
//! | `ANE_TRAINER_ISA` | instruction set of the engine, as for the software device | the fastest |

use crate::{
    execution::InPlace,
    faults::{Faults, FaultsError},
};
use ane_engine::{
    Options,
    simd::{Isa, ParseIsaError},
};
use ane_ir::{Chip, Numerics, Target};
use std::{
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

/// Programs that a recent system keeps loaded per process, by the reports.
const MAX_LOADED: usize = 126;

/// A numeric policy by name, the same names that the trainer's command line has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumericsKind {
    /// The target's cliffs over IEEE arithmetic.
    Ieee,
    /// The worst reported habits on top.
    Pessimistic,
    /// The non-finite rules of silicon on top.
    Silicon,
}

impl NumericsKind {
    const ALL: [(&'static str, Self); 3] = [
        ("ieee", Self::Ieee),
        ("pessimistic", Self::Pessimistic),
        ("silicon", Self::Silicon),
    ];

    /// The policy on `target`.
    pub fn on(self, target: &Target) -> Numerics {
        let base = Numerics::of(target);
        match self {
            Self::Ieee => base,
            Self::Pessimistic => base.pessimistic(),
            Self::Silicon => base.silicon(),
        }
    }
}

/// What of a weight file goes into the identifier of an in-memory model. The real framework takes the first value of a
/// dictionary without order, which holds both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightsHash {
    /// The bytes of the file.
    Data,
    /// The offset alone, so that other weights make no other model.
    Offset,
}

/// A variable has a value that means nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnvironmentError {
    /// Not one of the values there are.
    #[error("`{variable}` is `{found}`, expected {expected}")]
    Value {
        /// The variable.
        variable: &'static str,
        /// Its value.
        found: String,
        /// What it may be.
        expected: &'static str,
    },
    /// No instruction set.
    #[error("`ANE_TRAINER_ISA`: {0}")]
    Isa(#[from] ParseIsaError),
    /// The planned faults cannot be used.
    #[error("`ANE_STANDIN_FAULTS`: {0}")]
    Faults(#[from] FaultsError),
}

/// How a stand-in behaves.
#[derive(Debug, Clone)]
pub struct Environment {
    /// The chip that the machine pretends to have.
    pub chip: Chip,
    /// Whether programs that were compiled for another chip run, which they do not on hardware.
    pub any_chip: bool,
    /// What becomes of an output in the buffer of an input.
    pub in_place: InPlace,
    /// Whether memory for the processor starts at no multiple of 64 bytes.
    pub misalign: bool,
    /// The numeric policy.
    pub numerics: NumericsKind,
    /// Whether surfaces of in-memory models cannot be mapped. tmc's do so before every request; libane was refused.
    pub refuse_map: bool,
    /// Threads of the engine.
    pub threads: usize,
    /// Programs that a process may compile.
    pub max_compiles: Option<usize>,
    /// Programs that may be loaded at a time.
    pub max_loaded: usize,
    /// Directory below which in-memory models have theirs.
    pub temporary: PathBuf,
    /// What of a weight file names an in-memory model.
    pub weights_hash: WeightsHash,
    /// Instruction set of the engine.
    pub isa: Isa,
    /// What goes wrong, and when.
    pub faults: Faults,
    /// Whether reasons of errors go to standard error.
    pub log: bool,
}

impl Default for Environment {
    fn default() -> Self {
        Self {
            chip: Chip::H16,
            any_chip: false,
            in_place: InPlace::State,
            misalign: false,
            numerics: NumericsKind::Ieee,
            refuse_map: false,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            max_compiles: None,
            max_loaded: MAX_LOADED,
            temporary: std::env::temp_dir(),
            weights_hash: WeightsHash::Data,
            isa: Isa::detect(),
            faults: Faults::none(),
            log: false,
        }
    }
}

/// The hardware chip of a name such as `h16` or, with a variant's letter, `h16g`.
pub fn host_chip_of(name: &str) -> Option<Chip> {
    let family = name.strip_suffix(['c', 'd', 'g', 's']).unwrap_or(name);
    Chip::HARDWARE.into_iter().find(|c| c.name() == family)
}

impl Environment {
    /// Reads the variables of this process.
    ///
    /// # Errors
    /// When one has a value that means nothing.
    pub fn read() -> Result<Self, EnvironmentError> {
        Self::from_variables(std::env::var_os)
    }

    /// As [`Self::read`], from any source of variables.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn from_variables(
        get: impl Fn(&'static str) -> Option<OsString>,
    ) -> Result<Self, EnvironmentError> {
        let text = |name| get(name).map(|value| value.to_string_lossy().into_owned());
        let mut environment = Self::default();
        if let Some(name) = text("ANE_STANDIN_CHIP") {
            environment.chip = host_chip_of(&name)
                .ok_or_else(|| value("ANE_STANDIN_CHIP", &name, "h13 to h17"))?;
        }
        if let Some(name) = text("ANE_STANDIN_NUMERICS") {
            let known = NumericsKind::ALL.into_iter().find(|(n, _)| *n == name);
            (_, environment.numerics) = known.ok_or_else(|| {
                value(
                    "ANE_STANDIN_NUMERICS",
                    &name,
                    "ieee, pessimistic or silicon",
                )
            })?;
        }
        if let Some(name) = text("ANE_STANDIN_IN_PLACE") {
            environment.in_place = match &*name {
                "state" => InPlace::State,
                "poison" => InPlace::Poison,
                _ => return Err(value("ANE_STANDIN_IN_PLACE", &name, "state or poison")),
            };
        }
        if let Some(number) = text("ANE_STANDIN_THREADS") {
            environment.threads = positive("ANE_STANDIN_THREADS", &number)?;
        }
        if let Some(number) = text("ANE_STANDIN_MAX_LOADED") {
            environment.max_loaded = positive("ANE_STANDIN_MAX_LOADED", &number)?;
        }
        if let Some(number) = text("ANE_STANDIN_MAX_COMPILES") {
            environment.max_compiles = Some(positive("ANE_STANDIN_MAX_COMPILES", &number)?);
        }
        if let Some(directory) = get("ANE_STANDIN_TMPDIR") {
            environment.temporary = directory.into();
        }
        if let Some(name) = text("ANE_STANDIN_WEIGHTS_HASH") {
            environment.weights_hash = match &*name {
                "data" => WeightsHash::Data,
                "offset" => WeightsHash::Offset,
                _ => return Err(value("ANE_STANDIN_WEIGHTS_HASH", &name, "data or offset")),
            };
        }
        if let Some(name) = text("ANE_TRAINER_ISA") {
            environment.isa = Isa::from_str(&name)?;
        }
        if let Some(directory) = get("ANE_STANDIN_FAULTS") {
            environment.faults = Faults::directory(Path::new(&PathBuf::from(directory)))?;
        }
        environment.any_chip = get("ANE_STANDIN_ANY_CHIP").is_some();
        environment.log = get("ANE_STANDIN_LOG").is_some();
        environment.refuse_map = get("ANE_STANDIN_REFUSE_MAP").is_some();
        environment.misalign = get("ANE_STANDIN_MISALIGN").is_some();
        Ok(environment)
    }

    /// How programs for `target` are compiled here.
    pub fn options(&self, target: &Target) -> Options {
        Options {
            numerics: self.numerics.on(target),
            isa: self.isa,
        }
    }

    /// Writes a line to standard error if that is wanted.
    pub fn log(&self, library: &str, line: impl fmt::Display) {
        if self.log {
            eprintln!("{library}: {line}");
        }
    }
}

fn value(variable: &'static str, found: &str, expected: &'static str) -> EnvironmentError {
    EnvironmentError::Value {
        variable,
        found: found.to_owned(),
        expected,
    }
}

fn positive(variable: &'static str, text: &str) -> Result<usize, EnvironmentError> {
    text.parse()
        .ok()
        .filter(|&number| number > 0)
        .ok_or_else(|| value(variable, text, "a number from 1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Environment, EnvironmentError> {
        Environment::from_variables(|name| {
            let found = variables.iter().find(|(n, _)| *n == name);
            found.map(|(_, value)| value.into())
        })
    }

    #[test]
    fn without_variables_it_is_an_m4_without_faults() {
        let e = of(&[]).unwrap();
        assert_eq!((e.chip, e.max_loaded, e.log), (Chip::H16, 126, false));
        assert_eq!(e.numerics, NumericsKind::Ieee);
        assert!(!e.any_chip && !e.misalign);
        assert_eq!(e.isa, Isa::detect());
    }

    #[test]
    fn every_variable_is_obeyed() {
        let e = of(&[
            ("ANE_STANDIN_ANY_CHIP", "1"),
            ("ANE_STANDIN_CHIP", "h13g"),
            ("ANE_STANDIN_IN_PLACE", "poison"),
            ("ANE_STANDIN_LOG", ""),
            ("ANE_STANDIN_MAX_COMPILES", "5"),
            ("ANE_STANDIN_MAX_LOADED", "7"),
            ("ANE_STANDIN_MISALIGN", "1"),
            ("ANE_STANDIN_NUMERICS", "pessimistic"),
            ("ANE_STANDIN_REFUSE_MAP", "1"),
            ("ANE_STANDIN_THREADS", "3"),
            ("ANE_STANDIN_TMPDIR", "/there"),
            ("ANE_STANDIN_WEIGHTS_HASH", "offset"),
            ("ANE_TRAINER_ISA", "portable"),
        ])
        .unwrap();
        assert_eq!((e.chip, e.max_loaded, e.threads), (Chip::H13, 7, 3));
        assert!(e.log && e.any_chip && e.misalign && e.refuse_map);
        assert_eq!(e.in_place, InPlace::Poison);
        assert_eq!(e.max_compiles, Some(5));
        assert_eq!(e.temporary, Path::new("/there"));
        assert_eq!(e.weights_hash, WeightsHash::Offset);
        let target = "h13".parse().unwrap();
        assert_eq!(
            e.options(&target),
            Options {
                numerics: Numerics::of(&target).pessimistic(),
                isa: Isa::Portable,
            }
        );
    }

    #[test]
    fn values_that_mean_nothing_are_errors_that_name_the_variable() {
        for (variable, found) in [
            ("ANE_STANDIN_CHIP", "m4"),
            ("ANE_STANDIN_CHIP", "software"),
            ("ANE_STANDIN_FAULTS", "/nowhere/at/all"),
            ("ANE_STANDIN_IN_PLACE", "alias"),
            ("ANE_STANDIN_MAX_COMPILES", "none"),
            ("ANE_STANDIN_MAX_LOADED", "0"),
            ("ANE_STANDIN_NUMERICS", "exact"),
            ("ANE_STANDIN_THREADS", "two"),
            ("ANE_STANDIN_WEIGHTS_HASH", "both"),
            ("ANE_TRAINER_ISA", "mmx"),
        ] {
            let error = of(&[(variable, found)]).unwrap_err().to_string();
            assert!(error.contains(variable), "{error}");
        }
    }
}
