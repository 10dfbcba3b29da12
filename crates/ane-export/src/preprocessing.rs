//! How the numbers of a file become the inputs of a model, as a subtraction and a division.

use crate::ExportError;
use ane_ir::Shape;
use ane_train::data::{
    Description,
    description::{ColumnKind, Input, Scaling, Target},
};

/// What raw numbers are brought to: (x − `offset`) / `divisor`.
#[derive(Debug, Clone, PartialEq)]
pub struct Preprocessing {
    /// Shape of a raw example, without the batch: [channels, rows, columns] of pixels from 0 to 255, or numbers.
    pub shape: Vec<usize>,
    /// Shape of the two, which broadcasts to that of an example.
    pub broadcast: Shape,
    /// What is taken off.
    pub offset: Vec<f32>,
    /// What the rest is divided by.
    pub divisor: Vec<f32>,
    /// What becomes of numbers that the model says; none where its outputs are scores of classes.
    pub units: Option<OwnUnits>,
}

impl Preprocessing {
    /// That of the examples of a model whose only input has `values` values.
    ///
    /// Cells of a table that are categories have to be 0 and 1 already, an input per value.
    ///
    /// # Errors
    /// When the examples have another number of values, or the model says logarithms of some numbers alone.
    pub fn of(description: &Description, values: Option<usize>) -> Result<Self, ExportError> {
        let shape = description.shape();
        if values != Some(shape.iter().product()) {
            return Err(ExportError::Examples {
                asked: "preprocessing inside",
                wanted: "models whose only input is the example",
                found: "other inputs".into(),
            });
        }
        let groups = |scaling: &Scaling, unit: f32, n: usize| -> (Vec<f32>, Vec<f32>) {
            (0..n)
                .map(|i| scaling.of(i))
                .map(|(mean, std)| (mean * unit, std * unit))
                .unzip()
        };
        let (unit, scaling) = match &description.input {
            Input::Image { scaling, .. } => (255.0, scaling.clone()),
            Input::Array { scaling, .. } => (1.0, scaling.clone()),
            Input::Table { columns } => (1.0, of_columns(columns.iter().map(|c| &c.kind))),
            Input::Tokens { .. } => {
                return Err(ExportError::Examples {
                    asked: "preprocessing inside",
                    wanted: "models of pictures or numbers",
                    found: "tokens, which a tokenizer makes".into(),
                });
            }
        };
        let count = scaling.mean.len().max(scaling.std.len());
        let (offset, divisor) = groups(&scaling, unit, count);
        let broadcast = match count {
            1 => Shape::new(&[]),
            n => {
                let rest = shape.len().saturating_sub(1);
                std::iter::once(n).chain(vec![1; rest]).collect()
            }
        };
        Ok(Self {
            shape,
            broadcast,
            offset,
            divisor,
            units: OwnUnits::of(description)?,
        })
    }
}

/// What brings numbers that a model says to those of the data: y · `factor` + `offset`, and e to the power of that where the
/// model says logarithms.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnUnits {
    /// Factor of each number.
    pub factor: Vec<f32>,
    /// What is added to each.
    pub offset: Vec<f32>,
    /// Whether the model says logarithms.
    pub exp: bool,
}

impl OwnUnits {
    /// Those of examples; none where outputs are scores of classes. Logarithms of some numbers alone are refused.
    fn of(description: &Description) -> Result<Option<Self>, ExportError> {
        let Target::Values { values } = &description.target else {
            return Ok(None);
        };
        let exp = values.iter().any(|v| v.log);
        if exp && values.iter().any(|v| !v.log) {
            return Err(ExportError::Examples {
                asked: "preprocessing inside",
                wanted: "models that say logarithms of all their numbers, or of none",
                found: "logarithms of some".into(),
            });
        }
        Ok(Some(Self {
            factor: values.iter().map(|v| v.std).collect(),
            offset: values.iter().map(|v| v.mean).collect(),
            exp,
        }))
    }
}

/// One mean and deviation for each input of a table.
fn of_columns<'a>(columns: impl Iterator<Item = &'a ColumnKind>) -> Scaling {
    let (mean, std) = columns
        .flat_map(|kind| match kind {
            ColumnKind::Number { mean, std, .. } => vec![(*mean, *std)],
            ColumnKind::Category { values } => vec![(0.0, 1.0); values.len()],
        })
        .unzip();
    Scaling { mean, std }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ane_train::data::{
        catalog,
        description::{Column, Quantity, Target},
    };

    #[test]
    fn pixels_are_brought_to_what_the_run_has_seen() {
        let mnist = catalog::find("mnist").unwrap().description(true).unwrap();
        let found = Preprocessing::of(&mnist, Some(784)).unwrap();
        assert_eq!(found.shape, [1, 28, 28]);
        assert_eq!(found.broadcast.rank(), 0);
        let seen = (200.0 - found.offset[0]) / found.divisor[0];
        assert!(
            (seen - (200.0 / 255.0 - 0.1307) / 0.3081).abs() < 1e-5,
            "{seen}"
        );
        assert!(Preprocessing::of(&mnist, Some(785)).is_err());
        assert!(Preprocessing::of(&mnist, None).is_err());
    }

    #[test]
    fn categories_of_a_table_pass_through() {
        let kinds = [
            ColumnKind::Number {
                mean: 2.0,
                std: 4.0,
                missing: None,
            },
            ColumnKind::Category {
                values: vec!["a".into(), "b".into()],
            },
        ];
        let description = Description {
            name: "t".into(),
            title: "t".into(),
            fingerprint: None,
            input: Input::Table {
                columns: kinds
                    .map(|kind| Column {
                        name: "c".into(),
                        kind,
                    })
                    .into(),
            },
            target: Target::Values {
                values: vec![Quantity {
                    name: "q".into(),
                    log: false,
                    mean: 0.0,
                    std: 1.0,
                }],
            },
        };
        let found = Preprocessing::of(&description, Some(3)).unwrap();
        assert_eq!(
            (found.offset, found.divisor),
            (vec![2.0, 0.0, 0.0], vec![4.0, 1.0, 1.0])
        );
        assert_eq!(found.broadcast.dims(), [3]);
    }
}
