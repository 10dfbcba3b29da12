//! `host_cfg`: one file chooses by operating system; everything else compiles and is tested everywhere.

use crate::tidy::Violation;
use crate::tree::Tree;
use crate::tree::rust_code::has_word;

/// Conditions on one operating system, and the only files that may state them.
const SYSTEM: (&[&str], &[&str]) = (
    &["target_os", "target_vendor"],
    &[
        "crates/ane-device/src/lib.rs",
        "crates/ane-engine/src/arena/huge_pages.rs",
        "crates/ane-engine/src/openmp.rs",
    ],
);

/// Conditions on a family of systems, and the folders that may state them.
const FAMILY: (&[&str], &[&str]) = (
    &["target_family", "unix", "windows"],
    &[
        "crates/ane-device/",
        "crates/ane-train/",
        "crates/ane-trainer/",
    ],
);

pub(crate) fn check(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in tree.rust_files() {
        let code = file.code();
        for at in ["cfg", "cfg_attr"]
            .into_iter()
            .flat_map(|word| code.words(word))
        {
            let Some(open) = code.text[at..].find('(').map(|offset| at + offset) else {
                continue;
            };
            let between = code.text[at..open]
                .trim_start_matches("cfg_attr")
                .trim_start_matches("cfg")
                .trim();
            if !["", "!"].contains(&between) {
                continue;
            }
            let condition = &code.text[open..code.closing(open).unwrap_or(code.text.len())];
            for (words, places) in [SYSTEM, FAMILY] {
                for word in words.iter().filter(|word| has_word(condition, word)) {
                    if !places.iter().any(|place| file.path.starts_with(place)) {
                        let message = format!(
                            "a condition on `{word}` may stand only in {}",
                            places.join(", ")
                        );
                        violations.push(Violation::new(&file.path, code.line_of(at), message));
                    }
                }
            }
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use crate::tidy::findings;

    #[test]
    fn conditions_in_their_places_pass() {
        let files = [
            (
                "crates/ane-device/src/lib.rs",
                "#[cfg(any(target_os = \"macos\", unix))]\nmod apple;\n",
            ),
            (
                "crates/ane-train/src/lib.rs",
                "#[cfg(unix)]\nuse std::os::unix::x;\n",
            ),
            (
                "crates/ane-engine/src/lib.rs",
                "#[cfg(target_arch = \"x86_64\")]\n// cfg(unix)\nfn f() { cfg(y); unix(x) }\n",
            ),
        ];
        assert_eq!(findings(super::check, &files), [""; 0]);
    }

    #[test]
    fn conditions_elsewhere_are_reported() {
        let files = [
            (
                "crates/ane-device/src/apple.rs",
                "#[cfg(not(target_os = \"macos\"))]\nfn f() {}\n",
            ),
            (
                "crates/ane-engine/src/lib.rs",
                "fn f() { if cfg!(windows) {} }\n#[cfg_attr(target_os = \"linux\", x)]\nfn g() {}\n",
            ),
        ];
        let expected = [
            "crates/ane-device/src/apple.rs:1: a condition on `target_os` may stand only in crates/ane-device/src/lib.rs, crates/ane-engine/src/arena/huge_pages.rs, crates/ane-engine/src/openmp.rs",
            "crates/ane-engine/src/lib.rs:1: a condition on `windows` may stand only in crates/ane-device/, crates/ane-train/, crates/ane-trainer/",
            "crates/ane-engine/src/lib.rs:2: a condition on `target_os` may stand only in crates/ane-device/src/lib.rs, crates/ane-engine/src/arena/huge_pages.rs, crates/ane-engine/src/openmp.rs",
        ];
        assert_eq!(findings(super::check, &files), expected);
    }
}
