//! What the columns of a table are for: which one is learned, which are learned from. Names say it, before a cell is read.

use super::{
    OwnDataError,
    error::{Problem, Sayer, nearest, shown},
    settings::DataSettings,
};
use crate::data::description::{Column, Description, Input};
use std::path::Path;

/// Names by which a column is taken for the one that is learned, if nobody says which it is.
const LABELS: [&str; 6] = ["label", "labels", "target", "class", "y", "species"];

/// What may stand between cells, and how a shell takes it.
const DIVIDING: [(char, &str); 6] = [
    (';', "';'"),
    ('\t', "$'\\t'"),
    ('|', "'|'"),
    (',', ","),
    (':', ":"),
    (' ', "' '"),
];

/// The columns by what they are for, each by its place. The others are of no use.
#[derive(Debug)]
pub(super) struct Roles {
    /// Those that are learned from.
    pub(super) inputs: Vec<usize>,
    /// Those that are learned; none where a file holds inputs alone.
    pub(super) labels: Vec<usize>,
    /// The one that says what each example weighs.
    pub(super) weights: Option<usize>,
}

impl Roles {
    /// Of columns with these names. Of a file that a run is asked of, inputs are what the run has learned from.
    pub(super) fn of(
        names: &[String],
        path: &Path,
        settings: &DataSettings,
        known: Option<&Description>,
    ) -> Result<Self, OwnDataError> {
        let say = Sayer(path);
        let labels = labels(names, settings, known, &say)?;
        let left_out = |&&at: &&usize| settings.ignore.contains(&names[at]);
        if let Some(&at) = labels.iter().find(left_out)
            && known.is_none()
        {
            return Err(say
                .at(
                    format!("column `{}`", names[at]),
                    Problem::Content("is learned, and is to be left out as well".into()),
                )
                .advise("leave it out of --ignore, or name another --label"));
        }
        let weights = match &settings.example_weights {
            Some(_) if settings.inputs_alone => None,
            Some(name) if known.is_none() || position(names, name).is_some() => {
                Some(must_have(names, name, &say)?)
            }
            _ => None,
        };
        for name in settings.ignore.iter().chain(&settings.categorical) {
            if known.is_none() {
                must_have(names, name, &say)?;
            }
        }
        let learned_from = match known.map(|d| &d.input) {
            Some(Input::Table { columns }) => Some(columns),
            _ => None,
        };
        if let Some(columns) = learned_from {
            must_have_all(names, columns, &say)?;
        }
        let is_input = |&at: &usize| match learned_from {
            Some(columns) => columns.iter().any(|c| c.name == names[at]),
            None => {
                !labels.contains(&at)
                    && weights != Some(at)
                    && !settings.ignore.contains(&names[at])
            }
        };
        let inputs: Vec<usize> = (0..names.len()).filter(is_input).collect();
        if inputs.is_empty() && known.is_none() {
            return Err(say
                .content("has no column to learn from")
                .advise("leave something out of --ignore, or name another --label"));
        }
        Ok(Self {
            inputs,
            labels,
            weights,
        })
    }

    /// The column that is learned, where it is one alone.
    pub(super) fn label(&self) -> Option<usize> {
        match self.labels[..] {
            [one] => Some(one),
            _ => None,
        }
    }

    /// Whether the cells of a column are read.
    pub(super) fn are_read(&self, at: usize) -> bool {
        let mut all = self.inputs.iter().chain(&self.labels).chain(&self.weights);
        all.any(|&read| read == at)
    }
}

fn position(names: &[String], name: &str) -> Option<usize> {
    names.iter().position(|n| n == name)
}

/// The place of a column that is called by it, from the end where it is negative.
pub(super) fn place(name: &str, columns: usize) -> Option<usize> {
    let place: i64 = name.parse().ok()?;
    let from_end = place.checked_add(columns as i64);
    let place = if place < 0 { from_end? } else { place };
    usize::try_from(place).ok().filter(|&at| at < columns)
}

/// The column called `name`, or at this place.
fn must_have(names: &[String], name: &str, say: &Sayer<'_>) -> Result<usize, OwnDataError> {
    let found = position(names, name).or_else(|| place(name, names.len()));
    found.ok_or_else(|| {
        say.whole(Problem::Missing {
            what: "column",
            asked: name.to_owned(),
            known: names.to_vec(),
        })
    })
}

/// Whether all columns are there that a run has learned from.
fn must_have_all(
    names: &[String],
    columns: &[Column],
    say: &Sayer<'_>,
) -> Result<(), OwnDataError> {
    let Some(lacking) = columns.iter().find(|c| !names.contains(&c.name)) else {
        return Ok(());
    };
    let lacking = &lacking.name;
    let needed: Vec<String> = columns.iter().map(|c| c.name.clone()).collect();
    let add = match nearest(lacking, names) {
        Some(name) => format!("call `{name}` so if that is it, or add `{lacking}`"),
        None => format!("add `{lacking}`"),
    };
    Err(say
        .whole(Problem::Missing {
            what: "column",
            asked: lacking.clone(),
            known: names.to_vec(),
        })
        .advise(format!("the run needs {}: {add}", shown(&needed))))
}

/// The columns that are learned; none where a file holds inputs alone.
fn labels(
    names: &[String],
    settings: &DataSettings,
    known: Option<&Description>,
    say: &Sayer<'_>,
) -> Result<Vec<usize>, OwnDataError> {
    if settings.inputs_alone {
        return Ok(Vec::new());
    }
    if let Some(asked) = &settings.label {
        let all: Vec<&str> = match position(names, asked) {
            Some(_) => vec![asked],
            None => asked.split(',').map(str::trim).collect(),
        };
        let mut found = Vec::with_capacity(all.len());
        for name in all {
            match known {
                None => found.push(must_have(names, name, say)?),
                // A place means another column where the label is missing.
                Some(_) => match position(names, name) {
                    Some(at) => found.push(at),
                    None => return Ok(Vec::new()),
                },
            }
        }
        return Ok(found);
    }
    if known.is_some() {
        return Ok(Vec::new());
    }
    if let [only] = names {
        let divides = |d: &&(char, &str)| only.contains(d.0);
        return Err(say
            .content(format!("has the column `{only}` alone"))
            .advise(match DIVIDING.iter().find(divides) {
                Some((_, flag)) => format!("its cells look as if they were divided otherwise: pass --delimiter {flag}"),
                None => "pass a table with columns to learn from and one to learn, and --delimiter if cells are divided by something unusual".to_owned(),
            }));
    }
    let by_name = LABELS.iter().find_map(|label| {
        let is = |n: &String| n.eq_ignore_ascii_case(label);
        names.iter().position(is)
    });
    Ok(vec![by_name.unwrap_or(names.len() - 1)])
}
