//! Arrays of numbers as examples: the first axis counts them.

use super::{
    OwnDataError,
    cells::{MOST_TEXTS, Texts},
    error::{Problem, Sayer},
    raw::{Layout, Raw, RawColumn, RawTargets},
    rows::{Element, Rows},
    settings::{DataSettings, TaskSetting},
    table,
};
use std::{collections::HashSet, io};

/// An array with a name.
#[derive(Debug)]
pub(super) struct Array {
    /// Its name.
    pub(super) name: String,
    /// All its axes.
    pub(super) shape: Vec<usize>,
    /// A record per element of the first axis.
    pub(super) rows: Rows,
}

/// Names of what is learned from and of what is learned, in arrays that belong together.
const INPUTS: [&str; 11] = [
    "x_train", "X_train", "x", "images", "data", "features", "inputs", "input", "X", "x_test",
    "X_test",
];
const LABELS: [&str; 9] = [
    "y_train", "y", "labels", "label", "targets", "target", "classes", "Y", "y_test",
];

/// Names of validation examples where those that are trained on are called `train`.
const VALIDATION: [&str; 3] = ["val", "valid", "validation"];

/// The name of the first usual one.
fn usual(names: &[String], all: &[&str]) -> Option<String> {
    let mut found = all.iter().filter_map(|u| names.iter().find(|n| n == u));
    found.next().cloned()
}

/// What is learned from and what is learned of validation and of test examples: arrays beside those of training examples
/// that are called as they are, but for `train`, such as x_test and y_test beside x_train and y_train.
pub(super) fn held(names: &[String], settings: &DataSettings) -> [Option<[String; 2]>; 2] {
    let asked = |asked: &Option<String>, all| asked.clone().or_else(|| usual(names, all));
    let (Some(input), Some(label)) = (
        asked(&settings.input, &INPUTS),
        asked(&settings.label, &LABELS),
    ) else {
        return [None, None];
    };
    let of = |part: &str| {
        let both = [&input, &label].map(|name| name.replace("train", part));
        let are_there = both.iter().all(|name| names.contains(name));
        (are_there && both[0] != input && both[1] != label).then_some(both)
    };
    [VALIDATION.into_iter().find_map(of), of("test")]
}

/// The names of what is learned from and of what is learned, as the settings say or as such names usually are.
pub(super) fn chosen(
    names: &[String],
    settings: &DataSettings,
    is_known: bool,
    say: &Sayer<'_>,
) -> Result<(String, Option<String>), OwnDataError> {
    let missing = |asked: &str| {
        say.whole(Problem::Missing {
            what: "array",
            asked: asked.to_owned(),
            known: names.to_vec(),
        })
    };
    let input = match &settings.input {
        Some(asked) if names.contains(asked) => asked.clone(),
        Some(asked) => return Err(missing(asked)),
        None => match (usual(names, &INPUTS), names) {
            (Some(found), _) => found,
            (None, [only]) => only.clone(),
            (None, _) => {
                return Err(missing("x").advise("name the array that is learned from by --input, and the one that is learned by --label"));
            }
        },
    };
    let label = match &settings.label {
        _ if settings.inputs_alone => None,
        Some(asked) if names.contains(asked) => Some(asked.clone()),
        // A file that a run is judged by may call them otherwise than the one that it was trained on.
        Some(asked) if is_known && LABELS.contains(&asked.as_str()) => usual(names, &LABELS),
        Some(_) if is_known => None,
        Some(asked) => return Err(missing(asked)),
        None => usual(names, &LABELS).filter(|l| *l != input),
    };
    if label.is_none() && !is_known {
        return Err(missing("y").advise("name the array that is learned by --label"));
    }
    Ok((input, label))
}

