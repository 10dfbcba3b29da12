//! A table of numbers as examples: which column is learned, which are learned from.

use super::{
    OwnDataError,
    cells::{self, compare},
    error::{Problem, Sayer},
    raw::{Layout, Raw, RawColumn, RawTargets},
    rows::Rows,
    settings::{DataSettings, Missing, TaskSetting},
};
use crate::data::description::{Description, Input};
use std::path::Path;

/// Names by which a column is taken for the one that is learned, if nobody says which it is.
const LABELS: [&str; 6] = ["label", "labels", "target", "class", "y", "species"];
/// Most different whole numbers that are taken for classes, if nobody says what they are.
const FEW: usize = 20;
/// Most classes that a table may have.
const MOST_CLASSES: usize = 4_096;

/// What may stand between cells, and how a shell takes it.
const DIVIDING: [(char, &str); 6] = [
    (';', "';'"),
    ('\t', "$'\\t'"),
    ('|', "'|'"),
    (',', ","),
    (':', ":"),
    (' ', "' '"),
];

/// Rows of numbers with named columns.
#[derive(Debug)]
pub(super) struct Table {
    /// The columns; cells of texts are indices.
    pub(super) columns: Vec<RawColumn>,
    /// The rows, in fp32.
    pub(super) rows: Rows,
    /// Whether the columns have names of their own.
    pub(super) is_named: bool,
}

/// Columns with these names and kinds, in their places.
pub(super) fn columns<'a>(
    all: impl Iterator<Item = (String, &'a cells::ColumnKind)>,
) -> Vec<RawColumn> {
    all.enumerate()
        .map(|(at, (name, kind))| RawColumn {
            name,
            at,
            texts: match kind {
                cells::ColumnKind::Numbers => None,
                cells::ColumnKind::Texts(texts) => Some(texts.all.clone()),
            },
        })
        .collect()
}

