//! The whole program with its device in a worker.

#![allow(clippy::unwrap_used)]

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::{
    io::{BufRead, BufReader, Read},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
};

/// A small run on the real data.
fn train(out: &Path, plan: &str, flags: &[&str]) -> Command {
    train_model(
        &["--model", "784-16-10", "--batch", "1000"],
        out,
        plan,
        flags,
    )
}

/// A convolutional network, for as many steps as faults need.
const LENET: [&str; 8] = [
    "--model",
    "lenet",
    "--batch",
    "64",
    "--max-steps",
    "40",
    "--validation",
    "128",
];

fn train_model(model: &[&str], out: &Path, plan: &str, flags: &[&str]) -> Command {
    let mut c = Command::new(env!("CARGO_BIN_EXE_ane-trainer"));
    c.arg("train")
        .args(model)
        .args(["--threads", "1", "--plan", plan])
        .args(["--checkpoint-every", "10"])
        .args(flags)
        .args(if flags.contains(&"--epochs") {
            [].as_slice()
        } else {
            &["--epochs", "2"]
        })
        .arg("--out")
        .arg(out)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    c
}

fn results(run: &Path) -> Vec<Vec<u8>> {
    let files = [
        "checkpoints/last.ckpt",
        "checkpoints/best.ckpt",
        "checkpoints/last.safetensors",
        "checkpoints/best.safetensors",
        "metrics.jsonl",
        "result.json",
    ];
    files.map(|f| std::fs::read(run.join(f)).unwrap()).to_vec()
}

fn succeed(mut command: Command) -> String {
    let done = command.output().unwrap();
    let errors = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{errors}");
    errors
}

/// The processes that `parent` has started.
fn children(parent: u32) -> Vec<u32> {
    let all = Command::new("ps")
        .args(["-A", "-o", "pid=,ppid="])
        .output()
        .unwrap();
    let text = String::from_utf8(all.stdout).unwrap();
    let pairs = text.lines().filter_map(|line| line.trim().split_once(' '));
    pairs
        .filter(|(_, of)| of.trim() == parent.to_string())
        .map(|(id, _)| id.parse().unwrap())
        .collect()
}

/// The number of a process that is there.
fn pid(id: u32) -> Pid {
    Pid::from_raw(id.cast_signed()).unwrap()
}

/// Waits until the run has its first checkpoint.
fn wait_for_checkpoint(child: &mut Child, run: &Path) {
    while !run.join("checkpoints/last.ckpt").exists() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before");
        std::thread::yield_now();
    }
}

/// The worker of a run, once it is there.
fn worker(child: &mut Child) -> Pid {
    loop {
        match children(child.id())[..] {
            [worker] => return pid(worker),
            ref others => assert!(others.is_empty(), "one worker, found {others:?}"),
        }
        assert!(child.try_wait().unwrap().is_none(), "it ended before");
    }
}

#[test]
fn a_worker_that_is_killed_changes_no_result() {
    // Long enough to be far from its end when it has its first checkpoint.
    let epochs = ["--epochs", "10"];
    for plan in ["split", "fused"] {
        let dir = tempfile::tempdir().unwrap();
        let (plain, killed) = (dir.path().join("plain"), dir.path().join("killed"));
        succeed(train(&plain, plan, &epochs));
        let supervised = ["--supervised", "true", "--verify-every", "5"];
        let mut child = train(&killed, plan, &[&supervised[..], &epochs].concat())
            .spawn()
            .unwrap();
        let worker = worker(&mut child);
        wait_for_checkpoint(&mut child, &killed);
        kill_process(worker, Signal::KILL).unwrap();
        let done = child.wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{errors}");
        for part in ["signal: 9", "started again"] {
            assert!(errors.contains(part), "{errors}");
        }
        assert!(results(&killed) == results(&plain), "{plan}");
    }
}

fn metrics(run: &Path) -> String {
    std::fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default()
}

/// Waits until the metrics of a run hold so many epochs.
fn wait_for_epochs(child: &mut Child, run: &Path, epochs: usize) {
    while metrics(run).lines().count() < epochs {
        assert!(child.try_wait().unwrap().is_none(), "it ended before");
        std::thread::yield_now();
    }
}

