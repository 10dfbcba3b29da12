//! What a page says of answers that are classes: scores, the confusion matrix, and how far confidence can be trusted.

use super::{percent, section, table};
use crate::{
    axis::plain,
    svg::{FONTS, at, escape},
};
use ane_train::judgement::{Calibration, ClassesJudged};
use std::fmt::Write;

/// Most classes whose matrix is shown.
const MOST_CLASSES: usize = 30;

pub(super) fn write(out: &mut String, judged: &ClassesJudged) {
    section(out, "Confusion");
    match judged.classes.len() <= MOST_CLASSES {
        true => matrix(out, judged),
        false => out.push_str("<p class=\"small\">There are too many classes for a matrix.</p>\n"),
    }
    mistakes(out, judged);
    section(out, "Classes");
    scores(out, judged);
    if let Some(calibration) = &judged.calibration {
        section(out, "Calibration");
        reliability(out, calibration);
    }
}

/// The matrix: blue where the answer is right, orange where it is not, by the share of the class's examples.
fn matrix(out: &mut String, judged: &ClassesJudged) {
    let classes = judged.classes.len();
    out.push_str(
        "<p class=\"small\">How often each class (row) was answered as which (column).</p>\n\
         <div class=\"wide\"><table class=\"matrix\">\n<thead><tr><th></th>",
    );
    for b in 0..classes {
        let _ = write!(
            out,
            "<th title=\"{}\">{b}</th>",
            escape(&judged.classes[b].name)
        );
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for (a, class) in judged.classes.iter().enumerate() {
        let name = match class.name == a.to_string() {
            true => a.to_string(),
            false => format!("{a} {}", class.name),
        };
        let _ = write!(out, "<tr><th>{}</th>", escape(&name));
        for b in 0..classes {
            let count = judged.confusion.count(a, b);
            if count == 0 {
                out.push_str("<td></td>");
                continue;
            }
            let share = count as f64 / class.support.max(1) as f64;
            let (colour, strength) = match a == b {
                true => ("0,114,178", 0.08 + 0.5 * share),
                // Mistakes are rare, and to be seen all the same.
                false => ("213,94,0", (0.1 + 4.0 * share).min(0.75)),
            };
            let _ = write!(
                out,
                "<td style=\"background:rgba({colour},{})\">{count}</td>",
                at(strength)
            );
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
}

fn mistakes(out: &mut String, judged: &ClassesJudged) {
    if judged.mistakes.is_empty() {
        out.push_str("<p>Every answer is right.</p>\n");
        return;
    }
    let most = judged.mistakes.iter().take(5);
    let most: Vec<String> = most
        .map(|m| {
            format!(
                "<b>{}</b> as <b>{}</b> ({}×)",
                escape(&m.class),
                escape(&m.predicted),
                m.count
            )
        })
        .collect();
    let _ = writeln!(out, "<p>Most frequent mistakes: {}.</p>", most.join(", "));
}

fn scores(out: &mut String, judged: &ClassesJudged) {
    let rows = judged.classes.iter().map(|c| {
        vec![
            c.name.clone(),
            percent(c.precision),
            percent(c.recall),
            percent(c.f1),
            c.support.to_string(),
        ]
    });
    let support: u64 = judged.classes.iter().map(|c| c.support).sum();
    let mean = vec![
        "mean".to_owned(),
        percent(judged.means.precision),
        percent(judged.means.recall),
        percent(judged.means.f1),
        support.to_string(),
    ];
    let head = ["class", "precision", "recall", "F1", "examples"];
    table(out, &head, rows.chain([mean]));
}

/// Bars of accuracy by confidence, beside the diagonal on which they should end.
fn reliability(out: &mut String, calibration: &Calibration) {
    let _ = writeln!(
        out,
        "<p>Expected calibration error <b>{}</b>: how far, in the mean, the share of right answers is from the confidence \
         they were given with.</p>",
        percent(Some(calibration.ece))
    );
    let (left, top, side) = (46.0, 12.0, 220.0);
    let (x, y) = (
        |p: f64| at(left + side * p),
        |p: f64| at(top + side * (1.0 - p)),
    );
    let text = format!(r##"font-family="{FONTS}" font-size="11" fill="#57606a""##);
    let _ = writeln!(
        out,
        r#"<svg width="300" height="280" viewBox="0 0 300 280" role="img"><title>Reliability</title>"#
    );
    for tick in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let label = plain(100.0 * tick);
        let _ = writeln!(
            out,
            r##"<line x1="{}" x2="{}" y1="{yy}" y2="{yy}" stroke="#e4e7eb"/><text x="{}" y="{}" text-anchor="end" {text}>{label} %</text><text x="{}" y="{}" text-anchor="middle" {text}>{label} %</text>"##,
            x(0.0),
            x(1.0),
            at(left - 6.0),
            at(top + side * (1.0 - tick) + 4.0),
            x(tick),
            at(top + side + 16.0),
            yy = y(tick),
        );
    }
    for bin in &calibration.bins {
        let (Some(accuracy), Some(confidence)) = (bin.accuracy, bin.confidence) else {
            continue;
        };
        let _ = writeln!(
            out,
            r##"<rect x="{}" y="{}" width="{}" height="{}" fill="#0072b2" fill-opacity="0.55"><title>{} answers given with {}: {} are right</title></rect>"##,
            at(left + side * bin.from + 1.0),
            y(accuracy),
            at(side * (bin.to - bin.from) - 2.0),
            at(side * accuracy),
            bin.count,
            percent(Some(confidence)),
            percent(Some(accuracy)),
        );
    }
    let _ = writeln!(
        out,
        r##"<line x1="{}" y1="{}" x2="{}" y2="{}" stroke="#d55e00" stroke-width="1.5" stroke-dasharray="5 4"/><text x="{}" y="{}" text-anchor="middle" {text}>confidence, with the share that is right</text></svg>"##,
        x(0.0),
        y(0.0),
        x(1.0),
        y(1.0),
        x(0.5),
        at(top + side + 36.0),
    );
    let filled = calibration.bins.iter().filter(|b| b.count > 0);
    let rows = filled.map(|b| {
        vec![
            format!("{:.0} to {:.0} %", 100.0 * b.from, 100.0 * b.to),
            b.count.to_string(),
            percent(b.confidence),
            percent(b.accuracy),
        ]
    });
    table(out, &["confidence", "answers", "mean", "right"], rows);
}
