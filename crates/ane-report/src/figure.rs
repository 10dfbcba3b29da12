//! The curves of runs as one SVG: a chart of the loss, and one of each metric.

use crate::{
    axis::{Scale, plain},
    chart::{Chart, Line, Stroke},
    curves::{Course, Curves},
    svg::{FONTS, at, escape},
};
use ane_train::metric::{self, Better};

/// Width of a figure, in pixels.
const WIDTH: f64 = 720.0;

/// Colours of runs, told apart by most kinds of colour vision (Okabe and Ito, without yellow and black).
const COLOURS: [&str; 7] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#6e7781",
];

/// Most runs of one figure: more lines than that nobody tells apart.
pub const MOST_RUNS: usize = 20;

/// The curves of runs as SVG; `log` shows losses by their logarithm.
pub fn svg(runs: &[Curves], log: bool) -> String {
    let title = match runs {
        [one] => one.name.clone(),
        several => format!("{} runs", several.len()),
    };
    let heading = format!(
        r##"<text x="62" y="30" font-family="{FONTS}" font-size="17" font-weight="600" fill="#1f2328">{}</text>"##,
        escape(&title)
    );
    let namespace = r#" xmlns="http://www.w3.org/2000/svg""#;
    element(&charts(runs, log), namespace, &title, &heading, 40.0)
}

/// The curves of a run as SVG within HTML, which knows its namespace and has a heading of its own.
pub(crate) fn inline(run: &Curves) -> String {
    let charts = charts(std::slice::from_ref(run), false);
    element(&charts, "", "Curves", "", 4.0)
}

/// Charts below each other, from `top` on.
fn element(charts: &[Chart], namespace: &str, title: &str, heading: &str, top: f64) -> String {
    let mut body = String::new();
    let mut top = top;
    for (i, chart) in charts.iter().enumerate() {
        chart.draw(&mut body, &format!("plot{i}"), top, WIDTH);
        top += chart.height(WIDTH) + 8.0;
    }
    let (width, height, title) = (at(WIDTH), at(top), escape(title));
    format!(
        r##"<svg{namespace} width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img"><title>{title}</title>
<rect width="{width}" height="{height}" fill="#ffffff"/>
{heading}
{body}</svg>
"##
    )
}

fn charts(runs: &[Curves], log: bool) -> Vec<Chart> {
    let mut quantities: Vec<&str> = vec!["loss"];
    for course in runs.iter().flat_map(|run| &run.courses) {
        if !quantities.contains(&course.quantity.as_str()) {
            quantities.push(&course.quantity);
        }
    }
    let end = runs.iter().map(Curves::end).fold(0.0, f64::max);
    let unit = match runs.iter().all(|run| run.unit == "step") {
        true => "step",
        false => "epoch",
    };
    let chart = |quantity: &&str| {
        let is_loss = *quantity == "loss";
        let lines: Vec<Line> = match runs {
            [one] => lines_of_one(one, quantity),
            several => several
                .iter()
                .enumerate()
                .flat_map(|(i, run)| lines_among_several(run, quantity, COLOURS[i % COLOURS.len()]))
                .collect(),
        };
        Chart {
            title: quantity.replace('_', " "),
            horizontal: (unit, end),
            scale: if is_loss && log {
                Scale::Log
            } else {
                Scale::Linear
            },
            percent: is_share(quantity),
            lines,
        }
    };
    let charts = quantities.iter().map(chart);
    charts.filter(|chart| !chart.lines.is_empty()).collect()
}

/// Whether a metric is a share of the examples.
fn is_share(quantity: &str) -> bool {
    metric::named(quantity).is_ok_and(|m| m.show(0.5).contains('%'))
}

fn course<'a>(run: &'a Curves, quantity: &str) -> Option<&'a Course> {
    run.courses.iter().find(|c| c.quantity == quantity)
}

fn lines_of_one(run: &Curves, quantity: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    let line = |name: &str, colour, stroke, points: &[(f64, Option<f64>)]| Line {
        name: name.to_owned(),
        colour,
        stroke,
        points: points.to_vec(),
    };
    if quantity == "loss" && !run.steps.is_empty() {
        lines.push(line("single steps", COLOURS[0], Stroke::Faint, &run.steps));
    }
    if let Some(course) = course(run, quantity) {
        lines.push(line(
            "training",
            COLOURS[0],
            Stroke::Solid,
            &course.training,
        ));
        if !course.validation.is_empty() {
            let name = format!("validation{}", best(course));
            lines.push(line(&name, COLOURS[1], Stroke::Solid, &course.validation));
        }
    }
    lines
}

/// Validation where there is some, and training in dashes.
fn lines_among_several(run: &Curves, quantity: &str, colour: &'static str) -> Vec<Line> {
    let Some(course) = course(run, quantity) else {
        return match quantity {
            "loss" => vec![Line {
                name: format!("{}, single steps", run.name),
                colour,
                stroke: Stroke::Faint,
                points: run.steps.clone(),
            }],
            _ => Vec::new(),
        };
    };
    let mut lines = vec![Line {
        name: format!("{}, training", run.name),
        colour,
        stroke: Stroke::Dashed,
        points: course.training.clone(),
    }];
    if !course.validation.is_empty() {
        lines.push(Line {
            name: format!("{}, validation", run.name),
            colour,
            stroke: Stroke::Solid,
            points: course.validation.clone(),
        });
    }
    lines
}

/// The best value of a course on validation, for its legend.
fn best(course: &Course) -> String {
    let found = metric::named(&course.quantity);
    let better = found.as_ref().map_or(Better::Smaller, |m| m.better());
    let mut best: Option<(f64, f64)> = None;
    for (epoch, value) in &course.validation {
        let Some(value) = value else { continue };
        if best.is_none_or(|(_, old)| better.is_improved_by(old, *value)) {
            best = Some((*epoch, *value));
        }
    }
    best.map_or(String::new(), |(epoch, value)| {
        let value = found.map_or_else(|_| plain(value), |m| m.show(value));
        format!(", best {value} in epoch {epoch}")
    })
}

#[cfg(test)]
mod tests;
