//! Where the time of steps goes.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

#[path = "support/program.rs"]
mod program;

use program::{fails, says};
use serde_json::Value;
use std::{collections::BTreeMap, fs};

/// The shares that a table of ops shows, in percent, with what is said of the rest.
fn shares(said: &str) -> Vec<f64> {
    let of_line = |line: &str| {
        let (before, _) = line.split_once(" %")?;
        before.split_whitespace().last()?.parse().ok()
    };
    said.lines().filter_map(of_line).collect()
}

#[test]
fn ops_are_shown_by_layer_and_pass_and_make_up_the_whole() {
    let said = says(&[
        "profile",
        "lenet",
        "--batch",
        "16",
        "--steps",
        "2",
        "--threads",
        "1",
    ]);
    let head = said.lines().nth(1).unwrap();
    for part in ["a step:", "engine", "host", "data", "examples/s"] {
        assert!(head.contains(part), "{said}");
    }
    for (layer, pass, op) in [("conv2", "forward", "conv"), ("conv2", "backward", "conv")] {
        let is_it = |line: &str| {
            let cells: Vec<&str> = line.split_whitespace().take(3).collect();
            cells == [layer, pass, op]
        };
        assert!(said.lines().any(is_it), "{layer} {pass} {op}: {said}");
    }
    let whole: f64 = shares(&said).iter().sum();
    assert!((whole - 100.0).abs() < 1.0, "{whole}: {said}");
    assert!(said.lines().all(|line| line.len() <= 80), "{said}");
}

#[test]
fn a_run_is_profiled_with_its_own_weights_and_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let out = run.to_str().unwrap();
    says(&["train", "--dataset", "iris", "--epochs", "1", "--out", out]);
    let last = || fs::read(run.join("checkpoints/last.ckpt")).unwrap();
    let before = last();
    let said = says(&["profile", out, "--steps", "2"]);
    assert!(said.contains("batch 16, 2 steps"), "{said}");
    assert!(before == last());
    fails(&["profile", "no-such-model"], 2, &["no-such-model"]);
}

#[test]
fn a_baseline_is_kept_and_compared_with_alike_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("baseline.json");
    let path = file.to_str().unwrap();
    let own = [
        "bench",
        "64-8-10",
        "--dataset",
        "digits",
        "--rounds",
        "3",
        "--steps",
        "2",
    ];
    let compared = [&own[..], &["--compare", path]].concat();
    let said = says(&[&own[..], &["--save-baseline", path]].concat());
    assert!(said.contains("ms a step"), "{said}");
    // Rounds that no later one can be slower than, and rounds that none can be faster than.
    let mut kept: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    for (ms, is_slower) in [(1e9, false), (1e-9, true)] {
        kept["ms"] = serde_json::json!([ms, ms, ms]);
        fs::write(&file, kept.to_string()).unwrap();
        match is_slower {
            false => assert!(says(&compared).contains("times as fast")),
            true => fails(&compared, 1, &["slower than the baseline"]),
        }
    }
    let other = [&["bench", "64-9-10"], &own[2..], &["--compare", path]].concat();
    fails(&other, 1, &["64-8-10", "64-9-10"]);
    fs::write(&file, "{}").unwrap();
    fails(&compared, 1, &["E0702", "is no baseline"]);
    let missing = [&own[..], &["--compare", "nowhere.json"]].concat();
    fails(&missing, 1, &["E0002", "cannot read the baseline"]);
}

/// Nanoseconds of a number of microseconds.
fn nanoseconds(value: &Value) -> u64 {
    (1e3 * value.as_f64().unwrap()).round() as u64
}

/// A complete event: its category, and where it begins and ends.
fn complete(event: &Value) -> (&str, u64, u64) {
    assert_eq!(event["pid"], 1, "{event}");
    assert_eq!(event["tid"], 1, "{event}");
    let from = nanoseconds(&event["ts"]);
    let to = from + nanoseconds(&event["dur"]);
    (event["cat"].as_str().unwrap(), from, to)
}

/// Profiles with a trace, and compares them.
fn must_agree(model: &[&str], threads: u64) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("trace.json");
    let (path, count) = (file.to_str().unwrap(), threads.to_string());
    let own = [
        "profile",
        "--batch",
        "16",
        "--steps",
        "3",
        "--threads",
        &count,
    ];
    let said = says(&[&own[..], &["--trace", path, "--json"], model].concat());
    let report: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(report["trace"], path);
    let trace: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let (names, events): (Vec<&Value>, Vec<&Value>) = events.iter().partition(|e| e["ph"] == "M");
    assert_eq!(names.len(), 2);
    let (mut open, mut phases) = (Vec::<(u64, u64)>::new(), BTreeMap::<&str, u64>::new());
    let mut ops = BTreeMap::<[&str; 4], u64>::new();
    let mut in_order = events.clone();
    // Of what begins at once the whole comes first, as it is written.
    in_order.sort_by_key(|event| nanoseconds(&event["ts"]));
    for event in in_order {
        assert_eq!(event["ph"], "X", "{event}");
        let (category, from, to) = complete(event);
        // Each lies within what is open, or begins when that has ended.
        while open.last().is_some_and(|&(_, end)| end <= from) && category != "op" {
            open.pop();
        }
        if category == "step" {
            open.clear();
        } else if category == "op" {
            let is_in = |&(begin, end): &(u64, u64)| begin <= from && to <= end;
            assert!(open.iter().any(is_in), "{event} in {open:?}");
        } else {
            let &(begin, end) = open.last().unwrap();
            assert!(begin <= from && to <= end, "{event} in {begin} to {end}");
        }
        if category == "op" {
            let args = &event["args"];
            let text = |field: &str| args[field].as_str().unwrap();
            let op = event["name"].as_str().unwrap();
            let place = [text("layer"), text("pass"), op, text("side")];
            let time = nanoseconds(&args["thread_us"]);
            assert_eq!(to - from, time / threads, "{event}");
            *ops.entry(place).or_default() += time;
        } else {
            *phases.entry(category).or_default() += to - from;
            open.push((from, to));
        }
    }
    let is_close = |seconds: &Value, nanoseconds: u64| {
        (1e9 * seconds.as_f64().unwrap() - nanoseconds as f64).abs() < 10.0
    };
    let sums = ["step", "data", "engine", "host"].map(|name| phases[name]);
    let printed = ["seconds", "data_seconds", "engine_seconds", "host_seconds"];
    for (sum, printed) in sums.into_iter().zip(printed) {
        assert!(
            is_close(&report[printed], sum),
            "{printed}: {sum} in {report}"
        );
    }
    let said = report["ops"].as_array().unwrap();
    assert_eq!(said.len(), ops.len());
    for op in said {
        let text = |field: &str| op[field].as_str().unwrap();
        let name = match text("op") {
            "" => "ports",
            name => name,
        };
        let sum = ops[&[text("layer"), text("pass"), name, text("side")]];
        assert!(is_close(&op["seconds"], sum), "{op}: {sum}");
    }
}

#[test]
fn a_trace_holds_what_is_printed_step_by_step() {
    must_agree(&["lenet"], 1);
    must_agree(&["lenet"], 2);
}

#[test]
fn a_trace_without_a_place_is_refused_before_anything_is_measured() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("absent/trace.json");
    let path = file.to_str().unwrap();
    let folder = file.parent().unwrap().to_str().unwrap();
    let expected = format!("there is no folder `{folder}`");
    let asked = ["profile", "no-such-model", "--trace", path];
    fails(&asked, 1, &[path, &expected, "--trace"]);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
