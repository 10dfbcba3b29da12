//! Wrong arguments and broken files: what is said, with which exit code, and that nothing is left half-written.

#![allow(clippy::unwrap_used)]

use std::{
    path::Path,
    process::{Command, Output},
};

fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ane-trainer"))
        .args(args)
        .output()
        .unwrap()
}

/// The command fails with `code`, says all of `parts`, and does not panic.
fn fails(args: &[&str], code: i32, parts: &[&str]) {
    let out = run(args);
    let text = String::from_utf8_lossy(&out.stderr).replace('\n', " ");
    // miette wraps lines; compare without the wrapping.
    let text: String = text
        .split_whitespace()
        .filter(|w| *w != "│")
        .collect::<Vec<_>>()
        .join(" ");
    assert_eq!(out.status.code(), Some(code), "{args:?}: {text}");
    assert!(!text.contains("panicked"), "{text}");
    for part in parts {
        assert!(
            text.contains(part),
            "{args:?} does not say `{part}`: {text}"
        );
    }
}

#[test]
fn wrong_arguments_exit_2() {
    fails(&["train", "--epochs", "0"], 2, &["from 1 to 100000"]);
    fails(&["train", "--batch", "-3"], 2, &["-3"]);
    fails(&["train", "--lr", "0"], 2, &["a number above 0"]);
    fails(&["train", "--lr", "nan"], 2, &["a number above 0"]);
    fails(&["train", "--threads", "0"], 2, &["from 1 to 1024"]);
    fails(&["train", "--threads", "100000"], 2, &["from 1 to 1024"]);
    fails(
        &["train", "--model", "784-0-10", "--dry-run"],
        2,
        &["`0`", "784-512-512-10"],
    );
    fails(
        &["train", "--model", "100-10", "--dry-run"],
        2,
        &["784", "100"],
    );
    fails(
        &["train", "--optimizer", "lion", "--dry-run"],
        2,
        &["lion", "adamw"],
    );
    fails(
        &["train", "--nesterov", "--optimizer", "sgd", "--dry-run"],
        2,
        &["--momentum"],
    );
    fails(
        &["train", "--target", "h99", "--dry-run"],
        2,
        &["h99", "h13 to h17"],
    );
    fails(&["train", "--schedule", "wavy"], 2, &["wavy", "cosine"]);
    fails(&["fly"], 2, &["fly"]);
}

#[test]
fn a_data_set_that_is_too_small_for_what_is_asked_is_refused() {
    let dry = |more: &[&'static str]| [&["train", "--dry-run"], more].concat();
    let all = ["60000", "0 to train on", "--validation"];
    fails(&dry(&["--validation", "60000"]), 2, &all);
    let few = dry(&["--validation", "59000", "--batch", "2000"]);
    fails(
        &few,
        2,
        &["batch of 2000", "1000 training examples", "--batch 1000"],
    );
}

#[test]
fn a_number_that_is_none_is_answered_by_what_was_expected() {
    for (command, flags) in [
        (
            "train",
            &[
                "--epochs",
                "--batch",
                "--lr",
                "--momentum",
                "--weight-decay",
                "--label-smoothing",
                "--max-norm",
                "--seed",
                "--threads",
                "--checkpoint-every",
                "--grad-accumulation",
                "--max-steps",
                "--verify-every",
                "--deadline",
            ][..],
        ),
        ("selftest", &["--steps", "--threads", "--deadline"]),
    ] {
        for flag in flags {
            let said = run(&[command, flag, "many"]);
            let text = String::from_utf8_lossy(&said.stderr).into_owned();
            assert_eq!(said.status.code(), Some(2), "{flag}: {text}");
            assert!(text.contains("'many'") || text.contains("`many`"), "{text}");
            // What the standard library says of it.
            assert!(
                !text.contains("invalid digit") && !text.contains("invalid float"),
                "{text}"
            );
            assert!(text.contains("number"), "{flag}: {text}");
        }
    }
}

#[test]
fn what_does_not_exist_is_named() {
    for (flag, name, known) in [
        ("--device", "quantum", "software"),
        ("--dataset", "cats", "fashion-mnist"),
        ("--model", "transformer", "mnist-mlp"),
        ("--plan", "both", "fused"),
        ("--target", "h99", "h13 to h17"),
        ("--numerics", "exact", "silicon"),
    ] {
        fails(&["train", flag, name, "--dry-run"], 2, &[name, known]);
    }
    fails(&["data", "fetch", "cats"], 2, &["cats", "fashion-mnist"]);
    fails(
        &["selftest", "--device", "quantum"],
        2,
        &["quantum", "software"],
    );
    fails(&["selftest", "--only", "rellu"], 2, &["rellu"]);
    fails(&["train", "--resume", "no/such/run"], 1, &["no/such/run"]);
    fails(&["eval", "no/such/run"], 1, &["no/such/run"]);
    fails(&["inspect", "no-such.mil"], 1, &["no-such.mil"]);
    fails(
        &["train", "--data-dir", "no/such/dir", "--out", "never-made"],
        1,
        &["no/such/dir"],
    );
    assert!(!Path::new("never-made").exists());
}

#[test]
fn broken_data_files_are_refused_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let out = dir.path().join("run");
    std::fs::create_dir(&data).unwrap();
    for name in [
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
    ] {
        std::fs::write(data.join(name), b"\0\0\x08\x03 not the real thing").unwrap();
    }
    let args = [
        "train",
        "--data-dir",
        data.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
    ];
    fails(&args, 1, &["train-images-idx3-ubyte", "expected"]);
    assert!(!out.exists());
}

