//! What answers are worth is what scikit-learn says of them: `fixtures/make_judgement.py`.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

use ane_train::{
    Evaluated,
    data::{
        Batch, Values,
        description::{Quantity, Target},
    },
    judgement::{Answers, ClassesJudged, Judgement, ValuesJudged},
    loss::Loss,
    objective::Objective,
};
use half::f16;
use serde_json::Value;

const SOFTMAX: Loss = Loss::CrossEntropy {
    label_smoothing: 0.0,
};

fn fixture(part: &str) -> Value {
    let all: Value = serde_json::from_str(include_str!("fixtures/judgement.json")).unwrap();
    all[part].clone()
}

fn numbers(value: &Value) -> Vec<Option<f64>> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(Value::as_f64)
        .collect()
}

fn floats(value: &Value) -> Vec<f32> {
    numbers(value).iter().map(|x| x.unwrap() as f32).collect()
}

fn near(found: &[Option<f64>], expected: &Value, what: &str) {
    let expected = numbers(expected);
    assert_eq!(found.len(), expected.len(), "{what}");
    for (f, e) in found.iter().zip(&expected) {
        let fits = match (f, e) {
            (Some(f), Some(e)) => (f - e).abs() <= 1e-6 * e.abs().max(1e-3),
            (f, e) => f == e,
        };
        assert!(fits, "{what}: found {found:?}, expected {expected:?}");
    }
}

/// Answers in batches of 64, the last one padded.
fn answers(outputs: &[f32], width: usize, target: impl Fn(&mut Batch, usize, usize)) -> Answers {
    let mut answers = Answers::to(&Objective::of(SOFTMAX, "output", "wanted"));
    let examples = outputs.len() / width;
    for from in (0..examples).step_by(64) {
        let present = 64.min(examples - from);
        let mut batch = Batch::new(64, present);
        target(&mut batch, from, present);
        let rows = &outputs[from * width..(from + present) * width];
        let evaluated = Evaluated {
            loss: 0.0,
            tallies: Vec::new(),
            outputs: vec![
                ("other".into(), vec![0.0]),
                ("output".into(), rows.to_vec()),
            ],
        };
        answers.take(&batch, &evaluated);
    }
    answers
}

fn of_classes(outputs: &[f32], width: usize, classes: &[i32], loss: &Loss) -> Option<Judgement> {
    let answers = answers(outputs, width, |batch, from, present| {
        let rows = batch.int32("wanted", 1);
        rows[..present].copy_from_slice(&classes[from..from + present]);
    });
    let names = vec!["first".to_owned(), "second".to_owned()];
    Judgement::of(&answers, &Target::Classes { names }, loss)
}

fn judged(outputs: &[f32], width: usize, classes: &[i32], loss: &Loss) -> ClassesJudged {
    match of_classes(outputs, width, classes, loss) {
        Some(Judgement::Classes(judged)) => judged,
        other => panic!("{other:?}"),
    }
}

#[test]
fn classes_are_judged_as_scikit_learn_does() {
    let expected = fixture("classes");
    let truth: Vec<i32> = numbers(&expected["classes"])
        .iter()
        .map(|x| x.unwrap() as i32)
        .collect();
    let found = judged(&floats(&expected["outputs"]), 7, &truth, &SOFTMAX);
    assert_eq!(Some(found.accuracy), expected["accuracy"].as_f64());
    assert_eq!(found.top5, expected["top5"].as_f64());
    assert_eq!(
        serde_json::to_value(&found.confusion).unwrap(),
        expected["confusion"]
    );
    let names: Vec<&str> = found.classes.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["first", "second", "2", "3", "4", "5", "6"]);
    let of = |f: fn(&ane_train::judgement::ClassScore) -> Option<f64>| -> Vec<Option<f64>> {
        found.classes.iter().map(f).collect()
    };
    near(&of(|c| c.precision), &expected["precision"], "precision");
    near(&of(|c| c.recall), &expected["recall"], "recall");
    near(&of(|c| c.f1), &expected["f1"], "f1");
    near(
        &of(|c| Some(c.support as f64)),
        &expected["support"],
        "support",
    );
    let calibration = found.calibration.as_ref().unwrap();
    let filled: Vec<_> = calibration.bins.iter().filter(|b| b.count > 0).collect();
    let column = |f: fn(&ane_train::judgement::Bin) -> Option<f64>| -> Vec<Option<f64>> {
        filled.iter().map(|b| f(b)).collect()
    };
    near(
        &column(|b| Some(b.count as f64)),
        &expected["bins"]["count"],
        "count",
    );
    near(
        &column(|b| b.accuracy),
        &expected["bins"]["accuracy"],
        "accuracy",
    );
    near(
        &column(|b| b.confidence),
        &expected["bins"]["confidence"],
        "confidence",
    );
    near(
        &[Some(calibration.ece)],
        &Value::Array(vec![expected["ece"].clone()]),
        "ece",
    );
    // The mistakes are those of the matrix, the most frequent first.
    let wrong = found.decisions.iter().filter(|d| !d.is_right()).count();
    let listed: u64 = found.mistakes.iter().map(|m| m.count).sum();
    assert!(found.mistakes.is_sorted_by(|a, b| a.count >= b.count));
    assert!(listed <= wrong as u64 && found.mistakes.len() == 20);
    let most_wrong = found.most_wrong();
    assert_eq!(most_wrong.len(), wrong);
    assert!(most_wrong.is_sorted_by(|(_, a), (_, b)| a.of_class <= b.of_class));
}

