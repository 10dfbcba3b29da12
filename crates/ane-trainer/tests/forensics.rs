//! What the program says of steps that go wrong, the steps that it keeps and replays, and `verify`.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

#[cfg(unix)]
#[path = "support/pretended_python.rs"]
mod pretended_python;

use safetensors::{Dtype, tensor::TensorView};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use tempfile::TempDir;

/// What a command has said and come to.
struct Done {
    code: i32,
    said: String,
    told: String,
}

fn ane_trainer(arguments: &[&str]) -> Done {
    let done = Command::new(env!("CARGO_BIN_EXE_ane-trainer"))
        .args(arguments)
        .env_remove("ANE_TRAINER_ISA")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (said, told) = (text(&done.stdout), text(&done.stderr));
    assert!(!told.contains("panicked"), "{arguments:?}: {told}");
    Done {
        code: done.status.code().unwrap(),
        said,
        told,
    }
}

/// Points around three places, by four numbers.
fn table(dir: &TempDir) -> String {
    let mut text = String::from("a,b,c,d,kind\n");
    for i in 0..160 {
        let off = |k: f64| ((i + 1) as f64 * k).fract() - 0.5;
        let kind = i % 3;
        let at = kind as f64;
        text.push_str(&format!(
            "{:.4},{:.4},{:.4},{:.4},{}\n",
            at + off(0.618_033_988_75),
            2.0 - at + off(0.414_213_562_37),
            off(0.732_050_807_57),
            at * off(0.236_067_977_5),
            ["rose", "lily", "iris"][kind]
        ));
    }
    let path = dir.path().join("flowers.csv");
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// What an element of a tensor is, by its position.
type Element = fn(usize) -> f32;

/// A file of the weights of 4-8-3, each element as its tensor's function says.
fn weights(dir: &TempDir, of: [Element; 4]) -> String {
    let names = [
        ("0.weight", vec![8, 4]),
        ("0.bias", vec![8]),
        ("2.weight", vec![3, 8]),
        ("2.bias", vec![3]),
    ];
    let bytes: Vec<Vec<u8>> = names
        .iter()
        .zip(of)
        .map(|((_, shape), of)| {
            let len = shape.iter().product();
            (0..len).flat_map(|i| of(i).to_le_bytes()).collect()
        })
        .collect();
    let views = names.iter().zip(&bytes).map(|((name, shape), bytes)| {
        (
            *name,
            TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap(),
        )
    });
    let path = dir.path().join("begin.safetensors");
    fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
    path.to_str().unwrap().to_owned()
}

fn small(i: usize) -> f32 {
    ((i * 37 % 19) as f32 - 9.0) / 20.0
}

fn train(dir: &TempDir, out: &Path, begin: [Element; 4], besides: &[&str]) -> Done {
    let (table, weights) = (table(dir), weights(dir, begin));
    let fixed = [
        "train",
        "--data",
        &table,
        "--model",
        "4-8-3",
        "--batch",
        "16",
        "--seed",
        "3",
        "--device",
        "software",
        "--threads",
        "1",
        "--from",
        &weights,
        "--out",
        out.to_str().unwrap(),
    ];
    ane_trainer(&[&fixed[..], besides].concat())
}

/// A training of 4-8-3 that begins with these weights.
struct Run {
    dir: TempDir,
    path: PathBuf,
    done: Done,
}

impl Run {
    fn of(begin: [Element; 4], besides: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run");
        let done = train(&dir, &path, begin, besides);
        Self { dir, path, done }
    }

    fn findings(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path.join("findings.jsonl")).unwrap_or_default();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn bundle(&self, step: u64) -> PathBuf {
        self.path.join(format!("bundles/step-{step:06}"))
    }
}

/// Replays a bundle.
fn replay(bundle: &Path, besides: &[&str]) -> Done {
    ane_trainer(&[&["replay", bundle.to_str().unwrap()], besides].concat())
}

/// A first layer whose product with the inputs is beyond fp16.
const HUGE: [Element; 4] = [|_| 60_000.0, |_| 0.0, small, |_| 0.0];
/// Small activations before large weights: the logits are finite, and what flows back through the weights is not.
const STEEP: [Element; 4] = [
    |i| small(i) / 500.0,
    |_| 1e-3,
    |i| if i < 8 { 8000.0 } else { -8000.0 },
    |_| 0.0,
];
/// A bias that no activation survives.
const DEAD: [Element; 4] = [small, |_| -1000.0, small, |_| 0.0];
/// Nothing out of the ordinary.
const PLAIN: [Element; 4] = [small, |_| 0.1, small, |_| 0.0];

#[test]
fn a_forward_overflow_is_named_kept_and_replayed_to_the_same_bits() {
    for plan in ["split", "fused"] {
        let run = Run::of(
            HUGE,
            &["--plan", plan, "--record-on-overflow", "--max-steps", "7"],
        );
        let Done { code, told, .. } = &run.done;
        assert_eq!(
            *code, 1,
            "the loss of what it has learned is infinite: {told}"
        );
        let first = &run.findings()[0];
        for (field, value) in [
            ("step", Value::from(1)),
            ("layer", "0".into()),
            ("pass", "forward".into()),
            ("what", "overflow".into()),
            ("limit", 65_504.0.into()),
            ("loss_scale", 1024.0.into()),
        ] {
            assert_eq!(first[field], value, "{first}");
        }
        assert!(first["magnitude"].as_f64().unwrap() > 65_504.0, "{first}");
        let line = "step 1, loss scale 1024: the first tensor to overflow is made by";
        assert!(
            told.contains(line) && told.contains("of `0` in the forward pass"),
            "{told}"
        );
        // The diagnosis of the failure has it too.
        let failure = told.split("help:").nth(1).unwrap();
        assert!(failure.contains("the first tensor to overflow"), "{told}");
        assert!(failure.contains("an --lr below"), "{told}");
        assert!(told.contains("ane-trainer replay"), "{told}");
        let kept = fs::read_dir(run.path.join("bundles")).unwrap().count();
        assert_eq!(kept, 5, "no more are kept");
        let again = replay(&run.bundle(2), &["--json"]);
        assert_eq!(again.code, 0, "{}", again.told);
        let again: Value = serde_json::from_str(&again.said).unwrap();
        assert_eq!(again["repeats"], true);
        assert_eq!(again["recorded"], again["found"]);
        assert_eq!(again["finding"], run.findings()[1]);
        assert_eq!(again["loss_scale"], 512.0);
        let said = replay(&run.bundle(1), &["--threads", "2"]);
        assert_eq!(said.code, 0, "{}", said.told);
        assert!(said.said.contains(line), "{}", said.said);
        assert!(
            said.said.contains("the numbers repeat bit for bit"),
            "{}",
            said.said
        );
    }
}

#[test]
fn a_backward_overflow_is_named_and_the_run_goes_on_at_a_smaller_scale() {
    let run = Run::of(STEEP, &["--record-on-overflow", "--max-steps", "14"]);
    assert_eq!(run.done.code, 0, "{}", run.done.told);
    let findings = run.findings();
    assert!((4..14).contains(&findings.len()), "{findings:?}");
    for (i, finding) in findings.iter().enumerate() {
        assert_eq!(finding["step"], i + 1);
        // Where the scale leaves the product behind its limit, a sum over the batch may be beyond it still.
        assert!(i >= 4 || finding["layer"] == "2", "{finding}");
        assert_eq!(finding["pass"], "backward");
        assert_eq!(finding["what"], "overflow");
        assert_eq!(finding["limit"], 16_376.0);
    }
    let outcome = fs::read(run.bundle(1).join("outcome.json")).unwrap();
    let outcome: Value = serde_json::from_slice(&outcome).unwrap();
    let number = |of: &Value| f32::from_bits(u32::try_from(of.as_u64().unwrap()).unwrap());
    assert!(
        number(&outcome["loss"]).is_finite(),
        "the forward pass is finite"
    );
    let largest = number(&outcome["batches"][0]["largest_gradient"]);
    assert!(largest.is_nan() || largest >= 16_376.0, "{largest}");
    assert_eq!(outcome["finding"], findings[0]);
    assert_eq!(replay(&run.bundle(1), &[]).code, 0);
    // Without the flag an overflow or two are how a scale finds its height.
    let run = Run::of(STEEP, &["--max-steps", "14"]);
    assert!(run.findings().len() < findings.len());
    assert!(!run.path.join("bundles").exists());
}

#[test]
fn a_gradient_that_is_all_zero_is_told_once_for_each_parameter() {
    for plan in ["split", "fused"] {
        let run = Run::of(DEAD, &["--plan", plan, "--epochs", "2"]);
        assert_eq!(run.done.code, 0, "{}", run.done.told);
        let seen: Vec<(u64, String, String)> = run
            .findings()
            .iter()
            .map(|f| {
                assert_eq!(
                    (&f["what"], &f["pass"]),
                    (&"vanished".into(), &"backward".into())
                );
                let text = |field: &str| f[field].as_str().unwrap().to_owned();
                (
                    f["step"].as_u64().unwrap(),
                    text("parameter"),
                    text("layer"),
                )
            })
            .collect();
        let expected = [("0.weight", "1"), ("0.bias", "1"), ("2.weight", "2")];
        let expected = expected.map(|(parameter, layer)| (3, parameter.into(), layer.into()));
        assert_eq!(seen, expected, "{plan}");
        let told = &run.done.told;
        assert!(told.contains("step 3") && told.contains("the gradient of `0.weight` is all zero"));
        // Going on, the run knows it already.
        let path = run.path.to_str().unwrap();
        let more = ane_trainer(&["train", "--resume", path, "--epochs", "3"]);
        assert_eq!(more.code, 0, "{}", more.told);
        assert!(!more.told.contains("all zero"), "{}", more.told);
        assert_eq!(run.findings().len(), 3);
    }
}

#[test]
fn a_bundle_that_another_step_was_put_into_does_not_repeat_and_damage_is_said() {
    let run = Run::of(HUGE, &["--record-on-overflow", "--max-steps", "2"]);
    let bundle = run.bundle(1);
    let path = bundle.join("outcome.json");
    let good = fs::read_to_string(&path).unwrap();
    let mut outcome: Value = serde_json::from_str(&good).unwrap();
    outcome["batches"][0]["outputs"] = "00".into();
    fs::write(&path, outcome.to_string()).unwrap();
    let done = replay(&bundle, &[]);
    assert_eq!(done.code, 1);
    assert!(done.said.contains("do NOT repeat"), "{}", done.said);
    outcome["step"] = 9.into();
    fs::write(&path, outcome.to_string()).unwrap();
    let done = replay(&bundle, &[]);
    assert_eq!(done.code, 1);
    assert!(
        done.told.contains("are of different steps"),
        "{}",
        done.told
    );
    fs::write(&path, "{").unwrap();
    let done = replay(&bundle, &[]);
    assert!(
        done.code == 1 && done.told.contains("outcome.json"),
        "{}",
        done.told
    );
    let done = replay(run.dir.path(), &[]);
    assert!(
        done.code == 1 && done.told.contains("--record-on-overflow"),
        "{}",
        done.told
    );
    fs::write(&path, &good).unwrap();
    assert_eq!(replay(&bundle, &[]).code, 0);
}

#[test]
fn what_a_run_has_found_is_its_own_and_goes_where_it_goes() {
    let run = Run::of(HUGE, &["--record-on-overflow", "--max-steps", "2"]);
    assert_eq!(run.findings().len(), 2);
    // One that was killed has no word of its end. It had no checkpoint, so another begins in its place.
    fs::remove_file(run.path.join("ending.json")).unwrap();
    let done = train(&run.dir, &run.path, DEAD, &["--epochs", "2"]);
    assert_eq!(done.code, 0, "{}", done.told);
    assert!(!run.path.join("bundles").exists());
    let vanished = run.findings();
    assert!(
        vanished.iter().all(|f| f["what"] == "vanished"),
        "{vanished:?}"
    );
    assert_eq!(vanished.len(), 3);
    let away = run.dir.path().join("away");
    let [from, to] = [&run.path, &away].map(|path| path.to_str().unwrap());
    let done = ane_trainer(&["train", "--resume", from, "--out", to, "--epochs", "3"]);
    assert_eq!(done.code, 0, "{}", done.told);
    assert!(!done.told.contains("all zero"), "{}", done.told);
    let moved = fs::read(away.join("findings.jsonl")).unwrap();
    assert_eq!(moved, fs::read(run.path.join("findings.jsonl")).unwrap());
}

#[cfg(unix)]
#[test]
fn a_bundle_has_the_model_of_a_file_along_and_replays_far_from_its_run() {
    let keras = pretended_python::Keras::new();
    let python = keras.compiled(Value::Null);
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let huge = vec![60_000.0_f32; 7840];
    let huge: Vec<u8> = huge.iter().flat_map(|x| x.to_le_bytes()).collect();
    let begin = dir.path().join("begin.safetensors");
    let view = TensorView::new(Dtype::F32, vec![784, 10], &huge).unwrap();
    fs::write(
        &begin,
        safetensors::serialize([("0.d.kernel", view)], None).unwrap(),
    )
    .unwrap();
    let [python, run_text, begin] = [&python, &run, &begin].map(|path| path.to_str().unwrap());
    let model = pretended_python::model_in(dir.path(), "net.py:build");
    let arguments = [
        "train",
        &model,
        "--python",
        python,
        "--out",
        run_text,
        "--from",
        begin,
        "--batch",
        "100",
        "--max-steps",
        "1",
        "--record-on-overflow",
    ];
    let done = ane_trainer(&arguments);
    assert!(
        done.told.contains("of `d` in the forward pass"),
        "{} {}",
        done.said,
        done.told
    );
    let away = dir.path().join("away");
    fs::rename(run.join("bundles/step-000001"), &away).unwrap();
    fs::remove_dir_all(&run).unwrap();
    let done = replay(&away, &[]);
    assert_eq!(done.code, 0, "{}", done.told);
    assert!(
        done.said.contains("the numbers repeat bit for bit"),
        "{}",
        done.said
    );
}

#[test]
fn verify_finds_the_gradients_of_a_run_right_and_says_which_are_lost() {
    for plan in ["split", "fused"] {
        let run = Run::of(PLAIN, &["--plan", plan, "--epochs", "2"]);
        assert_eq!(run.done.code, 0, "{}", run.done.told);
        let path = run.path.to_str().unwrap();
        let done = ane_trainer(&["verify", path, "--batches", "2", "--json"]);
        assert_eq!(done.code, 0, "{} {}", done.said, done.told);
        let found: Value = serde_json::from_str(&done.said).unwrap();
        assert_eq!(
            (&found["right"], &found["batches"]),
            (&true.into(), &2.into())
        );
        let parameters = found["parameters"].as_array().unwrap();
        let paths: Vec<&str> = parameters
            .iter()
            .map(|p| p["path"].as_str().unwrap())
            .collect();
        assert_eq!(paths, ["0.weight", "0.bias", "2.weight", "2.bias"]);
        for p in parameters {
            let number = |field: &str| p[field].as_f64().unwrap();
            assert_eq!(p["verdict"], "right", "{p}");
            assert!(number("cosine") > 0.999, "{p}");
            assert!(number("error") <= number("bound"), "{p}");
            assert!(number("exact_norm") > 0.0, "{p}");
        }
        let done = ane_trainer(&["verify", path]);
        assert_eq!(done.code, 0, "{}", done.told);
        assert!(
            done.said.contains("4 right, 0 lost to rounding, 0 wrong"),
            "{}",
            done.said
        );
    }
    // Weights behind which an engine that flushes has nothing left of what flows back.
    let lost: [Element; 4] = [
        small,
        |_| 0.1,
        |i| if i < 8 { 1e-7 } else { -1e-7 },
        |_| 0.0,
    ];
    let besides = ["--max-steps", "1", "--lr", "1e-12", "--weight-decay", "0"];
    let run = Run::of(
        lost,
        &[&besides[..], &["--numerics", "pessimistic"]].concat(),
    );
    assert_eq!(run.done.code, 0, "{}", run.done.told);
    let done = ane_trainer(&["verify", run.path.to_str().unwrap()]);
    assert_eq!(done.code, 1, "{}", done.said);
    assert!(
        done.said.contains("2 right, 2 lost to rounding"),
        "{}",
        done.said
    );
    let done = ane_trainer(&["verify", "no-such-run"]);
    assert_eq!(done.code, 1, "{}", done.told);
    let done = ane_trainer(&["verify", run.path.to_str().unwrap(), "--batches", "0"]);
    assert_eq!(done.code, 2, "{}", done.told);
}

#[test]
fn the_gradient_of_a_bias_that_a_norm_takes_off_is_zero_and_not_lost() {
    let dir = tempfile::tempdir().unwrap();
    let (net, out) = (dir.path().join("net.toml"), dir.path().join("run"));
    let layers = [
        "type = \"Linear\"\nout_features = 8",
        "type = \"BatchNorm1d\"",
        "type = \"ReLU\"",
        "type = \"Linear\"",
    ];
    let layers = layers.map(|layer| format!("[[layers]]\n{layer}\n"));
    fs::write(&net, layers.concat()).unwrap();
    let [net, out] = [&net, &out].map(|path| path.to_str().unwrap());
    // A batch whose 1 / n is no number of fp16.
    let own = ["--batch", "100", "--epochs", "2", "--out", out];
    let trained = ane_trainer(&[&["train", net, "--data", &table(&dir)], &own[..]].concat());
    assert_eq!(trained.code, 0, "{}", trained.told);
    let done = ane_trainer(&["verify", out]);
    assert_eq!(done.code, 0, "{}", done.said);
    assert!(
        done.said
            .contains("5 right, 1 zero in exact arithmetic, 0 lost"),
        "{}",
        done.said
    );
    let found: Value = serde_json::from_str(&ane_trainer(&["verify", out, "--json"]).said).unwrap();
    assert_eq!(found["parameters"][1]["verdict"], "zero", "{found}");
}
