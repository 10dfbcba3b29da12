//! `layering`: a crate depends only on those below it.

use toml::{Table, Value};

use crate::tidy::Violation;
use crate::tree::{File, Tree};

/// Our crates, and for each those of ours it may depend on.
const ALLOWED: &[(&str, &[&str])] = &[
    ("ane-files", &[]),
    ("ane-text", &["ane-files"]),
    ("ane-ir", &[]),
    ("ane-mil", &["ane-files", "ane-ir"]),
    ("ane-engine", &["ane-ir"]),
    (
        "ane-device",
        &["ane-ir", "ane-mil", "ane-engine", "gnustep-shim"],
    ),
    ("ane-standin", &["ane-ir", "ane-mil", "ane-engine"]),
    (
        "ane-train",
        &[
            "ane-files",
            "ane-text",
            "ane-ir",
            "ane-mil",
            "ane-engine",
            "ane-device",
        ],
    ),
    (
        "ane-import",
        &[
            "ane-files",
            "ane-ir",
            "ane-engine",
            "ane-device",
            "ane-train",
        ],
    ),
    ("ane-export", &["ane-ir", "ane-mil", "ane-train"]),
    ("ane-report", &["ane-files", "ane-train"]),
    (
        "ane-python",
        &[
            "ane-ir",
            "ane-engine",
            "ane-device",
            "ane-train",
            "ane-import",
            "ane-trainer",
        ],
    ),
    (
        "ane-trainer",
        &[
            "ane-files",
            "ane-text",
            "ane-ir",
            "ane-mil",
            "ane-engine",
            "ane-device",
            "ane-train",
            "ane-import",
            "ane-export",
            "ane-report",
        ],
    ),
    (
        "espresso-standin",
        &["ane-ir", "ane-mil", "ane-engine", "ane-standin"],
    ),
    ("gnustep-shim", &[]),
    (
        "neuralengine-standin",
        &[
            "ane-ir",
            "ane-mil",
            "ane-engine",
            "ane-standin",
            "gnustep-shim",
        ],
    ),
    ("xtask", &[]),
];

/// Stand-ins for what a system brings along: tests may load them, nothing is built on them.
const FOR_TESTS: &[&str] = &["ane-standin", "espresso-standin", "neuralengine-standin"];

/// The sections of a manifest that hold dependencies.
const SECTIONS: &[&str] = &["dependencies", "dev-dependencies", "build-dependencies"];

pub(crate) fn check(tree: &Tree) -> Vec<Violation> {
    tree.files()
        .filter(|file| is_manifest(file))
        .flat_map(check_manifest)
        .collect()
}

fn is_manifest(file: &File) -> bool {
    let parts: Vec<&str> = file.parts().collect();
    matches!(
        parts[..],
        ["crates", _, "Cargo.toml"] | ["xtask", "Cargo.toml"]
    )
}

fn check_manifest(file: &File) -> Vec<Violation> {
    let manifest = match file.text.parse::<Table>() {
        Ok(manifest) => manifest,
        Err(error) => {
            let line = error
                .span()
                .map_or(1, |span| file.text[..span.start].matches('\n').count() + 1);
            return vec![Violation::new(
                &file.path,
                line,
                format!("cannot be read: {}", error.message()),
            )];
        }
    };
    let package = manifest
        .get("package")
        .and_then(|package| package.get("name"))
        .and_then(Value::as_str)
        .unwrap_or_default();
    let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == package) else {
        let message =
            format!("the package `{package}` has no place in the layers: give it one in this rule");
        return vec![Violation::new(&file.path, 1, message)];
    };
    let targets = manifest.get("target").and_then(Value::as_table);
    let tables = targets
        .into_iter()
        .flat_map(|targets| targets.values().filter_map(Value::as_table));
    let mut violations = Vec::new();
    for table in tables.chain([&manifest]) {
        for section in SECTIONS {
            for (key, value) in table
                .get(*section)
                .and_then(Value::as_table)
                .into_iter()
                .flatten()
            {
                let name = value.get("package").and_then(Value::as_str).unwrap_or(key);
                let is_ours = ALLOWED.iter().any(|(ours, _)| *ours == name);
                // A package may name itself for its own tests, to switch features on.
                let is_own_test = name == package && *section == "dev-dependencies";
                let is_for_tests = FOR_TESTS.contains(&name) && *section == "dev-dependencies";
                if is_ours && !allowed.contains(&name) && !is_own_test && !is_for_tests {
                    let message = format!("`{package}` may not depend on `{name}` ({section})");
                    violations.push(Violation::new(&file.path, line_of(file, key), message));
                }
            }
        }
    }
    violations
}

