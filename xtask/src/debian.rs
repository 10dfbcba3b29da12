//! Debian's packages, unpacked into a folder instead of installed.
//!
//! Nothing here needs root and nothing changes the system, except that outdated lists of packages are brought up to date when the user may do that.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::process;
use crate::unavailable::Unavailable;

/// The programs used; a system without one of them is not a Debian.
const PROGRAMS: &[&str] = &["apt-cache", "apt-get", "dpkg-deb", "dpkg-query", "tar"];

/// Says so when this is not a system whose packages can be had.
pub(crate) fn ensure_packages_can_be_had() -> Result<()> {
    for program in PROGRAMS {
        if !process::succeeds(Command::new(program).arg("--version")) {
            let reason = format!("`{program}` is missing, so Debian's packages cannot be had");
            return Err(Unavailable(reason).into());
        }
    }
    Ok(())
}

/// The version of a package that would be downloaded, if the lists know one.
pub(crate) fn candidate(package: &str) -> Result<Option<String>> {
    let text = process::stdout(in_english("apt-cache").args(["policy", package]))?;
    Ok(candidate_in(&text))
}

fn candidate_in(policy: &str) -> Option<String> {
    policy
        .lines()
        .find_map(|line| line.trim().strip_prefix("Candidate: "))
        .filter(|version| *version != "(none)")
        .map(str::to_owned)
}

/// Brings the lists of packages up to date, which only root may; whether every source could be reached.
pub(crate) fn update_lists() -> Result<bool> {
    if process::stdout(Command::new("id").arg("-u"))?.trim() != "0" {
        return Ok(false);
    }
    println!("bringing the lists of packages up to date");
    let mut update = Command::new("apt-get");
    update.args(["update", "-qq", "-o", "APT::Update::Error-Mode=any"]);
    Ok(process::run(&mut update).is_ok())
}

/// Downloads packages, with what `follow` wants of what they depend on, and unpacks them below a folder.
///
/// `follow` is asked once for every package on which one of those taken depends. Paths that match a pattern of `leave_out`,
/// which begin with `./`, are not unpacked.
///
/// [`Unavailable`] when they cannot be downloaded; a name that the lists do not know is wrong, which is another error.
pub(crate) fn unpack(
    packages: &[&str],
    follow: fn(&str) -> bool,
    leave_out: &[&str],
    into: &Path,
) -> Result<()> {
    for package in packages {
        if candidate(package)?.is_none() {
            bail!("the lists of packages know no `{package}`: is its name right?");
        }
    }
    let packages = closure(packages, |package| {
        let dependencies = dependencies(package)?;
        Ok(dependencies
            .into_iter()
            .filter(|name| follow(name))
            .collect())
    })?;
    // The command that downloads writes into its working directory.
    let archives = into.join("archives");
    fs::create_dir_all(&archives)?;
    let mut download = Command::new("apt-get");
    download
        .current_dir(&archives)
        .args(["download", "-qq", "-o", "APT::Sandbox::User=root"])
        .args(&packages);
    process::run(&mut download)
        .map_err(|error| Unavailable(format!("packages cannot be downloaded: {error}")))?;
    for entry in fs::read_dir(&archives)? {
        let archive = entry?.path();
        extract(&archive, leave_out, into)?;
        fs::remove_file(&archive)?;
    }
    fs::remove_dir(&archives).context("cannot delete the folder of the unpacked archives")
}

