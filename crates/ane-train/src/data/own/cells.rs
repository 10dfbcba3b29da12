//! What the columns of a table hold, as it is seen cell by cell.

use super::{
    OwnDataError,
    error::{Problem, Sayer, quoted},
    settings::DataSettings,
};
use crate::data::description::{self, Description, Input};
use csv::StringRecord;
use std::collections::HashMap;

/// Most texts that a column of categories, or of classes, may have.
const MOST_TEXTS: usize = 4_096;
/// Share of numbers from which a text among them is taken for a mistake.
const MOSTLY: f64 = 0.9;
/// What stands for a cell that is empty, as pandas reads it.
const MISSING: [&str; 12] = [
    "", "na", "n/a", "#n/a", "nan", "-nan", "null", "none", "?", "<na>", "#na", "nil",
];

/// What a cell is that is no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoNumber {
    /// Empty, or a word for that.
    Missing,
    /// Infinite, or too large for f32.
    Infinite,
    /// Something else.
    Text,
}

/// The number of a cell.
pub(super) fn number(cell: &str) -> Result<f32, NoNumber> {
    let cell = cell.trim();
    if let Ok(x) = cell.parse::<f64>() {
        let x = x as f32;
        if x.is_finite() {
            return Ok(x);
        }
        return Err(if x.is_nan() {
            NoNumber::Missing
        } else {
            NoNumber::Infinite
        });
    }
    let is_missing = MISSING.iter().any(|m| cell.eq_ignore_ascii_case(m));
    Err(if is_missing {
        NoNumber::Missing
    } else {
        NoNumber::Text
    })
}

/// The number of a cell with this sign before its decimals.
pub(super) fn number_with(cell: &str, decimal: char) -> Result<f32, NoNumber> {
    match decimal {
        '.' => number(cell),
        // A point would be something else there.
        _ if cell.contains('.') => number(cell).and(Err(NoNumber::Text)),
        sign => number(&cell.replacen(sign, ".", 1)),
    }
}

/// What a column holds.
#[derive(Debug)]
pub(super) enum ColumnKind {
    /// Numbers, some of which may be missing.
    Numbers,
    /// Texts.
    Texts(Texts),
}

/// The different texts of a column, in order.
#[derive(Debug)]
pub(super) struct Texts {
    /// The texts.
    pub(super) all: Vec<String>,
    index: HashMap<String, u32>,
}

impl Texts {
    fn new(mut all: Vec<String>) -> Self {
        all.sort_by(|a, b| compare(a, b));
        let index = all.iter().cloned().zip(0..).collect();
        Self { all, index }
    }

    /// The number that stands for a text; NaN for one that is missing.
    pub(super) fn index(&self, cell: &str) -> f32 {
        self.index.get(cell.trim()).map_or(f32::NAN, |&i| i as f32)
    }
}

/// Numbers by their size, before texts by their letters.
pub(super) fn compare(a: &str, b: &str) -> std::cmp::Ordering {
    match (number(a), number(b)) {
        (Ok(x), Ok(y)) => x.total_cmp(&y).then_with(|| a.cmp(b)),
        (Ok(_), Err(_)) => std::cmp::Ordering::Less,
        (Err(_), Ok(_)) => std::cmp::Ordering::Greater,
        (Err(_), Err(_)) => a.cmp(b),
    }
}

/// Where a row is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Its number, from 0 and without a line of names.
    pub(super) row: usize,
    /// Its line, from 1.
    pub(super) line: u64,
}

impl Place {
    /// A problem of a column there.
    fn say(self, say: &Sayer<'_>, column: &str, problem: Problem) -> OwnDataError {
        OwnDataError {
            line: Some(self.line),
            ..say.in_row(self.row, format!("column `{column}`"), problem)
        }
    }
}

/// What has been seen of the columns.
#[derive(Debug)]
pub(super) struct Columns(Vec<Seen>);

