//! `cargo xtask gnustep`: Objective-C for Linux, made out of Debian's packages, without installing any.
//!
//! objc2 links classes as `_OBJC_CLASS_NAME`; GCC, which Debian builds GNUstep with, keeps them local as
//! `_OBJC_Class_NAME`. So the static library of GNUstep's Foundation is unpacked, its symbols are renamed, and a private
//! shared library is linked from it. Packages are downloaded and unpacked below the target folder.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::tree::Tree;
use crate::unavailable::Unavailable;
use crate::{debian, process};

/// The variable that tells build scripts where the libraries are.
const VARIABLE: &str = "GNUSTEP_LIBS";

/// The variable that tells the loader.
const LOADER_VARIABLE: &str = "LD_LIBRARY_PATH";

const DEVELOPMENT: &str = "libgnustep-base-dev";
const FOUNDATION: &str = "libgnustep-base.so";

/// What renames symbols and links.
const TOOLS: [&str; 4] = ["cc", "nm", "objcopy", "readelf"];

/// Sets both variables for a command.
fn point_to(command: &mut Command, libraries: &Path) {
    command.env(VARIABLE, libraries);
    let known = env::var_os(LOADER_VARIABLE).unwrap_or_default();
    let others = env::split_paths(&known).filter(|folder| !folder.as_os_str().is_empty());
    // A folder with a colon in its name cannot be told to the loader.
    if let Ok(folders) = env::join_paths([libraries.to_path_buf()].into_iter().chain(others)) {
        command.env(LOADER_VARIABLE, folders);
    }
}

/// Prepares the libraries if they are not there, and prints the variables that point to them.
pub(crate) fn run(root: &Path) -> Result<()> {
    let folder = prepare(root)?;
    println!("{VARIABLE}={}", folder.display());
    println!("{LOADER_VARIABLE}={}", folder.display());
    Ok(())
}

/// Lints and tests everything that is written in Objective-C's terms; [`Unavailable`] where there can be no GNUstep.
///
/// Of the tests, the crates' own and those that need the feature run: the others are the same without it.
pub(crate) fn test(root: &Path) -> Result<()> {
    process::run(cargo(root, &["clippy", "--all-targets"])?.args(["--", "-D", "warnings"]))?;
    let mut tests = cargo(root, &["test", "--lib"])?;
    for package in packages(&Tree::load(root)?)? {
        for test in package.tests {
            tests.args(["--test", &test]);
        }
    }
    process::run(&mut tests)
}

/// A command of cargo on every package that has the feature `gnustep`, with it; [`Unavailable`] where there can be no
/// GNUstep.
pub(crate) fn cargo(root: &Path, task: &[&str]) -> Result<Command> {
    let packages = packages(&Tree::load(root)?)?;
    let mut command = process::cargo(root, task);
    point_to(&mut command, &prepare(root)?);
    command.arg("--locked");
    for package in packages {
        command.args(["-p", &package.name, "--features"]);
        command.arg(format!("{}/gnustep", package.name));
    }
    Ok(command)
}

/// The folder of the libraries, made when it is missing.
fn prepare(root: &Path) -> Result<PathBuf> {
    let folder = process::target_folder(root).join("gnustep");
    let libraries = folder.join("lib");
    if libraries.join(FOUNDATION).is_file() {
        return Ok(libraries);
    }
    debian::ensure_packages_can_be_had()?;
    for tool in TOOLS {
        if !process::succeeds(Command::new(tool).arg("--version")) {
            return Err(Unavailable(format!("`{tool}` is not installed")).into());
        }
    }
    if debian::candidate(DEVELOPMENT)?.is_none() {
        let is_up_to_date = debian::update_lists()?;
        if debian::candidate(DEVELOPMENT)?.is_none() {
            if is_up_to_date {
                bail!(
                    "the lists of packages are new and know no `{DEVELOPMENT}`: is its name right?"
                );
            }
            let reason = format!("apt has no package {DEVELOPMENT}; are its lists up to date?");
            return Err(Unavailable(reason).into());
        }
    }
    let unpacked = folder.join("unpacked");
    if unpacked.exists() {
        fs::remove_dir_all(&unpacked).context("cannot clear the unpacked packages")?;
    }
    fs::create_dir_all(&unpacked).context("cannot make the folder for the packages")?;
    fs::create_dir_all(&libraries).context("cannot make the folder for the libraries")?;
    println!("fetching {DEVELOPMENT} and what it needs");
    debian::unpack(&[DEVELOPMENT], is_wanted, &[], &unpacked)?;
    link(&folder, &unpacked, &libraries)?;
    fs::remove_dir_all(&unpacked).context("cannot clear the unpacked packages")?;
    Ok(libraries)
}

