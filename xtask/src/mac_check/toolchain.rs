//! A compiler for macOS: Debian's own Rust, its standard library compiled for the target, and a C compiler.
//!
//! Debian ships compiler, cargo, clippy and the sources of the standard library in one version, which is what compiling the
//! standard library needs. They are unpacked and not installed: they would displace the toolchain of the machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::TARGET;
use crate::debian;
use crate::process;
use crate::unavailable::Unavailable;

/// The packages; those of their dependencies that are needed come along.
const PACKAGES: &[&str] = &[
    "cargo-web",
    "clang",
    "libstd-rust-web-dev",
    "rust-web-clippy",
    "rust-web-src",
    "rustc-web",
];

/// What of them is of no use here, 300 MB: the sources of everything but the standard library, documentation, translations.
const UNUSED: &[&str] = &[
    "./usr/src/rustc-*/compiler",
    "./usr/src/rustc-*/src",
    "./usr/src/rustc-*/tests",
    "./usr/share",
];

/// The package whose version decides.
const COMPILER: &str = "rustc-web";

/// The manifest of an empty package, which draws the standard library in.
const EMPTY_MANIFEST: &str = "[package]\nname = \"empty\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n[lib]\npath = \"empty.rs\"\n";

/// A version of Rust, without the patch level.
pub(crate) type Version = (u32, u32);

/// An unpacked toolchain, ready for the target.
pub(crate) struct Toolchain {
    folder: PathBuf,
}

impl Toolchain {
    /// The toolchain below `home`, made first unless it is there and new enough.
    pub(crate) fn prepare(home: &Path, least: Version) -> Result<Toolchain> {
        let toolchain = Toolchain {
            folder: home.join("toolchain"),
        };
        if toolchain.version().is_some_and(|version| version >= least) {
            return Ok(toolchain);
        }
        debian::ensure_packages_can_be_had()?;
        ensure_candidate(least)?;
        println!("preparing a toolchain for {TARGET} in {}", home.display());
        // It gets its name when it is whole, so that an interrupted preparation is not taken for one.
        let unfinished = Toolchain {
            folder: home.join("toolchain.unfinished"),
        };
        for folder in [&unfinished.folder, &toolchain.folder] {
            if folder.exists() {
                fs::remove_dir_all(folder)?;
            }
        }
        fs::create_dir_all(&unfinished.folder)?;
        debian::unpack(PACKAGES, is_needed, UNUSED, &unfinished.folder)?;
        unfinished.compile_standard_library(home)?;
        fs::remove_dir_all(unfinished.folder.join("usr/src"))?;
        fs::rename(&unfinished.folder, &toolchain.folder)?;
        Ok(toolchain)
    }

    /// A program of the toolchain, started where the tree is.
    pub(crate) fn command(&self, root: &Path, program: &str) -> Command {
        let mut command = process::of_another_toolchain(&self.program(program));
        command
            .current_dir(root)
            .env("CARGO", self.program("cargo"))
            .env("LD_LIBRARY_PATH", self.libraries());
        command
    }

    /// The path of a program of the toolchain.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.folder.join("usr/bin").join(name)
    }

    /// The C compiler; its own path, since it looks for its headers beside itself.
    pub(crate) fn c_compiler(&self) -> Result<PathBuf> {
        entries(&self.folder.join("usr/lib"))?
            .into_iter()
            .map(|folder| folder.join("bin/clang"))
            .find(|path| path.exists())
            .with_context(|| format!("no clang below {}", self.folder.display()))
    }

    fn version(&self) -> Option<Version> {
        if !self.target_libraries().is_dir() {
            return None;
        }
        let mut command = self.command(&self.folder, "rustc");
        let text = process::stdout(command.arg("--version")).ok()?;
        version_in(text.strip_prefix("rustc ")?)
    }

    /// Where the packages keep the shared libraries of the host.
    fn libraries(&self) -> PathBuf {
        let is_of_the_host = |path: &PathBuf| path.to_string_lossy().ends_with("-linux-gnu");
        let folder = self.folder.join("usr/lib");
        entries(&folder)
            .unwrap_or_default()
            .into_iter()
            .find(is_of_the_host)
            .unwrap_or(folder)
    }

    fn target_libraries(&self) -> PathBuf {
        let libraries = self.folder.join("usr/lib/rustlib");
        libraries.join(TARGET).join("lib")
    }

    /// Compiles the standard library for the target and puts it where the compiler looks for it.
    fn compile_standard_library(&self, home: &Path) -> Result<()> {
        let package = home.join("standard-library");
        if package.exists() {
            fs::remove_dir_all(&package)?;
        }
        fs::create_dir_all(&package)?;
        fs::write(package.join("Cargo.toml"), EMPTY_MANIFEST)?;
        fs::write(package.join("empty.rs"), "")?;
        let mut build = self.command(&package, "cargo");
        // A released compiler takes unstable flags from its own build system, which this stands in for.
        build
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTC", self.program("rustc"))
            .env("CARGO_TARGET_DIR", package.join("target"))
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .args(["build", "--quiet", "--target", TARGET])
            .arg("-Zbuild-std=std,panic_abort,test");
        process::run(&mut build).context("the standard library does not compile for the target")?;
        let built = package.join("target").join(TARGET).join("debug/deps");
        let place = self.target_libraries();
        fs::create_dir_all(&place)?;
        for path in entries(&built)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.ends_with(".rlib") && !name.starts_with("libempty-") {
                fs::copy(&path, place.join(&*name))?;
            }
        }
        fs::remove_dir_all(&package).context("cannot delete what was built on the way")
    }
}

