//! From what a file holds to what its examples are: the numbers that only the training examples decide.

use super::{
    OwnDataError,
    error::{Problem, Sayer},
    raw::{Layout, Raw, RawColumn, RawTargets},
    settings::{DataSettings, Missing, Normalise},
};
use crate::data::description::{Column, ColumnKind, Description, Input, Quantity, Scaling, Target};
use std::path::Path;

/// Describes examples by those that are trained on. Images keep their black at zero unless they are `centred`.
///
/// # Errors
/// When a number cannot be learned as it is asked for, or the file cannot be read.
pub(super) fn describe(
    path: &Path,
    raw: &Raw,
    train: &[u32],
    settings: &DataSettings,
    centred: bool,
) -> Result<Description, OwnDataError> {
    let say = Sayer(path);
    let name = path
        .file_stem()
        .unwrap_or(path.as_os_str())
        .to_string_lossy();
    let name = name.strip_suffix(".csv").unwrap_or(&name).to_owned();
    let standard = settings.normalise != Some(Normalise::None);
    let input = match &raw.layout {
        Layout::Image {
            shape,
            channels_last,
        } => {
            let pixels: usize = shape[1..].iter().product();
            let channel = |i: usize| match channels_last {
                true => i % shape[0],
                false => i / pixels,
            };
            let groups = Groups::of(raw, train, shape[0], channel, &say)?;
            let mut scaling = match standard {
                true => groups.scaling(255.0),
                false => Scaling::uniform(0.0, 1.0),
            };
            if !centred {
                scaling.mean = vec![0.0; scaling.mean.len()];
            }
            Input::Image {
                shape: *shape,
                scaling,
                fit: settings.image_fit(),
            }
        }
        Layout::Array(shape) => {
            // Features are of different kinds, samples of a signal are of one.
            let groups = if let [features] = shape[..] {
                features
            } else {
                1
            };
            let of = |i: usize| if groups == 1 { 0 } else { i };
            let scaling = match standard {
                true => Groups::of(raw, train, groups, of, &say)?.scaling(1.0),
                false => Scaling::uniform(0.0, 1.0),
            };
            Input::Array {
                shape: shape.clone(),
                scaling,
            }
        }
        Layout::Table(columns) => {
            let width = raw.inputs.width();
            let groups = Groups::of(raw, train, width, |i| i, &say)?;
            let missing = settings.missing.unwrap_or_default();
            let texts = texts(raw, train, columns, &say)?;
            let all = columns.iter().zip(texts);
            let all = all.map(|(c, texts)| column(c, texts, &groups, missing, standard));
            let columns: Vec<Column> = all.collect();
            if columns.iter().all(|c| c.kind.width() == 0) {
                return Err(say
                    .content("has nothing but empty cells in the rows that are trained on")
                    .advise("fill some, or name other columns"));
            }
            Input::Table { columns }
        }
    };
    let target = match &raw.targets {
        Some(RawTargets::Classes { names, .. }) => Target::Classes {
            names: names.clone(),
        },
        Some(RawTargets::Values { names, rows }) => {
            let quantity =
                |i: usize| quantity(&names[i], (rows, names.len(), i), train, settings, &say);
            let values = (0..names.len()).map(quantity);
            Target::Values {
                values: values.collect::<Result<_, _>>()?,
            }
        }
        None => {
            return Err(say
                .content("says nothing of what is to be learned")
                .advise("name the column or array of it by --label"));
        }
    };
    Ok(Description {
        title: name.clone(),
        name,
        input,
        target,
        fingerprint: None,
    })
}

/// Of each column the texts that training examples have, in order; none of a column of numbers.
fn texts(
    raw: &Raw,
    train: &[u32],
    columns: &[RawColumn],
    say: &Sayer<'_>,
) -> Result<Vec<Option<Vec<String>>>, OwnDataError> {
    let places = |c: &RawColumn| vec![false; c.texts.as_ref().map_or(0, Vec::len)];
    let mut are_there: Vec<Vec<bool>> = columns.iter().map(places).collect();
    let (mut scratch, mut record) = (Vec::new(), Vec::new());
    if columns.iter().any(|c| c.texts.is_some()) {
        for &row in train {
            let read = raw.inputs.values(row as usize, &mut scratch, &mut record);
            read.map_err(|e| say.whole(e))?;
            for (column, are_there) in columns.iter().zip(&mut are_there) {
                let text = record[column.at];
                if column.texts.is_some() && !text.is_nan() {
                    are_there[text as usize] = true;
                }
            }
        }
    }
    let of = |(column, are_there): (&RawColumn, Vec<bool>)| {
        let all = column.texts.as_ref()?.iter().zip(are_there);
        Some(all.filter(|(_, is)| *is).map(|(t, _)| t.clone()).collect())
    };
    Ok(columns.iter().zip(are_there).map(of).collect())
}