/// Whether a package that GNUstep depends on is unpacked with it: its own parts always, the rest where it is missing.
fn is_wanted(package: &str) -> bool {
    let is_numbered = |name: &str| {
        package
            .strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    is_numbered("libgnustep-base")
        || is_numbered("libobjc")
        || !package.ends_with("-dev") && !debian::is_installed(package)
}

/// A package that has a feature `gnustep`.
#[derive(Debug, PartialEq, Eq)]
struct Package {
    name: String,
    /// The integration tests that need it.
    tests: Vec<String>,
}

/// The packages of this workspace that have a feature `gnustep`; without any, a command would take all of them.
fn packages(tree: &Tree) -> Result<Vec<Package>> {
    let mut packages = Vec::new();
    for file in tree
        .files()
        .filter(|file| file.path.ends_with("/Cargo.toml"))
    {
        let manifest: toml::Table = file
            .text
            .parse()
            .with_context(|| format!("cannot read {}", file.path))?;
        packages.extend(package(&manifest));
    }
    if packages.is_empty() {
        bail!("no package has a feature `gnustep`, so nothing of Objective-C would be tested");
    }
    Ok(packages)
}

fn package(manifest: &toml::Table) -> Option<Package> {
    let name = manifest.get("package")?.get("name")?.as_str()?;
    manifest.get("features")?.get("gnustep")?;
    let tests = manifest.get("test").and_then(toml::Value::as_array);
    let needs_it = |test: &&toml::Value| {
        let features = test
            .get("required-features")
            .and_then(toml::Value::as_array);
        features.is_some_and(|all| all.iter().any(|f| f.as_str() == Some("gnustep")))
    };
    let tests = tests.into_iter().flatten().filter(needs_it);
    Some(Package {
        name: name.to_owned(),
        tests: tests
            .filter_map(|test| Some(test.get("name")?.as_str()?.to_owned()))
            .collect(),
    })
}

/// Links the private Foundation into `libraries`, beside the shared libraries that came with it.
fn link(folder: &Path, unpacked: &Path, libraries: &Path) -> Result<()> {
    let found = files(unpacked)?;
    let named = |path: &&PathBuf, test: &dyn Fn(&str) -> bool| {
        path.file_name()
            .and_then(|name| name.to_str())
            .is_some_and(test)
    };
    let archive = found
        .iter()
        .find(|path| named(path, &|name| name == "libgnustep-base.a"))
        .with_context(|| format!("{DEVELOPMENT} has no libgnustep-base.a"))?;
    let shared = found
        .iter()
        .find(|path| named(path, &|name| name.starts_with("libgnustep-base.so.")))
        .context("the runtime package has no libgnustep-base.so")?;
    let dynamic = output(Command::new("readelf").arg("-d").arg(shared))?;
    let needed: Vec<&str> = entries(&dynamic, "NEEDED").collect();
    for library in found
        .iter()
        .filter(|path| named(path, &|name| name.contains(".so.")))
    {
        let dynamic = output(Command::new("readelf").arg("-d").arg(library))?;
        let Some(name) = entries(&dynamic, "SONAME").find(|name| needed.contains(name)) else {
            continue;
        };
        fs::copy(library, libraries.join(name)).context("cannot copy a shared library")?;
        if name.starts_with("libobjc.so.") {
            fs::copy(library, libraries.join("libobjc.so")).context("cannot copy the runtime")?;
        }
    }

    let renamed = folder.join("renamed.a");
    let names = folder.join("names");
    output(
        Command::new("objcopy")
            .args(["--wildcard", "--globalize-symbol=_OBJC_Class_*"])
            .args([archive, &renamed]),
    )?;
    let symbols = output(Command::new("nm").arg(&renamed))?;
    fs::write(&names, renamings(&symbols)).context("cannot write the list of renamings")?;
    output(
        Command::new("objcopy")
            .arg("--redefine-syms")
            .args([&names, &renamed]),
    )?;
    let needed = needed
        .iter()
        .filter(|name| {
            !["libc.so", "libgcc_s"]
                .iter()
                .any(|left_out| name.starts_with(left_out))
        })
        .map(|name| format!("-l:{name}"));
    // Linked under another name and renamed, so that a library that is there is whole.
    let unfinished = libraries.join("unfinished.so");
    output(
        Command::new("cc")
            .args(["-shared", "-Wl,-rpath,$ORIGIN", "-Wl,--whole-archive"])
            .arg(format!("-Wl,-soname,{FOUNDATION}"))
            .arg(&renamed)
            .arg("-Wl,--no-whole-archive")
            .arg(format!("-L{}", libraries.display()))
            .args(needed)
            .arg("-o")
            .arg(&unfinished),
    )?;
    fs::rename(&unfinished, libraries.join(FOUNDATION)).context("cannot name the library")?;
    for file in [&renamed, &names] {
        fs::remove_file(file).context("cannot remove an intermediate file")?;
    }
    Ok(())
}

/// Lines of `old new` for every class that `nm` lists.
fn renamings(symbols: &str) -> String {
    let classes: BTreeSet<&str> = symbols
        .lines()
        .filter_map(|line| {
            line.split_whitespace()
                .next_back()?
                .strip_prefix("_OBJC_Class_")
        })
        .collect();
    classes
        .iter()
        .map(|class| format!("_OBJC_Class_{class} _OBJC_CLASS_{class}\n"))
        .collect()
}

/// The names in brackets of the entries of a kind that `readelf -d` prints.
fn entries<'a>(dynamic: &'a str, kind: &str) -> impl Iterator<Item = &'a str> {
    let kind = format!("({kind})");
    dynamic.lines().filter_map(move |line| {
        let (_, behind) = line.contains(&kind).then(|| line.split_once('['))??;
        behind.split_once(']').map(|(name, _)| name)
    })
}

