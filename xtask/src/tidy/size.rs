//! `size`: no Rust or Python file is longer than 600 lines.

use crate::tidy::Violation;
use crate::tree::Tree;

/// A file that is longer holds more than one idea.
const MOST_LINES: usize = 600;

pub(crate) fn check(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in tree
        .files()
        .filter(|file| ["rs", "py", "pyi"].contains(&file.extension()))
    {
        let count = file.lines().count();
        if count > MOST_LINES {
            let message = format!("{count} lines, at most {MOST_LINES} are allowed");
            violations.push(Violation::new(&file.path, MOST_LINES + 1, message));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use crate::tidy::findings;

    #[test]
    fn allows_the_limit_and_not_a_line_more() {
        let (most, more) = ("\n".repeat(600), "\n".repeat(601));
        assert!(findings(super::check, &[("a.rs", &most), ("b.md", &more)]).is_empty());
        let found = findings(super::check, &[("a.rs", &more), ("b.py", &more)]);
        let expected = [
            "a.rs:601: 601 lines, at most 600 are allowed",
            "b.py:601: 601 lines, at most 600 are allowed",
        ];
        assert_eq!(found, expected);
    }
}
