//! `inspect` shows the program that a run executes, whole: its text is the graph, on every chip and in both plans. Of a
//! file it says what was asked.

#![allow(clippy::unwrap_used)]

use ane_ir::{Chip, Route, Target};
use ane_mil::{DirectoryBlobs, check, parse};
use ane_train::{
    legalize,
    loss::Loss,
    models::Mlp,
    objective::Objective,
    optim::{AdamW, OptimizerConfig},
    step::{PlanKind, Step, StepConfig},
};
use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ane-trainer"))
        .arg("inspect")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// What `inspect` prints about the step or the file that the arguments describe.
fn inspect(arguments: &[&str], out: Option<&Path>) -> String {
    let out = out.map_or(vec![], |out| vec!["--out", out.to_str().unwrap()]);
    let done = run(&[arguments, &out].concat());
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{arguments:?}: {told}");
    String::from_utf8(done.stdout).unwrap()
}

/// The default step, built here.
fn step(plan: PlanKind, target: Target) -> Step {
    let model: Mlp = "784-512-512-10".parse().unwrap();
    let optimizer = OptimizerConfig::AdamW(AdamW::default());
    let loss = Loss::CrossEntropy {
        label_smoothing: 0.0,
    };
    Step::train(&StepConfig {
        model: &model.model(128).unwrap(),
        objective: &Objective::of(loss, "logits", "label"),
        plan,
        optimizer: optimizer.as_dyn(),
        max_norm: None,
        target,
    })
    .unwrap()
}

#[test]
fn the_printed_step_is_the_graph_and_legal_on_every_chip_in_both_plans() {
    let dir = tempfile::tempdir().unwrap();
    for plan in [PlanKind::Split, PlanKind::Fused] {
        for chip in Chip::HARDWARE {
            let target = Target::new(chip, Route::E5rt);
            let name = target.to_string();
            let arguments = [
                ["--plan", plan.name()],
                ["--target", &name],
                ["--device", "software"],
            ]
            .concat();
            let place = format!("{} plan on {name}", plan.name());
            let printed = inspect(&arguments, None);
            let out = dir.path().join(format!("{}-{name}", plan.name()));
            inspect(&arguments, Some(&out));
            let written = std::fs::read_to_string(out.join("model.mil")).unwrap();
            assert!(printed.ends_with(&written), "{place}");
            // The lines before the program are comments, so that all that is printed is MIL.
            let module = parse(&printed, &DirectoryBlobs::new(&out))
                .unwrap_or_else(|e| panic!("{place}: {}", e.excerpt()));
            let [function] = &module.functions[..] else {
                panic!("{place}: {} functions", module.functions.len());
            };
            let expected = legalize(&step(plan, target).graph, &target).unwrap();
            assert!(function.graph.same_as(expected.graph()), "{place}");
            assert!(check(function.graph.clone(), &target).is_ok(), "{place}");
            let side = match plan {
                PlanKind::Split => "host",
                PlanKind::Fused => "engine",
            };
            let dispatch =
                format!("// 1 dispatch a step on `software`; the update runs on the {side}");
            let rules = format!("// {name} over e5rt: legal");
            for line in [dispatch, rules] {
                assert!(
                    printed.lines().any(|l| l == line),
                    "{place} does not say `{line}`"
                );
            }
        }
    }
}

