//! The commands that the documents show, run as they are shown.
//!
//! Every document has a folder of its own, in which its commands run in their order, so that a run that one of them
//! trains is there for the next. A block of TOML or CSV after a line of prose that ends in a name, `net.toml` and a
//! colon, becomes that file where it stands; the files of [`FILES`] are there from the beginning.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

#[path = "support/made_files.rs"]
mod made_files;

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// What stands before the arguments of a command.
const PROGRAM: [&str; 2] = ["ane-trainer ", "cargo run --release -- "];
/// How commands of other programs begin that nobody runs here: of versions, packages and the tree itself.
const OTHERS: [&str; 3] = ["git ", "pip ", "cargo xtask "];
/// How commands begin that do not run here, and what they want.
const LEFT_OUT: [(&str, &str); 15] = [
    ("ane-trainer doctor --probe --device apple", "a Mac"),
    ("ane-trainer export runs/keras", "a run of a Python file"),
    ("ane-trainer export runs/net", "a run of a Python file"),
    (
        "ane-trainer inspect program/model.mil --device apple",
        "a Mac",
    ),
    (
        "ane-trainer replay runs/mine/bundles/",
        "a step that overflows",
    ),
    ("ane-trainer selftest --device apple", "a Mac"),
    (
        "ane-trainer train \"examples/my_keras.py",
        "Python with Keras",
    ),
    (
        "ane-trainer train examples/my_keras.py",
        "Python with Keras",
    ),
    (
        "ane-trainer train examples/my_model.py",
        "Python with PyTorch",
    ),
    (
        "ane-trainer train --data-dir my-files",
        "MNIST as it was published",
    ),
    ("ane-trainer train --device apple", "a Mac"),
    ("ane-trainer train --tui", "a terminal"),
    ("cp ~/.cache/", "a cache where it is on most systems"),
    ("python ", "Python with PyTorch or Keras"),
    ("tensorboard ", "Python with TensorBoard"),
];
/// Documents whose trainings are on MNIST, and are cut after a few steps.
const LONG: [&str; 2] = ["README.md", "commands.md"];
/// What makes a file.
type Content = fn() -> Vec<u8>;
/// Files that documents speak of, and what is in them.
const FILES: [(&str, Content); 5] = [
    ("book.txt", book),
    ("diamonds.csv", diamonds),
    ("flowers.csv", flowers),
    ("new.csv", || b"width,length\n0.2,1.9\n1.8,0.3\n".to_vec()),
    ("new/a.png", || made_files::png(28, 28)),
];
/// What the tutorial's last section promises.
const PROMISED: [&str; 4] = [
    "model.mlpackage",
    "model.onnx",
    "model.safetensors",
    "report.html",
];

/// Lines of a few words.
fn book() -> Vec<u8> {
    let line = |i: usize| {
        let (what, whom) = (
            ["cat", "dog", "owl"][i % 3],
            ["mouse", "bird"][i * 7 % 5 % 2],
        );
        format!("the {what} saw the {whom}, and the {whom} saw the {what}.\n")
    };
    (0..120).map(line).collect::<String>().into_bytes()
}

/// Points around two places.
fn flowers() -> Vec<u8> {
    let line = |i: usize| {
        let (kind, off) = (i % 2, (i * 37 % 101) as f64 / 200.0);
        let (width, length) = (kind as f64 + off, 2.0 - kind as f64 - off);
        format!("{width},{length},{}\n", ["rose", "lily"][kind])
    };
    let lines: String = (0..80).map(line).collect();
    format!("width,length,kind\n{lines}").into_bytes()
}

