//! Training through Apple's interfaces, which stand-ins provide here: the same bits as the software engine gives.

#![allow(clippy::unwrap_used)]

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

fn ane_trainer(arguments: &[&str]) -> Command {
    let mut c = Command::new(env!("CARGO_BIN_EXE_ane-trainer"));
    let (command, rest) = arguments.split_first().unwrap();
    c.arg(command);
    // The tests of this file run at once, and each may have the engine of this machine.
    if ["train", "eval"].contains(command) {
        c.arg("--share-engine");
    }
    c.args(rest);
    c.env(
        "ANE_TRAINER_ESPRESSO",
        espresso_standin::library_path().unwrap(),
    )
    .stdin(Stdio::null());
    c
}

/// 28 steps on the real data, with an evaluation behind them.
fn train(out: &Path, device: &[&str], plan: &str) -> Command {
    let mut c = ane_trainer(&["train", "--model", "784-24-10", "--batch", "2000"]);
    c.args(["--epochs", "1", "--seed", "3", "--plan", plan]);
    c.args(device).arg("--out").arg(out);
    c.env("ANE_TRAINER_PROGRAMS", out.with_extension("programs"));
    c
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Everything a run leaves that must not depend on the device.
fn results(run: &Path) -> Vec<Vec<u8>> {
    [
        "checkpoints/last.safetensors",
        "metrics.jsonl",
        "result.json",
    ]
    .iter()
    .map(|f| std::fs::read(run.join(f)).unwrap())
    .collect()
}

#[test]
fn both_plans_train_through_e5rt_to_the_bits_of_the_software_engine() {
    let dir = tempfile::tempdir().unwrap();
    for plan in ["split", "fused"] {
        let [apple, software] =
            ["apple", "software"].map(|device| dir.path().join(format!("{device}-{plan}")));
        let apples = ["--device", "apple", "--route", "e5rt", "--target", "h16"];
        let softwares = ["--device", "software", "--target", "h16"];
        for (out, device) in [(&apple, &apples[..]), (&software, &softwares[..])] {
            let done = train(out, device, plan).output().unwrap();
            assert!(done.status.success(), "{plan}: {}", said(&done));
        }
        assert_eq!(results(&apple), results(&software), "{plan}");
        let programs = apple.with_extension("programs");
        assert_eq!(std::fs::read_dir(programs).unwrap().count(), 0);
    }
}

#[test]
fn code_for_a_chip_is_made_when_the_user_names_it_and_otherwise_for_the_machine() {
    let dir = tempfile::tempdir().unwrap();
    // Nothing says here which chip there is, so programs keep to the oldest one's limits, and the stand-in has an h16.
    let unnamed = train(&dir.path().join("unnamed"), &["--device", "apple"], "split")
        .output()
        .unwrap();
    assert!(unnamed.status.success(), "{}", said(&unnamed));
    let named = ["--device", "apple", "--target", "h13"];
    let refused = train(&dir.path().join("refused"), &named, "split")
        .output()
        .unwrap();
    assert!(!refused.status.success());
    assert!(
        said(&refused).contains("compiled for h13, this machine has h16"),
        "{}",
        said(&refused)
    );
    let run = dir.path().join("named");
    let taken = train(&run, &named, "split")
        .env("ANE_STANDIN_CHIP", "h13")
        .output()
        .unwrap();
    assert!(taken.status.success(), "{}", said(&taken));
    // A run is continued with the chip that it was started with, whether that is named again or not.
    for again in [&[][..], &["--target", "h13"]] {
        let resumed = ane_trainer(&["train", "--resume"])
            .arg(&run)
            .args(again)
            .env("ANE_STANDIN_CHIP", "h13")
            .env("ANE_TRAINER_PROGRAMS", run.with_extension("programs"))
            .output()
            .unwrap();
        assert!(resumed.status.success(), "{}", said(&resumed));
    }
}

#[test]
fn a_run_says_that_a_framework_was_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let done = train(&out, &["--device", "apple", "--target", "h16"], "split")
        .output()
        .unwrap();
    let said = said(&done);
    let warning = "not Apple's engine: ANE_TRAINER_ESPRESSO is set";
    assert!(said.contains(warning), "{said}");
    let placement = std::fs::read_to_string(out.join("placement.json")).unwrap();
    assert!(placement.contains(warning), "{placement}");
}

#[test]
fn devices_says_what_can_be_opened_and_why_the_rest_cannot() {
    let listed = said(&ane_trainer(&["devices", "-v"]).output().unwrap());
    let opened = listed.matches("can be opened").count();
    assert!(listed.contains("e5rt     can be opened"), "{listed}");
    assert_eq!(opened, 1, "another route was opened instead: {listed}");
    assert!(
        listed.contains("route `client` cannot be taken"),
        "{listed}"
    );
    assert!(listed.contains("ANE_TRAINER_ESPRESSO replaces"), "{listed}");
    let plain = Command::new(env!("CARGO_BIN_EXE_ane-trainer"))
        .args(["devices", "--verbose"])
        .env("ANE_TRAINER_ESPRESSO", "/nowhere/espresso")
        .output()
        .unwrap();
    let listed = said(&plain);
    assert!(
        listed.contains("cannot open `/nowhere/espresso`"),
        "{listed}"
    );
}

#[test]
fn devices_fit_a_terminal_unless_details_are_asked_for() {
    let listed = said(&ane_trainer(&["devices"]).output().unwrap());
    let widest = listed.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(80), "{listed}");
    assert!(listed.contains("e5rt     can be opened"), "{listed}");
    assert!(listed.contains("devices --verbose"), "{listed}");
}