#[test]
fn an_output_directory_that_is_a_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "in the way").unwrap();
    fails(
        &[
            "train",
            "--model",
            "784-10",
            "--epochs",
            "1",
            "--out",
            file.to_str().unwrap(),
        ],
        1,
        &["cannot make the directory"],
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "in the way");
}

#[test]
fn an_output_directory_that_cannot_be_written_is_refused() {
    // Not even root may make directories here; each system has one of the two.
    let place = ["/sys", "/System"]
        .into_iter()
        .find(|place| Path::new(place).exists())
        .unwrap();
    let out = format!("{place}/ane-trainer-run");
    fails(
        &["train", "--model", "784-10", "--epochs", "1", "--out", &out],
        1,
        &["cannot make the directory", &out, "writable"],
    );
}

#[test]
fn a_data_directory_that_lacks_files_is_refused_with_their_names() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (dir.path().join("data"), dir.path().join("run"));
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("train-labels-idx1-ubyte"), "").unwrap();
    let args = [
        "train",
        "--data-dir",
        data.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
    ];
    let parts = [
        "train-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
        "leave out `--data-dir`",
    ];
    fails(&args, 1, &parts);
    assert!(!out.exists());
}

#[test]
fn what_is_no_file_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let pipe = pipe.to_str().unwrap();
    for (path, what) in [(pipe, "it is a pipe"), ("/dev/zero", "it is a device")] {
        fails(&["train", "--resume", path], 1, &[path, what]);
        fails(&["eval", path], 1, &[path, what]);
        fails(&["inspect", path], 1, &[path, what]);
        let mil = dir.path().join("link.mil");
        std::os::unix::fs::symlink(path, &mil).unwrap();
        let mil_path = mil.to_str().unwrap();
        fails(&["inspect", mil_path], 1, &[mil_path, what]);
        std::fs::remove_file(&mil).unwrap();
    }
    let data = dir.path().join("data");
    std::fs::create_dir(&data).unwrap();
    for name in [
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
    ] {
        std::os::unix::fs::symlink(pipe, data.join(name)).unwrap();
    }
    let data = data.to_str().unwrap();
    fails(
        &["data", "verify", "mnist", "--data-dir", data],
        1,
        &["not every file"],
    );
    fails(
        &["data", "fetch", "mnist", "--data-dir", data],
        1,
        &["lacks"],
    );
}

#[test]
fn files_of_terabytes_are_refused_by_their_length() {
    let dir = tempfile::tempdir().unwrap();
    let sparse = |name: &str, head: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, head).unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_len(1 << 40).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let checkpoint = sparse("last.ckpt", b"");
    fails(
        &["train", "--resume", &checkpoint],
        1,
        &["is not a checkpoint"],
    );
    let mut head = b"ANETRAIN".to_vec();
    head.extend(1_u32.to_le_bytes());
    head.extend(((1_u64 << 40) - 52).to_le_bytes());
    let whole = sparse("whole.ckpt", &head);
    fails(&["eval", &whole], 1, &["1099511627776 bytes", "memory"]);
    let mil = sparse("program.mil", b"program");
    fails(
        &["inspect", &mil],
        1,
        &["1099511627776 bytes", "at most 1073741824"],
    );
    for name in [
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
    ] {
        sparse(name, b"");
    }
    let data = dir.path().to_str().unwrap();
    let args = ["train", "--data-dir", data, "--out", "never-made"];
    fails(&args, 1, &["1099511627776 bytes", "at most"]);
}

/// A run of which nothing is left but a checkpoint with these bytes.
fn run_with_checkpoint(dir: &Path, bytes: &[u8]) -> String {
    let checkpoints = dir.join("checkpoints");
    std::fs::create_dir_all(&checkpoints).unwrap();
    std::fs::write(checkpoints.join("last.ckpt"), bytes).unwrap();
    dir.to_str().unwrap().to_owned()
}

