//! A run that was killed and resumed ends with the bits of one that was not.

#![allow(clippy::unwrap_used)]

#[path = "support/interrupted.rs"]
mod interrupted;

use ane_engine::simd::Isa;
use ane_ir::testing;
use ane_train::{checkpoint::Checkpoint, machine::Machine};
use interrupted::{killed_after, results, share};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

/// A small run on the real data: two epochs of 110 steps each.
fn train(out: &Path, plan: &str) -> Command {
    train_for("2", out, plan)
}

fn train_for(epochs: &str, out: &Path, plan: &str) -> Command {
    let mut c = Command::new(env!("CARGO_BIN_EXE_ane-trainer"));
    c.args([
        "train",
        "--model",
        "784-24-10",
        "--batch",
        "500",
        "--epochs",
        epochs,
        "--seed",
        "3",
    ])
    .args([
        "--plan",
        plan,
        "--threads",
        "2",
        "--checkpoint-every",
        "17",
        "--out",
    ])
    .arg(out)
    .stdin(Stdio::null());
    c
}

fn resume(run: &Path, threads: &str) -> Command {
    let mut c = Command::new(env!("CARGO_BIN_EXE_ane-trainer"));
    c.args([
        "train",
        "--threads",
        threads,
        "--checkpoint-every",
        "17",
        "--resume",
    ])
    .arg(run)
    .stdin(Stdio::null());
    c
}

/// What an uninterrupted run leaves and how long it takes; it runs once for all tests.
fn whole(plan: &str) -> &'static (Vec<Vec<u8>>, Duration) {
    static WHOLE: [OnceLock<(Vec<Vec<u8>>, Duration)>; 2] = [const { OnceLock::new() }; 2];
    WHOLE[usize::from(plan == "fused")].get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("whole");
        let since = Instant::now();
        let done = train(&run, plan).output().unwrap();
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
        (results(&run), since.elapsed())
    })
}

fn finish(run: &Path, threads: &str) -> Vec<Vec<u8>> {
    let done = resume(run, threads).output().unwrap();
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    results(run)
}

#[test]
fn crashes_while_writing_lose_nothing_in_either_plan() {
    for plan in ["split", "fused"] {
        let dir = tempfile::tempdir().unwrap();
        let (expected, _) = whole(plan);
        // The third and later writes are checkpoints: configuration, environment and metrics come first.
        for crash in ["write:8", "rename:9", "rename:15", "write:20"] {
            let run = dir.path().join(crash.replace(':', "-"));
            let crashed = train(&run, plan)
                .env("ANE_TRAINER_CRASH", crash)
                .output()
                .unwrap();
            assert!(!crashed.status.success(), "{plan} {crash} did not crash");
            assert!(!run.join("result.json").exists());
            // One thread instead of two: the bits must not care.
            assert!(finish(&run, "1") == *expected, "{plan} {crash}");
        }
    }
}

#[test]
fn a_crash_at_the_last_writes_of_a_run_leaves_nothing_old() {
    let dir = tempfile::tempdir().unwrap();
    // Without validation there are two writes an epoch, behind those of configuration and environment.
    let train = |run: &Path| {
        let mut c = Command::new(env!("CARGO_BIN_EXE_ane-trainer"));
        c.args(["train", "--model", "784-16-10", "--batch", "1000"])
            .args(["--epochs", "2", "--threads", "2", "--final", "--out"])
            .arg(run);
        c
    };
    let results = |run: &Path| {
        let files = [
            "checkpoints/last.ckpt",
            "checkpoints/last.safetensors",
            "metrics.jsonl",
            "result.json",
        ];
        files.map(|f| std::fs::read(run.join(f)).unwrap())
    };
    let whole = dir.path().join("whole");
    assert!(train(&whole).status().unwrap().success());
    let expected = results(&whole);
    // All 60,000 examples are trained on, so none are left to choose a checkpoint by.
    let read = |file: &str| std::fs::read_to_string(whole.join(file)).unwrap();
    let steps: Vec<Value> = read("metrics.jsonl")
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["step"].clone())
        .collect();
    assert_eq!(steps, [60, 120]);
    let placement: Value = serde_json::from_str(&read("placement.json")).unwrap();
    assert_eq!(placement["train_steps"], 120);
    for file in ["best.ckpt", "best.safetensors"] {
        assert!(!whole.join("checkpoints").join(file).exists(), "{file}");
    }
    for crash in ["rename:5", "write:6", "rename:6", "rename:7", "rename:8"] {
        let run = dir.path().join(crash.replace(':', "-"));
        let crashed = train(&run)
            .env("ANE_TRAINER_CRASH", crash)
            .status()
            .unwrap();
        assert!(!crashed.success(), "{crash} did not crash");
        assert!(resume(&run, "1").status().unwrap().success());
        assert!(results(&run) == expected, "{crash}");
        let all = std::fs::read_dir(&run).unwrap();
        let left = all.chain(std::fs::read_dir(run.join("checkpoints")).unwrap());
        let mut names = left.map(|e| e.unwrap().file_name());
        let unfinished = names.find(|n| n.to_string_lossy().starts_with('.'));
        assert_eq!(unfinished, None, "{crash}");
    }
    // A run that was killed before its result is tested, and weights that are not those of its checkpoint are written
    // again, though nothing is left to train.
    std::fs::write(whole.join("checkpoints/last.safetensors"), "old").unwrap();
    std::fs::remove_file(whole.join("result.json")).unwrap();
    let again = resume(&whole, "2").output().unwrap();
    assert!(again.status.success());
    assert!(results(&whole) == expected);
    let said = String::from_utf8_lossy(&again.stdout);
    assert!(said.contains("for 0 training steps and"), "{said}");
}

