//! What looks like a mistake in examples that can be read all the same.

use super::{
    OwnDataError,
    error::{Sayer, quoted},
    raw::{Layout, Raw, RawColumn, RawTargets},
};

/// Rows from which it is no chance that each is another.
const ROWS: usize = 20;
/// Examples from which a class can be learned and judged by.
const FEW: usize = 5;
/// Classes that are named.
const NAMED: usize = 5;

/// A note for each thing that looks like a mistake, with what can be done.
pub(super) fn notes(raw: &Raw, say: &Sayer<'_>) -> Result<Vec<String>, OwnDataError> {
    let mut notes = match &raw.layout {
        Layout::Table(columns) => of_columns(raw, columns, say)?,
        Layout::Image { .. } | Layout::Array(_) => Vec::new(),
    };
    notes.extend(few(raw));
    Ok(notes)
}

/// What is seen of the numbers of a column.
#[derive(Clone, Copy)]
struct Seen {
    least: f32,
    most: f32,
    are_whole: bool,
    count: usize,
}

/// Columns that tell rows apart and nothing else.
fn of_columns(
    raw: &Raw,
    columns: &[RawColumn],
    say: &Sayer<'_>,
) -> Result<Vec<String>, OwnDataError> {
    let mut notes = Vec::new();
    let are_named = !columns.iter().all(|c| c.name == c.at.to_string());
    let is_unnamed = |c: &RawColumn| are_named && c.at == 0 && c.name == "0";
    if columns.iter().any(is_unnamed) {
        notes.push(
            "the first column has no name, as the index that pandas writes: pass --ignore 0 to leave it out"
                .to_owned(),
        );
    }
    if raw.len() < ROWS {
        return Ok(notes);
    }
    let (mut scratch, mut record) = (Vec::new(), Vec::new());
    let nothing = Seen {
        least: f32::INFINITY,
        most: f32::NEG_INFINITY,
        are_whole: true,
        count: 0,
    };
    let mut seen = vec![nothing; columns.len()];
    for i in 0..raw.len() {
        let read = raw.inputs.values(i, &mut scratch, &mut record);
        read.map_err(|e| say.whole(e))?;
        for (column, seen) in columns.iter().zip(&mut seen) {
            let x = record[column.at];
            if x.is_nan() {
                continue;
            }
            seen.count += 1;
            seen.least = seen.least.min(x);
            seen.most = seen.most.max(x);
            seen.are_whole &= x.fract() == 0.0;
        }
    }
    for (column, seen) in columns.iter().zip(&seen) {
        let name = quoted(&column.name);
        if is_unnamed(column) || seen.count < ROWS {
            continue;
        }
        let is_id = match &column.texts {
            Some(texts) => texts.len() == seen.count,
            None => {
                let span = seen.most - seen.least + 1.0;
                let fits = seen.are_whole && span == raw.len() as f32 && seen.count == raw.len();
                fits && are_different(raw, column.at, seen.least, say)?
            }
        };
        if is_id {
            let what = match column.texts {
                Some(_) => "has another text in every row",
                None => "numbers the rows",
            };
            notes.push(format!(
                "column `{}` {what}, of which nothing can be learned: pass --ignore {name} to leave it out",
                column.name
            ));
        }
    }
    Ok(notes)
}

/// Whether each of the whole numbers from `least` on is there once.
fn are_different(raw: &Raw, at: usize, least: f32, say: &Sayer<'_>) -> Result<bool, OwnDataError> {
    let (mut scratch, mut record) = (Vec::new(), Vec::new());
    let mut is_there = vec![false; raw.len()];
    for i in 0..raw.len() {
        let read = raw.inputs.values(i, &mut scratch, &mut record);
        read.map_err(|e| say.whole(e))?;
        match is_there.get_mut((record[at] - least) as usize) {
            Some(there) if !*there => *there = true,
            _ => return Ok(false),
        }
    }
    Ok(true)
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
    use crate::data::own::{DataSettings, inspect, read};

    fn notes(text: &str) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.csv");
        std::fs::write(&path, text).unwrap();
        let raw = read(&path, &DataSettings::default(), None).unwrap();
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
