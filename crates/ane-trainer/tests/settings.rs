//! Settings of a run beside its flags: a file, `--set`, the environment.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

fn run(folder: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ane-trainer"))
        .args(arguments)
        .envs(variables.iter().copied())
        .env_remove("ANE_TRAINER_ISA")
        .current_dir(folder)
        .output()
        .unwrap()
}

/// What `--dump-config` says.
fn dumped(folder: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> String {
    let done = run(
        folder,
        variables,
        &[&["train", "--dump-config"], arguments].concat(),
    );
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{told}");
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn flags_win_over_set_over_the_environment_over_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = "[training]\nepochs = 1\nbatch = 16\nseed = 3\ngrad_accumulation = 2\n";
    fs::write(dir.path().join("a.toml"), file).unwrap();
    let variables = [
        ("ANE_TRAINER_TRAINING_EPOCHS", "2"),
        ("ANE_TRAINER_TRAINING_BATCH", "32"),
        ("ANE_TRAINER_TRAINING_SEED", "4"),
    ];
    let said = dumped(
        dir.path(),
        &variables,
        &[
            "--config",
            "a.toml",
            "--set",
            "training.epochs=3",
            "--set",
            "training.batch=64",
            "--epochs",
            "4",
        ],
    );
    let wanted = "[training]\n\
                  epochs = 4  # --epochs\n\
                  batch = 64  # --set training.batch=64\n\
                  grad_accumulation = 2  # `a.toml`, line 5\n\
                  seed = 4  # ANE_TRAINER_TRAINING_SEED\n";
    assert_eq!(said, wanted);
    // What is dumped can be read again.
    fs::write(dir.path().join("b.toml"), &said).unwrap();
    let again = dumped(dir.path(), &[], &["--config", "b.toml"]);
    let values = |text: &str| -> Vec<String> {
        let line = |l: &str| l.split("  #").next().unwrap_or_default().to_owned();
        text.lines().map(line).collect()
    };
    assert_eq!(values(&again), values(&said));
}

#[test]
fn what_contradicts_something_of_a_higher_rank_gives_way() {
    let dir = tempfile::tempdir().unwrap();
    let file = "[data]\ndataset = \"mnist\"\nfinal = true\n[training]\nloss = \"mse\"\n";
    fs::write(dir.path().join("a.toml"), file).unwrap();
    fs::write(dir.path().join("t.csv"), "a,b\n1,x\n2,y\n").unwrap();
    let said = dumped(
        dir.path(),
        &[],
        &[
            "--config",
            "a.toml",
            "--data",
            "t.csv",
            "--set",
            "training.label_smoothing=0.1",
            "--set",
            "data.final=false",
        ],
    );
    assert!(
        !said.contains("dataset") && !said.contains("loss ="),
        "{said}"
    );
    assert!(said.contains("final = false"), "{said}");
}

#[test]
fn paths_of_a_file_are_meant_from_where_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("settings");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("t.csv"), "a,b\n1,x\n2,y\n").unwrap();
    fs::write(folder.join("a.toml"), "[data]\npath = \"t.csv\"\n").unwrap();
    let said = dumped(dir.path(), &[], &["--config", "settings/a.toml"]);
    assert!(said.contains("path = \"settings/t.csv\""), "{said}");
}