/// Stones with the columns of the data set of this name.
fn diamonds() -> Vec<u8> {
    let line = |i: usize| {
        let carat = 0.2 + (i * 53 % 97) as f64 / 50.0;
        let cut = ["Fair", "Good", "Very Good", "Premium", "Ideal"][i % 5];
        let colour = ["D", "E", "F", "G", "H", "I", "J"][i % 7];
        let clarity = ["I1", "SI2", "SI1", "VS2", "VS1", "VVS2", "VVS1", "IF"][i % 8];
        let (x, price) = (6.0 * carat.cbrt(), 3000.0 * carat * carat);
        format!("{carat},{cut},{colour},{clarity},61.5,55,{price:.0},{x:.2},{x:.2},{x:.2}\n")
    };
    let lines: String = (0..280).map(line).collect();
    format!("carat,cut,color,clarity,depth,table,price,x,y,z\n{lines}").into_bytes()
}

/// Pictures of a bright line: the lower, the later the class.
fn shoes(folder: &Path) {
    for (place, class) in ["boot", "sandal", "sneaker"].iter().enumerate() {
        let class = folder.join("shoes").join(class);
        fs::create_dir_all(&class).unwrap();
        for i in 0..20 {
            let mut picture = image::GrayImage::new(28, 28);
            for x in 0..28 - i {
                picture.put_pixel(x, 4 + 8 * place as u32, image::Luma([255]));
            }
            picture.save(class.join(format!("{i:03}.png"))).unwrap();
        }
    }
}

/// What a document asks for.
enum Step {
    /// A file with a text.
    File { name: String, text: String },
    /// A command, whose line has this number.
    Command { line: usize, text: String },
}

/// The commands of a document, and the files that it shows, in their order.
fn steps(document: &str) -> Vec<Step> {
    let (mut found, mut prose) = (Vec::new(), "");
    let mut lines = document.lines().zip(1..);
    while let Some((line, _)) = lines.next() {
        let Some(language) = line.strip_prefix("```") else {
            prose = if line.is_empty() { prose } else { line };
            continue;
        };
        let block = lines.by_ref().take_while(|(line, _)| *line != "```");
        match (language, named(prose)) {
            ("sh", _) => commands(block, &mut found),
            ("console", _) => {
                let typed = block.filter_map(|(line, i)| Some((line.strip_prefix("$ ")?, i)));
                commands(typed, &mut found);
            }
            ("toml" | "csv", Some(name)) => found.push(Step::File {
                name: name.to_owned(),
                text: block.map(|(line, _)| format!("{line}\n")).collect(),
            }),
            _ => block.for_each(drop),
        }
    }
    found
}

/// The file that a line of prose says a block is: a name in backquotes before a colon at its end.
fn named(prose: &str) -> Option<&str> {
    let (_, name) = prose.strip_suffix("`:")?.rsplit_once('`')?;
    Some(name)
}

/// Adds the commands of a block; a line that ends in `\` goes on.
fn commands<'a>(lines: impl Iterator<Item = (&'a str, usize)>, found: &mut Vec<Step>) {
    let mut begun: Option<(usize, String)> = None;
    for (text, line) in lines {
        let (line, before) = begun.take().unwrap_or((line, String::new()));
        let text = before + text.trim();
        match text.strip_suffix('\\') {
            Some(part) => begun = Some((line, part.to_owned())),
            None if text.is_empty() || text.starts_with('#') => {}
            None => found.push(Step::Command { line, text }),
        }
    }
    assert!(begun.is_none(), "a command has no end: {begun:?}");
}

/// Runs a command of the program by a shell, which reads quotes and remarks.
fn run(folder: &Path, command: &str, steps: Option<&str>) -> Result<(), String> {
    let program = Path::new(env!("CARGO_BIN_EXE_ane-trainer"));
    let own = [program.parent().unwrap().to_owned()];
    let others = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths(own.into_iter().chain(env::split_paths(&others))).unwrap();
    let done = Command::new("sh")
        .args(["-ec", command])
        .current_dir(folder)
        .env("PATH", path)
        .env("ANE_TRAINER_TRAINING_MAX_STEPS", steps.unwrap_or(""))
        .env_remove("ANE_TRAINER_ISA")
        .env_remove("VIRTUAL_ENV")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    match done.status.success() {
        true => Ok(()),
        false => {
            let told = String::from_utf8_lossy(&done.stderr);
            Err(format!("ends with {}: {told}", done.status))
        }
    }
}

