//! The curves of runs: what `train` leaves and `curves` draws, and what is said where there are none.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

#[path = "support/program.rs"]
mod program;

use program::{fails, says};
use std::path::Path;

fn train(run: &Path) {
    let out = run.to_str().unwrap();
    let model = ["train", "--model", "784-16-10", "--batch", "1000"];
    says(
        &[
            &model[..],
            &["--epochs", "2", "--device", "software", "--out", out],
        ]
        .concat(),
    );
}

#[test]
fn a_run_ends_with_its_curves_and_several_make_one_picture() {
    let dir = tempfile::tempdir().unwrap();
    let runs = ["first", "second"].map(|name| dir.path().join(name));
    runs.iter().for_each(|run| train(run));
    let [first, second] = runs.each_ref().map(|run| run.to_str().unwrap());
    let svg = std::fs::read_to_string(runs[0].join("curves.svg")).unwrap();
    for part in [
        "<title>first</title>",
        ">training<",
        ">validation, best ",
        ">accuracy<",
    ] {
        assert!(svg.contains(part), "`{part}` is not in {svg}");
    }
    let png = std::fs::read(runs[0].join("curves.png")).unwrap();
    assert!(png.starts_with(b"\x89PNG"));
    // The same files make the same pictures.
    std::fs::remove_file(runs[0].join("curves.svg")).unwrap();
    let told = says(&["curves", first]);
    assert_eq!(told.lines().count(), 2, "{told}");
    assert_eq!(
        std::fs::read_to_string(runs[0].join("curves.svg")).unwrap(),
        svg
    );
    assert_eq!(std::fs::read(runs[0].join("curves.png")).unwrap(), png);
    let both = dir.path().join("both.SVG");
    says(&[
        "curves",
        first,
        second,
        "--log",
        "--output",
        both.to_str().unwrap(),
    ]);
    let both = std::fs::read_to_string(both).unwrap();
    assert!(both.contains(">second, validation<") && both.contains(">first, training<"));
}

#[test]
fn what_has_no_curves_is_named_and_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().to_str().unwrap();
    let absent = dir.path().join("absent");
    let absent = absent.to_str().unwrap();
    let picture = dir.path().join("picture.png");
    let picture = picture.to_str().unwrap();
    fails(
        &["curves", absent],
        1,
        &["there is no run", absent, "ane-trainer runs list"],
    );
    fails(
        &["curves", empty, "-o", picture],
        1,
        &["has no curves", "metrics.jsonl", "another run"],
    );
    fails(
        &["curves", empty, empty],
        2,
        &["several runs", "--output FILE.png"],
    );
    fails(
        &["curves", empty, "-o", "curves.gif"],
        2,
        &["`curves.gif`", ".svg or .png"],
    );
    fails(&["curves"], 2, &["RUNS"]);
    let many = [&["curves", "-o", picture][..], &[empty; 21]].concat();
    fails(&many, 2, &["21 runs", "20 at most"]);
    std::fs::write(
        dir.path().join("metrics.jsonl"),
        b"{\"epoch\":1,\"st\xff\n[]\n{}\n",
    )
    .unwrap();
    std::fs::write(dir.path().join("steps.jsonl"), b"\x00\x01").unwrap();
    fails(&["curves", empty, "-o", picture], 1, &["has no curves"]);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
}