/// The first line that gives a value to a key or begins a table of that name.
fn line_of(file: &File, key: &str) -> usize {
    let gives = |line: &str| {
        let line = line.trim_start();
        let behind = line
            .strip_prefix(key)
            .is_some_and(|rest| rest.starts_with(['.', ' ', '=', '\t']));
        behind || (line.starts_with('[') && line.trim_end().ends_with(&format!(".{key}]")))
    };
    file.lines()
        .find(|(_, line)| gives(line))
        .map_or(1, |(number, _)| number)
}

#[cfg(test)]
mod tests {
    use crate::tidy::findings;

    #[test]
    fn dependencies_that_point_down_pass() {
        let device = "[package]\nname = \"ane-device\"\n[dependencies]\nane-ir.workspace = true\nhalf = \"2\"\n[dev-dependencies]\nane-mil = { path = \"../ane-mil\" }\n";
        let ir = "[package]\nname = \"ane-ir\"\n[dev-dependencies]\nane-ir = { path = \".\", features = [\"testing\"] }\n";
        let train = "[package]\nname = \"ane-train\"\n[dev-dependencies]\nespresso-standin.workspace = true\n";
        let other = "[package]\nname = \"other\"\n";
        let files = [
            ("crates/ane-device/Cargo.toml", device),
            ("crates/ane-ir/Cargo.toml", ir),
            ("crates/ane-train/Cargo.toml", train),
            ("elsewhere/Cargo.toml", other),
        ];
        assert_eq!(findings(super::check, &files), [""; 0]);
    }

    #[test]
    fn dependencies_that_point_up_or_sideways_are_reported() {
        let mil = "[package]\nname = \"ane-mil\"\n[dependencies]\nane-engine.workspace = true\n[dev-dependencies.below]\npackage = \"ane-device\"\npath = \"x\"\n";
        let engine = "[package]\nname = \"ane-engine\"\n[target.'cfg(unix)'.build-dependencies]\nane-train = { path = \"x\" }\n";
        let device =
            "[package]\nname = \"ane-device\"\n[dependencies]\nespresso-standin.workspace = true\n";
        let files = [
            ("crates/ane-mil/Cargo.toml", mil),
            ("crates/ane-engine/Cargo.toml", engine),
            ("crates/ane-device/Cargo.toml", device),
        ];
        let expected = [
            "crates/ane-device/Cargo.toml:4: `ane-device` may not depend on `espresso-standin` (dependencies)",
            "crates/ane-engine/Cargo.toml:4: `ane-engine` may not depend on `ane-train` (build-dependencies)",
            "crates/ane-mil/Cargo.toml:4: `ane-mil` may not depend on `ane-engine` (dependencies)",
            "crates/ane-mil/Cargo.toml:5: `ane-mil` may not depend on `ane-device` (dev-dependencies)",
        ];
        assert_eq!(findings(super::check, &files), expected);
    }

    #[test]
    fn an_unknown_crate_and_a_broken_manifest_are_reported() {
        let found = findings(
            super::check,
            &[
                ("crates/x/Cargo.toml", "[package]\nname = \"x\"\n"),
                ("xtask/Cargo.toml", "[package]\nname =\n"),
            ],
        );
        assert_eq!(
            found[0],
            "crates/x/Cargo.toml:1: the package `x` has no place in the layers: give it one in this rule"
        );
        assert!(
            found[1].starts_with("xtask/Cargo.toml:2: cannot be read: "),
            "{found:?}"
        );
    }
}
