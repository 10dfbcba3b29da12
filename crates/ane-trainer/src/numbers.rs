//! Numbers on the command line. A value that is none is answered by what was expected of it.

use std::{ops::RangeInclusive, time::Duration};

/// Most threads that are started; beyond them a typing error is likelier than intent.
const MOST_THREADS: u64 = 1_024;

/// A whole number within `range`.
pub(crate) fn whole(range: RangeInclusive<u64>) -> impl Fn(&str) -> Result<u64, String> + Clone {
    move |text| {
        let number = text.parse().ok().filter(|n| range.contains(n));
        number.ok_or_else(|| match (range.start(), range.end()) {
            (&0, &u64::MAX) => "expected a whole number".to_owned(),
            (least, &u64::MAX) => format!("expected a whole number of at least {least}"),
            (least, most) => format!("expected a whole number from {least} to {most}"),
        })
    }
}

/// A time, such as 90s, 10m or 2h; a number alone is seconds.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[number.len()..] {
        "" | "s" => Some(1.0),
        "m" | "min" => Some(60.0),
        "h" => Some(3_600.0),
        "d" => Some(86_400.0),
        _ => None,
    };
    let seconds = number
        .parse()
        .ok()
        .zip(unit)
        .map(|(n, unit): (f64, f64)| n * unit);
    let seconds = seconds.filter(|&s| s > 0.0 && s < 1e9);
    seconds
        .map(Duration::from_secs_f64)
        .ok_or_else(|| "expected a time such as 90s, 10m or 2h".to_owned())
}

/// A number of threads.
pub(crate) fn threads(text: &str) -> Result<usize, String> {
    let number = whole(1..=MOST_THREADS)(text)?;
    // Far below what fits.
    Ok(number as usize)
}

pub(crate) fn positive(text: &str) -> Result<f64, String> {
    number(text, "a number above 0", |x| x > 0.0)
}

pub(crate) fn not_negative(text: &str) -> Result<f64, String> {
    number(text, "a number of at least 0", |x| x >= 0.0)
}

/// A part that is not the whole.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    number(text, "a number from 0 up to 1", |x| (0.0..1.0).contains(&x))
}

fn number(text: &str, expected: &str, holds: impl Fn(f64) -> bool) -> Result<f64, String> {
    let number = text
        .parse()
        .ok()
        .filter(|&x: &f64| x.is_finite() && holds(x));
    number.ok_or_else(|| format!("expected {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_such_number_is_answered_by_what_was_expected() {
        assert_eq!(whole(1..=9)("9"), Ok(9));
        let said = whole(1..=9)("10").unwrap_err();
        assert_eq!(said, "expected a whole number from 1 to 9");
        let said = whole(1..=u64::MAX)("0").unwrap_err();
        assert_eq!(said, "expected a whole number of at least 1");
        let said = whole(0..=u64::MAX)("-1").unwrap_err();
        assert_eq!(said, "expected a whole number");
        assert_eq!(threads("1024"), Ok(1_024));
        assert!(threads("100000").is_err());
        assert_eq!(positive("0").unwrap_err(), "expected a number above 0");
        assert!(positive("nan").is_err() && positive("inf").is_err());
        assert_eq!(not_negative("0"), Ok(0.0));
        assert_eq!(share("1").unwrap_err(), "expected a number from 0 up to 1");
    }
}