#[test]
fn numbers_are_judged_in_their_own_units_as_scikit_learn_does() {
    let expected = fixture("values");
    let quantity = |(name, q): (&str, &Value)| Quantity {
        name: name.into(),
        log: q["log"].as_bool().unwrap(),
        mean: q["mean"].as_f64().unwrap() as f32,
        std: q["std"].as_f64().unwrap() as f32,
    };
    let given = expected["quantities"].as_array().unwrap();
    let values: Vec<Quantity> = ["length", "price"]
        .into_iter()
        .zip(given)
        .map(quantity)
        .collect();
    let targets = floats(&expected["targets"]);
    let answers = answers(&floats(&expected["outputs"]), 2, |batch, from, present| {
        let rows = batch.fp16("wanted", 2);
        for (row, x) in rows
            .iter_mut()
            .zip(&targets[2 * from..2 * (from + present)])
        {
            *row = f16::from_f32(*x).to_bits();
        }
    });
    let judgement = Judgement::of(&answers, &Target::Values { values }, &Loss::Mse);
    let Some(Judgement::Values(ValuesJudged { quantities, .. })) = judgement else {
        panic!("{judgement:?}")
    };
    let of = |f: fn(&ane_train::judgement::ValueScore) -> Option<f64>| -> Vec<Option<f64>> {
        quantities.iter().map(f).collect()
    };
    near(&of(|q| Some(q.mse)), &expected["mse"], "mse");
    near(&of(|q| Some(q.rmse)), &expected["rmse"], "rmse");
    near(&of(|q| Some(q.mae)), &expected["mae"], "mae");
    near(&of(|q| q.r2), &expected["r2"], "r2");
}

#[test]
fn a_single_logit_tells_two_classes_apart() {
    let found = judged(&[2.0, -1.0, 0.5], 1, &[1, 0, 0], &Loss::BceWithLogits);
    assert_eq!(found.accuracy, 2.0 / 3.0);
    assert_eq!(found.confusion.count(0, 1), 1);
    let confidences: Vec<f64> = found
        .decisions
        .iter()
        .map(|d| d.confidence.unwrap())
        .collect();
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    assert_eq!(
        confidences,
        [sigmoid(2.0), 1.0 - sigmoid(-1.0), sigmoid(0.5)]
    );
}

#[test]
fn what_is_no_score_has_no_confidence_and_what_is_not_finite_harms_nothing() {
    let found = judged(&[1.0, 0.0, 0.0, 1.0], 2, &[0, 0], &Loss::Mse);
    assert_eq!((found.accuracy, found.calibration), (0.5, None));
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let found = judged(&[bad, bad, 0.0, 1.0], 2, &[1, 1], &SOFTMAX);
        let calibration = found.calibration.unwrap();
        assert_eq!(calibration.bins.iter().map(|b| b.count).sum::<u64>(), 1);
        assert!(calibration.ece.is_finite() && found.decisions[0].ahead >= 1);
    }
}

#[test]
fn what_cannot_be_compared_is_not_judged() {
    assert_eq!(of_classes(&[], 2, &[], &SOFTMAX), None);
    assert_eq!(of_classes(&[0.0, 1.0], 2, &[2], &SOFTMAX), None);
    assert_eq!(of_classes(&[0.0, 1.0], 2, &[-1], &SOFTMAX), None);
    let wide = answers(&[0.0; 8], 4, |batch, _, _| {
        batch.set("wanted", Values::Fp16(vec![0; 64 * 4]));
    });
    let names = vec![String::new(); 4];
    assert_eq!(
        Judgement::of(&wide, &Target::Classes { names }, &Loss::Mse),
        None
    );
}
