//! The command that this process was started with, as a run keeps it: a line that a shell takes again.

use ane_train::{checkpoint::CheckpointError, run_dir::RunDir};
use std::{
    ffi::{OsStr, OsString},
    sync::{Mutex, PoisonError},
};

static ARGUMENTS: Mutex<Vec<OsString>> = Mutex::new(Vec::new());

/// Remembers what follows the program's name.
pub(crate) fn remember(arguments: &[OsString]) {
    let mut kept = ARGUMENTS.lock().unwrap_or_else(PoisonError::into_inner);
    *kept = arguments.to_vec();
}

/// The command, as a shell takes it again.
pub(crate) fn this() -> String {
    line(&ARGUMENTS.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Notes in a run that this command trains it.
pub(crate) fn note_in(run: &RunDir) -> Result<(), CheckpointError> {
    run.append_command(&this())
}

fn line(arguments: &[OsString]) -> String {
    let mut words = vec![env!("CARGO_PKG_NAME").to_owned()];
    words.extend(arguments.iter().map(|word| quoted(word)));
    words.join(" ")
}

/// A word as a shell takes it.
fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.into_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_takes_the_line_again() {
        let words = [
            "train",
            "--lowering",
            "conv*=im2col",
            "--out",
            "it's here",
            "",
        ];
        let found = line(&words.map(OsString::from));
        assert_eq!(
            found,
            r"ane-trainer train --lowering 'conv*=im2col' --out 'it'\''s here' ''"
        );
        let echoed = std::process::Command::new("sh")
            .args(["-c", &format!("printf '%s|' {found}")])
            .output()
            .unwrap();
        let echoed = String::from_utf8(echoed.stdout).unwrap();
        assert_eq!(echoed, format!("ane-trainer|{}|", words.join("|")));
    }
}
