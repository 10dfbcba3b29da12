//! What is read of files of one's own, and what of it is trained on.

use super::{
    DataSettings, Missing, TaskSetting,
    raw::{Layout, Raw, RawTargets},
    read,
};
use crate::data::description::{ColumnKind, Input};
use ::safetensors::{Dtype, tensor::TensorView};

/// A table as it is read.
fn table(text: &str, settings: &DataSettings) -> Result<Raw, super::OwnDataError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.csv");
    std::fs::write(&path, text).unwrap();
    read(&path, settings, None)
}

/// Its classes by name, and that of every row.
fn classes(text: &str, settings: &DataSettings) -> (Vec<String>, Vec<u32>) {
    match table(text, settings).unwrap().targets {
        Some(RawTargets::Classes { names, classes }) => (names, classes),
        other => panic!("{other:?}"),
    }
}

#[test]
fn classes_are_called_as_they_stand_there_however_many_digits_they_have() {
    let plain = DataSettings::default();
    let (names, of) = classes(
        "a,label\n1,20000003\n2,20000000\n3,20000001\n4,20000000\n",
        &plain,
    );
    assert_eq!(names, ["20000000", "20000001", "20000003"]);
    assert_eq!(of, [2, 0, 1, 0]);
    // In the order of numbers, also of those that fp32 does not tell apart.
    let (names, _) = classes("a,label\n1,100000000\n2,99999999\n", &plain);
    assert_eq!(names, ["99999999", "100000000"]);
    let (names, of) = classes("a,label\n1,0123\n2,123\n3,0123\n", &plain);
    assert_eq!(names, ["0123", "123"]);
    assert_eq!(of, [0, 1, 0]);
    // A half is none of these.
    let halves = table("a,label\n1,20000000.5\n2,3\n", &plain).unwrap();
    let Some(RawTargets::Values { rows, .. }) = halves.targets else {
        panic!("{halves:?}")
    };
    assert_eq!(rows, [20_000_000.0, 3.0]);
}

#[test]
fn a_class_of_rows_that_are_left_out_is_none() {
    let dropped = DataSettings {
        missing: Some(Missing::Drop),
        ..DataSettings::default()
    };
    for (text, wanted) in [
        ("a,label\n1,x\n,y\n3,z\n4,z\n", ["x", "z"]),
        ("a,label\n1,5\n,6\n3,7\n4,7\n", ["5", "7"]),
    ] {
        let (names, of) = classes(text, &dropped);
        assert_eq!(
            (names, of),
            (wanted.map(str::to_owned).to_vec(), vec![0, 0, 1, 1])
        );
    }
}

#[test]
fn few_whole_numbers_are_classes_unless_values_are_asked_for() {
    let rows = |n: usize| -> String { (0..n).map(|i| format!("{i}.5,{i}\n")).collect::<String>() };
    let targets = |n: usize, task| {
        let settings = DataSettings {
            task,
            ..DataSettings::default()
        };
        table(&format!("a,label\n{}", rows(n)), &settings).map(|raw| raw.targets.unwrap())
    };
    assert!(matches!(targets(20, None), Ok(RawTargets::Classes { .. })));
    let Ok(RawTargets::Values { rows: values, .. }) = targets(21, None) else {
        panic!("{:?}", targets(21, None))
    };
    assert_eq!(values[20], 20.0);
    let asked = targets(3, Some(TaskSetting::Values));
    assert!(matches!(asked, Ok(RawTargets::Values { .. })), "{asked:?}");
    let many = targets(5_000, Some(TaskSetting::Classes)).unwrap_err();
    assert!(many.to_string().contains("at most 4096"), "{many}");
}

/// A file of NumPy's with these elements.
fn npy(descr: &str, shape: &str, bytes: &[u8]) -> Vec<u8> {
    let mut head = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}");
    while !(10 + head.len() + 1).is_multiple_of(64) {
        head.push(' ');
    }
    head.push('\n');
    let length = (head.len() as u16).to_le_bytes();
    [&b"\x93NUMPY\x01\x00"[..], &length, head.as_bytes(), bytes].concat()
}

