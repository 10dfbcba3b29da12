//! Tests that need a process of their own: they count what is alive in it, or end it.

use std::process::{Command, Output};

const MARK: &str = "NEURALENGINE_STANDIN_ALONE";

/// Whether this process was started for the test `name` alone.
pub(crate) fn is_alone(name: &str) -> bool {
    std::env::var(MARK).is_ok_and(|alone| alone == name)
}

/// Runs the test `name` of this program alone, with more variables, and returns what came of it.
pub(crate) fn run(name: &str, variables: &[(&str, &str)]) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(MARK, name)
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

/// As [`run`], for a test that must pass.
pub(crate) fn pass(name: &str, variables: &[(&str, &str)]) {
    let output = run(name, variables);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{}\n{text}\n{errors}",
        output.status
    );
    assert!(text.contains("1 passed"), "{text}");
}