#[test]
fn what_is_wrong_with_a_setting_is_said_with_its_place_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    for (file, parts) in [
        (
            "[training]\nepoch = 3\n",
            [
                "`a.toml`, line 2: there is no setting `training.epoch`",
                "did you mean `training.epochs`?",
            ],
        ),
        (
            "epochs = 3\n",
            [
                "line 1: there is no setting `epochs`",
                "did you mean `training.epochs`?",
            ],
        ),
        (
            "[optimiser]\nlr = 3\n",
            [
                "line 2: there is no setting `optimiser.lr`",
                "did you mean `optimizer.lr`?",
            ],
        ),
        (
            "[training]\nxyzzy = 3\n",
            ["there is no setting `training.xyzzy`", "ane-trainer init"],
        ),
        (
            "[training]\n\nepochs = 0\n",
            [
                "line 3, `training.epochs`: expected a whole number from 1 to",
                "found `0`",
            ],
        ),
        (
            "[training]\nepochs = [1, 2]\n",
            ["line 2, `training.epochs`", "found `1,2`"],
        ),
        (
            "[training]\nepochs = 1\nepochs = 2\n",
            ["line 3", "duplicate key"],
        ),
        ("[training\n", ["`a.toml`, line 1", "mend that line"]),
        (
            "[data]\nfinal = \"yes\"\n",
            [
                "line 2, `data.final`: expected true or false",
                "found \"yes\"",
            ],
        ),
        (
            "[training]\nepochs = 1979-05-27\n",
            ["expected a text, a number or true or false", "1979-05-27"],
        ),
        (
            "[data]\nmissing = \"ignore\"\n",
            ["line 2, `data.missing`", "refuse"],
        ),
    ] {
        fs::write(dir.path().join("a.toml"), file).unwrap();
        let done = run(dir.path(), &[], &["train", "--config", "a.toml"]);
        let told = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(2), "{file}: {told}");
        for part in parts {
            assert!(told.contains(part), "`{part}` is not in: {told}");
        }
    }
    let done = run(dir.path(), &[], &["train", "--config", "none.toml"]);
    let told = String::from_utf8(done.stderr).unwrap();
    assert!(
        told.contains("cannot read the settings of `none.toml`"),
        "{told}"
    );
    assert_eq!(done.status.code(), Some(1));
    let done = run(dir.path(), &[], &["train", "--set", "training.epochs"]);
    assert_eq!(done.status.code(), Some(2));
}

#[test]
fn a_variable_that_is_no_setting_is_noted_with_the_nearest() {
    let dir = tempfile::tempdir().unwrap();
    let variables = [
        ("ANE_TRAINER_TRAINING_EPOCS", "2"),
        ("ANE_TRAINER_TRAINING_BATCH", "32"),
        ("ANE_TRAINER_CACHE", "cache"),
    ];
    let done = run(dir.path(), &variables, &["train", "--dump-config"]);
    assert!(done.status.success());
    assert_eq!(
        String::from_utf8(done.stderr).unwrap(),
        "note: ANE_TRAINER_TRAINING_EPOCS is no setting, and is left out; the nearest one is ANE_TRAINER_TRAINING_EPOCHS\n"
    );
    let quiet = run(
        dir.path(),
        &variables,
        &["train", "--dump-config", "--quiet"],
    );
    assert!(quiet.status.success() && quiet.stderr.is_empty());
}

#[test]
fn init_writes_a_file_with_every_setting_that_train_takes() {
    let dir = tempfile::tempdir().unwrap();
    let done = run(dir.path(), &[], &["init", "--data", "mnist"]);
    assert!(done.status.success());
    let file = dir.path().join("ane-trainer.toml");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("\ndataset = \"mnist\"\n"), "{text}");
    for key in [
        "epochs",
        "weight_decay",
        "checkpoint_every",
        "deadline",
        "class_weights",
    ] {
        assert!(text.contains(&format!("\n# {key} = ")), "{key}");
    }
    assert_eq!(text.lines().filter(|l| l.chars().count() > 100).count(), 0);
    assert_eq!(
        dumped(dir.path(), &[], &["--config", "ane-trainer.toml"])
            .lines()
            .count(),
        2
    );
    // Of data of one's own it says what is learned.
    let table: String = (0..40).map(|i| format!("{i}.5,{}\n", i % 2)).collect();
    fs::write(dir.path().join("t.csv"), format!("a,plan\n{table}")).unwrap();
    let done = run(dir.path(), &[], &["init", "own.toml", "--data", "t.csv"]);
    assert!(done.status.success());
    let own = dumped(dir.path(), &[], &["--config", "own.toml"]);
    for line in ["path = \"t.csv\"", "label = \"plan\"", "task = \"classes\""] {
        assert!(own.contains(line), "`{line}` is not in: {own}");
    }
    let done = run(dir.path(), &[], &["init", "b.toml", "--data", "none.csv"]);
    assert_eq!(done.status.code(), Some(1));
    assert!(!dir.path().join("b.toml").exists());
    let again = run(dir.path(), &[], &["init"]);
    assert_eq!(again.status.code(), Some(2));
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
}

#[test]
fn a_variable_that_says_nothing_of_the_data_is_refused_as_its_flag_is() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("t.csv"), "").unwrap();
    let variables = [("ANE_TRAINER_DATA_SIZE", "8x8")];
    let done = run(dir.path(), &variables, &["train", "--data", "t.csv"]);
    let told = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(2), "{told}");
    assert!(told.contains("--size is for folders of pictures"), "{told}");
}