#[derive(Debug)]
struct Seen {
    name: String,
    /// Whether its cells are texts whatever they look like, or numbers.
    is_texts: Option<bool>,
    /// The sign before decimals.
    decimal: char,
    numbers: u64,
    texts: u64,
    /// Texts that are numbers where a comma stands before decimals.
    with_comma: u64,
    /// The place and the content of the first cell that is text, and of the first that is infinite.
    first_text: Option<(Place, String)>,
    first_infinite: Option<(Place, String)>,
    different: HashMap<String, ()>,
    /// More texts than are kept.
    too_many: bool,
}

impl Columns {
    pub(super) fn new(
        names: Vec<String>,
        settings: &DataSettings,
        known: Option<&Description>,
    ) -> Self {
        let known: &[description::Column] = match known.map(|d| &d.input) {
            Some(Input::Table { columns }) => columns,
            _ => &[],
        };
        let seen = names.into_iter().map(|name| {
            let said = known.iter().find(|c| c.name == name);
            let said = said.map(|c| matches!(c.kind, description::ColumnKind::Category { .. }));
            let listed = settings.categorical.contains(&name).then_some(true);
            Seen {
                is_texts: said.or(listed),
                name,
                decimal: settings.decimal_sign(),
                numbers: 0,
                texts: 0,
                with_comma: 0,
                first_text: None,
                first_infinite: None,
                different: HashMap::new(),
                too_many: false,
            }
        });
        Self(seen.collect())
    }

    /// Takes note of a row.
    pub(super) fn look(&mut self, place: Place, cells: &StringRecord) -> Result<(), OwnDataError> {
        for (cell, seen) in cells.iter().zip(&mut self.0) {
            let cell = cell.trim();
            let is = number_with(cell, seen.decimal);
            match is {
                Ok(_) => seen.numbers += 1,
                Err(NoNumber::Missing) => continue,
                Err(NoNumber::Infinite) => {
                    let first = || (place, cell.to_owned());
                    seen.first_infinite.get_or_insert_with(first);
                }
                Err(NoNumber::Text) => {
                    seen.texts += 1;
                    seen.with_comma += u64::from(number_with(cell, ',').is_ok());
                    seen.first_text
                        .get_or_insert_with(|| (place, cell.to_owned()));
                }
            }
            // A number may turn out to be a text among texts.
            if !seen.too_many && seen.is_texts != Some(false) && !seen.different.contains_key(cell)
            {
                seen.different.insert(cell.to_owned(), ());
                seen.too_many = seen.different.len() > MOST_TEXTS;
                if seen.too_many {
                    seen.different = HashMap::new();
                }
            }
        }
        Ok(())
    }

    /// What each column holds.
    pub(super) fn kinds(self, say: &Sayer<'_>) -> Result<Vec<ColumnKind>, OwnDataError> {
        self.0.into_iter().map(|seen| seen.kind(say)).collect()
    }
}

