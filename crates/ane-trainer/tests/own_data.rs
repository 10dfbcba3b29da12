//! Data of one's own, from a file to answers about new examples.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

#[path = "support/made_files.rs"]
mod made_files;
#[path = "support/program.rs"]
mod program;

use image::GrayImage;
use program::{fails, says};
use serde_json::Value;
use std::{fs, path::Path};
use tempfile::TempDir;

/// Points around three places, a category that mostly says which, and a column that says nothing.
fn flowers(rows: usize) -> String {
    let mut text = String::from("row,width,length,colour,kind\n");
    for i in 0..rows {
        let kind = i % 3;
        // What stands for chance: the digits of multiples of irrational numbers.
        let off = |k: f64| ((i + 1) as f64 * k).fract() - 0.5;
        let width = kind as f64 + off(0.618_033_988_75);
        let length = 2.0 - kind as f64 + off(0.414_213_562_37);
        let colour = ["red", "green", "blue"][if i % 7 == 0 { 0 } else { kind }];
        let kind = ["rose", "lily", "iris"][kind];
        text.push_str(&format!("n{i},{width:.4},{length:.4},{colour},{kind}\n"));
    }
    text
}

fn write(dir: &TempDir, name: &str, content: impl AsRef<[u8]>) -> String {
    let path = dir.path().join(name);
    fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_table_is_learned_from_and_its_run_answers_for_new_rows() {
    let dir = tempfile::tempdir().unwrap();
    let table = write(&dir, "flowers.csv", flowers(300));
    let run = dir.path().join("run");
    let run_text = run.to_str().unwrap();
    let text = says(&[
        "train", "--data", &table, "--ignore", "row", "--out", run_text, "--epochs", "20",
    ]);
    assert!(text.contains("5-512-512-3 on flowers"), "{text}");
    // 60 of 300 are held out.
    assert!(text.contains("on 60 examples"), "{text}");
    let result = json(&run.join("result.json"));
    assert!(result["accuracy"].as_f64().unwrap() > 0.9, "{result}");
    let config = json(&run.join("config.json"));
    assert_eq!(config["data"]["label"], "kind");
    assert_eq!(config["batch"], 32);
    // The columns may be in another order, and the label is not needed.
    let new = "colour,length,width,row\nred,2.0,0.1,x\nblue,0.1,2.1,y\nviolet,0.9,1.0,z\n";
    let new = write(&dir, "new.csv", new);
    let said = says(&["predict", run_text, &new, "--top", "1"]);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], "example,answer,probability");
    for (line, kind) in lines[1..].iter().zip(["rose", "iris", "lily"]) {
        assert!(line.contains(kind), "{said}");
    }
    let judged: Value = serde_json::from_str(&says(&["eval", run_text, "--json"])).unwrap();
    assert_eq!(judged["accuracy"], result["accuracy"]);
    let on_all = says(&["eval", run_text, "--data", &table]);
    assert!(on_all.contains("on 300 examples"), "{on_all}");
    let strange = write(
        &dir,
        "strange.csv",
        "width,length,colour,kind\n1,1,red,tulip\n",
    );
    fails(
        &["eval", run_text, "--data", &strange],
        1,
        &["row 1 (line 2)", "`rose`", "`tulip`"],
    );
    let lacking = write(&dir, "lacking.csv", "width,colour\n1,red\n");
    fails(
        &["predict", run_text, &lacking],
        1,
        &[
            "no column `length`",
            "the run needs `width`, `length`, `colour`: add `length`",
        ],
    );
    // Of what it is asked, a run reads what it has learned from and nothing else.
    let labelled = "width,length,colour,kind,note\n1,1,red,,\n1,1,red,tulip,inf\n";
    let labelled = write(&dir, "labelled.csv", labelled);
    let said = says(&["predict", run_text, &labelled, "--top", "1"]);
    assert_eq!(said.lines().count(), 3, "{said}");
    let unlabelled = write(&dir, "unlabelled.csv", "width,length,colour\n1,1,red\n");
    fails(
        &["eval", run_text, "--data", &unlabelled],
        1,
        &["has no column `kind`", "`predict` needs none"],
    );
    for (flag, arguments) in [
        ("--fit", &["--fit", "pad"][..]),
        ("--invert", &["--invert"]),
    ] {
        let said = format!("{flag} is for pictures, and the run has learned from tables with 3");
        fails(
            &[&["predict", run_text, &new], arguments].concat(),
            2,
            &[&said],
        );
    }
}

