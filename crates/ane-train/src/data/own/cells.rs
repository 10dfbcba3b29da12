//! What the columns of a table hold, as it is seen cell by cell.

use super::{
    OwnDataError,
    error::{Problem, Sayer, quoted},
    oddity::{Oddity, Watch},
    roles::Roles,
    settings::DataSettings,
};
use crate::data::description::{self, Description, Input};
use csv::StringRecord;
use std::collections::HashMap;

/// Most texts that a column of categories, or of classes, may have.
pub(super) const MOST_TEXTS: usize = 4_096;
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
    rounded(exact(cell)?)
}

/// The number of a cell with this sign before its decimals.
pub(super) fn number_with(cell: &str, decimal: char) -> Result<f32, NoNumber> {
    rounded(exact_with(cell, decimal)?)
}

fn rounded(x: f64) -> Result<f32, NoNumber> {
    let x = x as f32;
    if x.is_finite() {
        Ok(x)
    } else {
        Err(NoNumber::Infinite)
    }
}

/// The number of a cell as far as f64 has its digits: every whole number of up to fifteen.
fn exact(cell: &str) -> Result<f64, NoNumber> {
    let cell = cell.trim();
    if let Ok(x) = cell.parse::<f64>() {
        return match x {
            x if x.is_nan() => Err(NoNumber::Missing),
            x if x.is_infinite() => Err(NoNumber::Infinite),
            x => Ok(x),
        };
    }
    let is_missing = MISSING.iter().any(|m| cell.eq_ignore_ascii_case(m));
    Err(if is_missing {
        NoNumber::Missing
    } else {
        NoNumber::Text
    })
}

/// The same with this sign before its decimals.
pub(super) fn exact_with(cell: &str, decimal: char) -> Result<f64, NoNumber> {
    match decimal {
        '.' => exact(cell),
        // A point would be something else there.
        _ if cell.contains('.') => exact(cell).and(Err(NoNumber::Text)),
        sign => exact(&cell.replacen(sign, ".", 1)),
    }
}

/// Whether two texts are the same whole number but for zeros behind a point, as programs write the numbers of a column in
/// which a cell is empty.
pub(super) fn are_same_number(a: &str, b: &str) -> bool {
    let whole = |text: &str| match text.split_once('.') {
        Some((whole, zeros)) if zeros.bytes().all(|b| b == b'0') => whole.to_owned(),
        _ => text.to_owned(),
    };
    exact(a).is_ok() && whole(a) == whole(b)
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
    /// All different, in any order.
    pub(super) fn new(mut all: Vec<String>) -> Self {
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
fn compare(a: &str, b: &str) -> std::cmp::Ordering {
    match (exact(a), exact(b)) {
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

/// What a column is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum For {
    /// It is learned from, or says a number beside others.
    Cells,
    /// It alone is learned.
    Label,
    /// Nothing.
    Nothing,
}

#[derive(Debug)]
struct Seen {
    name: String,
    is_for: For,
    /// Whether its cells are texts whatever they look like, or numbers.
    is_texts: Option<bool>,
    /// Whether somebody says that they are names.
    are_names: bool,
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
    watch: Watch,
}

impl Columns {
    pub(super) fn new(
        names: Vec<String>,
        roles: &Roles,
        settings: &DataSettings,
        known: Option<&Description>,
    ) -> Self {
        let known: &[description::Column] = match known.map(|d| &d.input) {
            Some(Input::Table { columns }) => columns,
            _ => &[],
        };
        let seen = names.into_iter().enumerate().map(|(at, name)| {
            let said = known.iter().find(|c| c.name == name);
            let said = said.map(|c| matches!(c.kind, description::ColumnKind::Category { .. }));
            let listed = settings.categorical.contains(&name).then_some(true);
            Seen {
                is_texts: said.or(listed),
                are_names: listed.is_some(),
                is_for: match roles.label() {
                    Some(label) if label == at => For::Label,
                    _ if roles.are_read(at) => For::Cells,
                    _ => For::Nothing,
                },
                name,
                decimal: settings.decimal_sign(),
                numbers: 0,
                texts: 0,
                with_comma: 0,
                first_text: None,
                first_infinite: None,
                different: HashMap::new(),
                too_many: false,
                watch: Watch::default(),
            }
        });
        Self(seen.collect())
    }

    /// Takes note of a row.
    pub(super) fn look(&mut self, place: Place, cells: &StringRecord) -> Result<(), OwnDataError> {
        let read = cells.iter().zip(&mut self.0);
        for (cell, seen) in read.filter(|(_, seen)| seen.is_for != For::Nothing) {
            let cell = cell.trim();
            let is = match exact_with(cell, seen.decimal) {
                // Where somebody says that these are names, what is empty has none.
                Err(NoNumber::Missing) if seen.are_names && !cell.is_empty() => Err(NoNumber::Text),
                is => is,
            };
            seen.watch.look(cell, is);
            match is.and_then(rounded) {
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

    /// What each column holds, and what of it may be a mistake.
    pub(super) fn kinds(
        self,
        say: &Sayer<'_>,
    ) -> Result<Vec<(ColumnKind, Vec<Oddity>)>, OwnDataError> {
        let all = self.0.into_iter();
        all.map(|mut seen| {
            let watch = std::mem::take(&mut seen.watch);
            let (are_names, too_many) = (seen.are_names, seen.too_many);
            let kind = seen.kind(say)?;
            let oddities = match &kind {
                ColumnKind::Numbers => watch.of_numbers(),
                ColumnKind::Texts(_) if too_many => vec![Oddity::TooManyTexts],
                ColumnKind::Texts(texts) => watch.of_texts(texts, are_names),
            };
            Ok((kind, oddities))
        })
        .collect()
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
                let (sign, other) = match self.decimal {
                    ',' => ("comma", '.'),
                    _ => ("point", ','),
                };
                let error = differs(place, text, expected);
                return Err(error.advise(match number_with(text, other) {
                    Ok(_) => format!(
                        "the run reads numbers with a decimal {sign}, as those that it was trained on"
                    ),
                    Err(_) => "put a number there".to_owned(),
                }));
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
        // Of numbers that may be classes, what they are called is what stands there.
        let are_kept = self.is_for == For::Label && !self.too_many;
        if !is_texts {
            return match self.first_infinite {
                None if are_kept => Ok(ColumnKind::Texts(Texts::new(
                    self.different.into_keys().collect(),
                ))),
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
        let roles = Roles {
            inputs: vec![0],
            labels: Vec::new(),
            weights: None,
        };
        let mut columns = Columns::new(vec!["x".into()], &roles, settings, None);
        for (row, cell) in rows.iter().enumerate() {
            let line = row as u64 + 2;
            columns.look(Place { row, line }, &StringRecord::from(vec![*cell]))?;
        }
        let kinds = columns.kinds(&Sayer(Path::new("t.csv")))?;
        Ok(kinds.into_iter().map(|(kind, _)| kind).collect())
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
