//! The examples of a file as a data set: records become inputs as their description says.

use super::{
    OwnDataError,
    cells::are_same_number,
    error::{Problem, Sayer},
    raw::{Layout, Raw, RawColumn, RawTargets},
    rows::Rows,
};
use crate::data::{
    Batch, Dataset, Field, FillError, IMAGE, LABEL, TARGET,
    description::{ColumnKind, Description, Input, Target},
};
use ane_ir::{DType, Shape};
use half::{f16, slice::HalfFloatSliceExt};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The largest pixel.
const PIXEL: f32 = 255.0;

/// The examples of a file.
#[derive(Debug, Clone)]
pub struct OwnExamples {
    path: Arc<PathBuf>,
    rows: Arc<Rows>,
    shape: Shape,
    inputs: Arc<[Source]>,
    /// Values in an input.
    width: usize,
    targets: Arc<Targets>,
    weights: Option<Arc<[f32]>>,
    /// The file of each, where it has one of its own.
    names: Option<Arc<[PathBuf]>>,
    /// What of them is read as nothing that was learned from.
    notes: Arc<[String]>,
}

/// What some values of an input are made of.
#[derive(Debug, Clone)]
enum Source {
    /// Elements of the record from a place on, by a factor and a summand for all of them; something stands for those that
    /// are missing.
    Run {
        from: usize,
        len: usize,
        factor: f32,
        summand: f32,
        missing: f32,
        is_pixels: bool,
    },
    /// Pixels whose channels are beside each other, each with a factor and a summand.
    Interleaved {
        pixels: usize,
        channels: Vec<(f32, f32)>,
    },
    /// As many values as there are categories: 1 at that of the text, whose index in the file is the element.
    OneOf {
        at: usize,
        places: Vec<Option<usize>>,
        width: usize,
    },
}

#[derive(Debug)]
enum Targets {
    None,
    Classes(Vec<i32>, Vec<String>),
    /// fp16 bits, so many per example.
    Values(Vec<u16>, usize),
}

impl OwnExamples {
    /// The examples of `raw`, as `description` has them.
    ///
    /// # Errors
    /// When they are of another kind.
    pub(super) fn new(
        path: &Path,
        raw: Raw,
        description: &Description,
    ) -> Result<Self, OwnDataError> {
        let say = Sayer(path);
        let shape = Shape::new(&description.shape());
        let inputs = sources(&raw, &description.input, &say)?;
        let targets = targets(&raw, &description.target, &say)?;
        Ok(Self {
            notes: unknown_texts(&raw.layout, &description.input).collect(),
            path: Arc::new(path.to_owned()),
            weights: raw.weights.map(Into::into),
            names: raw.names.map(Into::into),
            rows: Arc::new(raw.inputs),
            width: shape.numel(),
            shape,
            inputs: inputs.into(),
            targets: Arc::new(targets),
        })
    }

    /// What of them is read as nothing that was learned from, a note for each column.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The class of each example; none where numbers are learned.
    pub fn classes(&self) -> Option<&[i32]> {
        match &*self.targets {
            Targets::Classes(classes, _) => Some(classes),
            Targets::None | Targets::Values(..) => None,
        }
    }

    /// The same pictures with black for white; other examples as they are.
    #[must_use]
    pub fn inverted(self) -> Self {
        let inverted = self.inputs.iter().map(Source::inverted);
        Self {
            inputs: inverted.collect(),
            ..self
        }
    }

    /// The file of each example, where it has one of its own.
    pub fn names(&self) -> Option<&[PathBuf]> {
        self.names.as_deref()
    }

    /// What each example weighs, where it is not 1.
    pub fn weights(&self) -> Option<&[f32]> {
        self.weights.as_deref()
    }

    /// The same examples with these weights.
    #[must_use]
    pub fn weighing(&self, weights: Option<Vec<f32>>) -> Self {
        Self {
            weights: weights.map(Into::into),
            ..self.clone()
        }
    }
}

impl Dataset for OwnExamples {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn schema(&self) -> Vec<Field> {
        let input = Field::new(IMAGE, DType::Fp16, self.shape.clone());
        match &*self.targets {
            Targets::None => vec![input],
            Targets::Classes(_, names) => vec![input, Field::class(LABEL, names.clone())],
            Targets::Values(_, width) => {
                vec![input, Field::new(TARGET, DType::Fp16, [*width])]
            }
        }
    }