#[test]
fn a_run_on_data_of_ones_own_goes_on_with_the_same_bits_and_with_no_other_data() {
    let dir = tempfile::tempdir().unwrap();
    let table = write(&dir, "flowers.csv", flowers(200));
    let [whole, again] = ["whole", "again"].map(|name| dir.path().join(name));
    let [whole_text, again_text] = [&whole, &again].map(|path| path.to_str().unwrap());
    let arguments = ["--data", &table, "--ignore", "row", "--epochs", "6"];
    says(&[&["train", "--out", whole_text], &arguments[..]].concat());
    let best = whole.join("checkpoints/best.ckpt");
    says(&[
        "train",
        "--resume",
        best.to_str().unwrap(),
        "--out",
        again_text,
    ]);
    let of = |run: &Path, file: &str| fs::read(run.join(file)).unwrap();
    for file in ["metrics.jsonl", "checkpoints/last.safetensors"] {
        assert_eq!(of(&whole, file), of(&again, file), "{file}");
    }
    fs::write(&table, flowers(199)).unwrap();
    fails(
        &["train", "--resume", whole_text],
        1,
        &["holds other examples than those"],
    );
}

#[test]
fn numbers_are_learned_and_said_in_their_own_unit() {
    let dir = tempfile::tempdir().unwrap();
    let mut text = String::from("x,price\n");
    for i in 0..400 {
        let x = f64::from(i) / 100.0;
        text.push_str(&format!("{x},{}\n", (1.0 + 2.0 * x).exp()));
    }
    let table = write(&dir, "prices.csv", text);
    let run = dir.path().join("run");
    let run = run.to_str().unwrap();
    let said = says(&[
        "train",
        "--data",
        &table,
        "--log-target",
        "--out",
        run,
        "--epochs",
        "40",
        "--model",
        "1-64-1",
    ]);
    assert!(said.contains("rmse"), "{said}");
    let new = write(&dir, "new.csv", "x\n1.5\n");
    let said = says(&["predict", run, &new]);
    let price: f64 = said
        .lines()
        .nth(1)
        .unwrap()
        .split(',')
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    let wanted = 4.0_f64.exp();
    assert!((price / wanted - 1.0).abs() < 0.1, "{price} for {wanted}");
}

#[test]
fn pictures_in_folders_are_learned_at_any_size() {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..120_u32 {
        let class = i % 2;
        let side = 8 + i % 3;
        let picture = GrayImage::from_fn(side, side, |x, y| {
            let is_bright = if class == 0 {
                x < side / 2
            } else {
                y < side / 2
            };
            image::Luma([if is_bright {
                200 + (i % 50) as u8
            } else {
                (i % 40) as u8
            }])
        });
        let folder = dir
            .path()
            .join("pictures")
            .join(["left", "top"][class as usize]);
        fs::create_dir_all(&folder).unwrap();
        picture.save(folder.join(format!("{i}.png"))).unwrap();
    }
    let pictures = dir.path().join("pictures");
    let pictures = pictures.to_str().unwrap();
    fails(
        &["train", "--data", pictures],
        1,
        &["expected 8 rows and 8 columns", "--size"],
    );
    let run = dir.path().join("run");
    let run = run.to_str().unwrap();
    let said = says(&[
        "train", "--data", pictures, "--size", "8x8", "--epochs", "10", "--out", run,
    ]);
    assert!(
        said.contains("test: accuracy 100.00 % on 24 examples"),
        "{said}"
    );
    let one = format!("{pictures}/top/1.png");
    let said = says(&["predict", run, &one, "--format", "json"]);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (&said["answer"], &said["schema"]),
        (&Value::from("top"), &Value::from(1))
    );
    // Standard input is called as it is asked for, in answers and in errors.
    let read = program::given(&fs::read(&one).unwrap(), &["predict", run, "-"]);
    let told = String::from_utf8(read.stdout).unwrap();
    assert!(told.lines().nth(1).unwrap().starts_with("-,top,"), "{told}");
    let read = program::given(b"\x89PNG and no more", &["predict", run, "-"]);
    let told = String::from_utf8(read.stderr).unwrap();
    assert!(told.contains("`-`: is no picture"), "{told}");
    // Half of it is the other half then.
    let inverted = says(&["predict", run, &one, "--invert", "--logits"]);
    assert_ne!(inverted, says(&["predict", run, &one, "--logits"]));
}

/// Images [n, 6, 6] of bytes, and their classes: a bright half, left or top.
fn halves(n: usize) -> (Vec<u8>, Vec<u8>) {
    let mut pixels = Vec::new();
    let classes: Vec<u8> = (0..n).map(|i| (i % 2) as u8).collect();
    for i in 0..n {
        for at in 0..36 {
            let is_bright = if i % 2 == 0 { at % 6 < 3 } else { at < 18 };
            let off = (i * 7 + at * 5) % 40;
            pixels.push(if is_bright {
                255 - off as u8
            } else {
                off as u8
            });
        }
    }
    (pixels, classes)
}

