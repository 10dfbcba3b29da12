//! `doctor` and `selftest` on the software engine and on the stand-in for Espresso: what is found, what is named when
//! something is wrong, and that nobody takes either for Apple's hardware.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

use serde_json::Value;
use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

const NO_HARDWARE: &str = "NO APPLE HARDWARE WAS INVOLVED: this is ";
const E5RT: [&str; 6] = ["--device", "apple", "--target", "h16", "--route", "e5rt"];

fn ane_trainer(folder: &Path, arguments: &[&str]) -> Command {
    let mut c = Command::new(env!("CARGO_BIN_EXE_ane-trainer"));
    c.args(arguments)
        .current_dir(folder)
        .env(
            "ANE_TRAINER_ESPRESSO",
            espresso_standin::library_path().unwrap(),
        )
        .env("ANE_TRAINER_PROGRAMS", folder.join("programs"))
        .env("ANE_TRAINER_CACHE", folder.join("cache"))
        .env("TMPDIR", folder)
        .stdin(Stdio::null());
    c
}

/// The command with a plan of faults.
fn faulty(folder: &Path, arguments: &[&str], plan: &str) -> Output {
    let faults = folder.join("faults");
    std::fs::create_dir(&faults).unwrap();
    std::fs::write(faults.join("plan"), plan).unwrap();
    let output = ane_trainer(folder, arguments)
        .env("ANE_STANDIN_FAULTS", &faults)
        .output()
        .unwrap();
    let fired = std::fs::read_to_string(faults.join("fired")).unwrap_or_default();
    assert_eq!(fired.trim(), plan, "{}", said(&output));
    output
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", said(output)))
}

/// The answers of the probe called `name`.
fn answers(report: &Value, name: &str) -> Vec<Value> {
    let probes = report["probing"]["probes"].as_array().unwrap();
    let probe = probes.iter().find(|p| p["name"] == name).unwrap();
    probe["answers"].as_array().unwrap().clone()
}

