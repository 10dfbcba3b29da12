//! Runs that do not come to their end by themselves, and what they leave.

#![allow(dead_code, reason = "each test has use for some of them")]

use rustix::process::{Pid, Signal, kill_process};
use std::{
    io::Read,
    path::Path,
    process::{Command, ExitStatus, Stdio},
    sync::mpsc::channel,
    time::Duration,
};

/// Everything a run leaves that must not depend on interruptions.
pub(crate) fn results(run: &Path) -> Vec<Vec<u8>> {
    [
        "checkpoints/last.ckpt",
        "checkpoints/best.ckpt",
        "checkpoints/last.safetensors",
        "checkpoints/best.safetensors",
        "metrics.jsonl",
        "metrics.csv",
        "steps.jsonl",
        "result.json",
    ]
    .iter()
    .map(|f| std::fs::read(run.join(f)).unwrap())
    .collect()
}

/// Runs the command until it ends, or sends it the signal when `patience` is over; how it ended.
pub(crate) fn signalled_after(
    mut command: Command,
    patience: Duration,
    signal: Signal,
) -> ExitStatus {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut output = child.stdout.take().unwrap();
    let (send, ended) = channel();
    std::thread::scope(|s| {
        // The output ends with the process.
        s.spawn(move || send.send(output.read_to_end(&mut Vec::new())));
        if ended.recv_timeout(patience).is_err() {
            let pid = Pid::from_raw(child.id().cast_signed()).unwrap();
            kill_process(pid, signal).unwrap();
        }
        child.wait().unwrap()
    })
}

/// Runs the command until it ends or `patience` is over, and kills it then; whether it ended well by itself.
pub(crate) fn killed_after(command: Command, patience: Duration) -> bool {
    let status = signalled_after(command, patience, Signal::KILL);
    assert!(status.success() || status.code().is_none(), "{status}");
    status.success()
}

/// A number from 0 up to 1 that looks random (Steele, Lea and Flood's SplitMix64).
pub(crate) fn share(seed: u64) -> f64 {
    let mut z = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (z ^ (z >> 31)) as f64 / u64::MAX as f64
}
