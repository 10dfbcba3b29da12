//! `cargo xtask gnustep`: Objective-C for Linux, made out of Debian's packages, without installing any.
//!
//! objc2 links classes as `_OBJC_CLASS_NAME`; GCC, which Debian builds GNUstep with, keeps them local as
//! `_OBJC_Class_NAME`. So the static library of GNUstep's Foundation is unpacked, its symbols are renamed, and a private
//! shared library is linked from it. Packages are downloaded and unpacked below the target folder.

use std::collections::BTreeSet;
use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;
use crate::tree::Tree;

/// The variable that tells build scripts where the libraries are.
const VARIABLE: &str = "GNUSTEP_LIBS";

/// The variable that tells the loader.
const LOADER_VARIABLE: &str = "LD_LIBRARY_PATH";

const DEVELOPMENT: &str = "libgnustep-base-dev";
const FOUNDATION: &str = "libgnustep-base.so";
const TOOLS: [&str; 7] = [
    "apt-cache",
    "apt-get",
    "cc",
    "dpkg",
    "nm",
    "objcopy",
    "readelf",
];

/// Why there can be no GNUstep here.
#[derive(Debug)]
pub(crate) struct Unavailable(String);

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Sets both variables for a command.
pub(crate) fn point_to(command: &mut Command, libraries: &Path) {
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
    match prepare(root)? {
        Ok(folder) => {
            println!("{VARIABLE}={}", folder.display());
            println!("{LOADER_VARIABLE}={}", folder.display());
        }
        Err(reason) => bail!("no GNUstep here: {reason}"),
    }
    Ok(())
}

/// The folder of the libraries, made when it is missing; or why Debian's packages cannot be had.
pub(crate) fn prepare(root: &Path) -> Result<Result<PathBuf, Unavailable>> {
    let folder = process::target_folder(root).join("gnustep");
    let libraries = folder.join("lib");
    if libraries.join(FOUNDATION).is_file() {
        return Ok(Ok(libraries));
    }
    if let Some(tool) = TOOLS.into_iter().find(|tool| !is_there(tool)) {
        return Ok(Err(Unavailable(format!("`{tool}` is not installed"))));
    }
    let unpacked = folder.join("unpacked");
    if unpacked.exists() {
        fs::remove_dir_all(&unpacked).context("cannot clear the unpacked packages")?;
    }
    fs::create_dir_all(&unpacked).context("cannot make the folder for the packages")?;
    fs::create_dir_all(&libraries).context("cannot make the folder for the libraries")?;
    let packages = match archives() {
        Some(packages) => packages,
        None => {
            println!("apt does not know {DEVELOPMENT}: fetching its lists");
            let updated = process::succeeds(Command::new("apt-get").args(["update", "-qq"]));
            match archives().filter(|_| updated) {
                Some(packages) => packages,
                None => {
                    let reason = format!(
                        "apt has no package {DEVELOPMENT} (is this Debian, and are its lists up to date?)"
                    );
                    return Ok(Err(Unavailable(reason)));
                }
            }
        }
    };
    if let Err(error) = fetch(&unpacked, &packages) {
        return Ok(Err(Unavailable(format!("{error:#}"))));
    }
    link(&folder, &unpacked, &libraries)?;
    fs::remove_dir_all(&unpacked).context("cannot clear the unpacked packages")?;
    Ok(Ok(libraries))
}

/// The packages of this workspace that have a feature `gnustep`.
pub(crate) fn packages(tree: &Tree) -> Result<Vec<String>> {
    let mut packages = Vec::new();
    for file in tree
        .files()
        .filter(|file| file.path.ends_with("/Cargo.toml"))
    {
        let manifest: toml::Table = file
            .text
            .parse()
            .with_context(|| format!("cannot read {}", file.path))?;
        let section = |name: &str| manifest.get(name).and_then(toml::Value::as_table);
        let name = section("package").and_then(|package| package.get("name")?.as_str());
        let has_feature = section("features").is_some_and(|all| all.contains_key("gnustep"));
        packages.extend(name.filter(|_| has_feature).map(str::to_owned));
    }
    Ok(packages)
}

fn is_there(tool: &str) -> bool {
    process::succeeds(Command::new(tool).arg("--version"))
}

/// The development package, the Foundation it belongs to, that one's runtime, and what else it needs and is not installed.
fn archives() -> Option<BTreeSet<String>> {
    let depends = |package| output(Command::new("apt-cache").args(["depends", package])).ok();
    let foundation = numbered_dependency(&depends(DEVELOPMENT)?, "libgnustep-base")?;
    let runtime = numbered_dependency(&depends(&foundation)?, "libobjc")?;
    let plan = output(Command::new("apt-get").args([
        "install",
        "--simulate",
        "--no-install-recommends",
        &foundation,
    ]));
    let mut packages = newly_installed(&plan.ok()?);
    packages.extend([DEVELOPMENT.to_owned(), foundation, runtime]);
    Some(packages)
}

/// The package called `name` and a number among the dependencies that `apt-cache depends` lists.
fn numbered_dependency(depends: &str, name: &str) -> Option<String> {
    let packages = depends
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "));
    let is_numbered = |package: &&str| {
        package
            .strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    packages.filter(is_numbered).map(str::to_owned).next()
}

/// The packages that a simulated installation would install.
fn newly_installed(plan: &str) -> BTreeSet<String> {
    plan.lines()
        .filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next())
        .map(str::to_owned)
        .collect()
}

fn fetch(folder: &Path, packages: &BTreeSet<String>) -> Result<()> {
    println!(
        "fetching {}",
        Vec::from_iter(packages.iter().cloned()).join(", ")
    );
    output(
        Command::new("apt-get")
            .current_dir(folder)
            .args(["download", "-qq"])
            .args(packages),
    )?;
    for archive in files(folder)?
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
    {
        output(Command::new("dpkg").arg("-x").arg(&archive).arg(folder))?;
        fs::remove_file(&archive).context("cannot remove an unpacked archive")?;
    }
    Ok(())
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

/// What a command prints; its error output when it fails.
fn output(command: &mut Command) -> Result<String> {
    let line = process::describe(command);
    let output = command
        .env("LC_ALL", "C")
        .output()
        .with_context(|| format!("cannot start `{line}`"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        bail!("`{line}` failed ({}): {}", output.status, text.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_found_by_their_feature() {
        let with = "[package]\nname = \"a\"\n[features]\ngnustep = []\n";
        let without = "[package]\nname = \"b\"\n";
        let tree = Tree::fixture(&[
            ("crates/a/Cargo.toml", with),
            ("crates/b/Cargo.toml", without),
        ]);
        assert_eq!(packages(&tree).unwrap(), ["a"]);
    }

    #[test]
    fn libraries_are_the_numbered_packages() {
        let text = "libgnustep-base-dev\n  Depends: libobjc-12-dev\n  Depends: libgnustep-base1.28\n    |Depends: x\n";
        let found = numbered_dependency(text, "libgnustep-base");
        assert_eq!(found.as_deref(), Some("libgnustep-base1.28"));
        assert_eq!(numbered_dependency(text, "libobjc"), None);
    }

    #[test]
    fn a_simulation_names_what_is_not_installed() {
        let text = "Reading package lists...\nInst libgc1 (1:8.2 Debian [amd64])\nInst libobjc4 (12 x)\nConf libgc1 (x)\n";
        assert_eq!(
            newly_installed(text),
            BTreeSet::from(["libgc1", "libobjc4"].map(str::to_owned))
        );
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