fn results(report: &Value, name: &str) -> Vec<String> {
    let results = answers(report, name).into_iter();
    results
        .map(|a| a["finding"]["result"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn every_op_and_both_plans_are_right_on_the_software_engine() {
    let dir = tempfile::tempdir().unwrap();
    let done = ane_trainer(
        dir.path(),
        &["selftest", "--device", "software", "--steps", "1", "--json"],
    )
    .output()
    .unwrap();
    let summary = json(&done);
    assert!(done.status.success(), "{summary:#}");
    assert_eq!(summary["format"], 1);
    assert_eq!(summary["apple_hardware"], false);
    let hardware = summary["hardware"].as_str().unwrap();
    assert!(hardware.starts_with(&format!("{NO_HARDWARE}the software engine on ")));
    let rows = summary["rows"].as_array().unwrap();
    for name in ["matmul", "softmax", "mnist_step_fused", "mnist_step_split"] {
        let row = rows.iter().find(|r| r["name"] == name).unwrap();
        assert_eq!(row["verdict"], "right", "{row:#}");
        assert!(row["p50_us"].as_f64().unwrap() > 0.0, "{row:#}");
    }
}

#[test]
fn the_stand_in_has_the_bits_of_the_software_engine() {
    let dir = tempfile::tempdir().unwrap();
    let mut arguments = vec!["selftest", "--steps", "1", "--json"];
    arguments.extend(E5RT);
    let done = ane_trainer(dir.path(), &arguments).output().unwrap();
    let summary = json(&done);
    assert!(done.status.success(), "{summary:#}");
    assert_eq!(summary["apple_hardware"], false);
    let hardware = summary["hardware"].as_str().unwrap();
    assert!(hardware.starts_with(&format!("{NO_HARDWARE}a stand-in on ")));
    let rows = summary["rows"].as_array().unwrap();
    let ran = rows.iter().filter(|r| r["verdict"] == "right").count();
    assert!(ran > 30, "{summary:#}");
    for row in rows {
        assert_eq!(row["max_abs"], 0.0, "{row:#}");
        // What the rules of the target forbid is no fault of the device, and is named.
        if row["verdict"] == "not_allowed" {
            let why = row["refused"][0].as_str().unwrap();
            assert!(why.starts_with("rule "), "{row:#}");
        }
    }
}

#[test]
fn the_table_names_each_test_and_says_what_computed_at_both_ends() {
    let dir = tempfile::tempdir().unwrap();
    let mut arguments = vec!["selftest", "--only", "tanh,const"];
    arguments.extend(E5RT);
    let done = ane_trainer(dir.path(), &arguments).output().unwrap();
    let said = said(&done);
    assert!(done.status.success(), "{said}");
    assert!(said.starts_with(NO_HARDWARE), "{said}");
    assert!(
        said.trim_end()
            .lines()
            .last()
            .unwrap()
            .starts_with(NO_HARDWARE)
    );
    assert!(said.contains("not allowed (rule "), "{said}");
    assert!(said.contains("1 right, 1 not allowed by the rules of h16, 0 wrong"));
    let unknown = ane_trainer(dir.path(), &["selftest", "--only", "tan"]);
    let unknown = { unknown }.output().unwrap();
    assert_eq!(unknown.status.code(), Some(2));
}

#[test]
fn the_compiler_is_told_the_chip_that_is_named_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let selftest = ["selftest", "--only", "tanh", "--device", "apple"];
    let h13 = ["--target", "h13"];
    let run = |arguments: &[&str], chip: &str| {
        let mut c = ane_trainer(dir.path(), arguments);
        c.env("ANE_STANDIN_CHIP", chip).output().unwrap()
    };
    // Nothing says which chip there is, so the limits are the oldest one's, and the code is for whichever there is.
    let unnamed = run(&selftest, "h16");
    assert!(unnamed.status.success(), "{}", said(&unnamed));
    let named = [&selftest[..], &h13].concat();
    let refused = run(&named, "h16");
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    let why = "compiled for h13, this machine has h16";
    assert!(said(&refused).contains(why), "{}", said(&refused));
    let taken = run(&named, "h13");
    assert!(taken.status.success(), "{}", said(&taken));
    let probe = ["doctor", "--probe", "--json", "--out", "report.json"];
    let probe = [&probe[..], &["--device", "apple"]].concat();
    let held = json(&run(&probe, "h16"));
    assert_eq!(results(&held, "elementwise_add"), ["held"]);
    let failed = json(&run(&[&probe[..], &h13].concat(), "h16"));
    let answers = answers(&failed, "elementwise_add");
    assert!(answers[0].to_string().contains(why), "{answers:?}");
}

#[test]
fn what_is_wrong_is_named_and_fails_the_command() {
    for (plan, words) in [
        ("execute 3 corrupt", "execution 3 gave other values"),
        ("compile 1 fail", "e5rt_e5_compiler_compile"),
        ("compile 1 crash", "tanh: ended with signal"),
        ("execute 2 geometry", "0x1d"),
        ("execute 2 unwritten", "not written"),
        ("execute 1 hang", "tanh: hung: no answer after 3 s"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut arguments = vec!["selftest", "--only", "tanh", "--deadline", "3"];
        arguments.extend(E5RT);
        let done = faulty(dir.path(), &arguments, plan);
        let said = said(&done);
        assert_eq!(done.status.code(), Some(1), "{plan}: {said}");
        assert!(said.contains(words), "{plan}: {said}");
        assert!(said.contains("0 right, 0 not allowed by the rules of h16, 1 wrong"));
    }
}

#[test]
fn a_corrupt_training_step_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let mut arguments = vec!["selftest", "--only", "mnist_step_split", "--steps", "1"];
    arguments.extend(E5RT);
    let done = faulty(dir.path(), &arguments, "execute 1 corrupt");
    let said = said(&done);
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains("WRONG"), "{said}");
}

#[test]
fn the_doctor_says_what_train_would_use_and_why_not_more() {
    let dir = tempfile::tempdir().unwrap();
    let done = ane_trainer(dir.path(), &["doctor", "--json"])
        .env("ANE_TRAINER_ESPRESSO", "/nowhere/espresso")
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", said(&done));
    let report = json(&done);
    assert_eq!(report["format"], 1);
    assert_eq!(report["apple_hardware"], false);
    let verdict = report["verdict"].as_str().unwrap();
    assert!(
        verdict.starts_with("`train` would use `software`"),
        "{verdict}"
    );
    let devices = report["devices"].as_array().unwrap();
    let e5rt = devices.iter().find(|d| d["route"] == "e5rt").unwrap();
    assert_eq!(e5rt["opens"], false);
    assert!(e5rt["why"].as_str().unwrap().contains("/nowhere/espresso"));
    let software = devices.iter().find(|d| d["device"] == "software").unwrap();
    assert_eq!(software["opens"], true);
    assert_eq!(report["replaced"][0]["variable"], "ANE_TRAINER_ESPRESSO");
    let places = report["places"].as_array().unwrap();
    assert!(places.iter().all(|p| p["usable"] == true), "{places:#?}");
    assert!(report["probing"].is_null());
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
    assert!(left.is_empty(), "an examination leaves nothing: {left:?}");
}

#[test]
fn a_folder_that_cannot_be_used_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let done = ane_trainer(dir.path(), &["doctor", "--json"])
        .env("ANE_TRAINER_PROGRAMS", file.join("programs"))
        .output()
        .unwrap();
    let report = json(&done);
    let places = report["places"].as_array().unwrap();
    let programs = places.iter().find(|p| p["what"] == "programs").unwrap();
    assert_eq!(programs["usable"], false);
    assert!(programs["why"].is_string(), "{programs:#}");
}

