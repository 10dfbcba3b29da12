//! A table of numbers as examples: what a row is, and what is learned of it.

use super::{
    OwnDataError, cells,
    error::{Problem, Sayer, quoted},
    oddity::Oddity,
    raw::{Layout, Raw, RawColumn, RawTargets},
    roles::Roles,
    rows::Rows,
    settings::{DataSettings, Missing, TaskSetting},
};
use crate::data::description::Description;
use std::path::Path;

/// Most different whole numbers that are taken for classes, if nobody says what they are.
const FEW: usize = 20;
/// Most classes that a table may have.
const MOST_CLASSES: usize = 4_096;

/// Rows of numbers with named columns.
#[derive(Debug)]
pub(super) struct Table {
    /// The columns; cells of texts are indices.
    pub(super) columns: Vec<RawColumn>,
    /// The rows, in fp32.
    pub(super) rows: Rows,
}

/// Columns with these names and kinds, in their places.
pub(super) fn columns<'a>(
    all: impl Iterator<Item = (String, &'a (cells::ColumnKind, Vec<Oddity>))>,
) -> Vec<RawColumn> {
    all.enumerate()
        .map(|(at, (name, (kind, oddities)))| RawColumn {
            name,
            at,
            texts: match kind {
                cells::ColumnKind::Numbers => None,
                cells::ColumnKind::Texts(texts) => Some(texts.all.clone()),
            },
            oddities: oddities.clone(),
        })
        .collect()
}

/// The examples of a table.
pub(super) fn into_raw(
    table: Table,
    roles: &Roles,
    path: &Path,
    settings: &DataSettings,
    known: Option<&Description>,
) -> Result<Raw, OwnDataError> {
    let say = Sayer(path);
    let of = |places: &[usize]| -> Vec<RawColumn> {
        let columns = places.iter().map(|&at| table.columns[at].clone());
        columns.collect()
    };
    let (inputs, labels) = (of(&roles.inputs), of(&roles.labels));
    for column in &inputs {
        if column.oddities.contains(&Oddity::TooManyTexts) {
            return Err(say
                .at(
                    format!("column `{}`", column.name),
                    Problem::TooMany {
                        what: "different texts".into(),
                        most: 4_096,
                        found: 4_097,
                    },
                )
                .advise(format!(
                    "pass --ignore '{}' if it is a name or a number of each row",
                    column.name
                )));
        }
    }
    for column in &labels {
        if column.oddities.contains(&Oddity::TooManyTexts) {
            return Err(too_many_classes(column, MOST_CLASSES + 1, &say));
        }
    }
    let dropped = missing(&table, (&inputs, &labels), settings, known, &say)?;
    let column = |at: usize| values(&table.rows, at, &say);
    let targets = match &labels[..] {
        [] => None,
        [one] => Some(target(one, column(one.at)?, &dropped, settings, &say)?),
        several => {
            if let Some(column) = several.iter().find(|c| c.texts.is_some()) {
                return Err(no_values(column, &say).advise(
                    "several columns are learned as numbers: leave this one out of --label",
                ));
            }
            let columns = several.iter().map(|c| column(c.at));
            let columns = columns.collect::<Result<Vec<_>, _>>()?;
            Some(RawTargets::Values {
                names: several.iter().map(|c| c.name.clone()).collect(),
                rows: (0..table.rows.len())
                    .flat_map(|i| columns.iter().map(move |c| c[i]))
                    .collect(),
            })
        }
    };
    Ok(Raw {
        weights: roles.weights.map(column).transpose()?,
        label: (!labels.is_empty()).then(|| {
            let names = labels.iter().map(|c| c.name.as_str());
            names.collect::<Vec<_>>().join(",")
        }),
        layout: Layout::Table(inputs),
        inputs: table.rows,
        targets,
        dropped,
        others: 0,
        names: None,
    })
}

/// The cells of a column.
fn values(rows: &Rows, at: usize, say: &Sayer<'_>) -> Result<Vec<f32>, OwnDataError> {
    let (mut scratch, mut record) = (Vec::new(), Vec::new());
    let mut column = Vec::with_capacity(rows.len());
    for i in 0..rows.len() {
        rows.values(i, &mut scratch, &mut record)
            .map_err(|e| say.whole(e))?;
        column.push(record[at]);
    }
    Ok(column)
}