/// Whether a dependency is taken: the C compiler, and shared libraries that the system lacks.
///
/// Development files are for compiling against the system, which nothing here does; the headers of the C compiler are its own.
fn is_needed(package: &str) -> bool {
    let is_of_c_compiler = package.starts_with("clang-") || package.starts_with("libclang-common-");
    let is_library = package.starts_with("lib") && !package.ends_with("-dev");
    is_of_c_compiler || (is_library && !debian::is_installed(package))
}

/// Makes sure that the lists of packages name a compiler that is new enough.
fn ensure_candidate(least: Version) -> Result<()> {
    let offered = || -> Result<Option<String>> { debian::candidate(COMPILER) };
    let is_enough = |offer: &Option<String>| {
        let version = offer.as_deref().and_then(version_in);
        version.is_some_and(|version| version >= least)
    };
    let mut offer = offered()?;
    if !is_enough(&offer) && debian::update_lists()? {
        offer = offered()?;
    }
    if is_enough(&offer) {
        return Ok(());
    }
    let found = offer.map_or_else(
        || "no such package".to_owned(),
        |version| format!("version {version}"),
    );
    Err(Unavailable(format!(
        "Debian's {COMPILER} {}.{} or newer is needed, and the lists of packages have {found}; `apt-get update` as root brings them up to date",
        least.0, least.1
    ))
    .into())
}

/// The first two numbers of a version, whatever follows.
pub(crate) fn version_in(text: &str) -> Option<Version> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// The linker of the toolchain that runs this program; it can write files of macOS.
pub(crate) fn linker(root: &Path) -> Result<PathBuf> {
    let rustc = || Command::new("rustc");
    let root_of_toolchain =
        process::stdout(rustc().current_dir(root).args(["--print", "sysroot"]))?;
    let about = process::stdout(rustc().current_dir(root).arg("-vV"))?;
    let Some(host) = about.lines().find_map(|line| line.strip_prefix("host: ")) else {
        bail!("`rustc -vV` does not name its host: {about}");
    };
    let path = Path::new(root_of_toolchain.trim())
        .join("lib/rustlib")
        .join(host)
        .join("bin/rust-lld");
    if !path.exists() {
        let reason = format!("the Rust toolchain has no {}", path.display());
        return Err(Unavailable(reason).into());
    }
    Ok(path)
}

/// What a folder holds, in alphabetical order.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let read = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths = read
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_versions_by_their_first_two_numbers() {
        assert_eq!(version_in("1.96.0+dfsg1-1~deb12u2"), Some((1, 96)));
        assert_eq!(version_in("1.95"), Some((1, 95)));
        assert!(version_in("1.100.0") > version_in("1.96"));
        assert_eq!(version_in("unknown"), None);
        assert_eq!(version_in("1"), None);
    }

    #[test]
    fn a_folder_without_the_targets_libraries_is_no_toolchain() {
        let home = tempfile::tempdir().unwrap();
        let toolchain = Toolchain {
            folder: home.path().to_path_buf(),
        };
        assert_eq!(toolchain.version(), None);
    }

    #[test]
    fn takes_headers_of_the_c_compiler_but_no_other_development_files() {
        assert!(is_needed("libclang-common-14-dev"));
        assert!(is_needed("clang-14"));
        assert!(!is_needed("libstdc++-12-dev"));
        assert!(!is_needed("gcc"));
    }
}
