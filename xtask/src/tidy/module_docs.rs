//! `module_docs`: every source file of a crate starts with `//!`, so that a reader learns first what it is.

use crate::tidy::Violation;
use crate::tree::{File, Tree};

pub(crate) fn check(tree: &Tree) -> Vec<Violation> {
    let undocumented = tree
        .rust_files()
        .filter(|file| is_source(file) && !file.text.starts_with("//!"));
    undocumented
        .map(|file| Violation::new(&file.path, 1, "the file does not start with `//!`"))
        .collect()
}

fn is_source(file: &File) -> bool {
    let parts: Vec<&str> = file.parts().collect();
    matches!(parts[..], ["crates", _, "src", ..] | ["xtask", "src", ..])
}

#[cfg(test)]
mod tests {
    use crate::tidy::findings;

    #[test]
    fn wants_the_module_comment_first() {
        let clean = [
            ("crates/a/src/lib.rs", "//! A.\n"),
            ("crates/a/tests/t.rs", "fn f() {}\n"),
            ("crates/a/src/x.md", "x\n"),
        ];
        assert!(findings(super::check, &clean).is_empty());
        let found = findings(
            super::check,
            &[
                ("crates/a/src/b/c.rs", "// C.\n//! C.\n"),
                ("xtask/src/main.rs", ""),
            ],
        );
        let expected = [
            "crates/a/src/b/c.rs:1: the file does not start with `//!`",
            "xtask/src/main.rs:1: the file does not start with `//!`",
        ];
        assert_eq!(found, expected);
    }
}
