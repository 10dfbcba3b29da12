//! What figures say, and that none fails.

use super::*;
use crate::picture;

fn run(name: &str, epochs: u32, offset: f64) -> Curves {
    let course = |quantity: &str, of: &dyn Fn(f64) -> f64| Course {
        quantity: quantity.to_owned(),
        training: (1..=epochs)
            .map(|e| (f64::from(e), Some(of(f64::from(e)))))
            .collect(),
        validation: (1..=epochs)
            .map(|e| (f64::from(e), Some(of(f64::from(e)) + offset)))
            .collect(),
    };
    Curves {
        name: name.to_owned(),
        courses: vec![
            course("loss", &|e| 0.5 / e),
            course("accuracy", &|e| 0.9 - 0.3 / e),
        ],
        steps: (1..=100)
            .map(|i| {
                (
                    f64::from(i) * f64::from(epochs) / 100.0,
                    Some(2.0 / f64::from(i)),
                )
            })
            .collect(),
        unit: "epoch",
    }
}

#[test]
fn a_figure_says_what_its_lines_are() {
    let figure = svg(&[run("a<b", 6, 0.02)], false);
    for part in [
        "a&lt;b",
        ">single steps<",
        ">training<",
        ">validation, best 0.103 in epoch 6<",
        ">validation, best 87.00 % in epoch 6<",
        ">epoch<",
        ">80 %<",
    ] {
        assert!(figure.contains(part), "`{part}` is not in {figure}");
    }
    assert!(!figure.contains("NaN"));
    picture::png(&figure).unwrap();
}

#[test]
fn several_runs_have_a_colour_each_and_no_single_steps() {
    let figure = svg(&[run("first", 6, 0.02), run("second", 3, 0.1)], true);
    for part in [
        ">first, training<",
        ">second, validation<",
        COLOURS[0],
        COLOURS[1],
        "stroke-dasharray",
    ] {
        assert!(figure.contains(part), "{part}");
    }
    assert!(!figure.contains("single steps"));
}

#[test]
fn whatever_a_run_went_through_makes_a_picture() {
    let point = |y| vec![(1.0, y)];
    for y in [
        None,
        Some(0.0),
        Some(1e30),
        Some(-4.0),
        Some(f64::NAN),
        Some(f64::INFINITY),
    ] {
        let course = Course {
            quantity: "loss".to_owned(),
            training: point(y),
            validation: Vec::new(),
        };
        let curves = Curves {
            name: String::new(),
            courses: vec![course],
            steps: point(y),
            unit: "epoch",
        };
        for log in [false, true] {
            let figure = svg(std::slice::from_ref(&curves), log);
            assert!(
                !figure.contains("NaN") && !figure.contains("inf"),
                "{y:?}: {figure}"
            );
            picture::png(&figure).unwrap();
        }
    }
}
