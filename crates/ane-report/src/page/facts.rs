//! What a page says besides results: commands, times, what ran where, and what was asked for.

use super::{section, table};
use crate::svg::escape;
use ane_train::{
    judgement::{ValueScore, ValuesJudged},
    memory::amount,
    run_dir::Row,
};
use serde_json::Value;
use std::fmt::Write;

pub(super) fn commands(out: &mut String, commands: &str) {
    let commands = commands.trim();
    if commands.is_empty() {
        return;
    }
    let lines: Vec<String> = commands.lines().map(escape).collect();
    let _ = writeln!(out, "<pre>{}</pre>", lines.join("\n"));
}

/// How far off numbers are.
pub(super) fn values(out: &mut String, judged: &ValuesJudged) {
    section(out, "Errors");
    let row = |q: &ValueScore| {
        let numbers = [Some(q.rmse), Some(q.mae), Some(q.mse), q.r2];
        let mut cells = vec![q.name.clone()];
        cells.extend(numbers.map(|x| x.map_or("–".to_owned(), crate::axis::plain)));
        cells
    };
    let rows = judged.quantities.iter().map(row);
    table(out, &["quantity", "RMSE", "MAE", "MSE", "R²"], rows);
}

/// Most epochs that have a line each.
const MOST_EPOCHS: usize = 50;

pub(super) fn timing(out: &mut String, timing: &[Row]) {
    if timing.is_empty() {
        return;
    }
    section(out, "Time");
    let cell = |row: &Row, name: &str, decimals: usize| {
        let number = row.number(name);
        number.map_or("–".to_owned(), |x| format!("{x:.decimals$}"))
    };
    let shown = &timing[timing.len().saturating_sub(MOST_EPOCHS)..];
    let rows = shown.iter().map(|row| {
        vec![
            cell(row, "epoch", 0),
            cell(row, "seconds", 2),
            cell(row, "examples_per_second", 0),
            cell(row, "engine_ms", 3),
            cell(row, "host_ms", 3),
            cell(row, "data_ms", 3),
        ]
    });
    let head = [
        "epoch",
        "seconds",
        "examples/s",
        "engine, ms a step",
        "host, ms",
        "waiting for data, ms",
    ];
    table(out, &head, rows);
}

/// What ran where.
pub(super) fn placement(out: &mut String, placement: Option<&Value>) {
    let Some(placement) = placement else { return };
    section(out, "Placement");
    let text = |name: &str| match &placement[name] {
        Value::String(text) => text.clone(),
        Value::Null => "–".to_owned(),
        other => other.to_string(),
    };
    let mut rows = vec![
        vec!["device".to_owned(), text("device")],
        vec!["target".to_owned(), text("target")],
        vec!["plan".to_owned(), text("plan")],
        vec!["engine stages of a step".to_owned(), text("engine_stages")],
        vec!["host stages of a step".to_owned(), text("host_stages")],
        vec![
            "nodes of a step".to_owned(),
            placement["step"]["nodes"].to_string(),
        ],
        vec!["training steps".to_owned(), text("train_steps")],
        vec!["faults survived".to_owned(), text("faults")],
        vec!["compiles".to_owned(), text("compiles")],
        vec!["dispatches".to_owned(), text("dispatches")],
    ];
    if let Some(flops) = placement["step"]["flops"].as_f64() {
        rows.push(vec![
            "MFLOP a step".to_owned(),
            format!("{:.1}", flops / 1e6),
        ]);
    }
    if let Some(bytes) = placement["peak_bytes"].as_u64() {
        rows.push(vec!["peak of memory".to_owned(), amount(bytes)]);
    }
    table(out, &[], rows);
    let warnings = placement["warnings"].as_array();
    for warning in warnings.into_iter().flatten().filter_map(Value::as_str) {
        let _ = writeln!(out, "<p><b>{}</b></p>", escape(warning));
    }
    if placement["host_nodes"]
        .as_array()
        .is_some_and(|n| !n.is_empty())
    {
        json(out, "Nodes on the host", Some(&placement["host_nodes"]));
    }
}

/// A value as it stands in its file, folded up.
pub(super) fn json(out: &mut String, title: &str, value: Option<&Value>) {
    let Some(value) = value else { return };
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    let lines: Vec<String> = text.lines().map(escape).collect();
    let _ = writeln!(
        out,
        "<details><summary>{}</summary><pre>{}</pre></details>",
        escape(title),
        lines.join("\n")
    );
}
