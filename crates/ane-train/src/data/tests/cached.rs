//! The user's own directory and the cache: what they accept, report and refuse.

use std::fs;

use super::machine::*;
use crate::data::*;

#[test]
fn a_directory_may_hold_raw_gzip_and_dotted_names() {
    let machine = Machine::new();
    let directory = machine.path("mine");
    let [a, b, c, d] = contents();
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("a-images-idx3"), a).unwrap();
    fs::write(directory.join("a-labels-idx1.gz"), compressed(&b)).unwrap();
    fs::write(directory.join("b-images.idx3"), c).unwrap();
    fs::write(directory.join("b-labels.idx1.gz"), compressed(&d)).unwrap();
    let options = FetchOptions {
        data_dir: Some(directory),
        ..machine.options()
    };
    assert_eq!(
        machine.fetch_with(&spec(&[]), &options).unwrap(),
        contents()
    );
    assert!(
        !machine.path("cache").exists(),
        "a user's own files are not cached"
    );
    let rows = verify(&spec(&[]), &options).unwrap();
    assert!(
        rows.iter().all(|row| row.status == FileStatus::Verified),
        "{rows:?}"
    );
}

#[test]
fn a_directory_that_lacks_files_is_an_error_that_names_them_all() {
    let machine = Machine::new();
    machine.install_npm(&contents());
    let directory = machine.path("mine");
    fill(&directory, "", &contents()[..2]);
    let options = FetchOptions {
        data_dir: Some(directory.clone()),
        ..machine.options()
    };
    let error = machine.fetch_with(&spec(&[NPM]), &options).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "`{}` lacks `b-images-idx3`, `b-labels-idx1` of data set `tiny`",
            directory.display()
        )
    );
    assert!(error.help().unwrap().contains("leave out `--data-dir`"));
    assert_eq!(machine.commands(), Vec::<String>::new());
}

#[test]
fn a_directory_is_held_to_the_published_checksums() {
    let machine = Machine::new();
    let directory = machine.path("mine");
    let mut wrong = contents();
    wrong[3][8] ^= 1;
    fill(&directory, "", &wrong);
    let options = FetchOptions {
        data_dir: Some(directory.clone()),
        ..machine.options()
    };
    let error = machine.fetch_with(&spec(&[]), &options).unwrap_err();
    let (expected, found) = (Fingerprint::of(&contents()[3]), Fingerprint::of(&wrong[3]));
    assert_eq!(
        error.to_string(),
        format!(
            "`{}` is not the published `b-labels-idx1`: expected {expected}, found {found}",
            directory.join("b-labels-idx1").display()
        )
    );
    let rows = verify(&spec(&[]), &options).unwrap();
    assert_eq!(rows[2].status, FileStatus::Verified);
    assert!(matches!(rows[3].status, FileStatus::Mismatch(mismatch) if mismatch.found == found));
}

#[test]
fn offline_with_an_empty_cache_asks_nobody() {
    let machine = Machine::new();
    machine.install_npm(&contents());
    let options = FetchOptions {
        offline: true,
        ..machine.options()
    };
    let error = machine
        .fetch_with(&spec(&[NOWHERE, NPM]), &options)
        .unwrap_err();
    let DataError::MissingOffline {
        files, directory, ..
    } = &error
    else {
        panic!("{error}")
    };
    assert_eq!(
        (files.as_slice(), directory),
        (&NAMES[..], &machine.path("cache/data/tiny"))
    );
    assert!(
        error
            .help()
            .unwrap()
            .starts_with("run once without `--offline`")
    );
    assert!(machine.events.borrow().is_empty());
    let rows = verify(&spec(&[]), &options).unwrap();
    assert!(
        rows.iter().all(|row| row.status == FileStatus::Missing),
        "{rows:?}"
    );
}

#[test]
fn a_damaged_cached_file_is_reported_and_only_it_is_fetched_again() {
    let machine = Machine::new();
    machine.install_npm(&contents());
    let spec = spec(&[NPM]);
    machine.fetch(&spec).unwrap();
    let mut damaged = contents()[0].clone();
    damaged[17] ^= 0x80;
    fs::write(machine.cached(0), &damaged).unwrap();

    let offline = FetchOptions {
        offline: true,
        ..machine.options()
    };
    let error = machine.fetch_with(&spec, &offline).unwrap_err();
    assert!(matches!(error, DataError::DamagedCache { .. }), "{error}");
    assert!(error.help().unwrap().starts_with("delete `"));
    assert_eq!(
        fs::read(machine.cached(0)).unwrap(),
        damaged,
        "offline changes nothing"
    );

    machine.events.borrow_mut().clear();
    assert_eq!(machine.fetch(&spec).unwrap(), contents());
    let events = machine.events.borrow();
    assert!(matches!(
        events[0],
        FetchEvent::CacheRejected {
            mismatch: Some(_),
            ..
        }
    ));
    let verified = events
        .iter()
        .filter(|event| matches!(event, FetchEvent::Verified { .. }));
    assert_eq!(verified.count(), 1);
    assert!(
        !events
            .iter()
            .any(|event| matches!(event, FetchEvent::Licence { .. }))
    );
}

#[test]
fn a_cache_that_cannot_be_written_costs_a_warning_not_the_run() {
    let machine = Machine::new();
    machine.install_npm(&contents());
    fs::write(
        machine.path("cache"),
        "a file where the directory should be",
    )
    .unwrap();
    assert_eq!(machine.fetch(&spec(&[NPM])).unwrap(), contents());
    let unwritten = |event: &&FetchEvent| matches!(event, FetchEvent::CacheNotWritten { .. });
    assert_eq!(machine.events.borrow().iter().filter(unwritten).count(), 4);
}
