//! What cannot be used, one case after another: each is refused with what, where, expected, found and what to do, in bounded
//! memory and time, without a panic and without a file that is left.
//!
//! What each is told stands in the snapshot beside this file.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

#[path = "refused/asked.rs"]
mod asked;
#[path = "support/made_files.rs"]
mod made_files;
#[path = "refused/of_data.rs"]
mod of_data;

use made_files::{lying_png, npy, png, safetensors, zip};
use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// What is refused: the files that are there, and what the program is asked for.
struct Case {
    name: &'static str,
    files: Vec<(&'static str, Vec<u8>)>,
    arguments: &'static str,
}

fn case(name: &'static str, arguments: &'static str, files: Vec<(&'static str, Vec<u8>)>) -> Case {
    Case {
        name,
        files,
        arguments,
    }
}

/// A case of a table that is trained on.
fn table(name: &'static str, text: &str) -> Case {
    case(name, "train --data t.csv", vec![("t.csv", text.into())])
}

/// A case of a table that is read so.
fn read(name: &'static str, arguments: &'static str, text: &str) -> Case {
    case(name, arguments, vec![("t.csv", text.into())])
}

/// A case of a file of settings.
fn settings(name: &'static str, text: &str) -> Case {
    case(name, "train --config s.toml", vec![("s.toml", text.into())])
}

const GOOD: &str =
    "a,b,label\n1,2,x\n2,1,y\n3,4,x\n4,3,y\n1,3,x\n2,2,y\n3,1,x\n4,4,y\n5,1,x\n5,2,y\n";

fn tables() -> Vec<Case> {
    let many = |n: usize, cell: &str| vec![cell; n].join(",");
    vec![
        table("an empty table", ""),
        table("a table of blanks", "\n \n\n"),
        table("a header alone", "a,b,label\n"),
        table("a single column", "label\nx\ny\n"),
        table("a row too short", "a,b,label\n1,2,x\n3,y\n"),
        table("a row too long", "a,b,label\n1,2,x\n3,4,y,5\n"),
        table(
            "a number among texts by mistake",
            &format!("a,label\n{}oops,x\n", "1,x\n2,y\n".repeat(20)),
        ),
        table("an infinite number", "a,label\n1,x\ninf,y\n"),
        table("a number beyond fp32", "a,label\n1,x\n1e300,y\n"),
        table("an empty cell", "a,b,label\n1,2,x\n,4,y\n"),
        table("an empty label", "a,b,label\n1,2,x\n3,4,\n"),
        table("nothing but empty cells", "a,label\n,x\n,y\n"),
        table("two columns of one name", "a,a,label\n1,2,x\n"),
        table("bytes that are no text", "a,label\n1,\u{0}x\n"),
        case(
            "bytes that are no UTF-8",
            "train --data t.csv",
            vec![("t.csv", b"a,label\n1,\xff\xfe\n".to_vec())],
        ),
        table(
            "more columns than there can be",
            &format!("{}\n{}\n", many(20_000, "c"), many(20_000, "1")),
        ),
        table(
            "a line without an end",
            &format!("a,label\n1,{}\n", "x".repeat(17 << 20)),
        ),
        table(
            "a name for every row",
            &format!(
                "id,label\n{}",
                (0..5_000)
                    .map(|i| format!("n{i},{}\n", i % 2))
                    .collect::<String>()
            ),
        ),
        table(
            "a class for every row",
            &format!(
                "a,label\n{}",
                (0..5_000).map(|i| format!("1,n{i}\n")).collect::<String>()
            ),
        ),
        table(
            "a single class",
            &format!("a,label\n{}", "1,x\n2,x\n".repeat(20)),
        ),
        table("too few rows", "a,label\n1,x\n2,y\n"),
        case(
            "a gzip that is none",
            "train --data t.csv.gz",
            vec![("t.csv.gz", GOOD.into())],
        ),
        read(
            "a label that there is not",
            "train --data t.csv --label price",
            GOOD,
        ),
        read(
            "a place that there is not",
            "train --data t.csv --label 7",
            GOOD,
        ),
        read("a label alone", "train --data t.csv --ignore a,b", GOOD),
        read(
            "a column to ignore that there is not",
            "train --data t.csv --ignore c",
            GOOD,
        ),
        read("texts as values", "train --data t.csv --task values", GOOD),
        read(
            "texts beside numbers that are learned",
            "train --data t.csv --label a,label",
            GOOD,
        ),
        read(
            "a logarithm of zero",
            "train --data t.csv --label a --task values --log-target",
            &format!("a,b\n{}", "1,2\n0,3\n2,4\n".repeat(10)),
        ),
        read(
            "weights that are none",
            "train --data t.csv --example-weights a",
            &format!("a,b,label\n{}", "-1,2,x\n2,1,y\n".repeat(20)),
        ),
        read(
            "a weight of a class that there is not",
            "train --data t.csv --class-weights z=2",
            GOOD,
        ),
        read(
            "a delimiter of two bytes",
            "train --data t.csv --delimiter é",
            GOOD,
        ),
        read(
            "more examples to judge by than there are",
            "train --data t.csv --test 10",
            GOOD,
        ),
        read(
            "a file to judge by that there is not",
            "train --data t.csv --test other.csv",
            GOOD,
        ),
        read(
            "a batch larger than the data",
            "train --data t.csv --batch 64",
            GOOD,
        ),
        read(
            "a model of other widths",
            "train --data t.csv --model 3-4-2",
            GOOD,
        ),
        read(
            "a model of images for a table",
            "train --data t.csv --model lenet",
            GOOD,
        ),
        case(
            "a class that is in the test file alone",
            "train --data t.csv --test u.csv",
            vec![
                ("t.csv", GOOD.into()),
                ("u.csv", "a,b,label\n1,2,z\n".into()),
            ],
        ),
        case(
            "a test file without the column",
            "train --data t.csv --test u.csv",
            vec![("t.csv", GOOD.into()), ("u.csv", "a,label\n1,x\n".into())],
        ),
        case(
            "a test file without the label",
            "train --data t.csv --test u.csv",
            vec![("t.csv", GOOD.into()), ("u.csv", "a,b\n1,2\n".into())],
        ),
    ]
}

fn arrays() -> Vec<Case> {
    let both = |x: Vec<u8>| vec![("x.npy", x), ("y.npy", npy("'|u1'", "(4,)", &[0; 4]))];
    let labelled = "train --data x.npy --label y.npy";
    vec![
        case(
            "no header of NumPy's",
            labelled,
            both(b"not numpy".to_vec()),
        ),
        case(
            "a pickled array",
            labelled,
            both(npy("'|O'", "(4,)", &[0; 40])),
        ),
        case(
            "texts as an array",
            labelled,
            both(npy("'<U7'", "(4,)", &[0; 112])),
        ),
        case(
            "big-endian numbers",
            labelled,
            both(npy("'>f4'", "(4, 2)", &[0; 32])),
        ),
        case(
            "a structured array",
            labelled,
            both(npy("[('a', '<f4')]", "(4,)", &[0; 16])),
        ),
        case(
            "an array that was cut short",
            labelled,
            both(npy("'<f4'", "(4, 2)", &[0; 31])),
        ),
        case(
            "an array of more than there can be",
            labelled,
            both(npy("'<f4'", "(4, 9223372036854775807)", &[0; 32])),
        ),
        case(
            "a single number",
            labelled,
            both(npy("'<f4'", "()", &[0; 4])),
        ),
        case(
            "no elements",
            labelled,
            both(npy("'<f4'", "(4, 0)", &[0; 0])),
        ),
        case(
            "five axes",
            labelled,
            both(npy("'<f4'", "(4, 1, 1, 1, 1)", &[0; 16])),
        ),
        case(
            "other numbers of examples",
            labelled,
            both(npy("'<f4'", "(3, 2)", &[0; 24])),
        ),
        case(
            "an array without labels",
            "train --data x.npy",
            both(npy("'<f4'", "(4, 2)", &[0; 32])),
        ),
        case(
            "labels that are not there",
            "train --data x.npy --label z.npy",
            both(npy("'<f4'", "(4, 2)", &[0; 32])),
        ),
        case(
            "an archive that is none",
            "train --data x.npz",
            vec![("x.npz", b"PK nothing".to_vec())],
        ),
        case(
            "an archive without y",
            "train --data x.npz",
            vec![("x.npz", zip("x.npy", &npy("'<f4'", "(4, 2)", &[0; 32])))],
        ),
        case(
            "an archive that leads elsewhere",
            "train --data x.npz",
            vec![("x.npz", zip("../x.npy", &npy("'<f4'", "(4, 2)", &[0; 32])))],
        ),
        case(
            "an archive of terabytes",
            "train --data x.npz --input x --label x",
            vec![(
                "x.npz",
                zip("x.npy", &npy("'<f4'", "(1000000000000, 2)", &[0; 8])),
            )],
        ),
        case(
            "an archive whose array was cut short",
            "train --data x.npz --input x --label x",
            vec![("x.npz", zip("x.npy", &npy("'<f4'", "(4, 2)", &[0; 8])))],
        ),
        case(
            "a safetensors file that is none",
            "train --data x.safetensors",
            vec![("x.safetensors", b"nothing".to_vec())],
        ),
        case(
            "a header that lies about its length",
            "train --data x.safetensors",
            vec![("x.safetensors", vec![255; 64])],
        ),
        case(
            "a tensor of another type",
            "train --data x.safetensors",
            vec![(
                "x.safetensors",
                safetensors(
                    r#"{"x":{"dtype":"BF16","shape":[4],"data_offsets":[0,8]},"y":{"dtype":"U8","shape":[4],"data_offsets":[8,12]}}"#,
                    12,
                ),
            )],
        ),
        case(
            "a tensor whose bytes are not there",
            "train --data x.safetensors",
            vec![(
                "x.safetensors",
                safetensors(
                    r#"{"x":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"y":{"dtype":"U8","shape":[4],"data_offsets":[16,20]}}"#,
                    12,
                ),
            )],
        ),
        case(
            "a tensor whose offsets lie",
            "train --data x.safetensors",
            vec![(
                "x.safetensors",
                safetensors(
                    r#"{"x":{"dtype":"F32","shape":[4],"data_offsets":[0,15]},"y":{"dtype":"U8","shape":[4],"data_offsets":[16,20]}}"#,
                    20,
                ),
            )],
        ),
        case(
            "an IDX file that is none",
            "train --data images-idx3-ubyte",
            vec![
                ("images-idx3-ubyte", b"nothing".to_vec()),
                ("labels-idx1-ubyte", vec![0, 0, 8, 1, 0, 0, 0, 0]),
            ],
        ),
        case(
            "an IDX file that was cut short",
            "train --data images-idx3-ubyte",
            vec![
                (
                    "images-idx3-ubyte",
                    vec![0, 0, 8, 3, 0, 0, 0, 4, 0, 0, 0, 2, 0, 0, 0, 2, 9],
                ),
                (
                    "labels-idx1-ubyte",
                    vec![0, 0, 8, 1, 0, 0, 0, 4, 0, 1, 0, 1],
                ),
            ],
        ),
        case(
            "an IDX file without labels",
            "train --data images-idx3-ubyte",
            vec![("images-idx3-ubyte", vec![0, 0, 8, 1, 0, 0, 0, 1, 9])],
        ),
    ]
}

fn pictures() -> Vec<Case> {
    let two = |other: Vec<u8>| vec![("p/a/1.png", png(4, 4)), ("p/b/1.png", other)];
    vec![
        case(
            "a folder of nothing",
            "train --data p",
            vec![("p/.keep", Vec::new())],
        ),
        case(
            "pictures without classes",
            "train --data p",
            vec![("p/1.png", png(4, 4))],
        ),
        case(
            "a folder of a single class",
            "train --data p",
            vec![("p/a/1.png", png(4, 4))],
        ),
        case(
            "a class without pictures",
            "train --data p",
            vec![("p/a/1.png", png(4, 4)), ("p/b/notes.txt", Vec::new())],
        ),
        case(
            "a picture of another size",
            "train --data p",
            two(png(5, 4)),
        ),
        case(
            "a picture that is none",
            "train --data p",
            two(b"not a picture".to_vec()),
        ),
        case(
            "a picture that was cut short",
            "train --data p",
            two(png(64, 64)[..60].to_vec()),
        ),
        case(
            "a picture without pixels",
            "train --data p",
            two(lying_png(0, 4)),
        ),
        case(
            "a picture of more pixels than there can be",
            "train --data p",
            two(lying_png(60_000, 60_000)),
        ),
        case(
            "a picture that is a bomb",
            "train --data p",
            two(lying_png(16_000, 16_000)),
        ),
        case(
            "a picture alone",
            "train --data 1.png",
            vec![("1.png", png(4, 4))],
        ),
        case(
            "a size of nothing",
            "train --data p --size 0x4",
            two(png(4, 4)),
        ),
        case(
            "two channels",
            "train --data p --channels 2",
            two(png(4, 4)),
        ),
        case(
            "a sheet of no pictures",
            "data inspect t.csv --sheet s.png",
            vec![("t.csv", GOOD.into())],
        ),
    ]
}

fn others() -> Vec<Case> {
    vec![
        settings("settings that are no TOML", "[training\nepochs = 3\n"),
        settings("a key twice", "[training]\nepochs = 3\nepochs = 4\n"),
        settings(
            "a table twice",
            "[training]\nepochs = 3\n[training]\nbatch = 4\n",
        ),
        settings("a setting that there is not", "[training]\nepoch = 3\n"),
        settings("a setting outside of a table", "epochs = 3\n"),
        settings("a table that there is not", "[trainer]\nepochs = 3\n"),
        settings(
            "a setting that is too large",
            "[training]\nepochs = 1000000000\n",
        ),
        settings("a setting of another type", "[training]\nepochs = true\n"),
        settings("a switch that is no switch", "[data]\nfinal = 1\n"),
        settings("a date", "[training]\nepochs = 1979-05-27\n"),
        settings(
            "a path that leads nowhere",
            "[data]\npath = \"nowhere.csv\"\n",
        ),
        settings("something unlike any setting", "[training]\nxyzzy = 1\n"),
        case(
            "settings that are not there",
            "train --config none.toml",
            Vec::new(),
        ),
        case(
            "a set without a value",
            "train --set training.epochs",
            Vec::new(),
        ),
        case(
            "data that is not there",
            "train --data none.csv",
            Vec::new(),
        ),
        case(
            "data of no kind",
            "train --data t.xlsx",
            vec![("t.xlsx", b"PK".to_vec())],
        ),
        case("a device of data", "train --data /dev/zero", Vec::new()),
        case(
            "a flag of one's own data for another",
            "train --label x --dry-run",
            Vec::new(),
        ),
        case("a time that is none", "train --max-time soon", Vec::new()),
        case(
            "an augmentation that there is not",
            "train --augment zoom=2 --dry-run",
            Vec::new(),
        ),
        case(
            "a run that is none",
            "predict . t.csv",
            vec![("t.csv", GOOD.into())],
        ),
        case("runs of nowhere", "runs list nowhere", Vec::new()),
        case("a run to remove that is none", "runs rm .", Vec::new()),
        case("a run to show that is none", "runs show .", Vec::new()),
        case(
            "a file of settings that is there",
            "init s.toml",
            vec![("s.toml", b"[data]\n".to_vec())],
        ),
        case(
            "weights of nowhere",
            "train --from nowhere --fast-dev-run",
            Vec::new(),
        ),
    ]
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => all.extend(files(&path)),
            false => all.push(path),
        }
    }
    all.sort();
    all
}

