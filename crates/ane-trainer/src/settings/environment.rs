//! Settings of the environment: `ANE_TRAINER_` and the key in capitals with `_` for the dot, such as
//! `ANE_TRAINER_TRAINING_EPOCHS`.

use super::{Setting, Settings, key::Key};
use crate::{failure::Failure, output::remark};

/// What the names of such variables begin with.
const PREFIX: &str = "ANE_TRAINER_";

/// What follows it in variables that are no settings of a run: of the program, of its devices, of its tests and of the
/// package for Python.
const OTHERS: [&str; 16] = [
    "BROWSER",
    "CACHE",
    "CRASH",
    "DEVICE",
    "ESPRESSO",
    "IOSURFACE",
    "ISA",
    "LOCK",
    "NEURALENGINE",
    "PROGRAMS",
    "PYTHON",
    "SHARED_MEMORY",
    "SOAK",
    "SOAK_MINUTES",
    "TARGET",
    "WHEEL",
];
/// Of tests.
const TESTS: &str = "TEST_";

/// The variable of a key.
fn variable(key: &Key) -> String {
    format!("{PREFIX}{}", key.name.replace('.', "_").to_uppercase())
}

/// The settings of the environment; an empty variable is none.
pub(super) fn read(keys: &[Key]) -> Result<Settings, Failure> {
    let mut all = Settings::new();
    for key in keys {
        let name = variable(key);
        let Some(text) = std::env::var_os(&name).filter(|v| !v.is_empty()) else {
            continue;
        };
        let text = text
            .into_string()
            .map_err(|_| Failure::usage(format!("{name} is not text in UTF-8"), "unset it"))?;
        let value = key.parse(&text, &name)?;
        all.insert(
            key.name.clone(),
            Setting {
                value,
                origin: name,
            },
        );
    }
    Ok(all)
}

/// Says which variables look like settings and are none.
pub(crate) fn tell_unknown(keys: &[Key]) {
    let known: Vec<String> = keys.iter().map(variable).collect();
    let mut unknown: Vec<String> = std::env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| {
            let rest = name.strip_prefix(PREFIX);
            let is_other = |rest: &str| OTHERS.contains(&rest) || rest.starts_with(TESTS);
            rest.is_some_and(|rest| !is_other(rest)) && !known.contains(name)
        })
        .collect();
    unknown.sort();
    for name in unknown {
        let likeness = |known: &String| strsim::jaro_winkler(known, &name);
        let nearest = known
            .iter()
            .max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
        let meant = nearest.map_or_else(String::new, |n| format!("; the nearest one is {n}"));
        remark!("note: {name} is no setting, and is left out{meant}");
    }
}
