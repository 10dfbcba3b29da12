//! Measurements as a table for people and as JSON for programs.

use serde_json::{Value, json};

use crate::bench::contest::Entry;
use crate::bench::statistics::{extremes, median, ratios};
use crate::table;

/// What was measured with one model.
pub(crate) struct Outcome {
    model: String,
    rows: Vec<Row>,
}

/// What was measured of one contestant.
struct Row {
    name: String,
    is_ours: bool,
    steps: u64,
    greeting: Value,
    speeds: Vec<f64>,
    loss: f64,
    peak_bytes: f64,
}

impl Outcome {
    /// Takes the measurements out of the entries, whose processes then end.
    pub(crate) fn new(model: &str, entries: Vec<Entry>) -> Outcome {
        let row = |entry: Entry| Row {
            speeds: entry.speeds(),
            loss: entry.runs.last().map_or(f64::NAN, |run| run.loss),
            peak_bytes: entry.runs.last().map_or(f64::NAN, |run| run.peak_bytes),
            greeting: entry.peer.greeting.clone(),
            name: entry.name,
            is_ours: entry.is_ours,
            steps: entry.steps,
        };
        Outcome {
            model: model.to_owned(),
            rows: entries.into_iter().map(row).collect(),
        }
    }

    /// A table: images per second, the peak of memory with what was foreseen of it in parentheses, and for each peer the
    /// median of the ratios of speed to it, round by round.
    pub(crate) fn table(&self) -> String {
        let columns: Vec<String> = self
            .peers()
            .map(|peer| format!("/ {}", peer.name))
            .collect();
        let mut heading = vec![
            "contestant",
            "runs",
            "images/s",
            "min–max",
            "last loss",
            "peak MB",
        ];
        heading.extend(columns.iter().map(String::as_str));
        let rows: Vec<Vec<String>> = self.rows.iter().map(|row| self.cells(row)).collect();
        format!("{}\n{}", self.model, table::render(&heading, &rows))
    }

    fn peers(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| !row.is_ours)
    }

    fn cells(&self, row: &Row) -> Vec<String> {
        let (low, high) = extremes(&row.speeds);
        let mut cells = vec![
            row.name.clone(),
            row.speeds.len().to_string(),
            format!("{:.0}", median(&row.speeds)),
            format!("{low:.0}–{high:.0}"),
            format!("{:.4}", row.loss),
            peak(row),
        ];
        cells.extend(self.peers().map(|peer| match peer.name == row.name {
            true => "–".to_owned(),
            false => format!("{:.2}", median(&ratios(&row.speeds, &peer.speeds))),
        }));
        cells
    }

    /// Everything, with the ratios of every round.
    pub(crate) fn to_json(&self) -> Value {
        let contestant = |row: &Row| {
            let (low, high) = extremes(&row.speeds);
            let against = |peer: &Row| {
                let ratios = ratios(&row.speeds, &peer.speeds);
                json!({ "peer": peer.name, "median": median(&ratios), "rounds": ratios })
            };
            json!({
                "name": row.name,
                "ours": row.is_ours,
                "greeting": row.greeting,
                "steps": row.steps,
                "images_per_second": { "median": median(&row.speeds), "min": low, "max": high, "rounds": row.speeds },
                "last_loss": row.loss,
                "peak_bytes": row.peak_bytes,
                "ratios": self.peers().filter(|peer| peer.name != row.name).map(against).collect::<Vec<_>>(),
            })
        };
        json!({ "model": self.model, "contestants": self.rows.iter().map(contestant).collect::<Vec<_>>() })
    }
}

/// The peak of a contestant's memory, and what it said before that it would be.
fn peak(row: &Row) -> String {
    if row.peak_bytes.is_nan() {
        return "–".to_owned();
    }
    let measured = format!("{:.0}", row.peak_bytes / 1e6);
    match row.greeting["foreseen_bytes"].as_f64() {
        Some(foreseen) => format!("{measured} ({:.0})", foreseen / 1e6),
        None => measured,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome() -> Outcome {
        let row = |name: &str, is_ours, speeds: [f64; 3]| Row {
            name: name.to_owned(),
            is_ours,
            steps: 100,
            greeting: if is_ours {
                json!({ "foreseen_bytes": 24_000_000 })
            } else {
                json!({})
            },
            speeds: speeds.to_vec(),
            loss: 0.25,
            peak_bytes: if is_ours { 25e6 } else { f64::NAN },
        };
        let rows = vec![
            row("ours split", true, [200.0, 100.0, 330.0]),
            row("torch stock", false, [100.0, 40.0, 110.0]),
        ];
        Outcome {
            model: "784-10".to_owned(),
            rows,
        }
    }

    #[test]
    fn the_ratio_is_the_median_over_rounds() {
        let expected = "\
784-10
contestant   runs  images/s  min–max  last loss  peak MB  / torch stock
-----------  ----  --------  -------  ---------  -------  -------------
ours split      3       200  100–330     0.2500  25 (24)           2.50
torch stock     3       100   40–110     0.2500        –              –
";
        assert_eq!(outcome().table(), expected);
    }

    #[test]
    fn the_json_form_keeps_every_round() {
        let value = outcome().to_json();
        assert_eq!(
            value["contestants"][0]["ratios"][0],
            json!({ "peer": "torch stock", "median": 2.5, "rounds": [2.0, 2.5, 3.0] })
        );
        assert_eq!(
            value["contestants"][1]["images_per_second"]["rounds"],
            json!([100.0, 40.0, 110.0])
        );
        assert_eq!(value["contestants"][1]["ratios"], json!([]));
    }
}