/// Bytes as a file of NumPy's.
fn npy(shape: &str, bytes: &[u8]) -> Vec<u8> {
    made_files::npy("'|u1'", &format!("({shape})"), bytes)
}

/// An IDX file of bytes.
fn idx(axes: &[u32], bytes: &[u8]) -> Vec<u8> {
    let mut file = vec![0, 0, 8, axes.len() as u8];
    axes.iter().for_each(|n| file.extend(n.to_be_bytes()));
    [&file, bytes].concat()
}

#[test]
fn the_same_examples_in_every_format_of_arrays_make_the_same_run() {
    let dir = tempfile::tempdir().unwrap();
    let (pixels, classes) = halves(80);
    write(&dir, "y.npy", npy("80,", &classes));
    write(&dir, "labels-idx1-ubyte", idx(&[80], &classes));
    let tensor = |shape: &[usize], bytes| {
        safetensors::tensor::TensorView::new(safetensors::Dtype::U8, shape.to_vec(), bytes).unwrap()
    };
    let tensors = [
        ("x", tensor(&[80, 6, 6], &pixels)),
        ("y", tensor(&[80], &classes)),
    ];
    let tensors = safetensors::serialize(tensors, None).unwrap();
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in [
        ("x.npy", npy("80, 6, 6", &pixels)),
        ("y.npy", npy("80,", &classes)),
    ] {
        archive
            .start_file(name, zip::write::SimpleFileOptions::default())
            .unwrap();
        std::io::Write::write_all(&mut archive, &content).unwrap();
    }
    let archive = archive.finish().unwrap().into_inner();
    let files = [
        (
            write(&dir, "x.npy", npy("80, 6, 6", &pixels)),
            &["--label", "y.npy"][..],
        ),
        (write(&dir, "all.npz", archive), &[]),
        (write(&dir, "all.safetensors", tensors), &[]),
        (
            write(&dir, "images-idx3-ubyte", idx(&[80, 6, 6], &pixels)),
            &[],
        ),
    ];
    for (i, (file, more)) in files.iter().enumerate() {
        let run = dir.path().join(format!("run-{i}"));
        let own = [
            "train", "--data", file, "--epochs", "2", "--model", "36-8-2", "--out",
        ];
        says(&[&own[..], &[run.to_str().unwrap()], more].concat());
        let bytes = fs::read(run.join("checkpoints/last.safetensors")).unwrap();
        let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let first = tensors.tensor("0.weight").unwrap().data().to_vec();
        let wanted = dir.path().join("wanted");
        match i {
            0 => fs::write(&wanted, first).unwrap(),
            _ => assert_eq!(fs::read(&wanted).unwrap(), first, "{file}"),
        }
        // What is cut short is said, and nothing is left of the run.
        let whole = fs::read(file).unwrap();
        let cut = dir
            .path()
            .join("cut")
            .join(Path::new(file).file_name().unwrap());
        fs::create_dir_all(cut.parent().unwrap()).unwrap();
        fs::write(&cut, &whole[..whole.len() - 100]).unwrap();
        for beside in ["y.npy", "labels-idx1-ubyte"] {
            fs::copy(dir.path().join(beside), cut.with_file_name(beside)).unwrap();
        }
        let nowhere = dir.path().join("nowhere");
        let own = [
            "train",
            "--data",
            cut.to_str().unwrap(),
            "--out",
            nowhere.to_str().unwrap(),
        ];
        fails(
            &[&own[..], more].concat(),
            1,
            &[if file.ends_with("npz") {
                "no archive of NumPy"
            } else {
                "was cut short"
            }],
        );
        assert!(!nowhere.exists());
    }
}

