//! `unsafe_code`: unsafe code lives in few places, the other crates forbid it, and every use says why it is sound.

use crate::tidy::Violation;
use crate::tree::rust_code::{RustCode, has_word};
use crate::tree::{File, Tree};

/// Folders and files, without `.rs`, that may hold unsafe code.
const PLACES: &[&str] = &[
    "crates/ane-device/src",
    "crates/ane-engine/src/arena",
    "crates/ane-engine/src/exec",
    "crates/ane-engine/src/gemm",
    "crates/ane-engine/src/openmp",
    "crates/ane-engine/src/simd",
    "crates/espresso-standin",
    "crates/gnustep-shim",
    "crates/neuralengine-standin",
];

/// Packages whose roots forbid unsafe code.
const FORBIDDING: &[&str] = &[
    "crates/ane-import",
    "crates/ane-ir",
    "crates/ane-mil",
    "crates/ane-standin",
    "crates/ane-train",
    "crates/ane-trainer",
    "xtask",
];

/// How many lines above a use its reason may begin or end.
const REACH: usize = 4;

pub(crate) fn check(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for package in FORBIDDING {
        for root in ["lib", "main"]
            .iter()
            .filter_map(|root| tree.file(&format!("{package}/src/{root}.rs")))
        {
            let packed: String = root.code().text.split_whitespace().collect();
            if !packed.contains("#![forbid(unsafe_code)]") {
                violations.push(Violation::new(
                    &root.path,
                    1,
                    "the crate root lacks `#![forbid(unsafe_code)]`",
                ));
            }
        }
    }
    for file in tree.rust_files() {
        let code = file.code();
        for at in code.words("unsafe") {
            let line = code.line_of(at);
            if !is_allowed(file) {
                violations.push(Violation::new(
                    &file.path,
                    line,
                    "no unsafe code may be in this file",
                ));
            }
            if let Some(lack) = lack(code, at, line) {
                violations.push(Violation::new(&file.path, line, lack));
            }
        }
    }
    violations
}

fn is_allowed(file: &File) -> bool {
    PLACES.iter().any(|place| file.is_module(place))
}

/// The comment that a use of the word lacks.
fn lack(code: &RustCode, at: usize, line: usize) -> Option<&'static str> {
    let behind = code.text[at + "unsafe".len()..].trim_start();
    if behind.starts_with('{') || behind.starts_with("impl") {
        let reason = comments_near(code, line).any(|comment| comment.contains("SAFETY:"));
        return (!reason).then_some("no `// SAFETY:` comment says why this is sound");
    }
    if declares_function(behind) && !in_foreign_contract(code, at) {
        let contract = comments_above(code, line).any(|comment| comment.contains("# Safety"));
        return (!contract)
            .then_some("the documentation of this unsafe function has no `# Safety`");
    }
    None
}

/// Whether the text is the head of a function with a name, not the type of a pointer to one.
fn declares_function(behind: &str) -> bool {
    let head = behind.split(['(', '{', ';']).next().unwrap_or_default();
    has_word(head, "fn") && !head.trim_end().ends_with("fn")
}

/// Whether a position is inside an implementation of a trait or a block of foreign functions: the contract is elsewhere.
fn in_foreign_contract(code: &RustCode, at: usize) -> bool {
    let mut depth = 0usize;
    for (brace, c) in code.text[..at]
        .char_indices()
        .rev()
        .filter(|(_, c)| "{}".contains(*c))
    {
        if c == '}' {
            depth += 1;
        } else if depth > 0 {
            depth -= 1;
        } else {
            let head = &code.text[..brace];
            let head = &head[head.rfind([';', '{', '}']).map_or(0, |end| end + 1)..];
            return has_word(head, "impl") && has_word(head, "for")
                || has_word(head, "extern") && !has_word(head, "fn");
        }
    }
    false
}

/// The comments on a line and the few above it, each with the rest of its block.
fn comments_near(code: &RustCode, line: usize) -> impl Iterator<Item = &str> {
    let last = line - 1;
    let mut first = last.saturating_sub(REACH);
    while first > 0 && !code.comments[first].is_empty() && !code.comments[first - 1].is_empty() {
        first -= 1;
    }
    code.comments[first..=last].iter().map(String::as_str)
}

/// The comments of the item that begins on a line: those above it up to the end of the item before.
fn comments_above(code: &RustCode, line: usize) -> impl Iterator<Item = &str> {
    let texts: Vec<&str> = code.text.split('\n').collect();
    let mut first = line - 1;
    while first > 0 && !texts[first - 1].contains([';', '{', '}']) {
        first -= 1;
    }
    code.comments[first..line].iter().map(String::as_str)
}

#[cfg(test)]
mod tests {
    use crate::tidy::findings;

    const FORBID: &str = "//! x\n#![forbid(unsafe_code)]\n";

    #[test]
    fn explained_unsafe_code_in_its_places_passes() {
        let simd = "\
/// Adds.
///
/// # Safety
/// The caller has the feature.
#[target_feature(enable = \"avx2\")]
pub unsafe fn add(f: unsafe fn(u8)) {
    // SAFETY: a reason that is long,
    // so long
    // that it needs
    // five lines
    // in all.
    unsafe { f(1) }
}
// SAFETY: no state.
unsafe impl Send for A {}
// SAFETY: forwards.
unsafe impl T for A {
    unsafe fn t() {}
}
unsafe extern \"C\" {
    unsafe fn close();
}
";
        let files = [
            ("crates/ane-ir/src/lib.rs", FORBID),
            (
                "crates/ane-trainer/src/main.rs",
                "//! unsafe\n#![forbid(unsafe_code)]\nconst A: &str = \"unsafe {\"; // unsafe {\n",
            ),
            ("crates/ane-engine/src/simd.rs", simd),
            ("crates/ane-engine/src/simd/x86.rs", simd),
            ("crates/ane-device/src/lib.rs", simd),
        ];
        assert_eq!(findings(super::check, &files), [""; 0]);
    }

    #[test]
    fn unexplained_and_misplaced_unsafe_code_is_reported() {
        let files = [
            ("crates/ane-mil/src/lib.rs", "//! #![forbid(unsafe_code)]\n"),
            (
                "crates/ane-engine/src/arena.rs",
                "fn f() {\n    unsafe { g() }\n}\n/// G.\nunsafe fn g() {}\n",
            ),
            (
                "crates/ane-engine/src/plan.rs",
                "// SAFETY: wrong place.\nunsafe impl Send for A {}\n",
            ),
            (
                "crates/ane-engine/src/gemm/far.rs",
                "// SAFETY: too far.\n\n\n\n\n\nunsafe\n{ }\n",
            ),
        ];
        let expected = [
            "crates/ane-engine/src/arena.rs:2: no `// SAFETY:` comment says why this is sound",
            "crates/ane-engine/src/arena.rs:5: the documentation of this unsafe function has no `# Safety`",
            "crates/ane-engine/src/gemm/far.rs:7: no `// SAFETY:` comment says why this is sound",
            "crates/ane-engine/src/plan.rs:2: no unsafe code may be in this file",
            "crates/ane-mil/src/lib.rs:1: the crate root lacks `#![forbid(unsafe_code)]`",
        ];
        assert_eq!(findings(super::check, &files), expected);
    }
}
