//! Tables fit a terminal, whatever classes there are.

use super::*;
use ane_train::{
    Evaluated,
    data::{Batch, description::Target},
    judgement::Answers,
    loss::Loss,
    objective::Objective,
};

/// A judgement of examples, each of which a class was answered for, by classes with such names.
fn judged(names: &[String], examples: &[(usize, usize)]) -> ClassesJudged {
    let loss = Loss::CrossEntropy {
        label_smoothing: 0.0,
    };
    let mut answers = Answers::to(&Objective::of(loss, "logits", "label"));
    let mut batch = Batch::new(examples.len(), examples.len());
    let labels = batch.int32("label", 1);
    let mut logits = vec![0.0; examples.len() * names.len()];
    for (i, (class, answer)) in examples.iter().enumerate() {
        labels[i] = *class as i32;
        logits[i * names.len() + answer] = 3.0;
    }
    let evaluated = Evaluated {
        loss: 0.0,
        tallies: Vec::new(),
        outputs: vec![("logits".into(), logits)],
    };
    answers.take(&batch, &evaluated);
    let target = Target::Classes {
        names: names.to_vec(),
    };
    match Judgement::of(&answers, &target, &loss) {
        Some(Judgement::Classes(judged)) => judged,
        other => panic!("{other:?}"),
    }
}

fn names(count: usize, name: &str) -> Vec<String> {
    (0..count).map(|i| format!("{name}{i}")).collect()
}

fn must_fit(text: &str) {
    for line in text.lines() {
        assert!(line.chars().count() <= COLUMNS, "{line:?} in\n{text}");
    }
}

#[test]
fn few_classes_have_scores_a_matrix_and_their_calibration() {
    let found = judged(&names(3, "kind"), &[(0, 0), (0, 0), (0, 1), (1, 1), (2, 0)]);
    let text = of_classes(&found);
    for line in [
        "class   precision   recall       F1   examples",
        "0 kind0    66.67 %  66.67 %  66.67 %         3",
        "2 kind2          -   0.00 %   0.00 %         1",
        "mean       58.33 %  55.56 %  44.44 %         5",
        "how often each class (row) was answered as which (column)",
        "        0 1 2",
        "0 kind0 2 1 ·",
        "2 kind2 1 · ·",
        "87 to 93 %        5  90.94 %  60.00 %",
    ] {
        let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let line = squeezed(line);
        assert!(
            text.lines().any(|l| squeezed(l) == line),
            "`{line}` is not in\n{text}"
        );
    }
    must_fit(&text);
}

#[test]
fn tables_fit_a_terminal() {
    for count in [2, 10, 19, 20, 21, 300] {
        for name in [
            "",
            "x",
            "a very long name of a class, longer than a terminal is wide, number ",
        ] {
            let examples: Vec<_> = (0..2_000).map(|i| (i % count, i * i % count)).collect();
            let found = judged(&names(count, name), &examples);
            let text = of_classes(&found);
            must_fit(&text);
            assert_eq!(text.contains("lowest F1"), count > 20, "{text}");
            // Twenty columns of three digits leave no room for a name.
            assert_eq!(text.contains("answered as which"), count < 20, "{text}");
        }
    }
}
