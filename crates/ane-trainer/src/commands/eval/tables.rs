//! What answers are worth, as tables of at most eighty columns.

use ane_train::judgement::{Calibration, ClassScore, ClassesJudged, Judgement, ValuesJudged};
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use std::fmt::Write;

/// Columns of a terminal.
const COLUMNS: usize = 80;
/// Most classes of which each has a line; of more, those that are told worst have.
const MOST_CLASSES: usize = 20;
/// Most mistakes that are listed.
const MOST_MISTAKES: usize = 10;

/// The tables of a judgement.
pub(super) fn of(judgement: &Judgement) -> String {
    match judgement {
        Judgement::Classes(judged) => of_classes(judged),
        Judgement::Values(judged) => of_values(judged),
    }
}

fn of_classes(judged: &ClassesJudged) -> String {
    let mut text = String::new();
    if let Some(top5) = judged.top5 {
        let _ = writeln!(text, "top 5: {}", percent(Some(top5)));
    }
    text += "\n";
    text += &scores(judged);
    text += "\n";
    text += &matrix(judged).unwrap_or_else(|| mistakes(judged));
    if let Some(calibration) = &judged.calibration {
        text += "\n";
        text += &reliability(calibration);
    }
    text
}

fn percent(share: Option<f64>) -> String {
    share.map_or("-".to_owned(), |x| format!("{:.2} %", 100.0 * x))
}

fn table(head: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(COLUMNS as u16)
        .set_header(head);
    for row in rows {
        table.add_row(row.into_iter().map(Cell::new));
    }
    if let Some(first) = table.column_mut(0) {
        first.set_padding((0, 1));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt() + "\n"
}

/// A name of at most so many characters.
fn short(name: &str, most: usize) -> String {
    if name.chars().count() <= most {
        return name.to_owned();
    }
    let kept: String = name.chars().take(most.saturating_sub(1)).collect();
    kept + "…"
}

fn scores(judged: &ClassesJudged) -> String {
    let all = judged.classes.iter().enumerate();
    let mut classes: Vec<(usize, &ClassScore)> = all.collect();
    let left_out = classes.len().saturating_sub(MOST_CLASSES);
    if left_out > 0 {
        classes.sort_by(|(_, a), (_, b)| {
            let of = |c: &ClassScore| c.f1.unwrap_or(1.0);
            of(a).total_cmp(&of(b))
        });
        classes.truncate(MOST_CLASSES);
    }
    let row = |(i, c): &(usize, &ClassScore)| {
        vec![
            labelled(*i, &c.name, 28),
            percent(c.precision),
            percent(c.recall),
            percent(c.f1),
            c.support.to_string(),
        ]
    };
    let mut rows: Vec<Vec<String>> = classes.iter().map(row).collect();
    let means = &judged.means;
    let support: u64 = judged.classes.iter().map(|c| c.support).sum();
    rows.push(vec![
        "mean".to_owned(),
        percent(means.precision),
        percent(means.recall),
        percent(means.f1),
        support.to_string(),
    ]);
    let text = table(&["class", "precision", "recall", "F1", "examples"], rows);
    match left_out {
        0 => text,
        n => format!("{text}the classes with the lowest F1; {n} others are in --json\n"),
    }
}

/// Number and name of a class; the number alone where that is the name.
fn labelled(class: usize, name: &str, most: usize) -> String {
    let number = class.to_string();
    if name == number {
        return number;
    }
    short(&format!("{number} {name}"), most)
}

/// The confusion matrix, where it fits.
fn matrix(judged: &ClassesJudged) -> Option<String> {
    let classes = judged.classes.len();
    if classes > MOST_CLASSES {
        return None;
    }
    let count = |a: usize, b: usize| match judged.confusion.count(a, b) {
        0 => "·".to_owned(),
        n => n.to_string(),
    };
    let pairs = (0..classes).flat_map(|a| (0..classes).map(move |b| (a, b)));
    let digits = pairs.map(|(a, b)| count(a, b).chars().count()).max()?;
    let cell = 1 + digits.max((classes - 1).to_string().len());
    let left = COLUMNS.checked_sub(classes * cell)?;
    // A number is the least that tells classes apart; names stand in the table above.
    let of_numbers = (classes - 1).to_string().len();
    let longest = judged.classes.iter().enumerate();
    let longest = longest.map(|(i, c)| labelled(i, &c.name, 20).chars().count());
    let label = longest.max()?.min(left);
    if label < of_numbers {
        return None;
    }
    let mut text = "how often each class (row) was answered as which (column)\n".to_owned();
    let heads = (0..classes).map(|b| format!("{b:>cell$}"));
    let _ = writeln!(text, "{:label$}{}", "", heads.collect::<String>());
    for (a, class) in judged.classes.iter().enumerate() {
        let cells = (0..classes).map(|b| format!("{:>cell$}", count(a, b)));
        let name = match label {
            l if l < 6 => a.to_string(),
            l => labelled(a, &class.name, l),
        };
        let _ = writeln!(text, "{name:label$}{}", cells.collect::<String>());
    }
    Some(text)
}

fn mistakes(judged: &ClassesJudged) -> String {
    let listed = judged.mistakes.iter().take(MOST_MISTAKES);
    let rows: Vec<Vec<String>> = listed
        .map(|m| {
            vec![
                short(&m.class, 30),
                short(&m.predicted, 30),
                m.count.to_string(),
            ]
        })
        .collect();
    match rows.is_empty() {
        true => "no mistakes\n".to_owned(),
        false => table(&["class", "answered as", "times"], rows),
    }
}

fn reliability(calibration: &Calibration) -> String {
    let filled = calibration.bins.iter().filter(|b| b.count > 0);
    let row = |b: &ane_train::judgement::Bin| {
        vec![
            format!("{:.0} to {:.0} %", 100.0 * b.from, 100.0 * b.to),
            b.count.to_string(),
            percent(b.confidence),
            percent(b.accuracy),
        ]
    };
    let head = ["confidence", "answers", "mean", "right"];
    format!(
        "expected calibration error {}\n{}",
        percent(Some(calibration.ece)),
        table(&head, filled.map(row).collect())
    )
}

fn of_values(judged: &ValuesJudged) -> String {
    let number = |x: f64| match x.abs() {
        a if a == 0.0 || (1e-3..1e6).contains(&a) => format!("{x:.4}"),
        _ => format!("{x:.4e}"),
    };
    let row = |q: &ane_train::judgement::ValueScore| {
        vec![
            short(&q.name, 28),
            number(q.rmse),
            number(q.mae),
            number(q.mse),
            q.r2.map_or("-".to_owned(), |x| format!("{x:.4}")),
        ]
    };
    let rows = judged.quantities.iter().map(row).collect();
    "\n".to_owned() + &table(&["quantity", "RMSE", "MAE", "MSE", "R²"], rows)
}

#[cfg(test)]
mod tests;
