//! `whitespace`: no blanks at the ends of lines, no tabs in Rust, and a newline at the end of every text file.

use crate::tidy::Violation;
use crate::tree::Tree;

/// The endings of the files that are looked at.
const ENDINGS: &[&str] = &["rs", "md", "toml", "py", "pyi", "yml"];

pub(crate) fn check(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in tree
        .files()
        .filter(|file| ENDINGS.contains(&file.extension()))
    {
        for (number, line) in file.lines() {
            if line.ends_with(char::is_whitespace) {
                violations.push(Violation::new(
                    &file.path,
                    number,
                    "blanks at the end of the line",
                ));
            }
            if file.extension() == "rs" && line.contains('\t') {
                violations.push(Violation::new(&file.path, number, "a tab"));
            }
        }
        if !file.text.is_empty() && !file.text.ends_with('\n') {
            violations.push(Violation::new(
                &file.path,
                file.lines().count(),
                "no newline at the end of the file",
            ));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use crate::tidy::findings;

    #[test]
    fn clean_files_pass() {
        let files = [
            ("a.rs", "fn a() {}\n\n"),
            ("b.py", ""),
            ("c.md", "x\n"),
            ("d.txt", "x \nno end"),
            ("e.toml", "\ta = 1\n"),
        ];
        assert_eq!(findings(super::check, &files), [""; 0]);
    }

    #[test]
    fn reports_blanks_tabs_and_missing_newlines() {
        let files = [
            ("a.rs", "fn a() {}\n\tx\n"),
            ("b.py", "x"),
            ("c.md", "x\ny  \n"),
            ("d.yml", "a: 1\r\n"),
        ];
        let expected = [
            "a.rs:2: a tab",
            "b.py:1: no newline at the end of the file",
            "c.md:2: blanks at the end of the line",
            "d.yml:1: blanks at the end of the line",
        ];
        assert_eq!(findings(super::check, &files), expected);
    }
}
