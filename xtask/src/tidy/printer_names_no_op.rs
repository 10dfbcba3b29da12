//! `printer_names_no_op`: MIL text is printed and parsed from what ops say of themselves, so no op is named there.

use crate::tidy::Violation;
use crate::tree::rust_code::{RustCode, is_identifier};
use crate::tree::{File, Tree};

/// The files that print and parse, without `.rs`; what is in folders of these names counts too.
const PLACES: &[&str] = &["crates/ane-mil/src/print", "crates/ane-mil/src/parse"];

pub(crate) fn check(tree: &Tree) -> Vec<Violation> {
    tree.rust_files()
        .filter(|file| is_printer(file))
        .flat_map(check_file)
        .collect()
}

fn is_printer(file: &File) -> bool {
    PLACES.iter().any(|place| file.is_module(place))
}

fn check_file(file: &File) -> Vec<Violation> {
    let code = file.code();
    let mut violations = Vec::new();
    for at in code
        .words("ops")
        .filter(|at| !code.is_test(code.line_of(*at)))
    {
        let Some(behind) = code.text[at + "ops".len()..].strip_prefix("::") else {
            continue;
        };
        for name in first_names(code, code.text.len() - behind.len()) {
            if !["Op", "Operands", "self"].contains(&name) && !name.starts_with("Attr") {
                let message = format!(
                    "`ops::{name}`: only `ops::Op`, `ops::Operands` and `ops::Attr…` may be named here"
                );
                violations.push(Violation::new(&file.path, code.line_of(at), message));
            }
        }
    }
    violations
}

/// The names that follow `ops::` at a position: one, or several in braces, of each only the first part.
fn first_names(code: &RustCode, at: usize) -> Vec<&str> {
    let behind = code.text[at..].trim_start();
    let mut names = vec![first_part(behind)];
    if behind.starts_with('{') {
        let open = code.text.len() - behind.len();
        let inside =
            &code.text[open + 1..code.closing(open).map_or(code.text.len(), |end| end - 1)];
        names.clear();
        let (mut depth, mut start) = (0usize, 0);
        for (i, c) in inside.char_indices().chain([(inside.len(), ',')]) {
            match c {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                ',' if depth == 0 => {
                    names.extend(
                        Some(first_part(&inside[start..i])).filter(|name| !name.is_empty()),
                    );
                    start = i + 1;
                }
                _ => {}
            }
        }
    }
    names
}

fn first_part(path: &str) -> &str {
    let path = path.trim();
    &path[..path
        .find(|c| !is_identifier(c) && c != '*')
        .unwrap_or(path.len())]
}

#[cfg(test)]
mod tests {
    use crate::tidy::findings;

    #[test]
    fn the_enum_and_its_attributes_may_be_named() {
        let print = "use ane_ir::ops::{self, Attr, AttrKind::{Int, Ints}, Op};\n// ops::add::Add\nfn f(x: ane_ir::ops::Op) {}\nstatic S: &str = \"ops::add\";\n#[cfg(test)]\nmod tests { use ane_ir::ops::add; }\n";
        let files = [
            ("crates/ane-mil/src/print.rs", print),
            (
                "crates/ane-mil/src/rules/x.rs",
                "use ane_ir::ops::matmul;\n",
            ),
        ];
        assert_eq!(findings(super::check, &files), [""; 0]);
    }

    #[test]
    fn ops_may_not() {
        let parse = "use ane_ir::ops::{Op, add::Add,\n mul};\nfn f() { ops::gelu::Mode }\nuse ane_ir::ops::*;\n";
        let found = findings(
            super::check,
            &[
                ("crates/ane-mil/src/parse.rs", parse),
                ("crates/ane-mil/src/print/x.rs", "use ane_ir::ops::OpDef;\n"),
            ],
        );
        let tail = "only `ops::Op`, `ops::Operands` and `ops::Attr…` may be named here";
        let expected = [
            format!("crates/ane-mil/src/parse.rs:1: `ops::add`: {tail}"),
            format!("crates/ane-mil/src/parse.rs:1: `ops::mul`: {tail}"),
            format!("crates/ane-mil/src/parse.rs:3: `ops::gelu`: {tail}"),
            format!("crates/ane-mil/src/parse.rs:4: `ops::*`: {tail}"),
            format!("crates/ane-mil/src/print/x.rs:1: `ops::OpDef`: {tail}"),
        ];
        assert_eq!(found, expected);
    }
}
