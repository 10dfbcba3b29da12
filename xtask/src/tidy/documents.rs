//! `documents`: the documents that a visitor looks for are there.

use crate::tidy::Violation;
use crate::tree::Tree;

const DOCUMENTS: &[&str] = &[
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "README.md",
];

pub(crate) fn check(tree: &Tree) -> Vec<Violation> {
    let missing = DOCUMENTS.iter().filter(|path| {
        tree.file(path)
            .is_none_or(|file| file.text.trim().is_empty())
    });
    missing
        .map(|path| Violation::new(path, 1, "the document is missing or empty"))
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::tidy::findings;

    #[test]
    fn each_document_has_to_be_there_and_say_something() {
        let all = [
            ("ARCHITECTURE.md", "x"),
            ("CHANGELOG.md", "x"),
            ("CONTRIBUTING.md", "x"),
            ("LICENSE", "x"),
            ("README.md", "x"),
        ];
        assert_eq!(findings(super::check, &all), [""; 0]);
        let mut some = all.to_vec();
        some.retain(|(path, _)| *path != "LICENSE");
        some[0].1 = "\n";
        let expected = [
            "ARCHITECTURE.md:1: the document is missing or empty",
            "LICENSE:1: the document is missing or empty",
        ];
        assert_eq!(findings(super::check, &some), expected);
    }
}