#[test]
fn broken_checkpoints_are_refused_and_left_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let crashed = Command::new(env!("CARGO_BIN_EXE_ane-trainer"))
        .args(["train", "--model", "784-10", "--batch", "1000"])
        .args(["--epochs", "1", "--checkpoint-every", "10", "--out"])
        .arg(&run)
        .env("ANE_TRAINER_CRASH", "write:7")
        .output()
        .unwrap();
    assert!(!crashed.status.success());
    let good = std::fs::read(run.join("checkpoints/last.ckpt")).unwrap();
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    let mut newer = good.clone();
    newer[8] = 99;
    let mut older = good.clone();
    older[8] = 0;
    for (bytes, parts) in [
        (&good[..good.len() - 100], ["is cut off", "--resume"]),
        (&flipped[..], ["is damaged", "--resume"]),
        (&newer[..], ["format 99", "the program that wrote it"]),
        (&older[..], ["format 0", "the program that wrote it"]),
        (&b"PK\x03\x04"[..], ["is not a checkpoint", "run directory"]),
    ] {
        let broken = dir.path().join("broken");
        let path = run_with_checkpoint(&broken, bytes);
        fails(&["train", "--resume", &path], 1, &parts);
        fails(&["eval", &path], 1, &parts[..1]);
        let left: Vec<_> = std::fs::read_dir(&broken).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
        let after = std::fs::read(broken.join("checkpoints/last.ckpt")).unwrap();
        assert_eq!(after, bytes);
    }
}

#[test]
fn a_directory_that_holds_a_run_is_refused_to_another_one() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    std::fs::create_dir(&run).unwrap();
    let metrics = run.join("metrics.jsonl");
    std::fs::write(&metrics, "{\"step\": 1}\n").unwrap();
    let out = run.to_str().unwrap();
    fails(
        &["train", "--out", out],
        2,
        &["another run", "metrics.jsonl", "pass another --out"],
    );
    assert_eq!(
        std::fs::read_to_string(&metrics).unwrap(),
        "{\"step\": 1}\n"
    );
    assert_eq!(std::fs::read_dir(&run).unwrap().count(), 1);
}

#[test]
fn inspect_says_when_its_output_cannot_be_written() {
    let script = |to: &str| {
        let program = env!("CARGO_BIN_EXE_ane-trainer");
        let script = format!("{program} inspect --model 784-10 {to}");
        Command::new("bash")
            .args(["-o", "pipefail", "-c", &script])
            .output()
            .unwrap()
    };
    let closed = script("| head -c 1");
    assert_eq!(closed.status.code(), Some(0), "a reader may stop");
    // Every write to this device fails as on a full disk.
    if Path::new("/dev/full").exists() {
        let full = script("> /dev/full");
        let text = String::from_utf8_lossy(&full.stderr).into_owned();
        assert_eq!(full.status.code(), Some(1), "{text}");
        assert!(text.contains("standard output"), "{text}");
    }
}

#[test]
fn what_does_not_fit_into_memory_is_refused_before_it_is_taken() {
    // A limit on addresses that systems without /proc do not have.
    if !Path::new("/proc/self/status").exists() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let limited = |arguments: &str| {
        let program = env!("CARGO_BIN_EXE_ane-trainer");
        let script = format!("ulimit -v 2000000; exec {program} train --threads 1 {arguments}");
        let out = Command::new("bash").args(["-c", &script]).output().unwrap();
        let said = String::from_utf8_lossy(&out.stderr) + String::from_utf8_lossy(&out.stdout);
        (out.status.code(), said.replace(['\n', '│'], " "))
    };
    // 280 million weights, three fp32 numbers each.
    let huge = format!(
        "--model 784-16384-16384-10 --batch 32 --out {}",
        run.display()
    );
    for arguments in [huge.clone(), format!("{huge} --dry-run")] {
        let (code, said) = limited(&arguments);
        assert_eq!(code, Some(1), "{said}");
        for part in [
            "needs",
            "GiB",
            "can be had",
            "weights and optimizer state",
            "--batch",
        ] {
            assert!(said.contains(part), "`{part}` in {said}");
        }
        assert!(!run.exists());
    }
    let (code, said) = limited("--model 784-10 --dry-run");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("memory: ") && said.contains("MiB"), "{said}");
}

#[test]
fn inspect_judges_over_the_route_of_the_target() {
    let said = run(&["inspect", "--model", "784-10", "--target", "h16:client"]);
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains("h16 over client: legal"), "{said}");
    assert!(!said.contains("over e5rt"), "{said}");
}

