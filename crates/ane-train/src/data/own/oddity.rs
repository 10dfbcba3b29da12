//! What is seen of the cells of a column that may be a mistake, while they are read as text: numbers have lost digits later.

use super::cells::{NoNumber, Texts};
use serde::{Deserialize, Serialize};

/// What may be a mistake.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Oddity {
    /// Whole numbers one after the other, in any order, each once, and so in every row.
    CountsRows,
    /// Another text in every row that has one.
    NamesRows,
    /// More texts than there may be categories or classes; none of them is kept.
    TooManyTexts,
    /// A word that counts as an empty cell, and how many cells of such words there are.
    EmptyWord(String, u64),
    /// Texts that are all numbers with a sign behind or before them: one of them.
    LikeNumbers(String),
    /// Texts that are all days or times: one of them.
    LikeDates(String),
    /// A whole number that fp32 does not hold, and what it becomes.
    Rounded(String, f32),
}

/// What has been seen of a column.
#[derive(Debug, Default)]
pub(super) struct Watch {
    rows: u64,
    /// Cells that are not empty.
    full: u64,
    run: Run,
    rounded: Option<(String, f32)>,
    word: Option<(String, u64)>,
}

/// Whether whole numbers are one after the other: the sum of what each is scattered to is that of all of them.
#[derive(Debug)]
struct Run {
    are_whole: bool,
    least: i64,
    most: i64,
    sum: u64,
}

impl Default for Run {
    fn default() -> Self {
        Self {
            are_whole: true,
            least: i64::MAX,
            most: i64::MIN,
            sum: 0,
        }
    }
}

/// A number to which no other is scattered (splitmix64).
fn scattered(x: i64) -> u64 {
    let mut z = (x as u64).wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl Run {
    /// Numbers of which f64 holds every whole one.
    const EXACT: f64 = 9_007_199_254_740_992.0;

    fn look(&mut self, x: f64) {
        self.are_whole &= x.fract() == 0.0 && x.abs() < Self::EXACT;
        if self.are_whole {
            let x = x as i64;
            self.least = self.least.min(x);
            self.most = self.most.max(x);
            self.sum = self.sum.wrapping_add(scattered(x));
        }
    }

    fn is_of(&self, count: u64) -> bool {
        self.are_whole
            && self.least <= self.most
            && self.least.abs_diff(self.most) + 1 == count
            && (self.least..=self.most).fold(0_u64, |sum, x| sum.wrapping_add(scattered(x)))
                == self.sum
    }
}

impl Watch {
    /// Takes note of a cell, and of what it is as a number.
    pub(super) fn look(&mut self, cell: &str, is: Result<f64, NoNumber>) {
        self.rows += 1;
        self.full += u64::from(is != Err(NoNumber::Missing));
        if is == Err(NoNumber::Missing) && !cell.is_empty() {
            self.word.get_or_insert_with(|| (cell.to_owned(), 0)).1 += 1;
        }
        let Ok(x) = is else { return };
        self.run.look(x);
        if self.rounded.is_none() && x.fract() == 0.0 && !is_held(cell, x) {
            self.rounded = Some((cell.to_owned(), x as f32));
        }
    }

    /// What may be a mistake in a column of numbers.
    pub(super) fn of_numbers(&self) -> Vec<Oddity> {
        let counts = self.full == self.rows && self.run.is_of(self.rows);
        let counts = counts.then_some(Oddity::CountsRows);
        let rounded = self.rounded.clone();
        let rounded = rounded.map(|(number, becomes)| Oddity::Rounded(number, becomes));
        counts.or(rounded).into_iter().chain(self.word()).collect()
    }

    /// What may be one in a column of texts, unless somebody says that they are names.
    pub(super) fn of_texts(&self, texts: &Texts, are_names: bool) -> Vec<Oddity> {
        let like = || match texts.all.first() {
            Some(first) if texts.all.iter().all(|t| is_like_a_number(t)) => {
                Some(Oddity::LikeNumbers(first.clone()))
            }
            Some(first) if texts.all.iter().all(|t| is_like_a_date(t)) => {
                Some(Oddity::LikeDates(first.clone()))
            }
            _ => None,
        };
        let is_each_another = texts.all.len() as u64 == self.full;
        let names = || is_each_another.then_some(Oddity::NamesRows);
        let like = if are_names { None } else { like() };
        like.or_else(names).into_iter().chain(self.word()).collect()
    }

    fn word(&self) -> Option<Oddity> {
        let (word, count) = self.word.clone()?;
        Some(Oddity::EmptyWord(word, count))
    }
}

/// Whether a text is a number with a sign of its unit, or with signs between thousands.
fn is_like_a_number(text: &str) -> bool {
    const SIGNS: [char; 8] = ['%', '‰', '$', '€', '£', '¥', '\'', '\u{a0}'];
    let bare: String = text.chars().filter(|c| !SIGNS.contains(c)).collect();
    let bare = bare.replace([',', ' '], "");
    bare.len() < text.len() && bare.parse::<f64>().is_ok_and(f64::is_finite)
}

/// Whether a text is a day, with its year in four digits, or a time.
fn is_like_a_date(text: &str) -> bool {
    let digits = |part: &str, most: usize| {
        (1..=most).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit())
    };
    let is_time = |text: &str| {
        let text = text.trim_end_matches(['Z', 'z']);
        let parts: Vec<&str> = text.split(':').collect();
        let [whole @ .., last] = &parts[..] else {
            return false;
        };
        let last = last.split_once('.').map_or(*last, |(seconds, _)| seconds);
        (1..=2).contains(&whole.len()) && whole.iter().all(|p| digits(p, 2)) && digits(last, 2)
    };
    let is_day = |text: &str| {
        let parts: Vec<&str> = text.split(['-', '/', '.']).collect();
        let is_year = |part: &str| part.len() == 4 && digits(part, 4);
        match parts[..] {
            [a, b, c] => digits(b, 2) && (is_year(a) && digits(c, 2) || is_year(c) && digits(a, 2)),
            _ => false,
        }
    };
    match text.split_once(['T', ' ']) {
        Some((day, time)) => is_day(day) && is_time(time),
        None => is_day(text) || is_time(text),
    }
}

