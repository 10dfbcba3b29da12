//! What `--json` prints against the tables of `docs/json.md`, and what is left of a run's words when it is quiet.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

use serde_json::{Map, Value};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

const TEXT: &str = include_str!("../../../docs/json.md");

/// A field and its type, in the document's words.
type Table = Vec<(String, String)>;

type Object = Map<String, Value>;

/// The tables of a part of the document, by event or command; one without fields may have any.
fn tables(part: &str) -> BTreeMap<String, Table> {
    let mut all = BTreeMap::<String, Table>::new();
    let (mut is_part, mut name) = (false, String::new());
    for line in TEXT.lines() {
        if let Some(found) = line.strip_prefix("## ") {
            is_part = found == part;
        } else if !is_part {
            continue;
        } else if let Some(found) = line.strip_prefix("### ") {
            name = found.to_owned();
            all.insert(name.clone(), Table::new());
        } else if let Some(row) = line.strip_prefix("| `") {
            let mut cells = row.split('|').map(str::trim);
            let field = cells.next().unwrap().trim_end_matches('`').to_owned();
            let kind = cells.next().unwrap().to_owned();
            all.get_mut(&name).unwrap().push((field, kind));
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
            "array" => value.is_array(),
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

/// Compares an object with the rows of a table below `place`; where there are none, it may have any fields.
fn check_at(object: &Object, table: &Table, place: &str) {
    let below = |field: &str| {
        let rest = field.strip_prefix(place)?;
        (!rest.contains('.')).then(|| rest.to_owned())
    };
    let rows: Table = table
        .iter()
        .filter_map(|(field, kind)| Some((below(field)?, kind.clone())))
        .collect();
    if rows.is_empty() {
        return;
    }
    for (field, value) in object {
        let exact = rows.iter().find(|(name, _)| name == field);
        let found = exact.or_else(|| rows.iter().find(|(name, _)| stands_for(name, field)));
        let (_, kind) = found.unwrap_or_else(|| panic!("there is no field {place}{field}"));
        assert!(is(value, kind), "{place}{field} is {value}, no {kind}");
        match value {
            Value::Object(inner) => check_at(inner, table, &format!("{place}{field}.")),
            Value::Array(all) => {
                let inner = all.iter().filter_map(Value::as_object);
                inner.for_each(|inner| check_at(inner, table, &format!("{place}{field}[].")));
            }
            _ => {}
        }
    }
    let must_be = |(name, kind): &&(String, String)| !kind.ends_with('?') && name != "*";
    for (name, kind) in rows.iter().filter(must_be) {
        assert!(
            object.contains_key(name),
            "{place}{name} is missing: {kind}"
        );
    }
}

/// Compares an event with its table.
fn check_event(event: &Object) {
    let mut fields = event.clone();
    let name = fields.remove("event").unwrap();
    let name = name.as_str().unwrap();
    let mut all = tables("Events");
    all.append(&mut tables("Errors"));
    check_at(&fields, &all[name], "");
}

/// A table of 240 rows.
fn write_table(dir: &Path) {
    let mut text = String::from("x,y,label\n");
    for i in 0..240 {
        let x = (i * 37) % 101;
        text.push_str(&format!(
            "{x},{},{}\n",
            i % 7,
            if x > 50 { "a" } else { "b" }
        ));
    }
    fs::write(dir.join("t.csv"), text).unwrap();
}

fn ane_trainer(dir: &Path, arguments: &str) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_ane-trainer"))
        .args(arguments.split_whitespace())
        .env_remove("ANE_TRAINER_ISA")
        .current_dir(dir)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = errors(&output);
    assert!(!told.contains("panicked"), "{arguments}: {told}");
    output
}

fn errors(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Trains on the table.
fn run(dir: &Path, out: &str, more: &str) -> Output {
    write_table(dir);
    let own = "train --data t.csv --model 2-4-2 --epochs 2 --device software --out";
    ane_trainer(dir, &format!("{own} {out} {more}"))
}

fn objects(output: &Output) -> Vec<Object> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let lines = text.lines().map(|line| {
        let object = serde_json::from_str(line);
        object.unwrap_or_else(|e| panic!("{e}: {line}"))
    });
    lines.collect()
}

/// The only object of an output.
fn object(output: &Output) -> Object {
    let mut all = objects(output);
    assert_eq!(all.len(), 1, "{all:?}; {}", errors(output));
    all.remove(0)
}

#[test]
fn every_line_of_a_run_is_as_the_document_says() {
    let dir = tempfile::tempdir().unwrap();
    let done = run(dir.path(), "run", "--json");
    assert_eq!(done.status.code(), Some(0));
    let trained = objects(&done);
    trained.iter().for_each(check_event);
    let count = |all: &[Object], name: &str| all.iter().filter(|o| o["event"] == name).count();
    let counts =
        |all: &[Object]| ["epoch", "timing", "placement", "finished"].map(|name| count(all, name));
    assert_eq!(trained[0]["event"], "started");
    assert_eq!(trained[0]["schema"], 1);
    // Only of `watch` some fields are missing.
    for (field, _) in &tables("Events")["started"] {
        assert!(trained[0].contains_key(field), "{field}");
    }
    assert!(count(&trained, "step") >= 1 && count(&trained, "checkpoint") >= 2);
    assert_eq!(counts(&trained), [2, 2, 1, 1]);
    // The files say the same again.
    let watched = ane_trainer(dir.path(), "watch run --json");
    assert_eq!(watched.status.code(), Some(0));
    let watched = objects(&watched);
    watched.iter().for_each(check_event);
    assert_eq!(watched[0]["event"], "started");
    assert_eq!(counts(&watched), [2, 2, 0, 1]);
    for name in ["epoch", "timing"] {
        let of = |all: &[Object]| -> Vec<Object> {
            let found = all.iter().filter(|o| o["event"] == name);
            found.cloned().collect()
        };
        assert_eq!(of(&watched), of(&trained));
    }
    let test = |all: &[Object]| {
        let end = all.iter().find(|o| o["event"] == "finished").unwrap();
        end["test"].clone()
    };
    assert_eq!(test(&watched), test(&trained));
}

/// A command, how its table is called, and its exit code.
const COMMANDS: [(&str, &str, i32); 34] = [
    ("eval", "eval run --output answers.csv", 0),
    ("verify", "verify run", 0),
    ("replay", "replay BUNDLE", 0),
    ("predict", "predict run new.csv --top 1 --logits", 0),
    ("generate", "generate poem --prompt the -n 3", 0),
    ("eval", "eval poem", 0),
    ("runs list", "runs list .", 0),
    ("runs show", "runs show run", 0),
    ("runs compare", "runs compare run other", 0),
    ("runs compare", "compare run other", 0),
    ("runs prune", "runs prune . --keep 1", 0),
    ("runs rm", "runs rm other", 0),
    ("curves", "curves run", 0),
    ("report", "report run", 0),
    ("export", "export run --format numpy", 0),
    ("summary", "summary run", 0),
    ("profile", "profile run --steps 2 --trace trace.json", 0),
    (
        "bench",
        "bench run --rounds 3 --steps 2 --save-baseline b.json",
        0,
    ),
    (
        "bench",
        "bench run --rounds 3 --steps 2 --compare faster.json",
        1,
    ),
    (
        "inspect",
        "inspect --target h13 --model 64-8-10 --dataset digits",
        0,
    ),
    ("inspect", "inspect run --out program", 0),
    ("inspect model.mil", "inspect program/model.mil", 0),
    (
        "inspect model.mil --device",
        "inspect program/model.mil --device software",
        0,
    ),
    ("data list", "data list", 0),
    ("data fetch", "data fetch iris", 0),
    ("data verify", "data verify iris", 0),
    ("data verify", "data verify mnist --data-dir .", 1),
    ("data inspect", "data inspect t.csv", 0),
    ("devices", "devices", 0),
    ("doctor", "doctor", 0),
    (
        "selftest",
        "selftest --device software --only tanh --steps 1",
        0,
    ),
    ("explain", "explain E0101", 0),
    ("init", "init s.toml --data t.csv", 0),
    ("train --dry-run", "train --data t.csv --dry-run", 0),
];

#[test]
fn every_other_command_prints_one_object_with_the_fields_of_its_table() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    assert!(run(dir, "run", "").status.success());
    assert!(run(dir, "other", "--seed 2").status.success());
    fs::write(dir.join("new.csv"), "x,y\n3,4\n80,1\n").unwrap();
    fs::write(dir.join("poem.txt"), "the cat and the dog\n".repeat(40)).unwrap();
    let text = "train --data poem.txt --context 8 --batch 4 --max-steps 2 --out poem";
    assert!(ane_trainer(dir, text).status.success());
    // A step of this size goes beyond fp16, which ends the run.
    run(
        dir,
        "steep",
        "--optimizer sgd --lr 1e9 --record-on-overflow --max-steps 4",
    );
    let bundles = fs::read_dir(dir.join("steep/bundles")).unwrap();
    let bundle = bundles.map(|b| b.unwrap().path()).min().unwrap();
    let tables = tables("Results");
    let mut seen = BTreeSet::new();
    let check = |name: &str, arguments: &str, code: i32| {
        let done = ane_trainer(dir, &format!("{arguments} --json"));
        let told = errors(&done);
        assert_eq!(done.status.code(), Some(code), "{arguments}: {told}");
        let mut object = object(&done);
        assert_eq!(object.remove("schema").unwrap(), 1, "{arguments}");
        let command = object.remove("command").unwrap();
        let command = command.as_str().unwrap();
        let words = name
            .split(" -")
            .next()
            .unwrap()
            .trim_end_matches(" model.mil");
        // Some commands have a shorter name besides.
        let is_it = words == command || words.ends_with(&format!(" {command}"));
        assert!(is_it, "{arguments}: {command}");
        check_at(&object, &tables[name], "");
        assert!(!told.contains('{'), "{arguments}: {told}");
        // A finding that is not as it should be is told as it is without --json.
        assert_eq!(told.contains("help: "), code == 1, "{arguments}: {told}");
        object
    };
    for (name, arguments, code) in COMMANDS {
        let arguments = arguments.replace("BUNDLE", bundle.to_str().unwrap());
        let found = check(name, &arguments, code);
        if let Some(file) = found.get("kept").and_then(Value::as_str) {
            // A baseline that nothing is as fast as.
            let text = fs::read_to_string(dir.join(file)).unwrap();
            let mut baseline: Object = serde_json::from_str(&text).unwrap();
            baseline.insert("ms".to_owned(), Value::from(vec![1e-9; 3]));
            fs::write(dir.join("faster.json"), Value::from(baseline).to_string()).unwrap();
        }
        seen.insert(name);
    }
    let dumped = check(
        "train --dump-config",
        "train --dump-config --set training.epochs=3",
        0,
    );
    assert_eq!(
        dumped["settings"]["training.epochs"]["origin"],
        "--set training.epochs=3"
    );
    seen.insert("train --dump-config");
    let known: BTreeSet<&str> = tables.keys().map(String::as_str).collect();
    assert_eq!(seen, known);
    assert!(!dir.join("other").exists(), "`runs rm` does what it says");
    // And there is no command that nobody has thought of.
    let help = ane_trainer(dir, "--help").stdout;
    let help = String::from_utf8(help).unwrap();
    let commands = help.lines().skip_while(|l| *l != "Commands:").skip(1);
    // What stands further in goes on from the line above.
    let commands = commands.take_while(|l| !l.is_empty());
    for line in commands.filter(|l| !l.starts_with("   ")) {
        let name = line.split_whitespace().next().unwrap();
        let is_it = |known: &&str| known.split(' ').next() == Some(name);
        let others = ["watch", "compare", "completions", "man", "help"];
        assert!(known.iter().any(is_it) || others.contains(&name), "{name}");
    }
}

#[test]
fn a_failure_is_an_event_and_words_besides() {
    let dir = tempfile::tempdir().unwrap();
    for (arguments, command, code) in [
        (
            "train --data t.csv --json --label absent",
            Some("train"),
            None,
        ),
        ("--json eval no/such/run", Some("eval"), None),
        ("train --json --nonsense", Some("train"), Some("E0001")),
        (
            "runs list --json --nonsense",
            Some("runs list"),
            Some("E0001"),
        ),
        ("train --json --dataset minst", Some("train"), Some("E0101")),
        (
            "train --json --set training.epoch=3",
            Some("train"),
            Some("E0001"),
        ),
        ("runs --json", Some("runs"), Some("E0001")),
        ("fly --json", None, Some("E0001")),
        (
            "completions bash --json",
            Some("completions"),
            Some("E0001"),
        ),
        ("man --json", Some("man"), Some("E0001")),
        ("--quiet devices --json", Some("devices"), Some("E0001")),
        (
            "predict run t.csv --format json --json",
            Some("predict"),
            Some("E0001"),
        ),
    ] {
        write_table(dir.path());
        let failed = ane_trainer(dir.path(), arguments);
        let object = object(&failed);
        check_event(&object);
        assert_eq!(object["event"], "error", "{arguments}");
        assert_eq!(object["command"].as_str(), command, "{arguments}");
        if code.is_some() {
            assert_eq!(object["code"].as_str(), code, "{arguments}: {object:?}");
        }
        let status = failed.status.code().unwrap();
        assert!(status != 0 && object["exit_code"] == status, "{arguments}");
        let message = object["message"].as_str().unwrap();
        assert!(
            !message.is_empty() && !message.contains("Usage"),
            "{message}"
        );
        assert!(!failed.stderr.is_empty());
    }
    let typo = ane_trainer(dir.path(), "train --json --epoch 3");
    let typo = object(&typo);
    assert_eq!(typo["message"], "unexpected argument '--epoch' found");
    let help = typo["help"].as_str().unwrap();
    assert!(help.contains("'--epochs'"), "{help}");
}

#[test]
fn a_quiet_run_says_its_result_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let done = run(dir.path(), "run", "-q");
    assert_eq!(done.status.code(), Some(0));
    assert!(done.stderr.is_empty());
    let text = String::from_utf8(done.stdout).unwrap();
    assert!(
        text.contains("test: ") && !text.contains("epoch  1"),
        "{text}"
    );
}