/// What the program tells of a case.
fn told(case: &Case) -> String {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in &case.files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let before = files(dir.path());
    let done = Command::new(env!("CARGO_BIN_EXE_ane-trainer"))
        .args(case.arguments.split(' '))
        .current_dir(dir.path())
        .env_remove("ANE_TRAINER_ISA")
        .env("ANE_TRAINER_CACHE", dir.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(done.stderr).unwrap();
    let name = case.name;
    assert!(
        matches!(done.status.code(), Some(1 | 2)),
        "{name}: {:?}: {text}",
        done.status
    );
    assert!(!text.contains("panicked"), "{name}: {text}");
    assert!(
        text.contains("help: ") || text.contains("--help"),
        "{name} does not say what to do: {text}"
    );
    assert_eq!(files(dir.path()), before, "{name} leaves or takes a file");
    let here = dir.path().canonicalize().unwrap();
    let text = text.replace(here.to_str().unwrap(), "HERE");
    format!("{} ({})", text.trim_end(), done.status.code().unwrap())
}

#[test]
fn what_cannot_be_used_is_refused_with_what_to_do_and_leaves_nothing() {
    let made = [tables(), arrays(), pictures(), others()];
    let asked = [asked::all(), of_data::all()];
    let cases: Vec<Case> = made.into_iter().chain(asked).flatten().collect();
    assert!(cases.len() >= 80, "{}", cases.len());
    let mut all = String::new();
    for case in &cases {
        let _ = writeln!(
            all,
            "# {}\n$ ane-trainer {}\n{}\n",
            case.name,
            case.arguments,
            told(case)
        );
    }
    insta::assert_snapshot!("refused", all);
}