/// The examples of a table.
pub(super) fn into_raw(
    mut table: Table,
    path: &Path,
    settings: &DataSettings,
    known: Option<&Description>,
) -> Result<Raw, OwnDataError> {
    let say = Sayer(path);
    if let Some(Input::Table { columns }) = known.map(|d| &d.input)
        && !table.is_named
        && table.columns.len() == columns.len()
    {
        // Inputs alone, whose places are not those of a table with its label.
        for (column, known) in table.columns.iter_mut().zip(columns) {
            column.name.clone_from(&known.name);
        }
    }
    let labels = labels(&table, settings, known, &say)?;
    let weights = match &settings.example_weights {
        Some(name) if known.is_none() || position(&table.columns, name).is_some() => {
            Some(must_have(&table.columns, name, &say)?)
        }
        _ => None,
    };
    for name in settings.ignore.iter().chain(&settings.categorical) {
        if known.is_none() {
            must_have(&table.columns, name, &say)?;
        }
    }
    let is_input = |column: &&RawColumn| {
        !labels.contains(&column.at)
            && weights != Some(column.at)
            && !settings.ignore.contains(&column.name)
    };
    let inputs: Vec<RawColumn> = table.columns.iter().filter(is_input).cloned().collect();
    if inputs.is_empty() {
        return Err(say
            .content("has no column to learn from")
            .advise("leave something out of --ignore, or name another --label"));
    }
    for column in &inputs {
        if column.texts.as_ref().is_some_and(Vec::is_empty) {
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
    for column in labels.iter().map(|&at| &table.columns[at]) {
        if column.texts.as_ref().is_some_and(Vec::is_empty) {
            return Err(too_many_classes(column, MOST_CLASSES + 1, &say));
        }
    }
    let dropped = missing(&table, &inputs, &labels, settings, &say)?;
    let column = |at: usize| values(&table.rows, at, &say);
    let targets = match &labels[..] {
        [] => None,
        [one] => Some(target(
            &table.columns[*one],
            column(*one)?,
            &dropped,
            settings,
            &say,
        )?),
        several => {
            let names = several.iter().map(|&at| table.columns[at].name.clone());
            let columns = several.iter().map(|&at| column(at));
            let columns = columns.collect::<Result<Vec<_>, _>>()?;
            Some(RawTargets::Values {
                names: names.collect(),
                rows: (0..table.rows.len())
                    .flat_map(|i| columns.iter().map(move |c| c[i]))
                    .collect(),
            })
        }
    };
    Ok(Raw {
        weights: weights.map(column).transpose()?,
        label: (!labels.is_empty()).then(|| {
            let names = labels.iter().map(|&at| table.columns[at].name.as_str());
            names.collect::<Vec<_>>().join(",")
        }),
        layout: Layout::Table(inputs),
        inputs: table.rows,
        targets,
        dropped,
        names: None,
    })
}

fn position(columns: &[RawColumn], name: &str) -> Option<usize> {
    columns.iter().position(|c| c.name == name)
}

/// The place of a column that is called by it, from the end where it is negative.
pub(super) fn place(name: &str, columns: usize) -> Option<usize> {
    let place: i64 = name.parse().ok()?;
    let from_end = place.checked_add(columns as i64);
    let place = if place < 0 { from_end? } else { place };
    usize::try_from(place).ok().filter(|&at| at < columns)
}

/// The column called `name`, or at this place.
fn must_have(columns: &[RawColumn], name: &str, say: &Sayer<'_>) -> Result<usize, OwnDataError> {
    let found = position(columns, name).or_else(|| place(name, columns.len()));
    found.ok_or_else(|| {
        say.whole(Problem::Missing {
            what: "column",
            asked: name.to_owned(),
            known: columns.iter().map(|c| c.name.clone()).collect(),
        })
    })
}

/// The columns that are learned; none where a file holds inputs alone.
fn labels(
    table: &Table,
    settings: &DataSettings,
    known: Option<&Description>,
    say: &Sayer<'_>,
) -> Result<Vec<usize>, OwnDataError> {
    let columns = &table.columns;
    if let Some(asked) = &settings.label {
        let names: Vec<&str> = match position(columns, asked) {
            Some(_) => vec![asked],
            None => asked.split(',').map(str::trim).collect(),
        };
        let found: Result<Vec<usize>, _> = names
            .iter()
            .map(|name| match known {
                // A place means another column where the label is missing.
                Some(_) => position(columns, name).ok_or(None),
                None => must_have(columns, name, say).map_err(Some),
            })
            .collect();
        return match found {
            Ok(found) => Ok(found),
            Err(None) => Ok(Vec::new()),
            Err(Some(e)) => Err(e),
        };
    }
    if known.is_some() {
        return Ok(Vec::new());
    }
    if columns.len() < 2 {
        let name = &columns[0].name;
        let divides = |d: &&(char, &str)| name.contains(d.0);
        return Err(say
            .content(format!("has the column `{name}` alone"))
            .advise(match DIVIDING.iter().find(divides) {
                Some((_, flag)) => format!("its cells look as if they were divided otherwise: pass --delimiter {flag}"),
                None => "pass a table with columns to learn from and one to learn, and --delimiter if cells are divided by something unusual".to_owned(),
            }));
    }
    let by_name = LABELS.iter().find_map(|label| {
        let is = |c: &RawColumn| c.name.eq_ignore_ascii_case(label);
        columns.iter().position(is)
    });
    Ok(vec![by_name.unwrap_or(columns.len() - 1)])
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
    inputs: &[RawColumn],
    labels: &[usize],
    settings: &DataSettings,
    say: &Sayer<'_>,
) -> Result<Vec<u32>, OwnDataError> {
    let rule = settings.missing.unwrap_or_default();
    let (mut scratch, mut record) = (Vec::new(), Vec::new());
    let mut dropped = Vec::new();
    let (mut first, mut count) = (None, 0_u64);
    for i in 0..table.rows.len() {
        let read = table.rows.values(i, &mut scratch, &mut record);
        read.map_err(|e| say.whole(e))?;
        // A text that is missing is a category of its own: none of the others.
        let of_inputs = inputs.iter().filter(|c| c.texts.is_none());
        let of_labels = labels.iter().map(|&at| &table.columns[at]);
        let input = of_inputs.clone().find(|c| record[c.at].is_nan());
        let label = of_labels.clone().find(|c| record[c.at].is_nan());
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
            first.get_or_insert((i, column.name.clone(), label.is_some()));
        }
    }
    let Some((row, name, is_label)) = first else {
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
    let rules = if is_label {
        "--missing drop leaves such rows out"
    } else {
        "--missing drop leaves such rows out, --missing mean puts the column's mean there, --missing zero puts 0, --ignore leaves the column out"
    };
    Err(say
        .in_row(
            row,
            format!("{more}column `{name}`"),
            Problem::Content("the cell is empty".into()),
        )
        .advise(rules))
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
    let at = || format!("column `{}`", column.name);
    if let Some(texts) = &column.texts {
        if settings.task == Some(TaskSetting::Values) {
            return Err(say
                .at(
                    at(),
                    Problem::Content("holds texts, which are no values".into()),
                )
                .advise("name another --label, or leave --task out"));
        }
        let class = |x: f32| if x.is_nan() { 0 } else { x as u32 };
        return Ok(RawTargets::Classes {
            names: texts.clone(),
            classes: cells.into_iter().map(class).collect(),
        });
    }
    let is_kept = |i: &usize| dropped.binary_search(&(*i as u32)).is_err();
    let mut different: Vec<f32> = Vec::new();
    let mut are_whole = true;
    for i in (0..cells.len()).filter(is_kept) {
        let x = cells[i];
        are_whole &= x.fract() == 0.0;
        if different.len() <= MOST_CLASSES
            && let Err(place) = different.binary_search_by(|d| d.total_cmp(&x))
        {
            different.insert(place, x);
        }
    }
    let are_classes = match settings.task {
        Some(TaskSetting::Classes) => true,
        Some(TaskSetting::Values) => false,
        None => are_whole && different.len() <= FEW,
    };
    if !are_classes {
        return Ok(RawTargets::Values {
            names: vec![column.name.clone()],
            rows: cells,
        });
    }
    if different.len() > MOST_CLASSES {
        return Err(too_many_classes(column, different.len(), say));
    }
    let class = |x: f32| different.binary_search_by(|d| d.total_cmp(&x)).unwrap_or(0);
    let mut names: Vec<String> = different.iter().map(f32::to_string).collect();
    names.sort_by(|a, b| compare(a, b));
    Ok(RawTargets::Classes {
        classes: cells.into_iter().map(|x| class(x) as u32).collect(),
        names,
    })
}