#[test]
fn whole_numbers_of_an_array_are_classes_to_their_last_digit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.npy");
    let y: [i64; 4] = [20_000_003, 20_000_000, 20_000_001, -9_007_199_254_740_993];
    let y: Vec<u8> = y.iter().flat_map(|y| y.to_le_bytes()).collect();
    std::fs::write(&path, npy("<f4", "4, 1", &[0; 16])).unwrap();
    std::fs::write(dir.path().join("y.npy"), npy("<i8", "4,", &y)).unwrap();
    let settings = DataSettings {
        label: Some("y.npy".into()),
        ..DataSettings::default()
    };
    let Some(RawTargets::Classes { names, classes }) =
        read(&path, &settings, None).unwrap().targets
    else {
        panic!("whole numbers are classes")
    };
    assert_eq!(
        names,
        ["-9007199254740993", "20000000", "20000001", "20000003"]
    );
    assert_eq!(classes, [3, 1, 2, 0]);
}

/// What a run knows that was trained on a table.
fn known(text: &str, settings: &DataSettings) -> crate::data::Description {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.csv");
    std::fs::write(&path, text).unwrap();
    let how = super::Divide {
        settings,
        centred: false,
        validation: None,
        seed: 0,
    };
    super::open(&path, how, None).unwrap().description
}

/// Rows of a number, a text and a class, for a run to know.
fn some_rows() -> String {
    let rows: String = (0..40)
        .map(|i| {
            format!(
                "{i}.5,{},{}\n",
                ["red", "blue"][i % 2],
                ["x", "y"][i / 2 % 2]
            )
        })
        .collect();
    format!("a,colour,kind\n{rows}")
}

#[test]
fn a_run_that_is_asked_reads_inputs_and_nothing_else() {
    let settings = DataSettings {
        label: Some("kind".into()),
        ..DataSettings::default()
    };
    let known = known(&some_rows(), &settings);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new.csv");
    let text = "kind,note,a,colour\n,,1,red\nz,inf,2,blue\nx,7,3,red\n";
    std::fs::write(&path, text).unwrap();
    let (examples, kept) = super::inputs(&path, &settings, &known).unwrap();
    assert_eq!((examples.classes(), kept), (None, vec![0, 1, 2]));
    let judged = super::labelled(&path, &settings, &known).unwrap_err();
    assert!(
        judged
            .to_string()
            .contains("column `kind`: the cell is empty"),
        "{judged}"
    );
    std::fs::write(&path, "a,color\n1,red\n").unwrap();
    let lacking = super::inputs(&path, &settings, &known).unwrap_err();
    assert_eq!(
        lacking.help(),
        "the run needs `a`, `colour`: call `color` so if that is it, or add `colour`"
    );
    std::fs::write(&path, "a,colour\n1,red\n").unwrap();
    let unlabelled = super::labelled(&path, &settings, &known).unwrap_err();
    assert!(
        unlabelled
            .to_string()
            .ends_with("has no column `kind`, which is learned"),
        "{unlabelled}"
    );
}

#[test]
fn categories_are_those_of_the_rows_that_are_trained_on() {
    let settings = DataSettings {
        missing: Some(Missing::Drop),
        test: Some(super::Held::Some(crate::data::Holdout::Count(10))),
        ..DataSettings::default()
    };
    // A row that is left out has a text of its own.
    let known = known(&(some_rows() + ",green,x\n"), &settings);
    let Input::Table { columns } = &known.input else {
        panic!("{known:?}")
    };
    let values = ["blue", "red"].map(str::to_owned).to_vec();
    assert_eq!(columns[1].kind, ColumnKind::Category { values });
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new.csv");
    std::fs::write(&path, "a,colour\n1,green\n2,red\n").unwrap();
    let (asked, _) = super::inputs(&path, &settings, &known).unwrap();
    assert_eq!(
        asked.notes(),
        ["column `colour`: `green` was not there in training, and is read as none of its texts"]
    );
}

