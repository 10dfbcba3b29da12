//! The events of a run against the tables of `docs/events.md`, and what is left of a run's words when it is quiet.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

use serde_json::{Map, Value};
use std::{
    collections::BTreeMap,
    path::Path,
    process::{Command, Output, Stdio},
};

const TEXT: &str = include_str!("../../../docs/events.md");

/// A field and its type, in the document's words.
type Table = Vec<(String, String)>;

/// The tables, by event; an event without one may have any fields.
fn tables() -> BTreeMap<String, Table> {
    let mut all = BTreeMap::<String, Table>::new();
    let mut event = String::new();
    for line in TEXT.lines() {
        if let Some(name) = line.strip_prefix("## ") {
            event = name.to_owned();
            all.insert(event.clone(), Table::new());
        } else if let Some(row) = line.strip_prefix("| `") {
            let mut cells = row.split('|').map(str::trim);
            let field = cells.next().unwrap().trim_end_matches('`').to_owned();
            let kind = cells.next().unwrap().to_owned();
            all.get_mut(&event).unwrap().push((field, kind));
        }
    }
    all
}

fn is(value: &Value, kind: &str) -> bool {
    kind.trim_end_matches(" ?")
        .split(" or ")
        .any(|kind| match kind {
            "integer" => value.is_u64() || value.is_i64(),
            "number" => value.is_number(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "object" => value.is_object(),
            "null" => value.is_null(),
            other => panic!("the document has no type `{other}`"),
        })
}

fn stands_for(name: &str, field: &str) -> bool {
    match name.strip_suffix('*') {
        Some(start) => field.starts_with(start),
        None => name == field,
    }
}

/// Compares an object with the table of its event.
fn check(object: &Map<String, Value>, tables: &BTreeMap<String, Table>) {
    let event = object["event"].as_str().unwrap();
    let table = &tables[event];
    if table.is_empty() {
        return;
    }
    for (field, value) in object.iter().filter(|(field, _)| *field != "event") {
        let exact = table.iter().find(|(name, _)| name == field);
        let found = exact.or_else(|| table.iter().find(|(name, _)| stands_for(name, field)));
        let (_, kind) = found.unwrap_or_else(|| panic!("{event} has no field {field}"));
        assert!(is(value, kind), "{event}.{field} is {value}, no {kind}");
    }
    for (name, kind) in table.iter().filter(|(_, kind)| !kind.ends_with('?')) {
        assert!(object.contains_key(name), "{event} lacks {name}: {kind}");
    }
}

fn run(dir: &Path, more: &[&str]) -> Output {
    let mut text = String::from("x,y,label\n");
    for i in 0..240 {
        let x = (i * 37) % 101;
        text.push_str(&format!(
            "{x},{},{}\n",
            i % 7,
            if x > 50 { "a" } else { "b" }
        ));
    }
    std::fs::write(dir.join("t.csv"), text).unwrap();
    Command::new(env!("CARGO_BIN_EXE_ane-trainer"))
        .args([
            "train", "--data", "t.csv", "--model", "2-4-2", "--epochs", "2",
        ])
        .args(["--device", "software", "--out", "run"])
        .args(more)
        .current_dir(dir)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn objects(output: &Output) -> Vec<Map<String, Value>> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

#[test]
fn every_line_of_a_run_is_as_the_document_says() {
    let dir = tempfile::tempdir().unwrap();
    let done = run(dir.path(), &["--json"]);
    assert_eq!(done.status.code(), Some(0));
    let (objects, tables) = (objects(&done), tables());
    for object in &objects {
        check(object, &tables);
    }
    assert_eq!(objects[0]["event"], "started");
    assert_eq!(objects[0]["schema"], 1);
    let count = |name: &str| objects.iter().filter(|o| o["event"] == name).count();
    let counts = [
        "step",
        "epoch",
        "timing",
        "checkpoint",
        "placement",
        "finished",
    ]
    .map(count);
    assert!(counts[0] >= 1 && counts[3] >= 2, "{counts:?}");
    assert_eq!([counts[1], counts[2], counts[4], counts[5]], [2, 2, 1, 1]);
}

#[test]
fn a_failure_is_an_event_and_words_besides() {
    let dir = tempfile::tempdir().unwrap();
    let failed = run(dir.path(), &["--json", "--label", "absent"]);
    let objects = objects(&failed);
    assert_eq!(objects.len(), 1);
    check(&objects[0], &tables());
    assert_eq!(objects[0]["event"], "error");
    let code = failed.status.code().unwrap();
    assert!(code != 0 && objects[0]["exit_code"] == code);
    assert!(!failed.stderr.is_empty());
}

#[test]
fn a_quiet_run_says_its_result_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let done = run(dir.path(), &["-q"]);
    assert_eq!(done.status.code(), Some(0));
    assert!(done.stderr.is_empty());
    let text = String::from_utf8(done.stdout).unwrap();
    assert!(
        text.contains("test: ") && !text.contains("epoch  1"),
        "{text}"
    );
}