#[test]
fn a_run_goes_on_elsewhere_and_mixes_with_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, elsewhere) = (dir.path().join("whole"), dir.path().join("elsewhere"));
    assert!(train(&whole, "split").status().unwrap().success());
    let mixed = resume(&whole, "2").arg("--out").arg(&elsewhere).output();
    assert!(mixed.unwrap().status.success());
    assert!(results(&elsewhere) == results(&whole));
    let first = dir.path().join("first");
    let crashed = train(&first, "fused")
        .env("ANE_TRAINER_CRASH", "write:10")
        .status();
    assert!(!crashed.unwrap().success());
    let refused = resume(&first, "2").arg("--out").arg(&elsewhere).output();
    assert_eq!(refused.unwrap().status.code(), Some(2));
    assert!(results(&elsewhere) == results(&whole));
}

#[test]
fn a_kill_in_the_middle_of_an_epoch_loses_nothing_in_either_plan() {
    for plan in ["split", "fused"] {
        let dir = tempfile::tempdir().unwrap();
        let killed = dir.path().join("killed");
        let mut child = train(&killed, plan).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for line in lines {
            if line.unwrap().starts_with("epoch") {
                break;
            }
        }
        // SIGKILL, some way into the second epoch.
        while !killed.join("checkpoints/last.ckpt").exists() {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(finish(&killed, "2") == whole(plan).0, "{plan}");
    }
}

/// The command that goes on with a run, or begins it anew when it was killed before its first checkpoint.
fn go_on(run: &Path, plan: &str, threads: &str) -> Command {
    if run.join("checkpoints/last.ckpt").exists() {
        return resume(run, threads);
    }
    if run.exists() {
        std::fs::remove_dir_all(run).unwrap();
    }
    train(run, plan)
}

#[test]
fn kills_at_random_moments_lose_nothing_in_either_plan() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("killed");
    let mut kills = 0;
    for seed in testing::seeds() {
        for plan in ["split", "fused"] {
            let (expected, time) = whole(plan);
            let ended = (0..3).any(|attempt| {
                let threads = ["1", "2"][attempt % 2];
                let patience = time.mul_f64(share(3 * seed + attempt as u64));
                let ended = killed_after(go_on(&run, plan, threads), patience);
                kills += u64::from(!ended);
                ended
            });
            if !ended {
                let last = go_on(&run, plan, "2").output().unwrap();
                let told = String::from_utf8_lossy(&last.stderr);
                assert!(last.status.success(), "{plan}, seed {seed}: {told}");
            }
            assert!(results(&run) == *expected, "{plan}, seed {seed}");
            std::fs::remove_dir_all(&run).unwrap();
        }
    }
    println!("{kills} kills");
}

/// Interrupts a run, which has far more before it, at the end of so many epochs; gives what it says then.
fn interrupted_after(mut command: Command, epochs: usize) -> Vec<String> {
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let ends = lines.by_ref().filter(|line| line.starts_with("epoch"));
    assert_eq!(ends.take(epochs).count(), epochs);
    let pid = Pid::from_raw(child.id().cast_signed()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let rest = lines.collect();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(130), "{rest:?}");
    rest
}

#[test]
fn an_interrupt_finishes_the_step_and_exits_130() {
    let dir = tempfile::tempdir().unwrap();
    let [stopped, straight] = ["stopped", "straight"].map(|name| dir.path().join(name));
    let metrics = |run: &Path| std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let hint = format!("  ane-trainer train --resume {}", stopped.display());
    for command in [train_for("1000", &stopped, "split"), resume(&stopped, "1")] {
        let said = interrupted_after(command, 1);
        assert!(
            said.ends_with(&["interrupted; continue with:".to_owned(), hint.clone()]),
            "{said:?}"
        );
        assert!(!stopped.join("result.json").exists());
        let placement = std::fs::read(stopped.join("placement.json")).unwrap();
        let placement: Value = serde_json::from_slice(&placement).unwrap();
        assert_eq!(placement["compiles"], 2, "{placement}");
    }
    // What was computed in two parts is what is computed in one.
    let parts = metrics(&stopped);
    let epochs = parts.lines().count();
    assert!(epochs >= 2, "{parts}");
    interrupted_after(train_for("1000", &straight, "split"), epochs);
    assert!(metrics(&straight).starts_with(&parts), "{parts}");
}