#[test]
fn a_file_takes_only_the_flags_that_mean_something_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let step = dir.path().join("step");
    inspect(&["--model", "784-10", "--target", "h16"], Some(&step));
    let file = step.join("model.mil");
    let file = file.to_str().unwrap();
    let refused = |flags: &[&str], part: &str| {
        let done = run(&[&[file], flags].concat());
        let told = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(2), "{flags:?}: {told}");
        assert!(told.contains(part), "{flags:?}: {told}");
    };
    for flags in [
        &["--out", "elsewhere"][..],
        &["--plan", "fused"],
        &["--dataset", "mnist"],
        &["--model", "784-10"],
        &["--epochs", "3"],
        &["--batch", "8"],
        &["--lr", "1"],
        &["--optimizer", "sgd"],
        &["--momentum", "0.9"],
        &["--nesterov"],
        &["--weight-decay", "0.1"],
        &["--schedule", "cosine"],
        &["--label-smoothing", "0.1"],
        &["--mse"],
        &["--max-norm", "1"],
        &["--grad-accumulation", "2"],
        &["--max-steps", "9"],
        &["--freeze", "*"],
        &["--no-decay", "bias"],
        &["--metric", "accuracy"],
        &["--validation", "0.1"],
        &["--seed", "1"],
        &["--require-ane"],
        &["--numerics", "ieee"],
        &["--final"],
    ] {
        refused(
            flags,
            &format!("{} cannot be given with a MIL file", flags[0]),
        );
    }
    assert!(!Path::new("elsewhere").exists());
    let both = ["--plan", "fused", "--batch", "8"];
    refused(&both, "--batch, --plan cannot be given");
    let judged = |flags: &[&str]| {
        let text = inspect(&[&[file], flags].concat(), None);
        let lines = text.lines().filter(|line| line.contains(" over "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(judged(&[]).len(), 15);
    assert_eq!(judged(&["--route", "memory"]).len(), 5);
    for flags in [
        &["--target", "h14:client"][..],
        &["--target", "h14", "--route", "client"],
    ] {
        let [line] = &judged(flags)[..] else {
            panic!("one target, one line")
        };
        assert!(line.starts_with("// h14 over client: "), "{line}");
    }
    let nowhere = ["--target", "software", "--route", "e5rt"];
    refused(&nowhere, "leads to a chip");
}

#[test]
fn the_text_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    for plan in ["split", "fused"] {
        let out = dir.path().join(plan);
        let done = run(&[
            "--plan",
            plan,
            "--target",
            "h16",
            "--out",
            out.to_str().unwrap(),
        ]);
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        for chip in ["h13", "h14", "h15", "h16", "h17"] {
            assert!(said.contains(&format!("{chip} over e5rt: legal")), "{said}");
        }
        let text = std::fs::read_to_string(out.join("model.mil")).unwrap();
        let file = out.join("model.mil");
        let again = run(&[file.to_str().unwrap()]);
        assert!(
            again.status.success(),
            "{}",
            String::from_utf8_lossy(&again.stderr)
        );
        assert!(
            String::from_utf8_lossy(&again.stdout).ends_with(&text),
            "{plan}"
        );
    }
}

/// What `inspect` says of the layers of a model on a target.
fn lowerings(model: &str, target: &str) -> Vec<String> {
    lowerings_with(&["--model", model, "--target", target])
}

/// What `inspect` says of the layers of what flags describe.
fn lowerings_with(flags: &[&str]) -> Vec<String> {
    let all = [flags, &["--batch", "2", "--device", "software"]].concat();
    let printed = inspect(&all, None);
    let lines = printed
        .lines()
        .filter_map(|l| l.strip_prefix("// lowering: "));
    lines.map(str::to_owned).collect()
}

#[test]
fn what_becomes_of_every_layer_is_said_with_its_place_reason_and_source() {
    let crashes = "as weights that are not constant crash the compiler from two images on \
                   (aneforge, chapter 19, M1 and M5)";
    let on_a_chip = [
        format!(
            "conv becomes im2col at conv1, conv2, gradient of conv2, gradient of conv1, {crashes}"
        ),
        "max_pool becomes native at pool1, pool2, as the chip runs it \
         (crates/ane-ir/src/target/op_floors.tsv)"
            .to_owned(),
        format!("conv_transpose becomes im2col at gradient of conv2, gradient of conv1, {crashes}"),
    ];
    for target in ["h13", "h16"] {
        assert_eq!(lowerings("lenet", target), on_a_chip, "{target}");
    }
    let here = lowerings("lenet", "software");
    assert_eq!(here.len(), 3);
    assert!(
        here.iter().all(|l| l.contains("becomes native")),
        "{here:?}"
    );
    // One convolution of every kind that is lowered in another way.
    let depthwise = lowerings("mobilenet-tiny", "h13").join("\n");
    for part in ["conv becomes shift at", "conv becomes matmul at"] {
        assert!(depthwise.contains(part), "`{part}` in {depthwise}");
    }
}

#[test]
fn a_lowering_that_is_asked_for_is_taken_and_said() {
    let flags = [
        "--model",
        "lenet",
        "--target",
        "software",
        "--lowering",
        "conv2=im2col",
    ];
    let said = lowerings_with(&flags);
    let asked = "becomes im2col at conv2, gradient of conv2, as it was asked for (--lowering)";
    assert_eq!(said[0], format!("conv {asked}"));
    assert_eq!(
        said[1],
        "conv_transpose becomes im2col at gradient of conv2, as it was asked for (--lowering)"
    );
    let rest = said[2..].join("\n");
    assert!(
        rest.contains("conv becomes native at conv1, gradient of conv1"),
        "{rest}"
    );
}
