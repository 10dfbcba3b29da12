//! The tutorial, done as it says.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A block between fences: its language, its text, and the line of prose before it.
struct Block {
    language: String,
    text: String,
    before: String,
}

fn blocks(document: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let (mut is_inside, mut before) = (false, "");
    for line in document.lines() {
        match line.strip_prefix("```") {
            Some(_) if is_inside => is_inside = false,
            Some(language) => {
                is_inside = true;
                blocks.push(Block {
                    language: language.to_owned(),
                    text: String::new(),
                    before: before.to_owned(),
                });
            }
            None if is_inside => {
                let block = blocks.last_mut().unwrap();
                block.text += line;
                block.text += "\n";
            }
            None if !line.is_empty() => before = line,
            None => {}
        }
    }
    assert!(!is_inside, "a block has no end");
    blocks
}

/// The file that a line of prose says a block is: a name in backquotes before a colon at its end.
fn named(before: &str) -> Option<&str> {
    before
        .strip_suffix("`:")?
        .rsplit_once('`')
        .map(|(_, name)| name)
}

/// Runs a line in a folder, by a shell: it is what a reader would paste.
fn run(line: &str, folder: &Path) {
    let programs = Path::new(env!("CARGO_BIN_EXE_ane-trainer"))
        .parent()
        .unwrap();
    let others = std::env::var_os("PATH").unwrap_or_default();
    let paths: Vec<PathBuf> = [programs.to_owned()]
        .into_iter()
        .chain(std::env::split_paths(&others))
        .collect();
    let done = Command::new("sh")
        .args(["-ec", line])
        .current_dir(folder)
        .env("PATH", std::env::join_paths(paths).unwrap())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "`{line}`: {told}");
}

#[test]
fn every_command_of_the_tutorial_does_what_it_is_there_for() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/tutorial.md");
    let dir = tempfile::tempdir().unwrap();
    let mut commands = 0;
    for block in blocks(&fs::read_to_string(path).unwrap()) {
        match &block.language[..] {
            "sh" => {
                for line in block.text.lines() {
                    assert!(line.starts_with("ane-trainer "), "{line}");
                    run(line, dir.path());
                    commands += 1;
                }
            }
            "toml" => {
                let name = named(&block.before).unwrap();
                fs::write(dir.path().join(name), block.text).unwrap();
            }
            "text" => {}
            other => panic!("nobody knows what to do with a block of `{other}`"),
        }
    }
    assert!(commands > 15, "{commands}");
    // What the last section promises.
    let first = dir.path().join("runs/first");
    for file in [
        "model.onnx",
        "model.mlpackage",
        "model.safetensors",
        "report.html",
    ] {
        assert!(first.join(file).exists(), "{file}");
    }
}

#[test]
fn blocks_are_told_apart() {
    let found = blocks("Say `a.toml`:\n\n```toml\nx = 1\n```\nDo:\n```sh\nls\n```\n");
    assert_eq!(found.len(), 2);
    assert_eq!(named(&found[0].before), Some("a.toml"));
    assert_eq!((&found[1].language[..], &found[1].text[..]), ("sh", "ls\n"));
}
