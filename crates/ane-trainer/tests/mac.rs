//! What the program makes of the Macs that the system may say this is.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

#[path = "support/pretended_mac.rs"]
mod pretended_mac;

use pretended_mac::Mac;
use serde_json::Value;
use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

/// Where a library that is loaded before the program can answer for the system; a Mac's own word cannot be replaced.
fn can_pretend() -> bool {
    std::env::consts::OS == "linux"
}

fn ane_trainer(folder: &Path, arguments: &[&str]) -> Command {
    let mut c = Command::new(env!("CARGO_BIN_EXE_ane-trainer"));
    c.args(arguments)
        .env(
            "ANE_TRAINER_ESPRESSO",
            espresso_standin::library_path().unwrap(),
        )
        .env("ANE_TRAINER_PROGRAMS", folder.join("programs"))
        .stdin(Stdio::null());
    c
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn the_doctor_says_which_chip_a_mac_has_and_how_that_is_known() {
    if !can_pretend() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mac = Mac::new(dir.path());
    for (brand, model, chip, chip_by, neural_engine) in [
        (
            "Apple M9",
            "Mac40,1",
            "h13",
            "`Apple M9` is not known here; programs keep to the limits of h13",
            true,
        ),
        (
            "Apple M4",
            "Mac16,1",
            "h16",
            "the processor is called `Apple M4`",
            true,
        ),
        (
            "Apple M4 (Virtual)",
            "VirtualMac2,1",
            "h16",
            "the processor is called `Apple M4 (Virtual)`",
            false,
        ),
        (
            "Apple M9 (Virtual)",
            "VirtualMac2,1",
            "h13",
            "nothing says which, so the oldest is assumed",
            false,
        ),
    ] {
        let mut command = ane_trainer(dir.path(), &["doctor", "--json"]);
        let done = mac.around(&mut command, brand, model).output().unwrap();
        assert!(done.status.success(), "{brand}: {}", said(&done));
        let report: Value = serde_json::from_slice(&done.stdout).unwrap();
        let system = &report["system"];
        assert_eq!(system["brand"], brand);
        assert_eq!(system["model"], model, "{brand}");
        assert_eq!(system["macos"], "26.1", "{brand}");
        assert_eq!(system["chip"], chip, "{brand}");
        let by = system["chip_by"].as_str().unwrap();
        assert!(by.starts_with(chip_by), "{brand}: {by}");
        assert_eq!(system["neural_engine"], neural_engine, "{brand}");
        // There is no framework of Apple's here, whatever the system says.
        assert_eq!(report["apple_hardware"], false, "{brand}");
        let verdict = report["verdict"].as_str().unwrap();
        let expected = if neural_engine {
            format!("`train` would use `apple` for {chip} by e5rt: ")
        } else {
            "`train` would use `software`: the system reports no Neural Engine".to_owned()
        };
        assert!(verdict.starts_with(&expected), "{brand}: {verdict}");
    }
}

#[test]
fn an_unknown_chip_is_warned_of_and_a_known_one_is_compiled_for() {
    if !can_pretend() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mac = Mac::new(dir.path());
    let train = |brand: &str, flags: &[&str]| {
        let train = ["train", "--model", "784-10", "--share-engine"];
        let arguments = [&train[..], &["--device", "apple"], flags].concat();
        let mut command = ane_trainer(dir.path(), &arguments);
        mac.around(&mut command, brand, "Mac40,1")
            .env("ANE_STANDIN_CHIP", "h14")
            .output()
            .unwrap()
    };
    let dry_run = |brand: &str, flags: &[&str]| train(brand, &[&["--dry-run"], flags].concat());
    let warning = "warning: `Apple M9` is not known here; programs keep to the limits of h13, the oldest generation, and --target says otherwise";
    let unknown = dry_run("Apple M9", &[]);
    assert!(unknown.status.success(), "{}", said(&unknown));
    assert!(said(&unknown).contains(warning), "{}", said(&unknown));
    assert!(said(&unknown).contains("\"target\": \"h13\""));
    let named = dry_run("Apple M9", &["--target", "h14"]);
    assert!(named.status.success(), "{}", said(&named));
    assert!(!said(&named).contains("is not known here"));
    assert!(said(&named).contains("\"target\": \"h14\""));
    let known = dry_run("Apple M2 Pro", &[]);
    assert!(known.status.success(), "{}", said(&known));
    assert!(!said(&known).contains("is not known here"));
    assert!(said(&known).contains("\"target\": \"h14\""));
    // The compiler is told the chip that is known, which is not the stand-in's here: its program cannot be loaded.
    let other = train("Apple M4", &[]);
    assert_eq!(other.status.code(), Some(1), "{}", said(&other));
    let why = "compiled for h16, this machine has h14";
    assert!(said(&other).contains(why), "{}", said(&other));
}