impl Seen {
    fn kind(self, say: &Sayer<'_>) -> Result<ColumnKind, OwnDataError> {
        let all = (self.numbers + self.texts).max(1) as f64;
        let differs = |place: &Place, text: &str, expected: String| {
            let found = format!("`{text}`");
            place.say(say, &self.name, Problem::Differs { expected, found })
        };
        let is_texts = match (self.is_texts, &self.first_text) {
            (Some(true), _) => true,
            (Some(false), Some((place, text))) => {
                let expected = "a number, as the run has learned from".to_owned();
                return Err(differs(place, text, expected));
            }
            (_, None) => false,
            (None, Some((place, text))) if self.with_comma == self.texts => {
                let name = quoted(&self.name);
                let expected = "a number with a point before its decimals".to_owned();
                return Err(differs(place, text, expected).advise(format!(
                        "pass --decimal , where a comma stands before decimals, write numbers without one where it stands between thousands, or pass --categorical {name} if these are names"
                    )));
            }
            (None, Some((place, text))) => {
                let share = self.numbers as f64 / all;
                if share >= MOSTLY {
                    let name = quoted(&self.name);
                    let expected = format!("a number, as {:.1} % of the column are", 100.0 * share);
                    return Err(differs(place, text, expected).advise(format!(
                            "mend that cell, leave it empty, or pass --categorical {name} if the numbers are names"
                        )));
                }
                true
            }
        };
        if !is_texts {
            return match self.first_infinite {
                None => Ok(ColumnKind::Numbers),
                Some((place, text)) => Err(place
                    .say(
                        say,
                        &self.name,
                        Problem::Differs {
                            expected: "a finite number of at most 3.4e38".into(),
                            found: format!("`{text}`"),
                        },
                    )
                    .advise("mend that cell, or leave it empty")),
            };
        }
        // Texts of a column that nothing is made of may be as many as they like: what uses them asks.
        Ok(ColumnKind::Texts(Texts::new(if self.too_many {
            Vec::new()
        } else {
            self.different.into_keys().collect()
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn kinds(rows: &[&str], settings: &DataSettings) -> Result<Vec<ColumnKind>, OwnDataError> {
        let mut columns = Columns::new(vec!["x".into()], settings, None);
        for (row, cell) in rows.iter().enumerate() {
            let line = row as u64 + 2;
            columns.look(Place { row, line }, &StringRecord::from(vec![*cell]))?;
        }
        columns.kinds(&Sayer(Path::new("t.csv")))
    }

    #[test]
    fn a_cell_is_a_number_or_says_why_not() {
        assert_eq!(number(" 1.5e2 "), Ok(150.0));
        assert_eq!(number("-.5"), Ok(-0.5));
        for cell in ["", " ", "NA", "NaN", "null", "?"] {
            assert_eq!(number(cell), Err(NoNumber::Missing), "{cell}");
        }
        for cell in ["inf", "-Infinity", "1e39"] {
            assert_eq!(number(cell), Err(NoNumber::Infinite), "{cell}");
        }
        assert_eq!(number("1,5"), Err(NoNumber::Text));
    }

    #[test]
    fn a_comma_before_decimals_is_taken_where_somebody_says_so_and_seen_where_nobody_does() {
        assert_eq!(number_with("-1,5e2", ','), Ok(-150.0));
        assert_eq!(number_with("7", ','), Ok(7.0));
        for (cell, is) in [
            ("1.5", NoNumber::Text),
            ("1,5,2", NoNumber::Text),
            ("", NoNumber::Missing),
            ("n/a", NoNumber::Missing),
        ] {
            assert_eq!(number_with(cell, ','), Err(is), "{cell}");
        }
        let error = kinds(&["1", "1,5", ""], &DataSettings::default()).unwrap_err();
        assert!(error.to_string().contains("row 2 (line 3)"), "{error}");
        assert!(error.help().contains("--decimal ,"), "{error:?}");
        let german = DataSettings {
            decimal: Some(','),
            ..DataSettings::default()
        };
        let kinds = kinds(&["1", "1,5", ""], &german).unwrap();
        assert!(matches!(kinds[0], ColumnKind::Numbers), "{kinds:?}");
    }

    #[test]
    fn texts_are_in_order_numbers_among_them_by_size() {
        let all = kinds(&["b", "10", "9", "a", "", "b"], &DataSettings::default()).unwrap();
        let ColumnKind::Texts(texts) = &all[0] else {
            panic!("{all:?}")
        };
        assert_eq!(texts.all, ["9", "10", "a", "b"]);
        assert_eq!(texts.index("a"), 2.0);
        assert!(texts.index("").is_nan());
    }

    #[test]
    fn a_text_among_numbers_is_a_mistake_unless_they_are_said_to_be_names() {
        let mut rows = vec!["1"; 20];
        rows.push("l2");
        let error = kinds(&rows, &DataSettings::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`t.csv`, row 21 (line 22), column `x`: expected a number, as 95.2 % of the column are, found `l2`"
        );
        let named = DataSettings {
            categorical: vec!["x".into()],
            ..DataSettings::default()
        };
        assert!(matches!(
            kinds(&rows, &named).unwrap()[0],
            ColumnKind::Texts(_)
        ));
        let error = kinds(&["1", "inf"], &DataSettings::default()).unwrap_err();
        assert!(error.to_string().contains("line 3"), "{error}");
    }
}