#[test]
fn what_data_is_read_as_is_said_before_anything_is_trained() {
    let dir = tempfile::tempdir().unwrap();
    let table = write(&dir, "flowers.csv", flowers(90));
    let said = says(&["data", "inspect", &table, "--ignore", "row"]);
    for part in [
        "90 examples, each a row of a table [3]",
        "3 texts",
        "learned: kind",
        "class iris: 30",
        "train on 65, validate on 7 and test on 18",
    ] {
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
    assert!(said.lines().all(|l| l.chars().count() <= 80), "{said}");
    let found: Value = serde_json::from_str(&says(&["data", "inspect", &table, "--json"])).unwrap();
    assert_eq!(
        found["found"]["classes"][0],
        serde_json::json!(["iris", 30])
    );
    let (pixels, classes) = halves(40);
    write(&dir, "y.npy", npy("40,", &classes));
    let images = write(&dir, "x.npy", npy("40, 6, 6", &pixels));
    let sheet = dir.path().join("sheet.png");
    says(&[
        "data",
        "inspect",
        &images,
        "--label",
        "y.npy",
        "--sheet",
        sheet.to_str().unwrap(),
    ]);
    let sheet = image::open(&sheet).unwrap().to_luma8();
    assert_eq!(sheet.dimensions(), (70, 14));
    // The first picture of the first class is the first of all.
    assert_eq!(
        (sheet.get_pixel(0, 0).0[0], sheet.get_pixel(5, 0).0[0]),
        (pixels[0], pixels[5])
    );
    fails(
        &["data", "inspect", &table, "--sheet", "s.png"],
        2,
        &["holds no pictures"],
    );
}

#[test]
fn a_folder_that_is_divided_is_looked_at_part_by_part() {
    let dir = tempfile::tempdir().unwrap();
    for (part, n) in [("train", 12), ("test", 3)] {
        for class in ["a", "b"] {
            let folder = dir.path().join("p").join(part).join(class);
            fs::create_dir_all(&folder).unwrap();
            for i in 0..n {
                // All but one of the test examples are others than those that are trained on.
                let pixel = if part == "test" && i > 0 { 100 + i } else { i };
                let pixel = image::Luma([pixel as u8 * 2 + u8::from(class == "b")]);
                let picture = GrayImage::from_pixel(4, 4, pixel);
                picture.save(folder.join(format!("{i}.png"))).unwrap();
            }
        }
    }
    let folder = dir.path().join("p");
    let folder = folder.to_str().unwrap();
    let said = says(&["data", "inspect", folder]);
    for part in [
        "p/train: 24 examples",
        "p/test: 6 examples",
        "train on 22, validate on 2 and test on 6",
        "that it tests on are equal to one that is trained on",
    ] {
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
    let named = says(&["data", "inspect", "--data", folder]);
    assert_eq!(named, said);
    let found: Value = serde_json::from_str(&says(&["data", "inspect", folder, "--json"])).unwrap();
    assert_eq!(found["found"]["examples"], 24);
    assert_eq!(found["parts"][0]["found"]["examples"], 6);
    let help = says(&["data", "inspect", "--help"]);
    assert!(
        help.contains("--label") && !help.contains("--data"),
        "{help}"
    );
    fails(
        &["data", "inspect", "--dataset", "iris"],
        2,
        &["data sets of the catalog are not inspected"],
    );
    fails(&["data", "inspect"], 2, &["<PATH"]);
}

#[test]
fn augmented_images_are_the_same_again_when_a_run_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (pixels, classes) = halves(60);
    write(&dir, "y.npy", npy("60,", &classes));
    let images = write(&dir, "x.npy", npy("60, 6, 6", &pixels));
    let [whole, again] = ["whole", "again"].map(|name| dir.path().join(name));
    let own = [
        "train", "--data", &images, "--label", "y.npy", "--model", "36-8-2", "--epochs", "5",
    ];
    let more = ["--ema", "0.9", "--grad-accumulation", "2"];
    let out = ["--out", whole.to_str().unwrap()];
    let mixed = ["--augment", "flip,shift=1,noise=0.05,mixup=0.4"];
    says(&[&own[..], &mixed, &more, &out].concat());
    let best = whole.join("checkpoints/best.ckpt");
    says(&[
        "train",
        "--resume",
        best.to_str().unwrap(),
        "--out",
        again.to_str().unwrap(),
    ]);
    let of = |run: &Path, file: &str| fs::read(run.join(file)).unwrap();
    for file in ["metrics.jsonl", "checkpoints/last.safetensors"] {
        assert_eq!(of(&whole, file), of(&again, file), "{file}");
    }
    // Each of them changes what is learned.
    let mut different = vec![of(&whole, "metrics.jsonl")];
    for part in ["flip,shift=1,noise=0.05", "mixup=0.4"] {
        let run = dir.path().join(part);
        let out = ["--out", run.to_str().unwrap()];
        says(&[&own[..], &["--augment", part], &more, &out].concat());
        different.push(of(&run, "metrics.jsonl"));
    }
    different.dedup();
    assert_eq!(different.len(), 3);
    let table = write(&dir, "t.csv", flowers(60));
    fails(
        &["train", "--data", &table, "--augment", "flip"],
        2,
        &["--augment is for images", "is a table", "leave it out"],
    );
    fails(
        &["train", "--augment", "zoom"],
        2,
        &["no transform is called `zoom`"],
    );
}
