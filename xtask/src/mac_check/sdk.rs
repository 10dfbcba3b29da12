//! Stand-ins for what Apple's SDK gives to a linker and a C compiler: names of symbols, and a few declarations.
//!
//! Each file in `xtask/mac-stubs/libraries` is one library: its install name, then the symbols that may be used, all sorted.
//! A symbol that is not listed fails the link, so the lists say what the program needs of the system.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Where the lists are, from the root of the tree.
pub(crate) const LIBRARIES: &str = "xtask/mac-stubs/libraries";

/// Where the headers are.
const HEADERS: &str = "xtask/mac-stubs/include";

/// Other names under which the linker is told to look for the system library.
const SYSTEM_ALIASES: &[&str] = &["usr/lib/libc.tbd", "usr/lib/libm.tbd"];

/// One library as its list describes it.
#[derive(Debug, PartialEq, Eq)]
struct Library<'a> {
    /// The path that a program would load at run time.
    install_name: &'a str,
    symbols: Vec<&'a str>,
}

/// Writes the stand-in for an SDK into a folder, from the lists in the tree below `root`.
pub(crate) fn write(root: &Path, sdk: &Path) -> Result<()> {
    if sdk.exists() {
        fs::remove_dir_all(sdk)?;
    }
    for path in files(&root.join(LIBRARIES))? {
        let text = fs::read_to_string(&path)?;
        let library =
            Library::parse(&text).with_context(|| format!("in the list {}", path.display()))?;
        for place in library.places() {
            put(&sdk.join(place), library.stub().as_bytes())?;
        }
    }
    for path in files(&root.join(HEADERS))? {
        let name = path.file_name().unwrap_or_default();
        put(&sdk.join("usr/include").join(name), &fs::read(&path)?)?;
    }
    Ok(())
}

impl<'a> Library<'a> {
    fn parse(list: &'a str) -> Result<Library<'a>> {
        let mut lines = list.lines();
        let install_name = lines.next().unwrap_or_default();
        if !install_name.starts_with('/') {
            bail!(
                "the first line is `{install_name}`, not the path from which the library is loaded"
            );
        }
        let symbols: Vec<&str> = lines.collect();
        for pair in symbols.windows(2) {
            if pair[0] >= pair[1] {
                bail!("`{}` has to stand before `{}`, and once", pair[1], pair[0]);
            }
        }
        let is_symbol = |c: char| c.is_ascii_alphanumeric() || "_$.".contains(c);
        if let Some(symbol) = symbols
            .iter()
            .find(|s| s.is_empty() || !s.chars().all(is_symbol))
        {
            bail!("`{symbol}` is not the name of a symbol");
        }
        Ok(Library {
            install_name,
            symbols,
        })
    }

    /// The library as the text that linkers for macOS read in its place.
    fn stub(&self) -> String {
        let mut text = format!(
            "--- !tapi-tbd\ntbd-version: 4\ntargets: [ arm64-macos ]\ninstall-name: '{}'\n",
            self.install_name
        );
        if !self.symbols.is_empty() {
            text += "exports:\n  - targets: [ arm64-macos ]\n    symbols:\n";
            for symbol in &self.symbols {
                text += &format!("      - '{symbol}'\n");
            }
        }
        text + "...\n"
    }

    /// Where a linker looks for the library, below the SDK.
    ///
    /// `libz.1.dylib` is found as `libz.tbd`, and a framework without the versions that it is kept in.
    fn places(&self) -> Vec<PathBuf> {
        let path = Path::new(self.install_name.trim_start_matches('/'));
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let stem = name.split('.').next().unwrap_or_default();
        let folder = path
            .ancestors()
            .skip(1)
            .find(|folder| folder.extension().is_some_and(|e| e == "framework"))
            .or_else(|| path.parent())
            .unwrap_or(path);
        let mut places = vec![folder.join(format!("{stem}.tbd"))];
        if stem == "libSystem" {
            places.extend(SYSTEM_ALIASES.iter().map(PathBuf::from));
        }
        places
    }
}

/// The files in a folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let read = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    read.map(|entry| Ok(entry?.path())).collect()
}

fn put(path: &Path, content: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_of_this_tree_make_an_sdk() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let sdk = tempfile::tempdir().unwrap();
        let sdk = sdk.path().join("sdk");
        write(&root, &sdk).unwrap();
        for name in ["libSystem", "libc", "libm"] {
            let text = fs::read_to_string(sdk.join(format!("usr/lib/{name}.tbd"))).unwrap();
            assert!(text.contains("install-name: '/usr/lib/libSystem.B.dylib'"));
            assert!(text.contains("      - '_malloc'\n"));
        }
        assert!(sdk.join("usr/include/TargetConditionals.h").is_file());
    }

    #[test]
    fn a_framework_is_found_without_its_version() {
        let list = "/System/Library/Frameworks/A.framework/Versions/C/A\n_a\n_b$c\n";
        let library = Library::parse(list).unwrap();
        assert_eq!(
            library.places(),
            [PathBuf::from("System/Library/Frameworks/A.framework/A.tbd")]
        );
        let expected = "--- !tapi-tbd\ntbd-version: 4\ntargets: [ arm64-macos ]\ninstall-name: '/System/Library/Frameworks/A.framework/Versions/C/A'\nexports:\n  - targets: [ arm64-macos ]\n    symbols:\n      - '_a'\n      - '_b$c'\n...\n";
        assert_eq!(library.stub(), expected);
    }

    #[test]
    fn a_list_out_of_order_or_without_its_head_is_refused() {
        let message = |list| Library::parse(list).unwrap_err().to_string();
        assert_eq!(
            message("/a\n_b\n_a\n"),
            "`_a` has to stand before `_b`, and once"
        );
        assert_eq!(
            message("/a\n_a\n_a\n"),
            "`_a` has to stand before `_a`, and once"
        );
        assert_eq!(message("/a\n_a b\n"), "`_a b` is not the name of a symbol");
        assert_eq!(
            message("_a\n"),
            "the first line is `_a`, not the path from which the library is loaded"
        );
    }
}
