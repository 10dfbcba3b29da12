//! `rule_list`: Apple's constraints as files, as `mod` lines and as entries of `RULES` are the same, and sorted.

use crate::tidy::Violation;
use crate::tree::module_list::{compare, declared, entries, files_in};
use crate::tree::{File, Tree};

const LIST: &str = "crates/ane-mil/src/rules.rs";
const FOLDER: &str = "crates/ane-mil/src/rules/";

/// The module of what rules share; it is no rule.
const SHARED: &str = "support";

pub(crate) fn check(tree: &Tree) -> Vec<Violation> {
    let Some(list) = tree.file(LIST) else {
        return vec![Violation::new(LIST, 1, "the list of rules is missing")];
    };
    let Some((start, end)) = list_body(list) else {
        return vec![Violation::new(LIST, 1, "the list `RULES` is missing")];
    };
    let modules: Vec<_> = declared(list)
        .into_iter()
        .map(|declared| declared.module)
        .filter(|module| module.name != SHARED)
        .collect();
    let mut files = files_in(tree, FOLDER);
    files.retain(|name| ![SHARED, "tests"].contains(name));
    let entries = entries(list, start, end, |item| item == "RULE");
    compare(list, FOLDER, &modules, &entries, &files)
}

/// Where the value of `RULES` begins and ends.
fn list_body(list: &File) -> Option<(usize, usize)> {
    let code = list.code();
    let name = code.words("RULES").find(|at| {
        code.text[at + "RULES".len()..]
            .trim_start()
            .starts_with(':')
    })?;
    let value = name + code.text[name..].find('=')?;
    let open = value + code.text[value..].find('[')?;
    Some((open, code.closing(open)?))
}

#[cfg(test)]
mod tests {
    use crate::tidy::findings;

    const RANK: (&str, &str) = ("crates/ane-mil/src/rules/rank.rs", "");
    const WIDTH: (&str, &str) = ("crates/ane-mil/src/rules/width.rs", "");

    #[test]
    fn lists_that_agree_pass() {
        let list = "mod rank;\nmod support;\npub(crate) mod width;\n/// Uses `RULES`.\npub const RULES: &[&Rule] = &[&rank::RULE, &self::width::RULE];\n#[cfg(test)]\nmod tests;\n";
        let files = [
            ("crates/ane-mil/src/rules.rs", list),
            RANK,
            WIDTH,
            ("crates/ane-mil/src/rules/support.rs", ""),
            ("crates/ane-mil/src/rules/tests.rs", ""),
        ];
        assert_eq!(findings(super::check, &files), [""; 0]);
    }

    #[test]
    fn disagreements_are_reported() {
        let list = "mod rank;\nmod strides;\nstatic RULES: [Rule; 2] = [\n    rank::RULE,\n    limits::RULE,\n];\n";
        let expected = [
            "crates/ane-mil/src/rules.rs:2: `mod strides` has no file crates/ane-mil/src/rules/strides.rs",
            "crates/ane-mil/src/rules.rs:2: `mod strides` is missing from the list",
            "crates/ane-mil/src/rules.rs:5: the list is not sorted: `limits` comes after `rank`",
            "crates/ane-mil/src/rules.rs:5: the list names `limits`, which has no `mod` line",
            "crates/ane-mil/src/rules/width.rs:1: crates/ane-mil/src/rules.rs has no `mod width;` line for this file",
        ];
        assert_eq!(
            findings(
                super::check,
                &[("crates/ane-mil/src/rules.rs", list), RANK, WIDTH]
            ),
            expected
        );
        assert_eq!(
            findings(super::check, &[RANK]),
            ["crates/ane-mil/src/rules.rs:1: the list of rules is missing"]
        );
    }
}