/// What came of a document.
#[derive(Default)]
struct Followed {
    /// Commands that do not work, or that nobody knows, each with its line and the reason.
    complaints: Vec<String>,
    /// The entries of [`LEFT_OUT`] that it has.
    left_out: BTreeSet<&'static str>,
    /// How many commands have run.
    commands: usize,
}

/// Does in a folder what a document shows.
fn follow(folder: &Path, name: &str, document: &str) -> Followed {
    for (file, content) in FILES {
        let path = folder.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content()).unwrap();
    }
    shoes(folder);
    let cut = LONG.contains(&name).then_some("6");
    let mut followed = Followed::default();
    for step in steps(document) {
        let (line, text) = match step {
            Step::File { name, text } => {
                fs::write(folder.join(name), text).unwrap();
                continue;
            }
            Step::Command { line, text } => (line, text),
        };
        let begins = |beginning: &str| text.starts_with(beginning);
        if OTHERS.iter().any(|other| begins(other)) {
            continue;
        }
        if let Some((beginning, _)) = LEFT_OUT.iter().find(|(beginning, _)| begins(beginning)) {
            followed.left_out.insert(beginning);
            continue;
        }
        let outcome = match PROGRAM
            .iter()
            .find_map(|program| text.strip_prefix(program))
        {
            Some(arguments) => run(folder, &format!("ane-trainer {arguments}"), cut),
            None => Err("neither runs here nor is listed with a reason".to_owned()),
        };
        followed.commands += 1;
        if let Err(reason) = outcome {
            let complaint = format!("{name}:{line}: `{text}` {reason}");
            followed.complaints.push(complaint);
        }
    }
    followed
}

/// The documents that a visitor reads.
fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let entries = fs::read_dir(root.join("docs")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let is_text = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "md");
    let mut all: Vec<PathBuf> = paths.filter(is_text).collect();
    all.sort();
    all.push(root.join("README.md"));
    all
}

#[test]
fn what_the_documents_show_works() {
    let (mut complaints, mut left_out) = (Vec::new(), BTreeSet::new());
    for path in documents() {
        let name = path.file_name().unwrap().to_str().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let followed = follow(dir.path(), name, &text);
        complaints.extend(followed.complaints);
        left_out.extend(followed.left_out);
        if name == "tutorial.md" {
            assert!(followed.commands > 30, "{}", followed.commands);
            for file in PROMISED {
                assert!(dir.path().join("runs/first").join(file).exists(), "{file}");
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    let is_stale = |beginning: &&str| !left_out.contains(beginning);
    let stale: Vec<&str> = LEFT_OUT.map(|l| l.0).into_iter().filter(is_stale).collect();
    assert!(stale.is_empty(), "no document has these: {stale:?}");
}

#[test]
fn what_does_not_work_is_told_with_its_line() {
    let document = "\
Say `a.toml`:

```toml
[data]
dataset = \"nothing\"
```
```sh
ane-trainer devices   # and a remark
ane-trainer train \\
  --config a.toml
make coffee
git clone somewhere
```
```console
$ cargo run --release -- explain E0101
not a command
$ ane-trainer explain E9999
```
```text
ane-trainer nothing
```
";
    let dir = tempfile::tempdir().unwrap();
    let followed = follow(dir.path(), "a.md", document);
    assert_eq!(followed.commands, 5);
    let wanted = [
        ("a.md:9: `ane-trainer train --config a.toml` ", "nothing"),
        ("a.md:11: `make coffee` ", "neither runs"),
        ("a.md:17: `ane-trainer explain E9999` ", "E9999"),
    ];
    assert_eq!(followed.complaints.len(), wanted.len());
    for (complaint, (place, reason)) in followed.complaints.iter().zip(wanted) {
        assert!(complaint.starts_with(place), "{complaint}");
        assert!(complaint[place.len()..].contains(reason), "{complaint}");
    }
}
