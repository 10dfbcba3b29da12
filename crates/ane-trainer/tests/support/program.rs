//! The program as a process: what it says, and how it fails.

use std::process::{Command, Output, Stdio};

/// Runs it to its end, without what the environment of the tests would choose for it.
fn ane_trainer(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ane-trainer"))
        .args(arguments)
        .env_remove("ANE_TRAINER_ISA")
        .env_remove("VIRTUAL_ENV")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// What it makes of this standard input.
#[allow(dead_code, reason = "each test has use for some of these")]
pub(crate) fn given(input: &[u8], arguments: &[&str]) -> Output {
    use std::io::Write;
    let mut child = Command::new(env!("CARGO_BIN_EXE_ane-trainer"))
        .args(arguments)
        .env_remove("ANE_TRAINER_ISA")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may end before it has read all of it.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

/// The standard output of a run that succeeds.
pub(crate) fn says(arguments: &[&str]) -> String {
    let done = ane_trainer(arguments);
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{arguments:?}: {told}");
    String::from_utf8(done.stdout).unwrap()
}

/// A run that ends with a code, without a panic, and tells all parts.
pub(crate) fn fails(arguments: &[&str], code: i32, parts: &[&str]) {
    let done = ane_trainer(arguments);
    let told = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(code), "{arguments:?}: {told}");
    assert!(!told.contains("panicked"), "{told}");
    for part in parts {
        assert!(told.contains(part), "`{part}` is not in: {told}");
    }
}