    fn fill(&self, examples: &[(u32, u64)], batch: &mut Batch) -> Result<(), FillError> {
        let (mut scratch, mut record) = (Vec::new(), Vec::new());
        let mut values = vec![0.0; self.width];
        let x = batch.fp16(IMAGE, self.width).chunks_exact_mut(self.width);
        for (&(example, _), out) in examples.iter().zip(x) {
            let read = self
                .rows
                .values(example as usize, &mut scratch, &mut record);
            read.map_err(|source| FillError {
                example,
                path: self.path.to_path_buf(),
                source,
            })?;
            let mut rest = &mut values[..];
            for source in &*self.inputs {
                rest = source.write(&record, rest);
            }
            half::slice::HalfBitsSliceExt::reinterpret_cast_mut::<f16>(out)
                .convert_from_f32_slice(&values);
        }
        match &*self.targets {
            Targets::None => {}
            Targets::Classes(classes, _) => {
                for (&(example, _), out) in examples.iter().zip(batch.int32(LABEL, 1)) {
                    *out = classes[example as usize];
                }
            }
            Targets::Values(rows, width) => {
                let out = batch.fp16(TARGET, *width).chunks_exact_mut(*width);
                for (&(example, _), out) in examples.iter().zip(out) {
                    out.copy_from_slice(&rows[example as usize * width..][..*width]);
                }
            }
        }
        if let Some(weights) = &self.weights {
            let of_batch: Vec<f32> = examples.iter().map(|&(e, _)| weights[e as usize]).collect();
            batch.weigh(&of_batch);
        }
        Ok(())
    }
}

impl Source {
    /// The same of 255 − x, where x is a pixel.
    fn inverted(&self) -> Self {
        let invert = |(factor, summand): (f32, f32)| (-factor, summand + PIXEL * factor);
        match self {
            &Self::Run {
                from,
                len,
                factor,
                summand,
                missing,
                is_pixels: true,
            } => {
                let (factor, summand) = invert((factor, summand));
                Self::Run {
                    from,
                    len,
                    factor,
                    summand,
                    missing,
                    is_pixels: true,
                }
            }
            Self::Interleaved { pixels, channels } => Self::Interleaved {
                pixels: *pixels,
                channels: channels.iter().map(|&c| invert(c)).collect(),
            },
            other => other.clone(),
        }
    }

    /// Writes its values, and gives what is left.
    fn write<'a>(&self, record: &[f32], out: &'a mut [f32]) -> &'a mut [f32] {
        match self {
            Self::Run {
                from,
                len,
                factor,
                summand,
                missing,
                ..
            } => {
                let (out, rest) = out.split_at_mut(*len);
                for (out, &x) in out.iter_mut().zip(&record[*from..]) {
                    let x = if x.is_nan() { *missing } else { x };
                    *out = x * factor + summand;
                }
                rest
            }
            Self::Interleaved { pixels, channels } => {
                let (out, rest) = out.split_at_mut(pixels * channels.len());
                let planes = out.chunks_exact_mut(*pixels).zip(channels).enumerate();
                for (c, (plane, (factor, summand))) in planes {
                    for (p, out) in plane.iter_mut().enumerate() {
                        *out = record[p * channels.len() + c] * factor + summand;
                    }
                }
                rest
            }
            Self::OneOf { at, places, width } => {
                let (out, rest) = out.split_at_mut(*width);
                out.fill(0.0);
                let text = record[*at];
                let place = if text.is_nan() {
                    None
                } else {
                    places[text as usize]
                };
                if let Some(place) = place {
                    out[place] = 1.0;
                }
                rest
            }
        }
    }

    /// Elements that become ((x / unit) − mean) / std.
    fn run(from: usize, len: usize, unit: f32, (mean, std): (f32, f32)) -> Self {
        Self::Run {
            from,
            len,
            factor: 1.0 / (unit * std),
            summand: -mean / std,
            missing: f32::NAN,
            is_pixels: unit == PIXEL,
        }
    }
}

