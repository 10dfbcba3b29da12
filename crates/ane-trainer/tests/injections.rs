//! Kills, SIGTERM and full disks at random moments of a run that augments its images, averages its weights and accumulates
//! gradients: whatever happens, it ends with the bits of a run to which nothing happened.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

#[path = "support/interrupted.rs"]
mod interrupted;

use ane_ir::testing;
use ane_train::checkpoint::Checkpoint;
use interrupted::{killed_after, results, share, signalled_after};
use rustix::process::Signal;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// The program.
const PROGRAM: &str = env!("CARGO_BIN_EXE_ane-trainer");
/// Images of a run, and their sides.
const IMAGES: usize = 480;
const SIDE: usize = 12;
/// Injections of one round.
const ATTEMPTS: usize = 3;
/// Most of a kilobyte count that a limited run may write: its largest file, and all its files with those being replaced.
const LARGEST_FILE: f64 = 60.0;
const ALL_FILES: f64 = 220.0;

/// Pictures of bars that lie, stand or lean, some of them at other places, as IDX files.
fn pictures(folder: &Path) -> PathBuf {
    let mut images = vec![0, 0, 8, 3];
    let mut labels = vec![0, 0, 8, 1];
    for axis in [IMAGES, SIDE, SIDE] {
        images.extend((axis as u32).to_be_bytes());
    }
    labels.extend((IMAGES as u32).to_be_bytes());
    for i in 0..IMAGES {
        let (class, place) = (i % 3, 2 + i % 7);
        for (row, column) in (0..SIDE * SIDE).map(|at| (at / SIDE, at % SIDE)) {
            let is_ink = match class {
                0 => row == place,
                1 => column == place,
                _ => row == column,
            };
            let shade = (share((i * SIDE * SIDE + row * SIDE + column) as u64) * 90.0) as u8;
            images.push(if is_ink { 255 - shade } else { shade });
        }
        labels.push(class as u8);
    }
    let path = folder.join("bars-images-idx3-ubyte");
    fs::write(&path, images).unwrap();
    fs::write(folder.join("bars-labels-idx1-ubyte"), labels).unwrap();
    path
}

/// Arguments of a run from its beginning.
fn train(data: &Path, run: &Path) -> Vec<String> {
    let settings = "--model 144-32-3 --batch 16 --epochs 6 --seed 3 --grad-accumulation 2 --ema 0.9 \
                    --augment rotate=10,shift=1,noise=0.05 --threads 2 --checkpoint-every 4";
    let mut words = vec!["train".to_owned(), "--data".to_owned()];
    words.push(data.to_str().unwrap().to_owned());
    words.extend(settings.split_whitespace().map(str::to_owned));
    words.push("--out".to_owned());
    words.push(run.to_str().unwrap().to_owned());
    words
}

/// Arguments that go on with a run, or begin it anew when nothing of it was kept; it is then found at another path.
fn go_on(data: &Path, run: &Path, found_at: &Path, threads: usize) -> Vec<String> {
    let last = run.join("checkpoints/last.ckpt");
    if !last.exists() {
        if run.exists() {
            fs::remove_dir_all(run).unwrap();
        }
        return train(data, found_at);
    }
    // Whatever has happened, what stands there is whole.
    Checkpoint::read(&last).unwrap();
    let mut words = ["train", "--checkpoint-every", "4", "--resume"]
        .map(str::to_owned)
        .to_vec();
    words.push(found_at.to_str().unwrap().to_owned());
    words.extend(["--threads".to_owned(), threads.to_string()]);
    words
}

fn program(words: &[String]) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .args(words)
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// What happens to a run.
#[derive(Debug, Clone, Copy)]
enum Injection {
    Kill,
    Terminate,
    /// No file may become larger than a part of the largest.
    FileLimit,
    /// The run is on a file system of its own that is too small.
    FullDisk,
}

impl Injection {
    const ALL: [Self; 4] = [Self::Kill, Self::Terminate, Self::FileLimit, Self::FullDisk];

