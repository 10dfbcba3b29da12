//! A run as one page of HTML that needs nothing beside it: no script, no file, no network.

mod classes;
mod examples;
mod facts;

pub use examples::{Content, Shown};

use crate::{curves::Curves, figure, svg::escape};
use ane_train::{
    fit::Evaluation,
    judgement::Judgement,
    metric::{self, Metric},
    run_dir::Row,
};
use serde_json::Value;
use std::fmt::Write;

/// What a page tells of a run.
#[derive(Debug)]
pub struct Page<'a> {
    /// Its course, where it has one.
    pub curves: Option<Curves>,
    /// What the run is called.
    pub name: String,
    /// The checkpoint that was judged, as people call it.
    pub checkpoint: String,
    /// What it came to on the test set.
    pub result: &'a Evaluation,
    /// What its answers are worth.
    pub judgement: Option<&'a Judgement>,
    /// Examples that were answered worst.
    pub examples: Vec<Shown>,
    /// What each epoch took.
    pub timing: Vec<Row>,
    /// `config.json`.
    pub config: Value,
    /// `placement.json`, where the run has ended.
    pub placement: Option<Value>,
    /// `env.json`.
    pub environment: Option<Value>,
    /// The commands that have trained it, one a line; empty where they are not known.
    pub commands: String,
}

/// What a browser may load for the page: nothing but what is in it.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

impl Page<'_> {
    /// The page.
    pub fn html(&self) -> String {
        let mut out = String::new();
        let title = escape(&self.name);
        let style = include_str!("page/style.css");
        let _ = write!(
            out,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n"
        );
        self.summary(&mut out);
        facts::commands(&mut out, &self.commands);
        if let Some(curves) = &self.curves {
            section(&mut out, "Curves");
            out.push_str(&figure::inline(curves));
        }
        match self.judgement {
            Some(Judgement::Classes(judged)) => classes::write(&mut out, judged),
            Some(Judgement::Values(judged)) => facts::values(&mut out, judged),
            None => {}
        }
        examples::write(&mut out, &self.examples);
        facts::timing(&mut out, &self.timing);
        facts::placement(&mut out, self.placement.as_ref());
        facts::json(&mut out, "Configuration", Some(&self.config));
        facts::json(&mut out, "Environment", self.environment.as_ref());
        out.push_str("</main>\n</body>\n</html>\n");
        out
    }

    /// The result, and what was trained on what.
    fn summary(&self, out: &mut String) {
        let mut tiles = Vec::new();
        for (name, value) in &self.result.metrics {
            let shown = metric::named(name).map_or_else(|_| value.to_string(), |m| m.show(*value));
            tiles.push((name.replace('_', " "), shown));
        }
        tiles.push(("loss".to_owned(), format!("{:.4}", self.result.loss)));
        if let Some(Judgement::Classes(judged)) = self.judgement {
            let f1 = judged.means.f1;
            tiles.push(("mean F1".to_owned(), percent(f1)));
        }
        tiles.push(("test examples".to_owned(), self.result.examples.to_string()));
        out.push_str("<div class=\"tiles\">\n");
        for (name, value) in tiles {
            let _ = writeln!(
                out,
                "<div><b>{}</b><span>{}</span></div>",
                escape(&value),
                escape(&name)
            );
        }
        out.push_str("</div>\n");
        let field = |name: &str| match &self.config[name] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let _ = writeln!(
            out,
            "<p>Model <b>{}</b> on <b>{}</b>, batches of {}, {} epochs, seed {}; device <b>{}</b> for {}; \
             judged by its {} checkpoint.</p>",
            escape(&field("model")),
            escape(&field("dataset")),
            escape(&field("batch")),
            escape(&field("epochs")),
            escape(&field("seed")),
            escape(&field("device")),
            escape(&field("target")),
            escape(&self.checkpoint),
        );
    }
}

fn section(out: &mut String, title: &str) {
    let _ = writeln!(out, "<h2>{}</h2>", escape(title));
}

fn percent(share: Option<f64>) -> String {
    share.map_or("–".to_owned(), |x| Metric::show(&metric::Accuracy, x))
}

/// A table; the first cell of a row is its name, the others are numbers.
fn table(out: &mut String, head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
    out.push_str("<div class=\"wide\"><table>\n");
    if !head.is_empty() {
        let cells: String = head
            .iter()
            .map(|cell| format!("<th>{}</th>", escape(cell)))
            .collect();
        let _ = writeln!(out, "<thead><tr>{cells}</tr></thead>");
    }
    out.push_str("<tbody>\n");
    for row in rows {
        out.push_str("<tr>");
        for (i, cell) in row.iter().enumerate() {
            let tag = if i == 0 { "th" } else { "td" };
            let _ = write!(out, "<{tag}>{}</{tag}>", escape(cell));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
}

#[cfg(test)]
mod tests;
