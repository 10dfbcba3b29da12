//! `todo`: nothing unfinished, no test that is switched off or waits for time to pass.

use crate::tidy::Violation;
use crate::tree::{File, Tree};

/// What may not be in code, and why.
const FORBIDDEN: &[(&str, &str)] = &[
    ("todo!(", "write it or leave it out"),
    ("unimplemented!(", "write it or leave it out"),
    ("dbg!(", "a leftover of debugging"),
    ("#[ignore", "a test that does not run shows nothing"),
    ("#[should_panic", "assert on an error value instead"),
];

pub(crate) fn check(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in tree.rust_files() {
        let code = file.code();
        for (pattern, reason) in FORBIDDEN {
            for (at, _) in code.text.match_indices(pattern) {
                let message = format!("`{pattern}`: {reason}");
                violations.push(Violation::new(&file.path, code.line_of(at), message));
            }
        }
        for (at, _) in code.text.match_indices("thread::sleep") {
            let line = code.line_of(at);
            if is_test_file(file) || code.is_test(line) {
                violations.push(Violation::new(
                    &file.path,
                    line,
                    "`thread::sleep` in a test: wait for the event, not for the clock",
                ));
            }
        }
    }
    violations
}

fn is_test_file(file: &File) -> bool {
    file.stem() == "tests" || file.parts().any(|part| part == "tests")
}

#[cfg(test)]
mod tests {
    use crate::tidy::findings;

    #[test]
    fn finished_code_passes() {
        let code = "// todo!()\nfn f() { std::thread::sleep(D); g(\"dbg!(x)\"); }\n#[cfg(test)]\nmod tests { }\n";
        assert_eq!(
            findings(super::check, &[("crates/a/src/lib.rs", code)]),
            [""; 0]
        );
    }

    #[test]
    fn reports_unfinished_code_and_bad_tests() {
        let code = "fn f() { todo!() }\nfn g() { unimplemented!(\"x\") }\n#[cfg(test)]\nmod tests {\n    #[test]\n    #[ignore = \"slow\"]\n    fn a() { dbg!(std::thread::sleep(D)); }\n    #[should_panic]\n    fn b() {}\n}\n";
        let found = findings(
            super::check,
            &[
                ("src/lib.rs", code),
                ("tests/run.rs", "use std::thread::sleep;\n"),
            ],
        );
        let expected = [
            "src/lib.rs:1: `todo!(`: write it or leave it out",
            "src/lib.rs:2: `unimplemented!(`: write it or leave it out",
            "src/lib.rs:6: `#[ignore`: a test that does not run shows nothing",
            "src/lib.rs:7: `dbg!(`: a leftover of debugging",
            "src/lib.rs:7: `thread::sleep` in a test: wait for the event, not for the clock",
            "src/lib.rs:8: `#[should_panic`: assert on an error value instead",
            "tests/run.rs:1: `thread::sleep` in a test: wait for the event, not for the clock",
        ];
        assert_eq!(found, expected);
    }
}
