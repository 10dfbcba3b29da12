//! Settings of the environment: `ANE_TRAINER_` and the key in capitals with `_` for the dot, such as
//! `ANE_TRAINER_TRAINING_EPOCHS`.

use super::{Setting, Settings, key::Key};
use crate::failure::Failure;

/// What the names of such variables begin with.
const PREFIX: &str = "ANE_TRAINER_";

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