/// Texts that no training example has, by column.
fn unknown_texts(there: &Layout, input: &Input) -> impl Iterator<Item = String> {
    let (Layout::Table(there), Input::Table { columns }) = (there, input) else {
        return Vec::new().into_iter();
    };
    let of_column = |column: &RawColumn| {
        let known = columns.iter().find(|known| known.name == column.name)?;
        let ColumnKind::Category { values } = &known.kind else {
            return None;
        };
        let unknown = column.texts.iter().flatten();
        let unknown = unknown.filter(|text| !values.contains(text));
        let unknown: Vec<String> = unknown.cloned().collect();
        (!unknown.is_empty()).then(|| {
            format!(
                "column `{}`: {} was not there in training, and is read as none of its texts",
                column.name,
                shown(&unknown)
            )
        })
    };
    let notes: Vec<String> = there.iter().filter_map(of_column).collect();
    notes.into_iter()
}

/// What inputs are made of.
fn sources(raw: &Raw, input: &Input, say: &Sayer<'_>) -> Result<Vec<Source>, OwnDataError> {
    let differs = |expected: String, found: String| say.whole(Problem::Differs { expected, found });
    let found = || match &raw.layout {
        Layout::Image {
            shape: [channels, rows, columns],
            ..
        } => {
            format!("images of {rows} rows, {columns} columns and {channels} channels")
        }
        Layout::Array(shape) => format!("arrays of {shape:?}"),
        Layout::Table(columns) => format!("a table of {} columns", columns.len()),
    };
    match (input, &raw.layout) {
        (
            Input::Image { shape, scaling, .. },
            Layout::Image {
                shape: there,
                channels_last,
            },
        ) if there == shape => {
            let [channels, rows, columns] = *shape;
            let pixels = rows * columns;
            if *channels_last && channels > 1 {
                let all = (0..channels).map(|c| scaling.of(c));
                return Ok(vec![Source::Interleaved {
                    pixels,
                    channels: all
                        .map(|(mean, std)| (1.0 / (PIXEL * std), -mean / std))
                        .collect(),
                }]);
            }
            let run = |c: usize| Source::run(c * pixels, pixels, PIXEL, scaling.of(c));
            Ok((0..channels).map(run).collect())
        }
        (Input::Array { shape, scaling }, Layout::Array(s)) if s == shape => {
            let len: usize = shape.iter().product();
            Ok(match scaling.mean.len() {
                1 => vec![Source::run(0, len, 1.0, scaling.of(0))],
                groups => {
                    let each = len / groups;
                    let run = |i: usize| Source::run(i * each, each, 1.0, scaling.of(i));
                    (0..groups).map(run).collect()
                }
            })
        }
        (Input::Table { columns }, Layout::Table(there)) => {
            let by_name: HashMap<&str, &RawColumn> =
                there.iter().map(|c| (c.name.as_str(), c)).collect();
            let mut needed = Vec::new();
            let of_column = |column: &crate::data::description::Column| {
                let found = by_name.get(column.name.as_str()).copied();
                let found = found.ok_or_else(|| {
                    say.whole(Problem::Missing {
                        what: "column",
                        asked: column.name.clone(),
                        known: there.iter().map(|c| c.name.clone()).collect(),
                    })
                })?;
                if matches!(column.kind, ColumnKind::Number { missing: None, .. }) {
                    needed.push(found);
                }
                of_cells(&column.kind, found, say)
            };
            let sources = columns.iter().map(of_column).collect::<Result<_, _>>()?;
            must_have_all(&needed, raw, say)?;
            Ok(sources)
        }
        (
            Input::Image {
                shape: [c, r, w], ..
            },
            _,
        ) => Err(differs(
            format!("images of {r} rows, {w} columns and {c} channels"),
            found(),
        )),
        (Input::Array { shape, .. }, _) => Err(differs(format!("arrays of {shape:?}"), found())),
        (Input::Table { columns }, _) => Err(differs(
            format!("a table with {} columns", columns.len()),
            found(),
        )),
        (Input::Tokens { .. }, _) => Err(differs(input.kind(), found())),
    }
}