#[test]
fn an_empty_text_is_an_error_until_somebody_says_what_becomes_of_it() {
    let text = "a,colour,label\n1,red,x\n2,None,y\n3,,x\n4,blue,y\n";
    let with = |missing, categorical: &[&str]| {
        let settings = DataSettings {
            missing,
            categorical: categorical.iter().map(|&c| c.to_owned()).collect(),
            ..DataSettings::default()
        };
        table(text, &settings)
    };
    let refused = with(None, &[]).unwrap_err();
    assert!(
        refused.to_string().ends_with(
            "row 2 (line 3), the first of 2 such rows, column `colour`: the cell is empty, as which `None` counts too"
        ),
        "{refused}"
    );
    assert!(
        refused
            .help()
            .ends_with("--categorical colour takes `None` as a text")
    );
    assert_eq!(with(Some(Missing::Drop), &[]).unwrap().dropped, [1, 2]);
    assert!(with(Some(Missing::Zero), &[]).unwrap().dropped.is_empty());
    // A name is what stands there, and nothing is none.
    let named = with(Some(Missing::Drop), &["colour"]).unwrap();
    assert_eq!(named.dropped, [2]);
    let Layout::Table(columns) = named.layout else {
        panic!("{:?}", named.layout)
    };
    assert_eq!(
        columns[1].texts.as_deref(),
        Some(&["None", "blue", "red"].map(str::to_owned)[..])
    );
}

#[test]
fn what_a_run_cannot_be_asked_is_answered_by_what_can_be_done_there() {
    let german = DataSettings {
        label: Some("kind".into()),
        decimal: Some(','),
        delimiter: Some(';'),
        ..DataSettings::default()
    };
    let rows = some_rows().replace(',', ";").replace('.', ",");
    let known = known(&rows, &german);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new.csv");
    for (text, advice) in [
        (
            "a;colour\n54.0;red\n",
            "the run reads numbers with a decimal comma",
        ),
        (
            "a;colour\n;red\n",
            "fill it, or train with --missing mean or zero",
        ),
        (
            "a;colour\n1;\n",
            "fill it, or train with --missing mean or zero",
        ),
        ("a;colour\n", "add a row for each example"),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = super::inputs(&path, &german, &known).unwrap_err();
        assert!(error.help().starts_with(advice), "{text}: {}", error.help());
    }
}

/// Tensors of fp32 of this shape, and classes, in a file.
fn tensors(path: &std::path::Path, parts: &[(&str, usize)], of_example: &[usize]) {
    let width: usize = of_example.iter().product();
    let mut all = Vec::new();
    for &(part, n) in parts {
        let x: Vec<u8> = (0..n * width)
            .flat_map(|i| (i as f32).to_le_bytes())
            .collect();
        let y: Vec<u8> = (0..n).map(|i| (i % 2) as u8).collect();
        let shape = [&[n], of_example].concat();
        all.push((format!("x_{part}"), Dtype::F32, shape, x));
        all.push((format!("y_{part}"), Dtype::U8, vec![n], y));
    }
    let views = all.iter().map(|(name, dtype, shape, bytes)| {
        let view = TensorView::new(*dtype, shape.clone(), bytes);
        (name.as_str(), view.unwrap())
    });
    std::fs::write(path, ::safetensors::serialize(views, None).unwrap()).unwrap();
}

#[test]
fn arrays_of_test_examples_judge_unless_others_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("all.safetensors");
    tensors(&path, &[("train", 40), ("val", 6), ("test", 10)], &[2]);
    let counts = |path: &std::path::Path, settings: &DataSettings| {
        let how = super::Divide {
            settings,
            centred: false,
            validation: Some(crate::data::Holdout::Share(0.5)),
            seed: 0,
        };
        let data = super::open(path, how, None).unwrap();
        let of = |part: Option<(_, Vec<u32>)>| part.map_or(0, |(_, indices)| indices.len());
        [data.indices.len(), of(data.validation), of(data.test)]
    };
    let mut settings = DataSettings::default();
    assert_eq!(counts(&path, &settings), [40, 6, 10]);
    settings.test = Some("0.25".parse().unwrap());
    assert_eq!(counts(&path, &settings), [30, 6, 10]);
    let other = dir.path().join("other.safetensors");
    tensors(&other, &[("test", 7)], &[2]);
    settings.test = Some(super::Held::File(other));
    assert_eq!(counts(&path, &settings), [40, 6, 7]);
}