#[test]
fn an_interrupt_of_the_group_reaches_the_program_and_not_the_worker() {
    let dir = tempfile::tempdir().unwrap();
    let (plain, stopped) = (dir.path().join("plain"), dir.path().join("stopped"));
    // More than anyone waits for, so that nothing but the signal ends it.
    let epochs = ["--epochs", "1000"];
    let supervised = ["--supervised", "true"];
    let mut resume = Command::new(env!("CARGO_BIN_EXE_ane-trainer"));
    resume
        .args(["train", "--checkpoint-every", "10", "--threads", "1"])
        .args(supervised)
        .arg("--resume")
        .arg(&stopped)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let first = train(&stopped, "fused", &[supervised, epochs].concat());
    for (mut command, epochs) in [(first, 1), (resume, 3)] {
        let mut child = command.process_group(0).spawn().unwrap();
        wait_for_epochs(&mut child, &stopped, epochs);
        kill_process_group(pid(child.id()), Signal::INT).unwrap();
        let done = child.wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&done.stderr);
        assert!(!errors.contains("started again"), "{errors}");
        assert_eq!(done.status.code(), Some(130), "{errors}");
        let said = String::from_utf8_lossy(&done.stdout);
        assert!(said.contains("ane-trainer train --resume"), "{said}");
    }
    // What was computed in two parts is what is computed in one.
    let parts = metrics(&stopped);
    let mut child = train(&plain, "fused", &epochs).spawn().unwrap();
    wait_for_epochs(&mut child, &plain, parts.lines().count());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(metrics(&plain).starts_with(&parts), "{parts}");
}

#[test]
fn a_worker_ends_with_its_parent() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let mut child = train(&run, "split", &["--supervised", "true", "--epochs", "1000"])
        .spawn()
        .unwrap();
    // The worker holds the other end of its parent's standard error.
    let mut errors = child.stderr.take().unwrap();
    wait_for_checkpoint(&mut child, &run);
    assert_eq!(children(child.id()).len(), 1);
    child.kill().unwrap();
    child.wait().unwrap();
    let mut rest = String::new();
    errors.read_to_string(&mut rest).unwrap();
    // Its standard error is closed, so it has ended; and it had nothing to say about it.
    assert!(!rest.contains("worker"), "{rest}");
}

#[test]
fn wrong_flags_and_a_worker_by_hand_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let refused = train(&dir.path().join("run"), "split", &["--verify-every", "5"])
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(text.contains("--supervised true"), "{text}");
    let by_hand = Command::new(env!("CARGO_BIN_EXE_ane-trainer"))
        .arg("worker")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(by_hand.status.code(), Some(1));
    let text = String::from_utf8_lossy(&by_hand.stderr);
    assert!(text.contains("supervises"), "{text}");
    let help = Command::new(env!("CARGO_BIN_EXE_ane-trainer"))
        .arg("--help")
        .output()
        .unwrap();
    let lines = BufReader::new(&help.stdout[..]).lines();
    let worker = lines.map(Result::unwrap).find(|l| l.contains("worker"));
    assert_eq!(worker, None, "the worker is nobody's command");
}

/// What a failed command said, in one line: messages are wrapped.
fn said(errors: &[u8]) -> String {
    let text = String::from_utf8_lossy(errors).replace('│', " ");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn shared_memory_that_is_full_or_missing_says_what_to_set_and_keeps_the_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let (plain, run) = (dir.path().join("plain"), dir.path().join("run"));
    succeed(train(&plain, "fused", &["--supervised", "true"]));
    let crashed = train(&run, "fused", &["--supervised", "true"])
        .env("ANE_TRAINER_CRASH", "write:7")
        .output()
        .unwrap();
    assert!(!crashed.status.success());
    let last = run.join("checkpoints/last.ckpt");
    let good = std::fs::read(&last).unwrap();
    let shared = dir.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    // A limit on the size of files is what a full directory looks like from here. With the first nothing can be shared,
    // with the second the device opens and has no place for all buffers.
    for (kibibytes, directory) in [
        ("4", &*shared),
        ("1024", &*shared),
        ("unlimited", &*dir.path().join("nowhere")),
    ] {
        let script = format!(
            "trap '' XFSZ; ulimit -f {kibibytes}; exec {} train --supervised true --checkpoint-every 10 --resume {}",
            env!("CARGO_BIN_EXE_ane-trainer"),
            run.display()
        );
        let full = Command::new("bash")
            .args(["-c", &script])
            .env("ANE_TRAINER_SHARED_MEMORY", directory)
            .output()
            .unwrap();
        let text = said(&full.stderr);
        assert_eq!(full.status.code(), Some(1), "{text}");
        // Paths are broken where lines end.
        let unbroken = text.replace(' ', "");
        assert!(
            unbroken.contains(&format!("in`{}`", directory.display())),
            "{text}"
        );
        for words in [
            "bytes of memory to share with the worker",
            "set ANE_TRAINER_SHARED_MEMORY to another directory",
            "--supervised false",
        ] {
            assert!(text.contains(words), "{text}");
        }
        assert_eq!(std::fs::read(&last).unwrap(), good);
        assert_eq!(std::fs::read_dir(&shared).unwrap().count(), 0);
    }
    let mut resumed = Command::new(env!("CARGO_BIN_EXE_ane-trainer"));
    resumed
        .args(["train", "--supervised", "true", "--checkpoint-every", "10"])
        .arg("--resume")
        .arg(&run)
        .env("ANE_TRAINER_SHARED_MEMORY", &shared);
    succeed(resumed);
    assert!(results(&run) == results(&plain));
}