#[test]
fn probes_on_the_stand_in_make_a_report_that_can_be_attached() {
    let dir = tempfile::tempdir().unwrap();
    let mut arguments = vec!["doctor", "--probe"];
    arguments.extend(E5RT);
    let done = ane_trainer(dir.path(), &arguments).output().unwrap();
    let said = said(&done);
    assert!(done.status.success(), "{said}");
    assert!(said.contains("attach it to an issue"), "{said}");
    assert!(said.starts_with(&format!("{NO_HARDWARE}a stand-in on ")));
    let reports: Vec<_> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "json"))
        .collect();
    let [report] = &reports[..] else {
        panic!("{reports:?}")
    };
    let name = report.file_name().unwrap().to_string_lossy().into_owned();
    assert!(name.starts_with("ane-trainer-report-h16-"), "{name}");
    let report: Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    assert_eq!(report["apple_hardware"], false);
    assert_eq!(report["probing"]["target"], "h16");
    for probe in report["probing"]["probes"].as_array().unwrap() {
        let name = probe["name"].as_str().unwrap();
        assert!(probe["settles"].is_string() && probe["assumes"].is_string());
        // The stand-in has our law, so it refuses what breaks it, and no classes that could be asked; everything else is
        // as we assume.
        let expected = if ["encodings", "has_engine", "identity_alone"].contains(&name) {
            "refused"
        } else {
            "held"
        };
        for result in results(&report, name) {
            assert_eq!(result, expected, "{probe:#}");
        }
    }
    assert!(
        !dir.path().join("programs").exists() || {
            // Refused programs are kept, as always; nothing else is.
            std::fs::read_dir(dir.path().join("programs"))
                .unwrap()
                .count()
                == 1
        }
    );
}

#[test]
fn other_silicon_is_found_by_the_probes() {
    let dir = tempfile::tempdir().unwrap();
    let mut arguments = vec!["doctor", "--probe", "--json", "--out", "report.json"];
    arguments.extend(E5RT);
    let report = |numerics: &str| {
        let done = ane_trainer(dir.path(), &arguments)
            .env("ANE_STANDIN_NUMERICS", numerics)
            .output()
            .unwrap();
        let written: Value =
            serde_json::from_slice(&std::fs::read(dir.path().join("report.json")).unwrap())
                .unwrap();
        let mut printed = json(&done);
        // What every object has besides is of printing it.
        let besides = printed.as_object_mut().unwrap();
        besides.retain(|name, _| !["schema", "command"].contains(&name.as_str()));
        assert_eq!(printed, written);
        written
    };
    let pessimistic = report("pessimistic");
    assert_eq!(results(&pessimistic, "sum_width"), ["did_not_hold", "held"]);
    let found = answers(&pessimistic, "sum_width")[0].clone();
    let found = found["finding"]["found"].as_str().unwrap();
    assert!(found.contains("running sums are fp16"), "{found}");
    assert!(results(&pessimistic, "subnormals").contains(&"did_not_hold".into()));
    let silicon = report("silicon");
    assert!(results(&silicon, "non_finite").contains(&"did_not_hold".into()));
    assert_eq!(results(&silicon, "sum_width"), ["held", "held"]);
}

#[test]
fn a_probe_that_crashes_the_compiler_spoils_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let mut arguments = vec!["doctor", "--probe", "--json", "--out", "report.json"];
    arguments.extend(E5RT);
    // The first program is that of the first probe.
    let done = faulty(dir.path(), &arguments, "compile 1 crash");
    let report = json(&done);
    assert_eq!(results(&report, "concat_channels"), ["died"]);
    assert_eq!(results(&report, "elementwise_add"), ["held"]);
}

#[test]
fn a_report_is_written_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let old = "an older report";
    std::fs::write(dir.path().join("report.json"), old).unwrap();
    for out in ["missing/report.json", "report.json/report.json"] {
        let done = ane_trainer(dir.path(), &["doctor", "--out", out]);
        let done = { done }.output().unwrap();
        assert_eq!(done.status.code(), Some(1), "{}", said(&done));
    }
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
    for point in ["write:1", "rename:1"] {
        let killed = ane_trainer(dir.path(), &["doctor", "--out", "report.json"])
            .env("ANE_TRAINER_CRASH", point)
            .output()
            .unwrap();
        assert_eq!(killed.status.code(), None, "{}", said(&killed));
        let text = std::fs::read_to_string(dir.path().join("report.json")).unwrap();
        assert_eq!(text, old, "{point}");
    }
    let done = ane_trainer(dir.path(), &["doctor", "--out", "report.json"]);
    assert!({ done }.output().unwrap().status.success());
    let text = std::fs::read_to_string(dir.path().join("report.json")).unwrap();
    assert!(serde_json::from_str::<Value>(&text).is_ok() && text.ends_with("}\n"));
}
