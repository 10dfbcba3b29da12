//! The answer to every example as comma-separated values.

use crate::failure::Failure;
use ane_train::{
    checkpoint::replace_file,
    judgement::{ClassesJudged, Judgement, ValuesJudged},
    run_dir::csv_row,
};
use std::path::Path;

/// Writes what was answered to the examples at these places, from 0; people count them from 1, as rows everywhere.
pub(super) fn write(
    file: &Path,
    judgement: Option<&Judgement>,
    examples: &[u32],
) -> Result<(), Failure> {
    let text = match judgement {
        Some(Judgement::Classes(judged)) => of_classes(judged, examples),
        Some(Judgement::Values(judged)) => of_values(judged, examples),
        None => {
            return Err(Failure::usage(
                "the model says its input again: there is no answer per example to write",
                "leave --output out",
            ));
        }
    };
    Ok(replace_file(file, text.as_bytes())?)
}

fn row(cells: &[String]) -> String {
    csv_row(cells.iter().map(String::as_str))
}

fn number(place: u32) -> String {
    (u64::from(place) + 1).to_string()
}

fn of_classes(judged: &ClassesJudged, examples: &[u32]) -> String {
    let head = ["example", "class", "predicted", "confidence", "of_class"];
    let mut text = row(&head.map(str::to_owned));
    let name = |class: usize| judged.classes[class].name.clone();
    let share = |p: Option<f64>| p.map_or(String::new(), |p| format!("{p:.6}"));
    for (i, d) in examples.iter().zip(&judged.decisions) {
        text += &row(&[
            number(*i),
            name(d.class),
            name(d.predicted),
            share(d.confidence),
            share(d.of_class),
        ]);
    }
    text
}

fn of_values(judged: &ValuesJudged, examples: &[u32]) -> String {
    let names = || judged.quantities.iter().map(|q| q.name.clone());
    let mut head = vec!["example".to_owned()];
    head.extend(names());
    head.extend(names().map(|name| format!("predicted_{name}")));
    let mut text = row(&head);
    let width = judged.quantities.len().max(1);
    let rows = judged
        .wanted
        .chunks(width)
        .zip(judged.answered.chunks(width));
    for (i, (wanted, answered)) in examples.iter().zip(rows) {
        let mut cells = vec![number(*i)];
        cells.extend(wanted.iter().chain(answered).map(f32::to_string));
        text += &row(&cells);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use ane_train::judgement::ValueScore;

    #[test]
    fn numbers_stand_beside_what_they_should_have_been() {
        let quantity = |name: &str| ValueScore {
            name: name.to_owned(),
            mse: 0.0,
            rmse: 0.0,
            mae: 0.0,
            r2: None,
        };
        let judged = ValuesJudged {
            quantities: vec![quantity("price, euro"), quantity("age")],
            answered: vec![1.5, 2.0, 3.0, 4.0],
            wanted: vec![1.0, 2.0, 3.5, 4.0],
        };
        let expected = "example,\"price, euro\",age,\"predicted_price, euro\",predicted_age\n\
                        4,1,2,1.5,2\n9,3.5,4,3,4\n";
        assert_eq!(of_values(&judged, &[3, 8]), expected);
    }
}