/// What the values of a column are made of.
fn of_cells(
    kind: &ColumnKind,
    column: &RawColumn,
    say: &Sayer<'_>,
) -> Result<Source, OwnDataError> {
    match (kind, &column.texts) {
        (&ColumnKind::Number { mean, std, missing }, None) => Ok(Source::Run {
            from: column.at,
            len: 1,
            factor: 1.0 / std,
            summand: -mean / std,
            missing: missing.unwrap_or(f32::NAN),
            is_pixels: false,
        }),
        (ColumnKind::Category { values }, Some(texts)) => Ok(Source::OneOf {
            at: column.at,
            places: texts
                .iter()
                .map(|t| values.iter().position(|v| v == t))
                .collect(),
            width: values.len(),
        }),
        (ColumnKind::Number { .. }, Some(_)) => Err(say.at(
            format!("column `{}`", column.name),
            Problem::Differs {
                expected: "numbers, as the run has learned from".into(),
                found: "texts".into(),
            },
        )),
        (ColumnKind::Category { .. }, None) => Err(say.at(
            format!("column `{}`", column.name),
            Problem::Differs {
                expected: "texts, as the run has learned from".into(),
                found: "numbers".into(),
            },
        )),
    }
}

/// Whether no row that is kept lacks a cell of these columns.
fn must_have_all(columns: &[&RawColumn], raw: &Raw, say: &Sayer<'_>) -> Result<(), OwnDataError> {
    let (mut scratch, mut record) = (Vec::new(), Vec::new());
    for row in 0..raw.len() {
        let read = raw.inputs.values(row, &mut scratch, &mut record);
        read.map_err(|e| say.whole(e))?;
        let empty = columns.iter().find(|c| record[c.at].is_nan());
        if let Some(column) = empty
            && raw.dropped.binary_search(&(row as u32)).is_err()
        {
            return Err(say
                .in_row(
                    row,
                    format!("column `{}`", column.name),
                    Problem::Content("the cell is empty".into()),
                )
                .advise(
                    "fill it; a run that was trained with --missing mean or zero takes such rows",
                ));
        }
    }
    Ok(())
}

/// The targets as a batch has them.
fn targets(raw: &Raw, target: &Target, say: &Sayer<'_>) -> Result<Targets, OwnDataError> {
    let differs = |expected: String, found: String| say.whole(Problem::Differs { expected, found });
    match (target, &raw.targets) {
        (_, None) => Ok(Targets::None),
        (
            Target::Classes { names },
            Some(RawTargets::Classes {
                names: there,
                classes,
            }),
        ) => {
            let places: Vec<Option<usize>> = there
                .iter()
                .map(|t| {
                    let place = names.iter().position(|n| n == t);
                    place.or_else(|| names.iter().position(|n| are_same_number(n, t)))
                })
                .collect();
            let of = |(row, &class): (usize, &u32)| match places
                .get(class as usize)
                .copied()
                .flatten()
            {
                Some(place) => Ok(place as i32),
                None if raw.dropped.binary_search(&(row as u32)).is_ok() => Ok(0),
                None => {
                    let found = there.get(class as usize).map_or("", String::as_str);
                    Err(say
                        .row(
                            row,
                            Problem::Differs {
                                expected: format!(
                                    "a class of the training examples, {}",
                                    shown(names)
                                ),
                                found: format!("`{found}`"),
                            },
                        )
                        .advise("leave such examples out, or train with some of that class"))
                }
            };
            let classes = classes.iter().enumerate().map(of);
            Ok(Targets::Classes(
                classes.collect::<Result<_, _>>()?,
                names.clone(),
            ))
        }
        (Target::Values { values }, Some(RawTargets::Values { rows, names }))
            if names.len() == values.len() =>
        {
            let outputs = rows.iter().enumerate().map(|(i, &x)| {
                let y = values[i % values.len()].to_output(x);
                f16::from_f32(y).to_bits()
            });
            Ok(Targets::Values(outputs.collect(), values.len()))
        }
        (Target::Classes { names }, Some(RawTargets::Values { .. })) => Err(differs(
            format!("one of {} classes each", names.len()),
            "numbers".into(),
        )),
        (
            Target::Values { values },
            Some(RawTargets::Classes { .. } | RawTargets::Values { .. }),
        ) => Err(differs(
            format!("{} numbers each", values.len()),
            "something else".into(),
        )),
        (Target::Tokens { .. }, Some(_)) => Err(differs("a text".into(), "examples".into())),
    }
}

fn shown(names: &[String]) -> String {
    const MOST: usize = 8;
    let mut text: Vec<String> = names.iter().take(MOST).map(|n| format!("`{n}`")).collect();
    if names.len() > MOST {
        text.push(format!("{} more", names.len() - MOST));
    }
    text.join(", ")
}