/// The rows that are left out because a cell of theirs is empty, or an error where that is what is asked for.
fn missing(
    table: &Table,
    (inputs, labels): (&[RawColumn], &[RawColumn]),
    settings: &DataSettings,
    known: Option<&Description>,
    say: &Sayer<'_>,
) -> Result<Vec<u32>, OwnDataError> {
    let rule = settings.missing.unwrap_or_default();
    let (mut scratch, mut record) = (Vec::new(), Vec::new());
    let mut dropped = Vec::new();
    let (mut first, mut count) = (None, 0_u64);
    for i in 0..table.rows.len() {
        let read = table.rows.values(i, &mut scratch, &mut record);
        read.map_err(|e| say.whole(e))?;
        let input = inputs.iter().find(|c| record[c.at].is_nan());
        let label = labels.iter().find(|c| record[c.at].is_nan());
        if rule == Missing::Drop && (input.is_some() || label.is_some()) {
            dropped.push(i as u32);
            continue;
        }
        let refused = match rule {
            Missing::Refuse => label.or(input),
            Missing::Drop | Missing::Mean | Missing::Zero => label,
        };
        if let Some(column) = refused {
            count += 1;
            first.get_or_insert((i, column, label.is_some()));
        }
    }
    let Some((row, column, is_label)) = first else {
        if dropped.len() == table.rows.len() {
            return Err(say
                .content("has an empty cell in every row")
                .advise("pass --missing mean, or --ignore for columns that are empty"));
        }
        return Ok(dropped);
    };
    let more = match count {
        1 => String::new(),
        n => format!("the first of {n} such rows, "),
    };
    let is_text = column.texts.is_some();
    let rules = match (known, is_label) {
        (Some(_), false) => {
            "fill it, or train with --missing mean or zero, which a run keeps to when it is asked"
        }
        (Some(_), true) => "fill it, or leave such rows out of the file",
        (None, true) => "--missing drop leaves such rows out",
        (None, false) if is_text => {
            "--missing drop leaves such rows out, --missing zero reads them as none of the column's texts, --ignore leaves the column out"
        }
        (None, false) => {
            "--missing drop leaves such rows out, --missing mean puts the column's mean there, --missing zero puts 0, --ignore leaves the column out"
        }
    };
    let word = column.oddities.iter().find_map(|oddity| match oddity {
        Oddity::EmptyWord(word, _) => Some(word),
        _ => None,
    });
    let (cell, rules) = match word {
        None => ("the cell is empty".to_owned(), rules.to_owned()),
        Some(word) if !is_text => (
            format!("the cell is empty, as which `{word}` counts too"),
            rules.to_owned(),
        ),
        Some(word) => (
            format!("the cell is empty, as which `{word}` counts too"),
            format!(
                "{rules}, --categorical {} takes `{word}` as a text",
                quoted(&column.name)
            ),
        ),
    };
    Err(say
        .in_row(
            row,
            format!("{more}column `{}`", column.name),
            Problem::Content(cell),
        )
        .advise(rules))
}

fn no_values(column: &RawColumn, say: &Sayer<'_>) -> OwnDataError {
    say.at(
        format!("column `{}`", column.name),
        Problem::Content("holds texts, which are no values".into()),
    )
}

fn too_many_classes(column: &RawColumn, found: usize, say: &Sayer<'_>) -> OwnDataError {
    say.at(
        format!("column `{}`", column.name),
        Problem::TooMany {
            what: "classes".into(),
            most: MOST_CLASSES as u64,
            found: found as u64,
        },
    )
    .advise("name another --label, or pass --task values to learn numbers")
}

/// What a column says of each example.
pub(super) fn target(
    column: &RawColumn,
    cells: Vec<f32>,
    dropped: &[u32],
    settings: &DataSettings,
    say: &Sayer<'_>,
) -> Result<RawTargets, OwnDataError> {
    let values = |rows| RawTargets::Values {
        names: vec![column.name.clone()],
        rows,
    };
    let Some(texts) = &column.texts else {
        // More of them than there may be classes.
        return match settings.task {
            Some(TaskSetting::Classes) => Err(too_many_classes(column, MOST_CLASSES + 1, say)),
            Some(TaskSetting::Values) | None => Ok(values(cells)),
        };
    };
    let is_named = settings.categorical.contains(&column.name);
    let numbers: Option<Vec<f64>> = texts
        .iter()
        .map(|text| cells::exact_with(text, settings.decimal_sign()).ok())
        .collect();
    let Some(numbers) = numbers.filter(|_| !is_named) else {
        if settings.task == Some(TaskSetting::Values) {
            return Err(no_values(column, say).advise("name another --label, or leave --task out"));
        }
        return Ok(classes(texts, cells, dropped));
    };
    let used = used(texts.len(), &cells, dropped);
    let are_whole = |at: &usize| numbers[*at].fract() == 0.0;
    let are_classes = match settings.task {
        Some(TaskSetting::Classes) => true,
        Some(TaskSetting::Values) => false,
        None => used.len() <= FEW && used.iter().all(are_whole),
    };
    if are_classes {
        return Ok(classes(texts, cells, dropped));
    }
    let number = |x: f32| match x.is_nan() {
        true => f32::NAN,
        false => numbers[x as usize] as f32,
    };
    Ok(values(cells.into_iter().map(number).collect()))
}

/// Which of so many texts are those of rows that are not left out, in order.
fn used(texts: usize, cells: &[f32], dropped: &[u32]) -> Vec<usize> {
    let mut is_used = vec![false; texts];
    for (i, x) in cells.iter().enumerate() {
        if !x.is_nan() && dropped.binary_search(&(i as u32)).is_err() {
            is_used[*x as usize] = true;
        }
    }
    (0..texts).filter(|&at| is_used[at]).collect()
}

/// Texts as classes: those of rows that are not left out, the others being the first.
fn classes(texts: &[String], cells: Vec<f32>, dropped: &[u32]) -> RawTargets {
    let used = used(texts.len(), &cells, dropped);
    let class = |x: f32| match x.is_nan() {
        true => 0,
        false => used.binary_search(&(x as usize)).unwrap_or(0) as u32,
    };
    RawTargets::Classes {
        names: used.iter().map(|&at| texts[at].clone()).collect(),
        classes: cells.into_iter().map(class).collect(),
    }
}
