//! What looks like a mistake in examples that can be read all the same.

use super::{
    OwnDataError,
    error::{Sayer, quoted},
    oddity::{Oddity, is_held},
    raw::{Layout, Raw, RawColumn, RawTargets},
};

/// Rows from which it is no chance that each is another.
const ROWS: usize = 20;
/// From here on fp32 holds some whole numbers only.
const EXACT: f32 = 16_777_216.0;
/// Examples from which a class can be learned and judged by.
const FEW: usize = 5;
/// Classes that are named.
const NAMED: usize = 5;

/// A note for each thing that looks like a mistake, with what can be done.
pub(super) fn notes(raw: &Raw, say: &Sayer<'_>) -> Result<Vec<String>, OwnDataError> {
    let mut notes = match &raw.layout {
        Layout::Table(columns) => of_columns(raw, columns),
        Layout::Array(shape) => {
            let digits = of_array(raw, say)?;
            channels_last(shape).into_iter().chain(digits).collect()
        }
        Layout::Image { .. } => Vec::new(),
    };
    notes.extend(few(raw));
    if raw.others > 0 {
        notes.push(format!(
            "{} of the files are no PNG or JPEG by their names, and are left out",
            raw.others
        ));
    }
    Ok(notes)
}

/// Columns that tell rows apart and nothing else, and those that lose digits.
fn of_columns(raw: &Raw, columns: &[RawColumn]) -> Vec<String> {
    let mut notes = Vec::new();
    let are_named = !columns.iter().all(|c| c.name == c.at.to_string());
    let is_unnamed = |c: &RawColumn| are_named && c.at == 0 && c.name == "0";
    if columns.iter().any(is_unnamed) {
        notes.push(
            "the first column has no name, as the index that pandas writes: pass --ignore 0 to leave it out"
                .to_owned(),
        );
    }
    for column in columns.iter().filter(|c| !is_unnamed(c)) {
        let name = quoted(&column.name);
        let tells_rows_apart = |what: &str| {
            (raw.len() >= ROWS).then(|| {
                format!(
                    "column `{}` {what}, of which nothing can be learned: pass --ignore {name} to leave it out",
                    column.name
                )
            })
        };
        notes.extend(column.oddities.iter().filter_map(|oddity| match oddity {
            Oddity::CountsRows => tells_rows_apart("numbers the rows"),
            Oddity::NamesRows => tells_rows_apart("has another text in every row"),
            Oddity::EmptyWord(word, count) if column.texts.is_some() => Some(format!(
                "column `{}`: `{word}` counts as an empty cell ({count} such): pass --categorical {name} to take it as a text",
                column.name
            )),
            Oddity::EmptyWord(..) | Oddity::TooManyTexts => None,
            Oddity::LikeNumbers(text) => Some(format!(
                "column `{}` looks like numbers and is read as texts such as `{text}`, an input for each: leave the signs out, or pass --categorical {name} if these are names",
                column.name
            )),
            Oddity::LikeDates(text) => Some(format!(
                "column `{}` looks like dates or times and is read as texts such as `{text}`, an input for each: write numbers, such as days, or pass --ignore {name}, or --categorical {name} if these are names",
                column.name
            )),
            Oddity::Rounded(number, becomes) => Some(format!(
                "column `{}`: {} to leave differences that it has digits for, or pass --categorical {name} if these are names",
                column.name,
                loses_digits(number, *becomes),
            )),
        }));
    }
    notes
}

/// What becomes of a number that fp32 does not hold, and what can be done.
fn loses_digits(number: &str, becomes: f32) -> String {
    format!(
        "{number} becomes {}, as fp32 holds whole numbers up to 16777216: take the smallest off",
        f64::from(becomes)
    )
}

/// Arrays that look like images with their channels last, where the first axis is read as the channels.
fn channels_last(shape: &[usize]) -> Option<String> {
    let are_channels = |n: usize| matches!(n, 1 | 3 | 4);
    match shape {
        [first, _, last] if are_channels(*last) && !are_channels(*first) => Some(format!(
            "arrays of {shape:?} are read with their first axis as channels: if the last axis holds them, save numpy.moveaxis(x, -1, 1)"
        )),
        _ => None,
    }
}