fn column(
    column: &RawColumn,
    texts: Option<Vec<String>>,
    groups: &Groups,
    missing: Missing,
    standard: bool,
) -> Column {
    let kind = match texts {
        Some(values) => ColumnKind::Category { values },
        None => {
            let (own_mean, std) = groups.moments(column.at);
            let (mean, std) = if standard {
                (own_mean, std)
            } else {
                (0.0, 1.0)
            };
            ColumnKind::Number {
                mean: mean as f32,
                std: std as f32,
                missing: match missing {
                    Missing::Refuse | Missing::Drop => None,
                    Missing::Mean => Some(own_mean as f32),
                    Missing::Zero => Some(0.0),
                },
            }
        }
    };
    Column {
        name: column.name.clone(),
        kind,
    }
}

fn quantity(
    name: &str,
    (rows, width, i): (&[f32], usize, usize),
    train: &[u32],
    settings: &DataSettings,
    say: &Sayer<'_>,
) -> Result<Quantity, OwnDataError> {
    if settings.log
        && let Some(row) = (0..rows.len() / width).find(|r| rows[r * width + i] <= 0.0)
    {
        let found = rows[row * width + i];
        return Err(say
            .in_row(
                row,
                format!("`{name}`"),
                Problem::Differs {
                    expected: "a number above 0, of which there is a logarithm".into(),
                    found: found.to_string(),
                },
            )
            .advise("leave --log-target out"));
    }
    let mut moments = Moments::default();
    for &r in train {
        let x = rows[r as usize * width + i];
        moments.add(f64::from(if settings.log { x.ln() } else { x }));
    }
    Ok(Quantity {
        name: name.to_owned(),
        log: settings.log,
        mean: moments.mean as f32,
        std: moments.std() as f32,
    })
}

/// Mean and variance of numbers as they come (Welford 1962).
#[derive(Debug, Clone, Copy, Default)]
struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, x: f64) {
        self.count += 1.0;
        let off = x - self.mean;
        self.mean += off / self.count;
        self.squares += off * (x - self.mean);
    }

    /// The standard deviation of the numbers themselves; 1 where they are all the same, which then become 0.
    fn std(&self) -> f64 {
        let std = (self.squares / self.count.max(1.0)).sqrt();
        // What is left of rounding is no deviation.
        if std > 1e-7 * self.mean.abs() && std > 1e-30 {
            std
        } else {
            1.0
        }
    }
}

/// The moments of elements, by group.
#[derive(Debug)]
struct Groups(Vec<Moments>);

impl Groups {
    /// Over the training examples; missing elements count for nothing.
    fn of(
        raw: &Raw,
        train: &[u32],
        groups: usize,
        group: impl Fn(usize) -> usize,
        say: &Sayer<'_>,
    ) -> Result<Self, OwnDataError> {
        let mut all = vec![Moments::default(); groups];
        let (mut scratch, mut record) = (Vec::new(), Vec::new());
        for &row in train {
            let read = raw.inputs.values(row as usize, &mut scratch, &mut record);
            read.map_err(|e| say.whole(e))?;
            for (i, &x) in record.iter().enumerate() {
                if x.is_finite() {
                    all[group(i)].add(x.into());
                } else if !matches!(raw.layout, Layout::Table(_)) {
                    return Err(say
                        .in_row(
                            row as usize,
                            format!("element {i}"),
                            Problem::Differs {
                                expected: "a finite number".into(),
                                found: x.to_string(),
                            },
                        )
                        .advise("leave such examples out of the file, or put numbers there"));
                }
            }
        }
        Ok(Self(all))
    }

    fn moments(&self, i: usize) -> (f64, f64) {
        (self.0[i].mean, self.0[i].std())
    }

    /// Of elements that are divided by `unit` first.
    fn scaling(&self, unit: f64) -> Scaling {
        Scaling {
            mean: self.0.iter().map(|m| (m.mean / unit) as f32).collect(),
            std: self.0.iter().map(|m| (m.std() / unit) as f32).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_numpy_and_a_constant_deviates_by_one() {
        let of = |all: &[f64]| {
            let mut m = Moments::default();
            all.iter().for_each(|&x| m.add(x));
            (m.mean, m.std())
        };
        // numpy.mean and numpy.std of the same numbers.
        let (mean, std) = of(&[1.0, 2.0, 4.0, 8.0]);
        assert!((mean - 3.75).abs() < 1e-12 && (std - 2.680_951_323_690_902).abs() < 1e-12);
        assert_eq!(of(&[0.1; 3]).1, 1.0);
        assert_eq!(of(&[]), (0.0, 1.0));
    }
}
