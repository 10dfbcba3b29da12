//! What files of tokens keep, and what is said of those that are damaged.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

use super::*;
use crate::Corpus;
use std::{fs, process::Command};

fn write(path: &Path, tokenizer: &Tokenizer, documents: &[&[u32]]) -> TokenFile {
    let mut writer = TokenWriter::create(path, tokenizer).unwrap();
    for ids in documents {
        writer.begin_document();
        writer.push(ids).unwrap();
    }
    writer.finish().unwrap()
}

/// A tokenizer with many ids.
fn wide() -> Tokenizer {
    let text: String = ('\u{10000}'..='\u{20001}').collect();
    let corpus = Corpus::of_texts([("wide".to_owned(), text)]).unwrap();
    let spec = crate::TokenizerSpec::Char;
    spec.tokenizer(&corpus).unwrap()
}

fn problem(path: &Path, tokenizer: Option<&Tokenizer>) -> TokenFileError {
    match TokenFile::open(path, tokenizer).unwrap_err() {
        TextError::TokenFile { problem, .. } => problem,
        other => panic!("{other}"),
    }
}

/// Writes the checksums of a header anew, as somebody else's program would.
fn seal(bytes: &mut [u8]) {
    let content = Sha256::digest(&bytes[header::BYTES..]);
    bytes[72..104].copy_from_slice(&content);
    let seal = Sha256::digest(&bytes[..104]);
    bytes[104..136].copy_from_slice(&seal);
}

#[test]
fn ids_come_back_by_ranges_in_both_types() {
    let dir = tempfile::tempdir().unwrap();
    for (tokenizer, element) in [(Tokenizer::byte(), Element::U16), (wide(), Element::U32)] {
        let ids: Vec<u32> = (0..30_000)
            .map(|i| (i * 7919) % tokenizer.vocabulary() as u32)
            .collect();
        let path = dir.path().join("tokens");
        drop(write(
            &path,
            &tokenizer,
            &[&ids[..10], &[], &ids[10..], &[]],
        ));
        let file = TokenFile::open(&path, Some(&tokenizer)).unwrap();
        assert_eq!(file.element(), element);
        assert_eq!(file.tokens(), ids.len() as u64);
        assert_eq!(file.documents(), [0, 10]);
        assert_eq!(file.fingerprint(), tokenizer.fingerprint());
        for (at, length) in [(0, 30_000), (17, 9_000), (29_999, 1), (30_000, 0)] {
            let mut out = vec![0; length];
            file.read(at as u64, &mut out).unwrap();
            assert_eq!(out, ids[at..at + length]);
        }
        let said = file.read(29_999, &mut [0; 2]).unwrap_err().to_string();
        assert!(
            said.ends_with("tokens has 30000 tokens; expected at least 30001"),
            "{said}"
        );
        assert!(file.read(u64::MAX, &mut [0; 2]).is_err());
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn each_damage_is_an_error_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokens");
    drop(write(&path, &Tokenizer::byte(), &[&[1, 2, 3], &[4, 5]]));
    let good = fs::read(&path).unwrap();
    let ids = header::BYTES;
    type Change = fn(&mut Vec<u8>);
    let cases: &[(&str, Change)] = &[
        (
            "is no file of tokens: it begins with `ENATOKEN`, expected `ANETOKEN`",
            |b| b[..3].copy_from_slice(b"ENA"),
        ),
        (
            "is no file of tokens: it begins with nothing, expected `ANETOKEN`",
            |b| b.clear(),
        ),
        ("is damaged: it has 20 bytes, expected at least 136", |b| {
            b.truncate(20)
        }),
        (
            "is of version 2 of the format; expected 1: prepare it again",
            |b| b[8] = 2,
        ),
        ("is damaged: the checksum of its header does not fit", |b| {
            b[24] ^= 1
        }),
        (
            "holds elements of 4 bytes; expected 2 for a vocabulary of 256",
            |b| {
                b[12] = 4;
                seal(b);
            },
        ),
        ("is damaged: it has 161 bytes, expected 162", |b| {
            b.truncate(b.len() - 1);
        }),
        ("is damaged: it has 163 bytes, expected 162", |b| b.push(0)),
        (
            "is damaged: it has 162 bytes, expected more than any file has",
            |b| {
                b[23] = 0x80;
                seal(b);
            },
        ),
        (
            "holds the id 256 at position 3; expected less than 256",
            |b| {
                b[header::BYTES + 6..][..2].copy_from_slice(&[0, 1]);
                seal(b);
            },
        ),
        (
            "is damaged: its document 0 begins at token 1, expected 0",
            |b| {
                b[header::BYTES + 10] = 1;
                seal(b);
            },
        ),
        (
            "is damaged: its document 1 begins at token 5, expected 1 to below 5",
            |b| {
                b[header::BYTES + 18] = 5;
                seal(b);
            },
        ),
    ];
    for (expected, change) in cases {
        let mut bytes = good.clone();
        change(&mut bytes);
        fs::write(&path, bytes).unwrap();
        assert_eq!(problem(&path, None).to_string(), *expected);
    }
    for at in ids..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!(
            matches!(problem(&path, None), TokenFileError::Checksum { .. }),
            "{at}"
        );
    }
    fs::write(&path, &good).unwrap();
    let other = problem(&path, Some(&wide()));
    assert!(matches!(other, TokenFileError::Tokenizer { .. }), "{other}");
    let missing = TokenFile::open(&dir.path().join("none"), None).unwrap_err();
    assert!(matches!(missing, TextError::Read { .. }));
}

#[test]
fn any_changed_byte_of_the_header_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokens");
    drop(write(&path, &Tokenizer::byte(), &[&[1, 2, 3]]));
    let good = fs::read(&path).unwrap();
    for at in 0..header::BYTES {
        for bit in 0..8 {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << bit;
            fs::write(&path, bytes).unwrap();
            assert!(TokenFile::open(&path, None).is_err(), "{at} {bit}");
        }
    }
}

#[test]
fn ids_of_another_tokenizer_are_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = TokenWriter::create(&dir.path().join("tokens"), &Tokenizer::byte()).unwrap();
    let said = writer.push(&[255, 256]).unwrap_err().to_string();
    assert_eq!(
        said,
        "there is no token 256: the tokenizer `byte` has 256, from 0"
    );
    drop(writer);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

/// Names the folder to a process of this test that may write only little.
const FOLDER: &str = "ANE_TEXT_TEST_FOLDER";

#[test]
fn a_disk_that_is_full_leaves_what_was_there() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        let path = Path::new(&folder).join("tokens");
        let mut writer = TokenWriter::create(&path, &Tokenizer::byte()).unwrap();
        let failed = (0..64).find_map(|_| writer.push(&[7; 1 << 16]).err());
        let failed = failed.unwrap_or_else(|| writer.finish().unwrap_err());
        assert!(failed.to_string().starts_with("cannot write "), "{failed}");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokens");
    fs::write(&path, "old").unwrap();
    // A limit of the shell's stands for the disk; the signal that comes with it is left out.
    let status = Command::new("sh")
        .arg("-c")
        .arg("trap '' XFSZ; ulimit -f 64; exec \"$0\" a_disk_that_is_full --test-threads 1")
        .arg(std::env::current_exe().unwrap())
        .env(FOLDER, dir.path())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(
        status.status.success() && printed.contains("1 passed"),
        "{printed}"
    );
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}
