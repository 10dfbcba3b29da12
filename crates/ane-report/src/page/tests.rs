//! What a page holds, and what it does not.

use super::*;
use ane_train::{
    Evaluated,
    data::{Batch, description::Target},
    judgement::Answers,
    loss::Loss,
    objective::Objective,
};
use serde_json::json;

const HOSTILE: &str = "<script src=https://example.org/x.js>\"'&";

fn judgement() -> Judgement {
    let loss = Loss::CrossEntropy {
        label_smoothing: 0.0,
    };
    let mut answers = Answers::to(&Objective::of(loss, "logits", "label"));
    let mut batch = Batch::new(3, 3);
    batch.int32("label", 1).copy_from_slice(&[0, 1, 1]);
    let evaluated = Evaluated {
        loss: 0.0,
        tallies: Vec::new(),
        outputs: vec![("logits".into(), vec![2.0, 0.0, 3.0, 0.0, 0.0, 1.0])],
    };
    answers.take(&batch, &evaluated);
    let target = Target::Classes {
        names: vec!["cat".into(), HOSTILE.into()],
    };
    Judgement::of(&answers, &target, &loss).unwrap()
}

fn page<'a>(result: &'a Evaluation, judgement: Option<&'a Judgement>) -> Page<'a> {
    let timing = r#"{"epoch":1,"seconds":1.5,"examples_per_second":36000,"engine_ms":2.25}"#;
    Page {
        curves: None,
        name: HOSTILE.to_owned(),
        checkpoint: "best".to_owned(),
        result,
        judgement,
        examples: vec![
            Shown {
                number: 7,
                content: Content::Picture {
                    shape: [1, 2, 2],
                    values: vec![0.0, 1.0, 0.5, 0.25],
                },
                answered: "cat".to_owned(),
                wanted: HOSTILE.to_owned(),
                confidence: Some(0.95),
            },
            Shown {
                number: 8,
                content: Content::Row(vec![0.5; 40]),
                answered: "1".to_owned(),
                wanted: "2".to_owned(),
                confidence: None,
            },
        ],
        timing: Row::all(timing),
        config: json!({"model": HOSTILE, "dataset": "pets", "batch": 64, "epochs": 3, "seed": 0}),
        placement: Some(
            json!({"device": "software", "step": {"nodes": 12, "flops": 2e6}, "warnings": [HOSTILE]}),
        ),
        environment: Some(json!({"threads": 2})),
        commands: format!("ane-trainer train {HOSTILE}\n"),
    }
}

/// Whatever a browser would load.
fn references(html: &str) -> Vec<&str> {
    let starts = [
        "src=\"", "href=\"", "url(", "@import", "<script", "<link", "<iframe", "<object", "<embed",
    ];
    let found = starts.iter().flat_map(|start| html.match_indices(start));
    found
        .map(|(at, _)| &html[at..html.len().min(at + 40)])
        .collect()
}

#[test]
fn a_page_refers_to_nothing_outside_of_it() {
    let result = Evaluation {
        loss: 0.5,
        metrics: vec![("accuracy", 2.0 / 3.0)],
        examples: 3,
    };
    let judgement = judgement();
    let html = page(&result, Some(&judgement)).html();
    let outside: Vec<&str> = references(&html)
        .into_iter()
        .filter(|r| !r.starts_with("src=\"data:image/png;base64,") && !r.starts_with("url(#"))
        .collect();
    assert_eq!(outside, Vec::<&str>::new());
    assert!(html.contains("default-src 'none'"));
}

#[test]
fn a_page_says_what_a_run_came_to() {
    let result = Evaluation {
        loss: 0.5,
        metrics: vec![("accuracy", 2.0 / 3.0)],
        examples: 3,
    };
    let judgement = judgement();
    let html = page(&result, Some(&judgement)).html();
    for part in [
        "<b>66.67 %</b><span>accuracy</span>",
        "<h2>Confusion</h2>",
        "<h2>Classes</h2>",
        "<h2>Calibration</h2>",
        "<h2>Most wrong</h2>",
        "95\u{a0}% sure",
        "0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, …",
        "<th>1</th><td>1.50</td><td>36000</td><td>2.250</td><td>–</td>",
        "<th>MFLOP a step</th><td>2.0</td>",
        "<pre>ane-trainer train &lt;script",
    ] {
        assert!(html.contains(part), "`{part}` is not in {html}");
    }
    // Without a judgement the rest is there.
    let html = page(&result, None).html();
    assert!(!html.contains("Confusion") && html.contains("<h2>Time</h2>"));
}