/// The examples of arrays that belong together.
pub(super) fn into_raw(
    input: Array,
    label: Option<Array>,
    weights: Option<Array>,
    settings: &DataSettings,
    say: &Sayer<'_>,
) -> Result<Raw, OwnDataError> {
    for other in label.iter().chain(&weights) {
        if other.rows.len() != input.rows.len() {
            return Err(say
                .at(
                    format!("array `{}`", other.name),
                    Problem::Differs {
                        expected: format!("{} examples, as `{}` has", input.rows.len(), input.name),
                        found: other.rows.len().to_string(),
                    },
                )
                .advise("save arrays whose first axes belong together"));
        }
    }
    let of_example = &input.shape[1..];
    if of_example.contains(&0) {
        return Err(say
            .at(
                format!("array `{}`", input.name),
                Problem::Content(format!("has no elements: its shape is {:?}", input.shape)),
            )
            .advise("pass an array with elements in every axis"));
    }
    let layout = match (input.rows.element(), of_example) {
        (Element::UInt8, &[rows, columns]) => Layout::Image {
            shape: [1, rows, columns],
            channels_last: false,
        },
        (Element::UInt8, &[channels @ (1 | 3), rows, columns]) => Layout::Image {
            shape: [channels, rows, columns],
            channels_last: false,
        },
        (Element::UInt8, &[rows, columns, channels @ (1 | 3)]) => Layout::Image {
            shape: [channels, rows, columns],
            channels_last: true,
        },
        (_, []) => Layout::Array(vec![1]),
        (_, shape) => Layout::Array(shape.to_vec()),
    };
    let name = label.as_ref().map(|l| l.name.clone());
    let values = |array: Array| -> Result<Vec<f32>, OwnDataError> {
        let (mut scratch, mut record) = (Vec::new(), Vec::new());
        let mut all = Vec::with_capacity(array.rows.len() * array.rows.width());
        for i in 0..array.rows.len() {
            let read = array.rows.values(i, &mut scratch, &mut record);
            read.map_err(|e| say.whole(e))?;
            if let Some(x) = record.iter().find(|x| !x.is_finite()) {
                return Err(say
                    .in_row(
                        i,
                        format!("array `{}`", array.name),
                        Problem::Differs {
                            expected: "a finite number".into(),
                            found: x.to_string(),
                        },
                    )
                    .advise("leave such examples out of the array"));
            }
            all.extend_from_slice(&record);
        }
        Ok(all)
    };
    let targets = match label {
        None => None,
        Some(label) => Some(targets(label, values, settings, say)?),
    };
    Ok(Raw {
        weights: weights.map(values).transpose()?,
        inputs: input.rows,
        layout,
        targets,
        dropped: Vec::new(),
        label: name,
        others: 0,
        names: None,
    })
}

/// The different elements of an array with one for each example, as they are called where they are classes, and which of
/// them each is; none where they are more than there may be classes.
fn texts(rows: &Rows) -> io::Result<Option<(Vec<String>, Vec<f32>)>> {
    let mut scratch = Vec::new();
    let mut different = HashSet::new();
    for i in 0..rows.len() {
        let text = rows.element().text(rows.bytes(i, &mut scratch)?);
        different.insert(text);
        if different.len() > MOST_TEXTS {
            return Ok(None);
        }
    }
    let texts = Texts::new(different.into_iter().collect());
    let index = |i| Ok(texts.index(&rows.element().text(rows.bytes(i, &mut scratch)?)));
    let indices: io::Result<Vec<f32>> = (0..rows.len()).map(index).collect();
    Ok(Some((texts.all, indices?)))
}

/// What an array says of each example.
fn targets(
    label: Array,
    values: impl Fn(Array) -> Result<Vec<f32>, OwnDataError>,
    settings: &DataSettings,
    say: &Sayer<'_>,
) -> Result<RawTargets, OwnDataError> {
    let (width, name) = (label.rows.width(), label.name.clone());
    if width == 1 {
        // Whole numbers are classes, however many there are.
        let classes = label.rows.element().is_integer();
        let classes = classes.then_some(TaskSetting::Classes);
        let settings = DataSettings {
            task: settings.task.or(classes),
            decimal: None,
            ..settings.clone()
        };
        let texts = texts(&label.rows).map_err(|e| say.whole(e))?;
        let mut cells = values(label)?;
        let texts = texts.map(|(texts, indices)| {
            cells = indices;
            texts
        });
        let column = RawColumn {
            name,
            at: 0,
            texts,
            oddities: Vec::new(),
        };
        return table::target(&column, cells, &[], &settings, say);
    }
    let all = values(label)?;
    let one_hot = |row: &[f32]| {
        let mut ones = row.iter().enumerate().filter(|(_, x)| **x != 0.0);
        match (ones.next(), ones.next()) {
            (Some((i, 1.0)), None) => Some(i as u32),
            _ => None,
        }
    };
    let rows = all.chunks_exact(width.max(1));
    if settings.task != Some(TaskSetting::Values)
        && let Some(classes) = rows.map(one_hot).collect::<Option<Vec<u32>>>()
    {
        return Ok(RawTargets::Classes {
            names: (0..width).map(|i| i.to_string()).collect(),
            classes,
        });
    }
    if settings.task == Some(TaskSetting::Classes) {
        return Err(say
            .at(
                format!("array `{name}`"),
                Problem::Differs {
                    expected: "a class per example, or rows with a single 1".into(),
                    found: format!("rows of {width} numbers"),
                },
            )
            .advise("leave --task out to learn the numbers"));
    }
    Ok(RawTargets::Values {
        names: (0..width).map(|i| format!("{name}.{i}")).collect(),
        rows: all,
    })
}
