//! `cargo xtask tidy`: the rules of this tree that compilers do not know, one file per rule.
//!
//! A rule reads a [`Tree`] and reports every violation. To add one, write its file and add it to [`RULES`].

use std::path::Path;

use anyhow::{Result, bail};

use crate::tree::Tree;

mod documents;
mod foreign;
mod host_cfg;
mod layering;
mod line_count;
mod links;
mod module_docs;
mod names;
mod op_list;
mod printer_names_no_op;
mod rule_list;
mod size;
mod todo;
mod unsafe_code;
mod whitespace;

/// A rule: a name and what it has against a tree.
struct Rule {
    name: &'static str,
    check: fn(&Tree) -> Vec<Violation>,
}

/// Every rule, in the order in which it is reported.
const RULES: &[Rule] = &[
    Rule {
        name: "size",
        check: size::check,
    },
    Rule {
        name: "module_docs",
        check: module_docs::check,
    },
    Rule {
        name: "names",
        check: names::check,
    },
    Rule {
        name: "layering",
        check: layering::check,
    },
    Rule {
        name: "unsafe_code",
        check: unsafe_code::check,
    },
    Rule {
        name: "op_list",
        check: op_list::check,
    },
    Rule {
        name: "rule_list",
        check: rule_list::check,
    },
    Rule {
        name: "printer_names_no_op",
        check: printer_names_no_op::check,
    },
    Rule {
        name: "todo",
        check: todo::check,
    },
    Rule {
        name: "host_cfg",
        check: host_cfg::check,
    },
    Rule {
        name: "whitespace",
        check: whitespace::check,
    },
    Rule {
        name: "documents",
        check: documents::check,
    },
    Rule {
        name: "links",
        check: links::check,
    },
    Rule {
        name: "foreign",
        check: foreign::check,
    },
];

/// Something a rule forbids, and where.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Violation {
    path: String,
    line: usize,
    message: String,
}

impl Violation {
    /// A violation at a line, from 1.
    pub(crate) fn new(path: &str, line: usize, message: impl Into<String>) -> Violation {
        Violation {
            path: path.to_owned(),
            line,
            message: message.into(),
        }
    }
}

/// Checks the tree below the root; prints every violation and the number of lines of each crate.
pub(crate) fn run(root: &Path) -> Result<()> {
    let tree = Tree::load(root)?;
    let lines = report(&tree);
    for line in &lines {
        println!("{line}");
    }
    if !lines.is_empty() {
        println!();
    }
    println!("{}", line_count::table(&tree));
    match lines.len() {
        0 => Ok(()),
        1 => bail!("`cargo xtask tidy` failed: 1 violation"),
        count => bail!("`cargo xtask tidy` failed: {count} violations"),
    }
}

/// Every violation as `path:line: rule: message`.
fn report(tree: &Tree) -> Vec<String> {
    let mut lines = Vec::new();
    for rule in RULES {
        let mut violations = (rule.check)(tree);
        violations.sort();
        lines.extend(
            violations
                .into_iter()
                .map(|v| format!("{}:{}: {}: {}", v.path, v.line, rule.name, v.message)),
        );
    }
    lines
}

/// What a rule says about files given as pairs of path and text, as sorted `path:line: message`.
#[cfg(test)]
fn findings(check: fn(&Tree) -> Vec<Violation>, files: &[(&str, &str)]) -> Vec<String> {
    let mut violations = check(&Tree::fixture(files));
    violations.sort();
    violations
        .into_iter()
        .map(|v| format!("{}:{}: {}", v.path, v.line, v.message))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_path_line_rule_and_message() {
        let lines = report(&Tree::fixture(&[("xtask/src/main.rs", "fn main() {}\n")]));
        assert!(
            lines.contains(
                &"xtask/src/main.rs:1: module_docs: the file does not start with `//!`".to_owned()
            ),
            "{lines:#?}"
        );
    }

    #[test]
    fn every_rule_has_its_own_name() {
        for (i, rule) in RULES.iter().enumerate() {
            assert!(
                RULES[..i].iter().all(|earlier| earlier.name != rule.name),
                "{}",
                rule.name
            );
        }
    }
}