/// Every file below a folder, links included, in order.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in
            fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?
        {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// What a command prints, untranslated.
fn output(command: &mut Command) -> Result<String> {
    process::stdout(command.env("LC_ALL", "C"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_found_by_their_feature() {
        let with = "[package]\nname = \"a\"\n[features]\ngnustep = []\n\
                    [[test]]\nname = \"plain\"\n\
                    [[test]]\nname = \"objc\"\nrequired-features = [\"gnustep\"]\n";
        let without = "[package]\nname = \"b\"\n";
        let tree = Tree::fixture(&[
            ("crates/a/Cargo.toml", with),
            ("crates/b/Cargo.toml", without),
        ]);
        let expected = Package {
            name: "a".to_owned(),
            tests: vec!["objc".to_owned()],
        };
        assert_eq!(packages(&tree).unwrap(), [expected]);
        let tree = Tree::fixture(&[("crates/b/Cargo.toml", without)]);
        let error = packages(&tree).unwrap_err();
        assert!(!error.is::<Unavailable>(), "{error}");
    }

    #[test]
    fn the_parts_of_gnustep_are_wanted_whatever_is_installed() {
        assert!(is_wanted("libgnustep-base1.28"));
        assert!(is_wanted("libobjc4"));
        assert!(!is_wanted("libobjc-12-dev"));
    }

    #[test]
    fn classes_are_renamed_once_each() {
        let text = "x.o:\n0 D _OBJC_Class_NSData\n  U _OBJC_Class_NSArray\n0 t f\n0 D _OBJC_Class_NSArray\n";
        let expected =
            "_OBJC_Class_NSArray _OBJC_CLASS_NSArray\n_OBJC_Class_NSData _OBJC_CLASS_NSData\n";
        assert_eq!(renamings(text), expected);
    }

    #[test]
    fn dynamic_entries_are_told_apart() {
        let text = " 0x1 (NEEDED) Shared library: [libobjc.so.4]\n 0xe (SONAME) Library soname: [libx.so.1]\n 0x1 (NEEDED) Shared library: [libm.so.6]\n";
        assert_eq!(
            Vec::from_iter(entries(text, "NEEDED")),
            ["libobjc.so.4", "libm.so.6"]
        );
        assert_eq!(Vec::from_iter(entries(text, "SONAME")), ["libx.so.1"]);
    }
}