/// A whole number of an array that loses digits.
fn of_array(raw: &Raw, say: &Sayer<'_>) -> Result<Option<String>, OwnDataError> {
    let element = raw.inputs.element();
    if !element.is_integer() || element.size() < 4 {
        return Ok(None);
    }
    let mut scratch = Vec::new();
    let mut widened = Vec::with_capacity(1);
    for i in 0..raw.len() {
        let bytes = raw.inputs.bytes(i, &mut scratch);
        for one in bytes
            .map_err(|e| say.whole(e))?
            .chunks_exact(element.size())
        {
            widened.clear();
            element.widen(one, &mut widened);
            if let &[becomes] = &widened[..]
                && becomes.abs() >= EXACT
                && let text = element.text(one)
                && !is_held(&text, becomes.into())
            {
                return Ok(Some(format!(
                    "{} to leave differences that it has digits for",
                    loses_digits(&text, becomes)
                )));
            }
        }
    }
    Ok(None)
}

/// Classes with next to no examples.
fn few(raw: &Raw) -> Option<String> {
    let Some(RawTargets::Classes { names, classes }) = &raw.targets else {
        return None;
    };
    let mut counts = vec![0_usize; names.len()];
    for (i, &class) in classes.iter().enumerate() {
        if raw.dropped.binary_search(&(i as u32)).is_err() {
            counts[class as usize] += 1;
        }
    }
    let few: Vec<String> = names
        .iter()
        .zip(counts)
        .filter(|(_, n)| *n < FEW)
        .map(|(name, n)| format!("`{name}` ({n})"))
        .collect();
    if few.is_empty() {
        return None;
    }
    let more = match few.len().saturating_sub(NAMED) {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    let shown = few[..few.len().min(NAMED)].join(", ");
    Some(format!(
        "fewer than {FEW} examples of {shown}{more}: too few to learn a class and to judge by it"
    ))
}

#[cfg(test)]
mod tests {
    use crate::data::own::{DataSettings, Missing, inspect, read};

    fn notes(text: &str) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.csv");
        std::fs::write(&path, text).unwrap();
        let settings = DataSettings {
            missing: Some(Missing::Zero),
            ..DataSettings::default()
        };
        let raw = read(&path, &settings, None).unwrap();
        inspect(&path, &raw).unwrap().notes
    }

    /// A table of thirty rows.
    fn table(head: &str, row: impl Fn(usize) -> String) -> String {
        let rows: String = (0..30).map(|i| row(i) + "\n").collect();
        format!("{head}\n{rows}")
    }

    #[test]
    fn what_tells_rows_apart_is_named() {
        let found = notes(&table("customer id,full name,age,label", |i| {
            // In another order, as ids of a table that was shuffled.
            format!("{},n{i},{},{}", 100 + i * 7 % 30, i % 9, i % 2)
        }));
        assert_eq!(
            found,
            [
                "column `customer id` numbers the rows, of which nothing can be learned: pass --ignore 'customer id' to leave it out",
                "column `full name` has another text in every row, of which nothing can be learned: pass --ignore 'full name' to leave it out",
            ]
        );
        let found = notes(&table(",age,label", |i| format!("{i},{},{}", i % 9, i % 2)));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("has no name") && found[0].contains("--ignore 0"));
        let plain = table("a,b,label", |i| format!("{i}.5,{},{}", i / 2, i % 2));
        assert!(notes(&plain).is_empty());
        let found = notes(&table("share,day,note,label", |i| {
            let note = ["None", "some", "NA", "much"][i % 4];
            format!("{}%,2024-01-{:02},{note},{}", i % 9, 1 + i % 28, i % 2)
        }));
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(
            found[0]
                .starts_with("column `share` looks like numbers and is read as texts such as `0%`")
        );
        assert!(found[1].starts_with("column `day` looks like dates or times"));
        assert_eq!(
            found[2],
            "column `note`: `None` counts as an empty cell (15 such): pass --categorical note to take it as a text"
        );
        // Of any size: fp32 has not the digits of these.
        let found = notes(&table("id,time,label", |i| {
            format!(
                "{},{},{}",
                20_000_000 + i,
                1_700_000_000 + 60 * (i / 2),
                i % 2
            )
        }));
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("column `id` numbers the rows"));
        assert_eq!(
            found[1],
            "column `time`: 1700000060 becomes 1700000000, as fp32 holds whole numbers up to 16777216: take the smallest off to leave differences that it has digits for, or pass --categorical time if these are names"
        );
        // Names of places are no missing names.
        let places = table("0.5,7,x", |i| {
            format!("{i}.5,{},{}", i / 2, ["x", "y"][i % 2])
        });
        assert!(notes(&places).is_empty());
    }

    #[test]
    fn classes_with_next_to_no_examples_are_named() {
        let found = notes(&table("a,label", |i| {
            let class = if i < 3 { "rare" } else { ["x", "y"][i % 2] };
            format!("{i}.5,{class}")
        }));
        assert_eq!(
            found,
            ["fewer than 5 examples of `rare` (3): too few to learn a class and to judge by it"]
        );
    }
}
