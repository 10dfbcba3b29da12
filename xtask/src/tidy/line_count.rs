//! How many lines of Rust each crate has: a thermometer, not a target.

use std::collections::BTreeMap;

use crate::table;
use crate::tree::{File, Tree};

/// A table of files and lines per crate, those under `src` apart from the others.
pub(crate) fn table(tree: &Tree) -> String {
    let mut counts: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    for file in tree.rust_files() {
        let Some((package, in_source)) = place(file) else {
            continue;
        };
        let lines = file.lines().count();
        let count = counts.entry(package).or_default();
        count[0] += 1;
        count[if in_source { 1 } else { 2 }] += lines;
    }
    let total = counts.values().fold([0; 3], |sum, count| {
        [sum[0] + count[0], sum[1] + count[1], sum[2] + count[2]]
    });
    let rows: Vec<Vec<String>> = counts
        .into_iter()
        .chain([("all", total)])
        .map(|(package, count)| {
            [package.to_owned()]
                .into_iter()
                .chain(count.map(|n| n.to_string()))
                .collect()
        })
        .collect();
    table::render(
        &["crate", "files", "lines in src", "lines elsewhere"],
        &rows,
    )
}

/// The crate a file belongs to, and whether it is part of its `src`.
fn place(file: &File) -> Option<(&str, bool)> {
    let parts: Vec<&str> = file.parts().collect();
    match parts[..] {
        ["crates", package, folder, ..] | [package @ "xtask", folder, ..] => {
            Some((package, folder == "src"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_sources_and_the_rest_apart() {
        let tree = Tree::fixture(&[
            ("crates/a/src/lib.rs", "1\n2\n"),
            ("crates/a/src/b/c.rs", "1\n"),
            ("crates/a/tests/t.rs", "1\n2\n3\n4\n"),
            ("crates/a/notes.md", "x\n"),
            ("xtask/src/main.rs", "1\n"),
        ]);
        let text = table(&tree);
        let cells: Vec<Vec<&str>> = text
            .lines()
            .skip(2)
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(
            cells,
            [
                ["a", "3", "3", "4"],
                ["xtask", "1", "1", "0"],
                ["all", "4", "4", "4"]
            ]
        );
    }
}
