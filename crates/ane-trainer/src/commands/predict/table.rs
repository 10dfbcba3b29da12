//! Answers for people: a line each.

use super::{
    Writer,
    answer::{Answer, Said},
};

/// A line per example.
pub(super) struct Table {
    /// Classes of a line.
    pub(super) top: usize,
}

impl Writer for Table {
    fn head(&self, _: &mut String) {}

    fn answer(&self, answer: &Answer, out: &mut String) {
        let said: Vec<String> = match &answer.said {
            Said::Classes(classes) => classes
                .iter()
                .take(self.top)
                .map(|(name, p)| format!("{name} {:.2} %", 100.0 * p))
                .collect(),
            Said::Values(values) => values.iter().map(|(n, x)| format!("{n} {x}")).collect(),
            Said::Outputs => vec![format!("{} outputs", answer.outputs.len())],
        };
        out.push_str(&format!("{}: {}\n", answer.example, said.join(", ")));
    }
}