#[test]
fn requiring_the_engine_fails_without_it_and_fuses_the_update_with_it() {
    let refused = ane_trainer(&[
        "train",
        "--require-ane",
        "--device",
        "software",
        "--dry-run",
    ])
    .output()
    .unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        said(&refused).contains("--require-ane"),
        "{}",
        said(&refused)
    );
    let taken = ["train", "--require-ane", "--device", "apple", "--dry-run"];
    let taken = ane_trainer(&taken).output().unwrap();
    assert!(taken.status.success(), "{}", said(&taken));
    assert!(said(&taken).contains("\"require_ane\": true"));
    assert!(
        said(&taken).contains("\"plan\": \"fused\""),
        "{}",
        said(&taken)
    );
}

#[test]
fn routes_need_a_chip_and_go_over_the_target() {
    let refused = [
        "train",
        "--device",
        "software",
        "--route",
        "e5rt",
        "--dry-run",
    ];
    let refused = ane_trainer(&refused).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        said(&refused).contains("--target h16"),
        "{}",
        said(&refused)
    );
    let taken = [
        "train",
        "--device",
        "apple",
        "--target",
        "h14:client",
        "--route",
        "e5rt",
        "--dry-run",
    ];
    let taken = ane_trainer(&taken)
        .env("ANE_STANDIN_CHIP", "h14")
        .output()
        .unwrap();
    assert!(
        said(&taken).contains("\"target\": \"h14\""),
        "{}",
        said(&taken)
    );
    let unknown = ["train", "--route", "gpu", "--dry-run"];
    let unknown = said(&ane_trainer(&unknown).output().unwrap());
    assert!(unknown.contains("e5rt, client and memory"), "{unknown}");
}

#[test]
fn a_refused_program_is_kept_and_the_printed_command_asks_again() {
    let dir = tempfile::tempdir().unwrap();
    let faults = dir.path().join("faults");
    std::fs::create_dir(&faults).unwrap();
    // A worker is started twice more before the refusal is believed; the last one is for the command.
    let refusals = "compile 1 fail\ncompile 2 fail\ncompile 3 fail\ncompile 4 fail";
    std::fs::write(faults.join("plan"), refusals).unwrap();
    let out = dir.path().join("run");
    let failed = train(&out, &["--device", "apple", "--target", "h16"], "split")
        .env("ANE_STANDIN_FAULTS", &faults)
        .output()
        .unwrap();
    assert!(!failed.status.success());
    let told = said(&failed);
    let command = told
        .lines()
        .find_map(|line| line.split_once("replay it with: "))
        .map(|(_, command)| command.to_owned())
        .unwrap_or_else(|| panic!("{told}"));
    assert!(
        command.ends_with(" --device apple --route e5rt --target h16"),
        "{command}"
    );
    // As it stands, in a shell that knows the program.
    let program = Path::new(env!("CARGO_BIN_EXE_ane-trainer"));
    let replay = || {
        Command::new("/bin/sh")
            .args(["-c", &command])
            .env("PATH", program.parent().unwrap())
            .env(
                "ANE_TRAINER_ESPRESSO",
                espresso_standin::library_path().unwrap(),
            )
            .env("ANE_TRAINER_PROGRAMS", out.with_extension("programs"))
            .env("ANE_STANDIN_FAULTS", &faults)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    };
    let refused = replay();
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    for part in ["h16 over e5rt does not compile `main`", "fails as planned"] {
        assert!(said(&refused).contains(part), "{}", said(&refused));
    }
    let taken = replay();
    assert_eq!(taken.status.code(), Some(0), "{}", said(&taken));
    let answer = "`apple` for h16 over e5rt compiles `main`\n";
    assert_eq!(String::from_utf8_lossy(&taken.stdout), answer);
    let mil = command.split(' ').nth(2).unwrap();
    let inspected = ane_trainer(&["inspect", mil]).output().unwrap();
    assert!(inspected.status.success(), "{}", said(&inspected));
    assert!(said(&inspected).contains("h16 over e5rt: legal"));
}

#[test]
fn a_file_is_compiled_for_the_named_chip_in_a_process_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("relu.mil");
    let text = "program(1.3)\n{\n  func main<ios18>(tensor<fp16, [1, 16]> x) {\n    tensor<fp16, [1, 16]> y = relu(x = x);\n  } -> (y);\n}\n";
    std::fs::write(&file, text).unwrap();
    let inspect = |flags: &[&str], plan: &str| {
        std::fs::write(dir.path().join("plan"), plan).unwrap();
        ane_trainer(&["inspect", file.to_str().unwrap()])
            .args(flags)
            .env("ANE_TRAINER_PROGRAMS", dir.path().join("programs"))
            .env("ANE_STANDIN_FAULTS", dir.path())
            .output()
            .unwrap()
    };
    let apple = ["--device", "apple", "--target", "h16"];
    let crashed = inspect(&apple, "compile 1 crash");
    assert_eq!(crashed.status.code(), Some(1), "{}", said(&crashed));
    assert!(said(&crashed).contains("signal: 6"), "{}", said(&crashed));
    let software = inspect(&["--device", "software"], "");
    assert!(software.status.success(), "{}", said(&software));
    let answer = "`software` for software compiles `main`\n";
    assert!(said(&software).ends_with(answer), "{}", said(&software));
    // Rows of 32 bytes are what surfaces do not carry, so nobody is asked.
    let narrow = inspect(&["--device", "software", "--target", "h16:client"], "");
    assert_eq!(narrow.status.code(), Some(1), "{}", said(&narrow));
    for part in ["was not asked to compile `main`", "narrow_rows"] {
        assert!(said(&narrow).contains(part), "{}", said(&narrow));
    }
}