/// Unpacks the files of an archive, but for those that match a pattern.
fn extract(archive: &Path, leave_out: &[&str], into: &Path) -> Result<()> {
    let mut read = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(archive)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start `dpkg-deb`")?;
    let files = read.stdout.take().context("`dpkg-deb` has no output")?;
    let mut write = Command::new("tar");
    write.args(["--extract", "--no-same-owner"]);
    // A star stands for a part of one name: `src` below a folder is not the one that is meant.
    write.args(["--anchored", "--no-wildcards-match-slash"]);
    write.args(leave_out.iter().map(|path| format!("--exclude={path}")));
    let written = write
        .arg("--directory")
        .arg(into)
        .stdin(files)
        .output()
        .context("cannot start `tar`")?;
    // A reader that ended early is why the other one failed.
    let is_read = read.wait()?.success();
    if !written.status.success() || !is_read {
        let told = String::from_utf8_lossy(&written.stderr);
        let last = told.trim().lines().last().unwrap_or("nothing was said");
        bail!("{} cannot be unpacked: {last}", archive.display());
    }
    Ok(())
}

/// Whether a package is installed.
pub(crate) fn is_installed(package: &str) -> bool {
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat=${db:Status-Status} ", package]);
    process::stdout(&mut query).is_ok_and(|states| states.split(' ').any(|s| s == "installed"))
}

/// The packages on which a package depends without a choice.
fn dependencies(package: &str) -> Result<Vec<String>> {
    let text = process::stdout(in_english("apt-cache").args(["depends", package]))?;
    Ok(dependencies_in(&text))
}

/// A choice is a run of lines marked with `|` and the line after them; virtual packages stand in angle brackets.
fn dependencies_in(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut is_choice = false;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("  Depends: ") {
            if !is_choice && !name.starts_with('<') {
                names.push(name.trim().to_owned());
            }
            is_choice = false;
        } else if line.starts_with(" |Depends: ") {
            is_choice = true;
        }
    }
    names
}

/// Everything reached from the first packages, in alphabetical order.
fn closure(first: &[&str], next: impl Fn(&str) -> Result<Vec<String>>) -> Result<BTreeSet<String>> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<String> = first.iter().map(|name| (*name).to_owned()).collect();
    while let Some(name) = open.pop() {
        if !reached.contains(&name) {
            open.extend(next(&name)?);
            reached.insert(name);
        }
    }
    Ok(reached)
}

/// A command whose output is read, so that it must not be translated.
fn in_english(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("LC_ALL", "C");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_version_that_would_be_downloaded() {
        let policy = "rustc-web:\n  Installed: (none)\n  Candidate: 1.96.0+dfsg1-1\n  Version table:\n     1.85 500\n";
        assert_eq!(candidate_in(policy), Some("1.96.0+dfsg1-1".to_owned()));
        let unknown = "gone:\n  Installed: (none)\n  Candidate: (none)\n";
        assert_eq!(candidate_in(unknown), None);
        assert_eq!(candidate_in(""), None);
    }

    #[test]
    fn a_name_that_no_list_knows_is_wrong_and_not_unavailable() {
        // Only a Debian has lists to ask.
        if ensure_packages_can_be_had().is_err() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let error = unpack(
            &["no-such-package-of-debian"],
            |_| false,
            &[],
            folder.path(),
        )
        .unwrap_err();
        assert!(!error.is::<Unavailable>());
        assert!(
            error.to_string().contains("no-such-package-of-debian"),
            "{error}"
        );
    }

    #[test]
    fn leaves_choices_and_virtual_packages_out() {
        let text = "cargo-web\n  Depends: libgit2-1.5\n  Depends: <libc-dev>\n    libc6-dev\n |Depends: gcc\n |Depends: clang\n  Depends: tcc\n  Depends: libssl3\n  Conflicts: cargo\n";
        assert_eq!(dependencies_in(text), ["libgit2-1.5", "libssl3"]);
    }

    #[test]
    fn follows_dependencies_through_circles() {
        let next = |name: &str| {
            let names: &[&str] = match name {
                "a" => &["b", "c"],
                "b" => &["a", "d"],
                _ => &[],
            };
            Ok(names.iter().map(|name| (*name).to_owned()).collect())
        };
        let reached = closure(&["a"], next).unwrap();
        assert!(reached.iter().eq(["a", "b", "c", "d"]), "{reached:?}");
    }
}