/// A run on the stand-in for Apple's engine, which suffers the faults in `faults`.
fn on_standin(mut c: Command, out: &Path, faults: &Path) -> Command {
    c.args(["--device", "apple", "--route", "e5rt", "--target", "h16"])
        .args(["--verify-every", "1"])
        .env(
            "ANE_TRAINER_ESPRESSO",
            espresso_standin::library_path().unwrap(),
        )
        .env("ANE_TRAINER_PROGRAMS", out.with_extension("programs"))
        .env("ANE_STANDIN_FAULTS", faults);
    c
}

#[test]
fn a_training_on_apples_interface_survives_every_kind_of_fault() {
    survives(&["--model", "784-16-10", "--batch", "1000"]);
}

#[test]
fn a_convolutional_network_on_apples_interface_survives_every_kind_of_fault() {
    survives(&LENET);
}

/// A run of this model to the bits of one that nothing happens to.
fn survives(model: &[&str]) {
    let faults = [
        "compile 1 fail",
        "compile 3 crash",
        "load 2 fail",
        "load 4 leak",
        "execute 5 fail",
        "execute 40 crash",
        "execute 77 geometry",
        "execute 110 unwritten",
        "execute 141 corrupt",
        "execute 170 hang",
        "execute 171 crash",
        "execute 200 leak",
        "unload 1 crash",
    ];
    for plan in ["split", "fused"] {
        let dir = tempfile::tempdir().unwrap();
        let (plain, faulty) = (dir.path().join("plain"), dir.path().join("faulty"));
        let software = ["--device", "software", "--target", "h16"];
        succeed(train_model(model, &plain, plan, &software));
        let events = dir.path().join("faults");
        std::fs::create_dir(&events).unwrap();
        std::fs::write(events.join("plan"), faults.join("\n")).unwrap();
        let command = train_model(model, &faulty, plan, &["--deadline", "5", "--share-engine"]);
        let told = succeed(on_standin(command, &faulty, &events));
        let fired = std::fs::read_to_string(events.join("fired")).unwrap();
        for fault in faults {
            assert!(fired.contains(fault), "{plan}: {fault} of {fired}{told}");
        }
        // The configurations, which checkpoints hold, name the device; weights, metrics and the result do not.
        assert!(
            results(&faulty)[2..] == results(&plain)[2..],
            "{plan}: {told}"
        );
        // The program that was refused is kept to look at; those of the last worker, for training and for evaluation, which
        // crashed while it closed, are for the next one to sweep. Those of all other workers are gone.
        let left = std::fs::read_dir(faulty.with_extension("programs")).unwrap();
        assert_eq!(left.count(), 3, "{plan}");
    }
}

#[test]
fn a_second_training_on_the_engine_is_refused_with_the_first_ones_number() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let dry = |flags: &[&str]| {
        let mut c = on_standin(train(&run, "split", &["--dry-run"]), &run, dir.path());
        c.args(flags)
            .env("ANE_TRAINER_LOCK", dir.path().join("lock"));
        c.output().unwrap()
    };
    let lock = dir.path().join("lock");
    let held = ane_device::EngineLock::acquire(&lock).unwrap();
    let refused = dry(&[]);
    assert_eq!(refused.status.code(), Some(1));
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(
        text.contains(&format!("process {}", std::process::id())),
        "{text}"
    );
    assert!(text.contains("--share-engine"), "{text}");
    assert!(dry(&["--share-engine"]).status.success());
    drop(held);
    assert!(dry(&[]).status.success());
}