#[test]
fn arrays_with_channels_last_are_noted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.safetensors");
    let notes = |of_example: &[usize]| {
        tensors(&path, &[("train", 20)], of_example);
        let raw = read(&path, &DataSettings::default(), None).unwrap();
        super::inspect(&path, &raw).unwrap().notes
    };
    let found = notes(&[8, 8, 3]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("[8, 8, 3]") && found[0].contains("numpy.moveaxis(x, -1, 1)"));
    for shape in [&[3, 8, 8][..], &[3, 8, 3], &[8, 8, 8], &[8, 3]] {
        assert_eq!(notes(shape), [""; 0], "{shape:?}");
    }
}

#[test]
fn what_cannot_be_meant_is_refused_or_noted() {
    let refused = table(
        &some_rows(),
        &DataSettings {
            ignore: vec!["kind".into()],
            label: Some("kind".into()),
            ..DataSettings::default()
        },
    )
    .unwrap_err();
    assert!(
        refused.help().contains("leave it out of --ignore"),
        "{refused}"
    );
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.csv");
    std::fs::write(&path, some_rows()).unwrap();
    let divided = |test: &str| {
        let settings = DataSettings {
            test: Some(test.parse().unwrap()),
            ..DataSettings::default()
        };
        let how = super::Divide {
            settings: &settings,
            centred: false,
            validation: None,
            seed: 0,
        };
        super::open(&path, how, None)
    };
    let same = divided(path.to_str().unwrap()).unwrap();
    assert!(
        same.notes[0].starts_with("the examples that are trained on are to judge"),
        "{:?}",
        same.notes
    );
    let many = divided("41").unwrap_err().to_string();
    assert!(
        many.ends_with("--test 41 is more than the 40 examples"),
        "{many}"
    );
    let all = divided("40").unwrap_err().to_string();
    assert!(
        all.ends_with("leaves 40 to judge by and 0 to train on"),
        "{all}"
    );
}

#[test]
fn files_that_are_no_pictures_are_counted_and_sizes_are_answered_by_what_can_be_done() {
    let dir = tempfile::tempdir().unwrap();
    let picture = |path: &str, side: u32| {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        image::GrayImage::new(side, side).save(path).unwrap();
    };
    for i in 0..4 {
        picture(&format!("p/a/{i}.png"), 4);
        picture(&format!("p/b/{i}.png"), 4);
    }
    picture("other.png", 5);
    for other in ["p/a/x.gif", "p/b/y.gif", "p/b/.hidden"] {
        std::fs::write(dir.path().join(other), b"GIF89a").unwrap();
    }
    let settings = DataSettings {
        test: Some("0".parse().unwrap()),
        ..DataSettings::default()
    };
    let how = super::Divide {
        settings: &settings,
        centred: false,
        validation: None,
        seed: 0,
    };
    let data = super::open(&dir.path().join("p"), how, None).unwrap();
    let note = "2 of the files are no PNG or JPEG by their names, and are left out";
    assert!(data.notes.iter().any(|n| n == note), "{:?}", data.notes);
    // Of what is asked, folders are no classes.
    picture("q/c/0.png", 4);
    let asked = super::inputs(&dir.path().join("q"), &settings, &data.description).unwrap();
    assert_eq!((asked.0.classes(), asked.1.len()), (None, 1));
    let asked = super::inputs(&dir.path().join("other.png"), &settings, &data.description);
    let asked = asked.unwrap_err();
    assert!(
        asked.to_string().contains("as the run has learned from"),
        "{asked}"
    );
    assert!(
        asked.help().starts_with("pass --fit crop"),
        "{}",
        asked.help()
    );
}
