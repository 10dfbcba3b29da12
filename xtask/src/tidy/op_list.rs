//! `op_list`: the ops as files, as `pub mod` lines and as entries of `for_each_op!` are the same, and sorted.

use crate::tidy::Violation;
use crate::tree::module_list::{compare, declared, entries, files_in};
use crate::tree::{File, Tree};

const LIST: &str = "crates/ane-ir/src/ops.rs";
const FOLDER: &str = "crates/ane-ir/src/ops/";

/// The module of what ops share; it is no op.
const SHARED: &str = "support";

pub(crate) fn check(tree: &Tree) -> Vec<Violation> {
    let Some(list) = tree.file(LIST) else {
        return vec![Violation::new(LIST, 1, "the list of ops is missing")];
    };
    let Some((start, end)) = macro_body(list) else {
        return vec![Violation::new(
            LIST,
            1,
            "`macro_rules! for_each_op` is missing",
        )];
    };
    let (public, private): (Vec<_>, Vec<_>) = declared(list)
        .into_iter()
        .partition(|declared| declared.public);
    let mut files = files_in(tree, FOLDER);
    files.retain(|name| {
        *name != SHARED && !private.iter().any(|declared| declared.module.name == *name)
    });
    let ops: Vec<_> = public
        .into_iter()
        .map(|declared| declared.module)
        .filter(|module| module.name != SHARED)
        .collect();
    let entries = entries(list, start, end, |item| {
        item.starts_with(|c: char| c.is_uppercase())
    });
    compare(list, FOLDER, &ops, &entries, &files)
}

/// Where the macro's definition begins and ends.
fn macro_body(list: &File) -> Option<(usize, usize)> {
    let code = list.code();
    let start = code.words("macro_rules").find(|at| {
        let behind = code.text[at + "macro_rules".len()..].trim_start();
        behind
            .strip_prefix('!')
            .is_some_and(|name| name.trim_start().starts_with("for_each_op"))
    })?;
    let open = start + code.text[start..].find(['{', '('])?;
    Some((open, code.closing(open)?))
}

#[cfg(test)]
mod tests {
    use crate::tidy::findings;

    const ADD: (&str, &str) = ("crates/ane-ir/src/ops/add.rs", "");
    const MUL: (&str, &str) = ("crates/ane-ir/src/ops/mul.rs", "");

    #[test]
    fn lists_that_agree_pass() {
        let list = "pub mod add;\npub mod mul;\npub mod support;\nmod listing;\n
#[macro_export]
macro_rules! for_each_op {
    ($callback:path) => {
        $callback! {
            // x::Y,
            add::Add,
            $crate::ops::mul::Mul,
        }
    };
}
fn other() { zip::Zip }
";
        let files = [
            ("crates/ane-ir/src/ops.rs", list),
            ADD,
            MUL,
            ("crates/ane-ir/src/ops/listing.rs", ""),
            ("crates/ane-ir/src/ops/support.rs", ""),
            ("crates/ane-ir/src/ops/support/reduce.rs", ""),
            ("crates/ane-ir/src/ops/add/corner.rs", ""),
        ];
        assert_eq!(findings(super::check, &files), [""; 0]);
    }

    #[test]
    fn every_disagreement_is_reported() {
        let list = "pub mod mul;\npub mod add;\npub mod gone;\nmacro_rules! for_each_op { ($m:ident) => { $m! {\nmul::Mul,\nmul::Mul,\nexp::Exp,\nadd::Add,\n} } }\n";
        let files = [
            ("crates/ane-ir/src/ops.rs", list),
            ADD,
            MUL,
            ("crates/ane-ir/src/ops/tanh.rs", ""),
        ];
        let expected = [
            "crates/ane-ir/src/ops.rs:2: the `mod` lines are not sorted: `add` comes after `mul`",
            "crates/ane-ir/src/ops.rs:3: `mod gone` has no file crates/ane-ir/src/ops/gone.rs",
            "crates/ane-ir/src/ops.rs:3: `mod gone` is missing from the list",
            "crates/ane-ir/src/ops.rs:6: the list names `mul` twice",
            "crates/ane-ir/src/ops.rs:7: the list is not sorted: `exp` comes after `mul`",
            "crates/ane-ir/src/ops.rs:7: the list names `exp`, which has no `mod` line",
            "crates/ane-ir/src/ops/tanh.rs:1: crates/ane-ir/src/ops.rs has no `mod tanh;` line for this file",
        ];
        assert_eq!(findings(super::check, &files), expected);
    }

    #[test]
    fn a_missing_list_is_reported() {
        assert_eq!(
            findings(super::check, &[ADD]),
            ["crates/ane-ir/src/ops.rs:1: the list of ops is missing"]
        );
        let found = findings(
            super::check,
            &[("crates/ane-ir/src/ops.rs", "pub mod add;\n"), ADD],
        );
        assert_eq!(
            found,
            ["crates/ane-ir/src/ops.rs:1: `macro_rules! for_each_op` is missing"]
        );
    }
}
