//! Tests that need a process of their own: because of its environment, or of what is registered in it.

use std::process::{Command, Output};

const MARK: &str = "ANE_DEVICE_TEST_ALONE";

/// Whether this process was started for the test `name` alone.
pub(crate) fn is_alone(name: &str) -> bool {
    std::env::var(MARK).is_ok_and(|alone| alone == name)
}

/// Runs the test `name` of this program alone, with more variables; it must pass.
pub(crate) fn pass(name: &str, variables: &[(&str, &str)]) -> Output {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(MARK, name)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{}\n{text}\n{errors}",
        output.status
    );
    assert!(text.contains("1 passed"), "{text}");
    output
}
