//! `doctor` and `selftest` on the stand-in for AppleNeuralEngine, by the routes `client` and `memory`.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

#[path = "support/pretended_mac.rs"]
mod pretended_mac;

use pretended_mac::Mac;
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

const NO_HARDWARE: &str = "NO APPLE HARDWARE WAS INVOLVED: this is a stand-in on ";

/// Where cargo has put the stand-in, beside the tests.
fn library() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let library = program.with_file_name("libneuralengine_standin.so");
    assert!(library.is_file(), "{} is not there", library.display());
    library
}

fn run(folder: &Path, route: &str, arguments: &[&str], plan: &str) -> Output {
    std::fs::write(folder.join("plan"), plan).unwrap();
    Command::new(env!("CARGO_BIN_EXE_ane-trainer"))
        .args(arguments)
        .args(["--device", "apple", "--target", "h16", "--route", route])
        .current_dir(folder)
        .env("ANE_TRAINER_NEURALENGINE", library())
        .env("ANE_TRAINER_IOSURFACE", library())
        .env("ANE_TRAINER_PROGRAMS", folder.join("programs"))
        .env("ANE_STANDIN_FAULTS", folder)
        .env("TMPDIR", folder)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", said(output)))
}

#[test]
fn every_op_and_both_plans_have_the_bits_of_the_software_engine() {
    for route in ["client", "memory"] {
        let dir = tempfile::tempdir().unwrap();
        let done = run(
            dir.path(),
            route,
            &["selftest", "--steps", "1", "--json"],
            "",
        );
        let summary = json(&done);
        assert!(done.status.success(), "{summary:#}");
        assert_eq!(summary["apple_hardware"], false);
        assert_eq!(summary["target"], format!("h16:{route}"));
        assert!(
            summary["hardware"]
                .as_str()
                .unwrap()
                .starts_with(NO_HARDWARE)
        );
        let rows = summary["rows"].as_array().unwrap();
        assert!(rows.iter().all(|r| r["max_abs"] == 0.0), "{summary:#}");
        let right = rows.iter().filter(|r| r["verdict"] == "right").count();
        assert!(right > 30, "{summary:#}");
    }
}

#[test]
fn a_fault_is_named_and_fails_the_command() {
    for route in ["client", "memory"] {
        for plan in ["compile 1 fail", "execute 3 corrupt", "execute 2 crash"] {
            let dir = tempfile::tempdir().unwrap();
            let done = run(dir.path(), route, &["selftest", "--only", "relu"], plan);
            let said = said(&done);
            assert_eq!(done.status.code(), Some(1), "{route}, {plan}: {said}");
            assert!(said.contains("\nrelu: "), "{route}, {plan}: {said}");
            assert!(said.contains("0 not allowed by the rules"), "{said}");
        }
    }
}

#[test]
fn probes_find_what_the_rules_say() {
    for route in ["client", "memory"] {
        let dir = tempfile::tempdir().unwrap();
        let arguments = ["doctor", "--probe", "--json", "--out", "report.json"];
        let done = run(dir.path(), route, &arguments, "");
        let report = json(&done);
        assert_eq!(report["apple_hardware"], false);
        let devices = report["devices"].as_array().unwrap();
        let opened = devices.iter().find(|d| d["route"] == route).unwrap();
        assert_eq!(opened["opens"], true, "{opened:#}");
        assert_eq!(report["probing"]["target"], format!("h16:{route}"));
        for probe in report["probing"]["probes"].as_array().unwrap() {
            let broken =
                ["identity_alone", "narrow_rows"].contains(&probe["name"].as_str().unwrap());
            for answer in probe["answers"].as_array().unwrap() {
                // The stand-in has our law, so it refuses what breaks it.
                let expected = if broken { "refused" } else { "held" };
                assert_eq!(answer["finding"]["result"], expected, "{probe:#}");
            }
        }
    }
}

#[test]
fn what_the_engine_says_of_itself_is_reported_and_makes_no_hardware() {
    let dir = tempfile::tempdir().unwrap();
    let done = run(dir.path(), "memory", &["doctor", "--json"], "");
    let report = json(&done);
    let system = &report["system"];
    assert_eq!(
        system["engine"]["product"], "ane-trainer stand-in",
        "{report:#}"
    );
    assert_eq!(system["engine"]["cores"], 16);
    assert_eq!(system["engine_unasked"], Value::Null);
    assert_eq!(system["chip"], "h16");
    assert_eq!(
        system["chip_by"],
        "`_ANEDeviceInfo` calls the engine `h16g`"
    );
    assert_eq!(system["neural_engine"], false);
    assert_eq!(report["apple_hardware"], false);
}

#[test]
fn the_verdict_names_the_route_that_can_be_taken() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ane-trainer"));
    command
        .args(["doctor", "--json"])
        .env("ANE_TRAINER_ESPRESSO", "/nowhere/espresso")
        .env("ANE_TRAINER_NEURALENGINE", library())
        .env("ANE_TRAINER_IOSURFACE", library())
        .env("ANE_TRAINER_PROGRAMS", dir.path().join("programs"))
        .stdin(Stdio::null());
    let mac = Mac::new(dir.path());
    let done = mac.around(&mut command, "Apple M4", "Mac16,1").output();
    let report = json(&done.unwrap());
    let verdict = report["verdict"].as_str().unwrap();
    let expected = "`train` would use `apple` for h16 by client: ";
    assert!(verdict.starts_with(expected), "{verdict}");
    assert_eq!(report["apple_hardware"], false);
}

#[test]
fn a_file_is_compiled_by_the_route_and_a_refusal_says_how_to_ask_again() {
    let dir = tempfile::tempdir().unwrap();
    let text = "program(1.3)\n{\n  func main<ios18>(tensor<fp16, [1, 32]> x) {\n    tensor<fp16, [1, 32]> y = relu(x = x);\n  } -> (y);\n}\n";
    std::fs::write(dir.path().join("relu.mil"), text).unwrap();
    for (route, plan) in [("client", "compile 1 fail"), ("memory", "compile 3 fail")] {
        let refused = run(dir.path(), route, &["inspect", "relu.mil"], plan);
        let words = said(&refused);
        assert_eq!(refused.status.code(), Some(1), "{route}: {words}");
        let flags = format!("model.mil --device apple --route {route} --target h16");
        for part in ["does not compile `main`", "replay it with: ", &flags] {
            assert!(words.contains(part), "{route}: {part} in {words}");
        }
        let taken = run(dir.path(), route, &["inspect", "relu.mil"], plan);
        let answer = format!("`apple` for h16 over {route} compiles `main`\n");
        assert_eq!(String::from_utf8_lossy(&taken.stdout), answer);
    }
}
