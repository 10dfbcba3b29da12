//! `data`: what it says of whole, missing and damaged files, and of the data sets there are.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

use ane_train::data::{FetchOptions, catalog};
use std::{
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output},
};

const FILES: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];

fn data(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ane-trainer"))
        .arg("data")
        .args(arguments)
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The directory of MNIST's files, which are there.
fn mnist() -> PathBuf {
    let fetched = data(&["fetch", "mnist"]);
    assert!(fetched.status.success(), "{}", said(&fetched));
    assert!(said(&fetched).contains("mnist: complete, 54 MB"));
    let spec = catalog::find("mnist").unwrap();
    let cached = ane_train::data::verify(spec, &FetchOptions::default()).unwrap();
    cached[0].path.parent().unwrap().to_owned()
}

/// An executable file.
fn script(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn what_was_fetched_and_could_not_be_kept_is_no_success() {
    // The files of Fashion-MNIST, and clients that unpack them as Debian's package would; nobody else is reachable.
    let spec = catalog::find("fashion-mnist").unwrap();
    let fetched = data(&["fetch", spec.name]);
    assert!(fetched.status.success(), "{}", said(&fetched));
    let cached = ane_train::data::verify(spec, &FetchOptions::default()).unwrap();
    let cached = cached[0].path.parent().unwrap();
    let dir = tempfile::tempdir().unwrap();
    script(&dir.path().join("apt-get"), ": > package.deb");
    let unpack = format!(
        "to=$3/usr/share/datasets/{}; /bin/mkdir -p $to; for f in {}/*; do /bin/cp $f $to/${{f##*/}}.gz; done",
        spec.name,
        cached.display()
    );
    script(&dir.path().join("dpkg-deb"), &unpack);
    let fetch = |cache: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ane-trainer"));
        command.args(["data", "fetch", spec.name]);
        for proxy in ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY"] {
            command.env(proxy, "http://127.0.0.1:1");
        }
        command.env("PATH", dir.path());
        command.env("ANE_TRAINER_CACHE", cache).output().unwrap()
    };
    let kept = fetch(&dir.path().join("cache"));
    assert_eq!(kept.status.code(), Some(0), "{}", said(&kept));
    // A file is in the way of the directory.
    let lost = fetch(&dir.path().join("apt-get"));
    assert_eq!(lost.status.code(), Some(1), "{}", said(&lost));
    for part in ["could not be kept", "ANE_TRAINER_CACHE", "space left"] {
        assert!(said(&lost).contains(part), "{part} in {}", said(&lost));
    }
}

fn verify(directory: &Path) -> Output {
    data(&["verify", "mnist", "--data-dir", directory.to_str().unwrap()])
}

#[test]
fn a_directory_of_published_files_is_verified() {
    let verified = verify(&mnist());
    assert_eq!(verified.status.code(), Some(0), "{}", said(&verified));
    let expected = FILES.map(|file| format!("{:<14} {file:<28} verified\n", "mnist"));
    assert_eq!(said(&verified), expected.concat());
}

#[test]
fn what_is_missing_or_damaged_in_a_directory_is_named() {
    let (whole, dir) = (mnist(), tempfile::tempdir().unwrap());
    for file in &FILES[..2] {
        symlink(whole.join(file), dir.path().join(file)).unwrap();
    }
    let mut damaged = std::fs::read(whole.join(FILES[3])).unwrap();
    damaged[4_000] ^= 1;
    std::fs::write(dir.path().join(FILES[3]), damaged).unwrap();
    let verified = verify(dir.path());
    let said = said(&verified);
    assert_eq!(verified.status.code(), Some(1), "{said}");
    let state = |file: &str| {
        let line = said.lines().find(|line| line.contains(file)).unwrap();
        line.split_once(file).unwrap().1.trim().to_owned()
    };
    assert_eq!(state(FILES[0]), "verified");
    assert_eq!(state(FILES[1]), "verified");
    assert_eq!(state(FILES[2]), "missing");
    let wrong = state(FILES[3]);
    assert!(wrong.starts_with("not the published file: "), "{wrong}");
    assert!(said.contains("not every file is there and whole"), "{said}");
}

#[test]
fn the_list_names_every_data_set_with_its_licence() {
    let listed = data(&["list"]);
    assert_eq!(listed.status.code(), Some(0), "{}", said(&listed));
    let expected: Vec<String> = catalog::all()
        .iter()
        .flat_map(|spec| {
            [
                format!("{:<14} {}", spec.name, spec.title),
                format!("{:<14} {}", "", spec.licence),
            ]
        })
        .collect();
    let said = said(&listed);
    assert_eq!(said.lines().collect::<Vec<_>>(), expected);
    assert!(said.starts_with("mnist ") && said.contains("\nfashion-mnist "));
}
