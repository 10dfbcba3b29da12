//! Answers as CSV: the columns example, then answer and probability of each class that is named, or the numbers by name, then
//! the model's outputs where they are asked for.

use super::{
    Writer,
    answer::{Answer, Said},
};
use ane_train::data::{Description, description::Target};

/// A line per example, after one of names.
pub(super) struct Csv {
    columns: Vec<String>,
    top: usize,
    logits: bool,
}

impl Csv {
    /// For answers about such examples.
    pub(super) fn new(data: &Description, top: usize, logits: bool) -> Self {
        let mut columns = vec!["example".to_owned()];
        match &data.target {
            Target::Classes { names } => {
                for place in 1..=top.min(names.len()) {
                    let end = if place == 1 {
                        String::new()
                    } else {
                        format!("_{place}")
                    };
                    columns.push(format!("answer{end}"));
                    columns.push(format!("probability{end}"));
                }
                if logits {
                    columns.extend(names.iter().map(|n| format!("logit_{n}")));
                }
            }
            Target::Values { values } => {
                columns.extend(values.iter().map(|v| v.name.clone()));
                if logits {
                    columns.extend(values.iter().map(|v| format!("output_{}", v.name)));
                }
            }
            Target::Tokens { .. } => {}
        }
        Self {
            columns,
            top,
            logits,
        }
    }
}

/// A cell, in quotes where it has to be.
fn cell(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

fn line(cells: impl IntoIterator<Item = String>, out: &mut String) {
    let cells: Vec<String> = cells.into_iter().map(|c| cell(&c)).collect();
    out.push_str(&cells.join(","));
    out.push('\n');
}

impl Writer for Csv {
    fn head(&self, out: &mut String) {
        line(self.columns.iter().cloned(), out);
    }

    fn answer(&self, answer: &Answer, out: &mut String) {
        let mut cells = vec![answer.example.clone()];
        match &answer.said {
            Said::Classes(classes) => {
                for (name, p) in classes.iter().take(self.top) {
                    cells.push(name.clone());
                    cells.push(format!("{p:.6}"));
                }
            }
            Said::Values(values) => cells.extend(values.iter().map(|(_, x)| x.to_string())),
            Said::Outputs => {}
        }
        if self.logits || answer.said == Said::Outputs {
            cells.extend(answer.outputs.iter().map(f32::to_string));
        }
        line(cells, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_quoted_where_it_would_be_divided() {
        assert_eq!(cell("plain"), "plain");
        assert_eq!(cell("a,b"), "\"a,b\"");
        assert_eq!(cell("a\"b"), "\"a\"\"b\"");
    }
}