/// Steps of a run of [`residual`].
const STEPS: u64 = 9;

/// A run of a network with batch norm, which ends after some steps.
fn residual(run: &Path, plan: &str) -> Command {
    let mut c = Command::new(env!("CARGO_BIN_EXE_ane-trainer"));
    c.args([
        "train", "--model", "resnet8", "--batch", "16", "--seed", "3",
    ])
    .args(["--max-steps", &STEPS.to_string(), "--validation", "32"])
    .args(["--plan", plan, "--checkpoint-every", "3"])
    .args(["--threads", "2", "--out"])
    .arg(run)
    .stdin(Stdio::null());
    c
}

/// Kills a run when its last checkpoint is of step `step` or a later one; gives that checkpoint.
fn killed_at(mut command: Command, run: &Path, step: u64) -> Checkpoint {
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    let last = run.join("checkpoints/last.ckpt");
    loop {
        if let Ok(checkpoint) = Checkpoint::read(&last)
            && checkpoint.record.progress.step >= step
        {
            child.kill().unwrap();
            child.wait().unwrap();
            return Checkpoint::read(&last).unwrap();
        }
        assert!(child.try_wait().unwrap().is_none(), "it ended before");
        std::thread::yield_now();
    }
}

#[test]
fn a_kill_loses_nothing_of_running_statistics_in_either_plan() {
    for plan in ["split", "fused"] {
        let dir = tempfile::tempdir().unwrap();
        let [whole, run] = ["whole", "killed"].map(|name| dir.path().join(name));
        // Nobody waits for the evaluation behind the last step.
        let expected = killed_at(residual(&whole, plan), &whole, STEPS);
        // On a busy machine it may be over before it is looked at.
        while killed_at(residual(&run, plan), &run, 3)
            .record
            .progress
            .step
            == STEPS
        {
            std::fs::remove_dir_all(&run).unwrap();
        }
        let last = killed_at(resume(&run, "1"), &run, STEPS);
        assert_eq!(last.record.progress, expected.record.progress, "{plan}");
        assert!(last.state == expected.state, "{plan}");
        let mut names = last.state.keys();
        assert!(names.any(|name| name.ends_with("bn1.running_var")));
    }
}

#[test]
fn another_model_or_data_set_is_refused_with_a_diff() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let crashed = train(&run, "split")
        .env("ANE_TRAINER_CRASH", "write:10")
        .status()
        .unwrap();
    assert!(!crashed.success());
    let refused = resume(&run, "2")
        .args(["--model", "784-32-10", "--dataset", "fashion-mnist"])
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    for part in [
        "784-24-10",
        "784-32-10",
        "fashion-mnist",
        "dataset",
        "model",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

/// Lets the last checkpoint of a run say that `machine` computed it.
fn computed_by(run: &Path, machine: Option<Machine>) {
    let path = run.join("checkpoints/last.ckpt");
    let mut checkpoint = Checkpoint::read(&path).unwrap();
    checkpoint.record.machine = machine;
    checkpoint.write(&path).unwrap();
}

#[test]
fn a_run_computed_with_another_instruction_set_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let crashed = train(&run, "split")
        .env("ANE_TRAINER_CRASH", "write:10")
        .env("ANE_TRAINER_ISA", "portable")
        .status()
        .unwrap();
    assert!(!crashed.success());
    let last = run.join("checkpoints/last.ckpt");
    let refusal = |isa: &str| {
        let before = std::fs::read(&last).unwrap();
        let refused = resume(&run, "2")
            .env("ANE_TRAINER_ISA", isa)
            .output()
            .unwrap();
        assert_eq!(refused.status.code(), Some(1));
        assert_eq!(std::fs::read(&last).unwrap(), before);
        let words = String::from_utf8_lossy(&refused.stderr).replace('│', " ");
        words.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let portable = Machine::this(Isa::Portable);
    for other in Isa::ALL.into_iter().filter(|isa| isa.available()).skip(1) {
        let text = refusal(other.name());
        for part in [
            "instruction set portable",
            &format!("instruction set {other}"),
            "set ANE_TRAINER_ISA=portable",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
    computed_by(
        &run,
        Some(Machine {
            instruction_set: "avx9".to_owned(),
            ..portable.clone()
        }),
    );
    let text = refusal("portable");
    for part in ["instruction set avx9", "this machine lacks it"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    // A checkpoint that does not say goes on anywhere, and says it from then on.
    computed_by(&run, None);
    let done = resume(&run, "2")
        .env("ANE_TRAINER_ISA", "portable")
        .status()
        .unwrap();
    assert!(done.success());
    let machine = Checkpoint::read(&last).unwrap().record.machine;
    assert_eq!(machine, Some(portable));
}
