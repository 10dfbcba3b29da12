//! Lists of modules that are kept in three places: the files, the `mod` lines, and a list that names an item of each.

use std::collections::BTreeSet;

use crate::tidy::Violation;
use crate::tree::rust_code::is_identifier;
use crate::tree::{File, Tree};

/// A name and the line, from 1, that holds it.
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) line: usize,
}

/// A `mod x;` line.
pub(crate) struct Declared {
    pub(crate) module: Named,
    /// Whether it is a plain `pub mod`.
    pub(crate) public: bool,
}

/// The `mod x;` lines of a file, except those for tests.
pub(crate) fn declared(file: &File) -> Vec<Declared> {
    let code = file.code();
    let mut modules = Vec::new();
    for at in code.words("mod") {
        let name = code.identifier_after(at + 3);
        let behind = code.text[at + 3..].trim_start()[name.len()..].trim_start();
        let line = code.line_of(at);
        if behind.starts_with(';') && !code.is_test(line) {
            let public = code.text[..at].trim_end().ends_with("pub");
            modules.push(Declared {
                module: Named {
                    name: name.to_owned(),
                    line,
                },
                public,
            });
        }
    }
    modules
}

/// The entries `module::Item` between two positions of a file whose item passes a test.
///
/// Leading `$crate`, `crate`, `self`, `super` and the name of the file itself are not counted as modules.
pub(crate) fn entries(
    file: &File,
    start: usize,
    end: usize,
    is_item: fn(&str) -> bool,
) -> Vec<Named> {
    let code = file.code();
    let mut found = Vec::new();
    let mut at = start;
    for piece in code.text[start..end].split([',', '\n', '(', ')', '[', ']', '{', '}']) {
        let path: String = piece
            .chars()
            .filter(|c| is_identifier(*c) || *c == ':')
            .collect();
        let leading = ["crate", "self", "super", file.stem()];
        let parts: Vec<&str> = path
            .split("::")
            .skip_while(|part| leading.contains(part))
            .collect();
        if let [module, item] = parts[..]
            && module.chars().next().is_some_and(|c| c.is_lowercase())
            && is_item(item)
        {
            found.push(Named {
                name: module.to_owned(),
                line: code.line_of(at),
            });
        }
        at += piece.len() + 1;
    }
    found
}

/// The modules directly in a folder: the names of its Rust files.
pub(crate) fn files_in<'t>(tree: &'t Tree, folder: &str) -> BTreeSet<&'t str> {
    let in_folder = |file: &&File| {
        file.path
            .strip_prefix(folder)
            .is_some_and(|rest| !rest.contains('/'))
    };
    tree.rust_files()
        .filter(in_folder)
        .map(File::stem)
        .collect()
}

/// What disagrees between the `mod` lines of `file`, its list of entries and the modules in `folder`.
pub(crate) fn compare(
    file: &File,
    folder: &str,
    modules: &[Named],
    entries: &[Named],
    files: &BTreeSet<&str>,
) -> Vec<Violation> {
    let mut violations = Vec::new();
    for module in modules {
        if !files.contains(module.name.as_str()) {
            let message = format!(
                "`mod {}` has no file {folder}{}.rs",
                module.name, module.name
            );
            violations.push(Violation::new(&file.path, module.line, message));
        }
        if !entries.iter().any(|entry| entry.name == module.name) {
            let message = format!("`mod {}` is missing from the list", module.name);
            violations.push(Violation::new(&file.path, module.line, message));
        }
    }
    for (i, entry) in entries.iter().enumerate() {
        if !modules.iter().any(|module| module.name == entry.name) {
            let message = format!("the list names `{}`, which has no `mod` line", entry.name);
            violations.push(Violation::new(&file.path, entry.line, message));
        }
        if entries[..i]
            .iter()
            .any(|earlier| earlier.name == entry.name)
        {
            violations.push(Violation::new(
                &file.path,
                entry.line,
                format!("the list names `{}` twice", entry.name),
            ));
        }
    }
    for name in files {
        if !modules.iter().any(|module| module.name == *name) {
            let message = format!("{} has no `mod {name};` line for this file", file.path);
            violations.push(Violation::new(&format!("{folder}{name}.rs"), 1, message));
        }
    }
    for (list, what) in [(modules, "`mod` lines are"), (entries, "list is")] {
        violations.extend(first_disorder(list).map(|(early, late)| {
            let message = format!(
                "the {what} not sorted: `{}` comes after `{}`",
                late.name, early.name
            );
            Violation::new(&file.path, late.line, message)
        }));
    }
    violations
}

/// The first neighbours that are out of order, both as plain text and the way rustfmt sorts, where `_` comes first.
fn first_disorder(list: &[Named]) -> Option<(&Named, &Named)> {
    let rustfmt = |name: &str| name.replace('_', "\0");
    let wrong = |pair: &&[Named]| {
        pair[0].name > pair[1].name && rustfmt(&pair[0].name) > rustfmt(&pair[1].name)
    };
    list.windows(2).find(wrong).map(|pair| (&pair[0], &pair[1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_mod_lines_and_leaves_tests_out() {
        let tree = Tree::fixture(&[(
            "ops.rs",
            "pub mod add;\nmod support;\npub(crate) mod x;\nmod inline { }\n#[cfg(test)]\nmod suite;\n// mod no;\n",
        )]);
        let modules = declared(tree.file("ops.rs").unwrap());
        let seen: Vec<_> = modules
            .iter()
            .map(|m| (m.module.name.as_str(), m.module.line, m.public))
            .collect();
        assert_eq!(
            seen,
            [("add", 1, true), ("support", 2, false), ("x", 3, false)]
        );
    }

    #[test]
    fn accepts_both_ways_to_sort() {
        let list = |names: &[&str]| -> Vec<Named> {
            names
                .iter()
                .map(|n| Named {
                    name: (*n).to_owned(),
                    line: 1,
                })
                .collect()
        };
        assert!(first_disorder(&list(&["exp", "exp2", "exp_x"])).is_none());
        assert!(first_disorder(&list(&["exp", "exp_x", "exp2"])).is_none());
        assert!(first_disorder(&list(&["mul", "add"])).is_some());
    }
}