#[test]
fn a_full_disk_keeps_the_last_good_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let base = [
        "train",
        "--model",
        "784-24-10",
        "--batch",
        "1000",
        "--epochs",
        "1",
        "--out",
        run.to_str().unwrap(),
    ];
    let crashed = Command::new(env!("CARGO_BIN_EXE_ane-trainer"))
        .args(base)
        .args(["--checkpoint-every", "10"])
        .env("ANE_TRAINER_CRASH", "write:7")
        .output()
        .unwrap();
    assert!(!crashed.status.success());
    let last = run.join("checkpoints/last.ckpt");
    let good = std::fs::read(&last).unwrap();
    // A file-size limit is what a full disk looks like from here: writes beyond it fail.
    let script = format!(
        "trap '' XFSZ; ulimit -f 4; exec {} train --checkpoint-every 10 --resume {}",
        env!("CARGO_BIN_EXE_ane-trainer"),
        run.display()
    );
    let full = Command::new("bash").args(["-c", &script]).output().unwrap();
    let text = String::from_utf8_lossy(&full.stderr).into_owned();
    assert_eq!(full.status.code(), Some(1), "{text}");
    assert!(text.contains("cannot write"), "{text}");
    assert_eq!(std::fs::read(&last).unwrap(), good);
    for folder in [run.clone(), run.join("checkpoints")] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name();
            let is_unfinished = name.to_string_lossy().starts_with(".writing-");
            assert!(!is_unfinished, "{name:?} is left");
        }
    }
}

#[test]
fn divergence_stops_the_run_and_keeps_the_last_good_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("run");
    let out = folder.to_str().unwrap();
    // The first diverges within a few steps of warming up, the second in its first step.
    for (lr, said, has_checkpoint) in [
        ("30", "diverged at step", true),
        ("1e8", "`weight.0.bias`", false),
    ] {
        let _ = std::fs::remove_dir_all(&folder);
        fails(
            &[
                "train",
                "--model",
                "784-64-10",
                "--batch",
                "500",
                "--optimizer",
                "sgd",
                "--lr",
                lr,
                "--epochs",
                "2",
                "--checkpoint-every",
                "1",
                "--out",
                out,
            ],
            1,
            &[
                said,
                &format!("an --lr below {}", lr.parse::<f64>().unwrap()),
                if has_checkpoint {
                    "last good checkpoint"
                } else {
                    "no checkpoint yet"
                },
            ],
        );
        assert!(!folder.join("result.json").exists());
        let last = folder.join("checkpoints/last.ckpt");
        assert_eq!(last.exists(), has_checkpoint, "lr {lr}");
        if has_checkpoint {
            let evaluated = run(&["eval", out, "--json"]);
            let result: serde_json::Value = serde_json::from_slice(&evaluated.stdout).unwrap();
            assert!(result["loss"].as_f64().unwrap().is_finite(), "{result}");
        }
    }
}

#[test]
fn mil_errors_show_the_place() {
    let dir = tempfile::tempdir().unwrap();
    let mil = |name: &str, body: &str| {
        let path = dir.path().join(name);
        let text = format!(
            "program(1.3)\n{{\n  func main<ios18>(tensor<fp16, [4, 32]> x) {{\n{body}\n  }} -> (y);\n}}\n"
        );
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let unknown = mil("op.mil", "    tensor<fp16, [4, 32]> y = rellu(x = x);");
    fails(&["inspect", &unknown], 1, &["op.mil:4:", "rellu", "relu"]);
    let wrong = mil("type.mil", "    tensor<fp16, [4, 31]> y = relu(x = x);");
    fails(
        &["inspect", &wrong],
        1,
        &["type.mil:4:", "[4, 31]", "[4, 32]"],
    );
    let empty = mil("empty.mil", "    tensor<fp16, [4, 0]> y = relu(x = x);");
    fails(&["inspect", &empty], 1, &["empty.mil:4:", "0"]);
    let bracket = mil("bracket.mil", "    tensor<fp16, [4, 32]> y = relu(x = x;");
    fails(&["inspect", &bracket], 1, &["bracket.mil:4:"]);
    let blob = mil(
        "blob.mil",
        "    tensor<fp16, [4, 32]> w = const()[val = tensor<fp16, [4, 32]>(BLOBFILE(path = string(\"@model_path/weights.bin\"), offset = uint64(64)))];\n    tensor<fp16, [4, 32]> y = add(x = x, y = w);",
    );
    fails(&["inspect", &blob], 1, &["weights.bin"]);
    let mut weights = vec![0_u8; 512];
    weights[0] = 1;
    weights[4] = 2;
    std::fs::write(dir.path().join("weights.bin"), &weights).unwrap();
    fails(&["inspect", &blob], 1, &["0xdeadbeef"]);
    std::fs::write(dir.path().join("weights.bin"), &weights[..80]).unwrap();
    fails(&["inspect", &blob], 1, &["weights.bin"]);
}
