//! `names`: names say what a thing is; none says that it is the rest, the second try or a phase of work.

use crate::tidy::Violation;
use crate::tree::{File, Tree};

/// Names that fit everything and therefore say nothing.
const EMPTY_NAMES: &[&str] = &[
    "utils", "util", "helpers", "helper", "common", "misc", "manager",
];

/// Files whose names an interface that others have published fixes.
const GIVEN_NAMES: &[&str] = &["python/ane_trainer/utils.py"];

pub(crate) fn check(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in tree.files() {
        if !GIVEN_NAMES.contains(&file.path.as_str()) {
            check_path(file, &mut violations);
        }
        if file.extension() == "rs" {
            check_code(file, &mut violations);
        }
    }
    violations
}

fn check_path(file: &File, violations: &mut Vec<Violation>) {
    let mut report = |message: String| violations.push(Violation::new(&file.path, 1, message));
    let parts: Vec<&str> = file.parts().collect();
    let (name, folders) = parts
        .split_last()
        .map_or(("", &[][..]), |(name, folders)| (*name, folders));
    for part in folders.iter().copied().chain([file.stem()]) {
        if let Some(fault) = fault(part) {
            report(format!("`{part}` {fault}"));
        }
    }
    if name == "mod.rs" {
        report("use `foo.rs` beside `foo/`, not `foo/mod.rs`".to_owned());
    }
    if name.starts_with("test_") && file.extension() == "rs" {
        report("a test is named after the behaviour it shows, without `test_`".to_owned());
    }
}

fn check_code(file: &File, violations: &mut Vec<Violation>) {
    let code = file.code();
    for (keyword, at) in ["mod", "fn"]
        .into_iter()
        .flat_map(|word| code.words(word).map(move |at| (word, at)))
    {
        let name = code.identifier_after(at + keyword.len());
        let mut report = |message: String| {
            violations.push(Violation::new(&file.path, code.line_of(at), message))
        };
        let behind = code.text[at + keyword.len()..].trim_start()[name.len()..].trim_start();
        let fault = match keyword {
            // A module without a body is a file, and is reported there.
            "mod" if behind.starts_with(';') => None,
            "mod" => fault(name),
            _ => fault_of_time(name),
        };
        if let Some(fault) = fault {
            report(format!("`{keyword} {name}` {fault}"));
        }
        if keyword == "fn" && name.starts_with("test_") && is_marked_as_test(&code.text[..at]) {
            report(format!(
                "`fn {name}`: a test is named after the behaviour it shows, without `test_`"
            ));
        }
    }
}

/// What is wrong with the name of a folder, a file or a module.
fn fault(name: &str) -> Option<&'static str> {
    if EMPTY_NAMES.contains(&name) {
        Some("says nothing: name what it holds")
    } else {
        fault_of_time(name)
    }
}

/// What is wrong with the name of anything: that it says when it was written.
fn fault_of_time(name: &str) -> Option<&'static str> {
    if name.ends_with("_v2") {
        Some("is a second try: replace the first")
    } else if has_phase(name) {
        Some("names a phase of work: name what it does")
    } else {
        None
    }
}

fn has_phase(name: &str) -> bool {
    name.match_indices("phase")
        .any(|(at, word)| name[at + word.len()..].starts_with(|c: char| c.is_ascii_digit()))
}

/// Whether the attributes just before a function, at the end of the text, make it a test.
fn is_marked_as_test(before: &str) -> bool {
    before[before.rfind([';', '{', '}']).map_or(0, |at| at + 1)..].contains("test]")
}

#[cfg(test)]
mod tests {
    use crate::tidy::findings;

    #[test]
    fn names_that_say_something_pass() {
        let code = "//! x\nmod support {}\nfn test_images() {}\n#[test]\nfn adds() {}\n// mod helper {}\nfn common() {}\nfn phases() {}\n";
        let clean = [
            ("crates/a/src/x.rs", code),
            ("python/tests/test_fit.py", ""),
            ("python/ane_trainer/utils.py", ""),
            ("crates/a/src/x86_v3.rs", ""),
        ];
        assert_eq!(findings(super::check, &clean), [""; 0]);
    }

    #[test]
    fn reports_files_folders_modules_and_tests() {
        let code = "mod misc { }\nmod util;\n#[test]\nfn test_adds() {}\nfn run_phase4() {}\nfn plan_v2() {}\n";
        let files = [
            ("a/mod.rs", ""),
            ("b/utils/x.rs", ""),
            ("c/plan_v2.rs", ""),
            ("d/test_x.rs", ""),
            ("e.rs", code),
            ("phase2.md", ""),
        ];
        let expected = [
            "a/mod.rs:1: use `foo.rs` beside `foo/`, not `foo/mod.rs`",
            "b/utils/x.rs:1: `utils` says nothing: name what it holds",
            "c/plan_v2.rs:1: `plan_v2` is a second try: replace the first",
            "d/test_x.rs:1: a test is named after the behaviour it shows, without `test_`",
            "e.rs:1: `mod misc` says nothing: name what it holds",
            "e.rs:4: `fn test_adds`: a test is named after the behaviour it shows, without `test_`",
            "e.rs:5: `fn run_phase4` names a phase of work: name what it does",
            "e.rs:6: `fn plan_v2` is a second try: replace the first",
            "phase2.md:1: `phase2` names a phase of work: name what it does",
        ];
        assert_eq!(findings(super::check, &files), expected);
    }
}