    /// Lets it happen to a run at a share of its time or size; whether the run ended by that.
    fn happen(self, data: &Path, run: &Path, time: Duration, share: f64) -> bool {
        let threads = 1 + (share * 100.0) as usize % 2;
        let words = go_on(data, run, run, threads);
        match self {
            Self::Kill => !killed_after(program(&words), time.mul_f64(share)),
            Self::Terminate => {
                let status = signalled_after(program(&words), time.mul_f64(share), Signal::TERM);
                // Before it trains, the signal ends it as any other program.
                assert!(matches!(status.code(), Some(0 | 130) | None), "{status}");
                !status.success()
            }
            Self::FileLimit => {
                let kilobytes = (share * LARGEST_FILE) as u64;
                let script = format!("trap '' XFSZ; ulimit -f {kilobytes}; exec \"$0\" \"$@\"");
                let mut limited = Command::new("bash");
                limited.args(["-c", &script, PROGRAM]).args(words);
                fails_in_good_order(&mut limited)
            }
            Self::FullDisk => {
                let disk = run.with_file_name("disk");
                fs::create_dir_all(&disk).unwrap();
                let words = go_on(data, run, &disk.join("run"), threads);
                let mut small = on_a_disk_of((share * ALL_FILES) as u64 + 4, &disk, run);
                fails_in_good_order(small.args(words))
            }
        }
    }
}

/// What `sh` does with the size of a disk, the folder where it is mounted, a run and the program's arguments. The disk
/// vanishes with the process, so that the run is copied there and back.
const ON_A_SMALL_DISK: &str = r#"
size=$1 disk=$2 run=$3; shift 3
mount -t tmpfs -o "size=${size}k" tmpfs "$disk" || exit 77
if [ -e "$run" ]; then cp -a "$run" "$disk/run" 2>/dev/null || exit 0; fi
"$0" "$@"
code=$?
rm -rf "$run"
if [ -e "$disk/run" ]; then cp -a "$disk/run" "$run"; fi
exit $code
"#;

/// A command on a run that is on a disk of so many kilobytes; its arguments follow.
fn on_a_disk_of(kilobytes: u64, disk: &Path, run: &Path) -> Command {
    let mut small = Command::new("unshare");
    small.args(["--map-root-user", "--mount", "sh", "-c", ON_A_SMALL_DISK]);
    small
        .args([PROGRAM, &kilobytes.to_string()])
        .args([disk, run]);
    small
}

/// Whether this system lets its users mount such disks.
fn has_small_disks(folder: &Path) -> bool {
    let mut version = on_a_disk_of(4, folder, &folder.join("none"));
    let done = version.arg("--version").output();
    done.is_ok_and(|done| done.status.success())
}

/// Runs a command that may come to its end or say why not; whether it did not.
fn fails_in_good_order(command: &mut Command) -> bool {
    let done = command.stdin(Stdio::null()).output().unwrap();
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(!told.contains("panicked"), "{told}");
    match done.status.code() {
        Some(0) => false,
        Some(1) => {
            assert!(told.contains("cannot "), "{told}");
            true
        }
        _ => panic!("{}: {told}", done.status),
    }
}

#[test]
fn whatever_happens_to_a_run_it_ends_with_the_same_bits() {
    let dir = tempfile::tempdir().unwrap();
    let data = pictures(dir.path());
    let whole = dir.path().join("whole");
    let since = Instant::now();
    assert!(
        program(&train(&data, &whole))
            .output()
            .unwrap()
            .status
            .success()
    );
    let time = since.elapsed();
    let expected = results(&whole);
    let mut injections = Injection::ALL.to_vec();
    if !has_small_disks(dir.path()) {
        injections.pop();
        println!("this system mounts no disks for its users: none was full");
    }
    let mut counts = vec![0; injections.len()];
    let run = dir.path().join("run");
    for seed in testing::seeds() {
        for (number, injection) in injections.iter().enumerate() {
            for attempt in 0..ATTEMPTS {
                let at = (seed * 4 + number as u64) * 16 + attempt as u64;
                counts[number] += u32::from(injection.happen(&data, &run, time, share(at)));
                if run.join("result.json").exists() {
                    break;
                }
            }
            let last = program(&go_on(&data, &run, &run, 2)).output().unwrap();
            assert!(last.status.success(), "{injection:?}, seed {seed}");
            assert!(results(&run) == expected, "{injection:?}, seed {seed}");
            fs::remove_dir_all(&run).unwrap();
        }
    }
    println!("{injections:?} ended runs {counts:?} times");
    // Whether a signal comes before the end is up to the machine's load; a limit holds whatever that is.
    assert!(counts[2..].iter().all(|&count| count > 0), "{counts:?}");
}