/// Whether fp32 holds a whole number as it stands there.
pub(super) fn is_held(cell: &str, x: f64) -> bool {
    match cell.parse::<i128>() {
        Ok(whole) => (x as f32) as i128 == whole,
        Err(_) => f64::from(x as f32) == x,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(all: impl Iterator<Item = i64>) -> Vec<Oddity> {
        let mut watch = Watch::default();
        all.for_each(|x| watch.look(&x.to_string(), Ok(x as f64)));
        watch.of_numbers()
    }

    #[test]
    fn numbers_of_rows_are_known_in_any_order_and_of_any_size() {
        for from in [0, 20_000_000, 1 << 50] {
            let all = (0..100).map(|i| from + i * 7 % 100);
            assert_eq!(numbers(all), [Oddity::CountsRows], "{from}");
        }
        // One of them twice, and as many as there should be.
        let twice = (0..100).map(|i| if i == 50 { 51 } else { i });
        assert_eq!(numbers(twice), []);
        assert_eq!(numbers((0..100).map(|i| 2 * i)), []);
    }

    #[test]
    fn numbers_with_signs_and_days_are_known_from_names() {
        for text in ["12%", "$ 5", "1,234.5", "-3 €", "1 000"] {
            assert!(is_like_a_number(text), "{text}");
        }
        for text in ["12", "a1", "%", "12 kg", "1e999%"] {
            assert!(!is_like_a_number(text), "{text}");
        }
        for text in [
            "2024-01-31",
            "31.1.2024",
            "1/31/2024",
            "2024-01-31T10:00:00.5Z",
            "9:30",
        ] {
            assert!(is_like_a_date(text), "{text}");
        }
        for text in [
            "555-12-1234",
            "1.2.3",
            "2024",
            "a-b-c",
            ":",
            "2024-01-31 noon",
        ] {
            assert!(!is_like_a_date(text), "{text}");
        }
    }

    #[test]
    fn the_first_number_that_loses_digits_is_kept() {
        let seconds = (0..100).map(|i| 1_700_000_000 + 60 * i);
        let found = numbers(seconds);
        assert_eq!(
            found,
            [Oddity::Rounded("1700000060".into(), 1_700_000_000.0)]
        );
        assert_eq!(numbers([1 << 24, 1 << 30, 3 << 40].into_iter()), []);
        assert_eq!(
            numbers([(1 << 60) + 1].into_iter()),
            [Oddity::Rounded(
                "1152921504606846977".into(),
                (1_u64 << 60) as f32
            )]
        );
    }
}
