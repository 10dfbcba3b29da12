//! What is minimised: losses over named outputs and targets, as one weighted mean over examples.

use crate::{
    data::{Batch, Dataset, Field, Values},
    loss::Loss,
    model::{Model, identifier},
};
use ane_ir::{DType, Graph, GraphError, Shape, TensorType, TypeError, Value};
use half::f16;
use serde::{Deserialize, Serialize};

/// One loss, of one output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Term {
    /// What is computed per example.
    pub loss: Loss,
    /// The model's output.
    pub output: String,
    /// The tensor of the batch that the output should be: classes, or as many fp16 values per example.
    pub target: String,
    /// Factor of the term.
    pub weight: f64,
}

/// The sum of its terms, each a mean Σ w·l / divisor over examples of weight w; or the loss that the model computes itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Objective {
    /// The terms; none where the loss is the model's own.
    pub terms: Vec<Term>,
}

/// An objective does not fit its model or its data.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectiveError {
    /// No term, and no loss of the model's own.
    #[error(
        "an objective has no terms, and model `{model}` computes no loss itself, so there is nothing to minimise"
    )]
    NoTerms {
        /// The model.
        model: String,
    },
    /// The model has no such output.
    #[error("a loss wants the output `{output}`; model `{model}` gives {}", .outputs.join(", "))]
    NoOutput {
        /// The output.
        output: String,
        /// The model.
        model: String,
        /// Its outputs.
        outputs: Vec<String>,
    },
    /// The data has no such tensor.
    #[error("a loss wants the target `{target}`; the examples have {}", .fields.join(", "))]
    NoTarget {
        /// The target.
        target: String,
        /// What the examples have.
        fields: Vec<String>,
    },
    /// The target's type or shape is not what the loss takes.
    #[error("{loss} of `{output}` takes {expected} per example, the target `{target}` is {found}")]
    Target {
        /// The loss.
        loss: &'static str,
        /// The output.
        output: String,
        /// What the loss takes.
        expected: String,
        /// The target.
        target: String,
        /// What it is.
        found: String,
    },
    /// A target that the loss is not made for.
    #[error(
        "{loss} takes targets from 0 to 1, example {row} of the batch has {value} in `{target}`"
    )]
    Range {
        /// The loss.
        loss: &'static str,
        /// The target.
        target: String,
        /// The row.
        row: usize,
        /// What was found.
        value: f32,
    },
    /// A class that the output has no value for.
    #[error("example {row} of the batch has class {class} in `{target}`, expected 0 to {}", .classes.saturating_sub(1))]
    Class {
        /// The target.
        target: String,
        /// The row.
        row: usize,
        /// What was found.
        class: i32,
        /// How many classes the output has.
        classes: usize,
    },
    /// The data does not give what the model takes.
    #[error("model `{model}` takes {expected} as `{input}`, the examples have {found}")]
    Input {
        /// The model.
        model: String,
        /// The input.
        input: String,
        /// What the model takes per example.
        expected: String,
        /// What the examples have.
        found: String,
    },
    /// A loss does not take the output's shape.
    #[error(transparent)]
    Type(#[from] TypeError),
    /// An input of the model has the name of a target's port.
    #[error(transparent)]
    Port(#[from] GraphError),
}

impl Objective {
    /// A single loss of `output`.
    pub fn of(loss: Loss, output: &str, target: &str) -> Self {
        Self {
            terms: vec![Term {
                loss,
                output: output.to_owned(),
                target: target.to_owned(),
                weight: 1.0,
            }],
        }
    }

    /// The loss that the model computes itself, of the batch as a whole: examples have no weights.
    pub fn own() -> Self {
        Self { terms: Vec::new() }
    }

    /// Whether the loss is the model's own.
    pub fn is_own(&self) -> bool {
        self.terms.is_empty()
    }

    /// Input port of the target of term `i`, which is always of fp16 rows.
    pub fn port(&self, i: usize) -> String {
        match self.terms.len() {
            1 => "target".to_owned(),
            _ => format!("target_{i}_{}", identifier(&self.terms[i].target)),
        }
    }

    /// Appends the loss [1, 1] to a forward pass with these outputs, for example weights [B, 1] and a divisor [1, 1].
    ///
    /// # Errors
    /// When a term names no output of the model.
    pub fn build(
        &self,
        g: &mut Graph,
        model: &Model,
        outputs: &[(String, Value)],
        weight: Value,
        divisor: Value,
    ) -> Result<Value, ObjectiveError> {
        // Dividing the weights instead of the sum keeps every term of the gradient small: no term is scaled twice.
        let share = g.real_div(weight, divisor)?;
        let mut total = None;
        for (i, term) in self.terms.iter().enumerate() {
            let output = self.output_of(term, model, outputs)?;
            let shape = &g.ty(output).shape;
            let rows = Shape::new(&[model.batch, shape.numel() / model.batch]);
            let target = g.input(
                &self.port(i),
                TensorType::new(g.ty(output).dtype, rows.clone()),
            )?;
            let output = if *shape_of(g, output) == rows {
                output
            } else {
                g.reshape(output, &rows)?
            };
            let per_example = term.loss.per_example(g, output, target)?;
            let weighted = g.mul(per_example, share)?;
            let mut loss = g.reduce_sum(weighted, &[0], true)?;
            if term.weight != 1.0 {
                let factor = g.scalar(g.ty(loss).dtype, term.weight)?;
                loss = g.mul(loss, factor)?;
            }
            total = Some(match total {
                Some(so_far) => g.add(so_far, loss)?,
                None => loss,
            });
        }
        total.ok_or_else(|| ObjectiveError::NoTerms {
            model: model.name.clone(),
        })
    }

    fn output_of(
        &self,
        term: &Term,
        model: &Model,
        outputs: &[(String, Value)],
    ) -> Result<Value, ObjectiveError> {
        let found = outputs.iter().find(|(name, _)| *name == term.output);
        let (_, value) = found.ok_or_else(|| ObjectiveError::NoOutput {
            output: term.output.clone(),
            model: model.name.clone(),
            outputs: outputs.iter().map(|(name, _)| name.clone()).collect(),
        })?;
        Ok(*value)
    }

    /// Whether the examples of a data set have what the model and the losses take.
    ///
    /// # Errors
    /// The first tensor that is missing or of another kind, with both sides.
    pub fn check(&self, model: &Model, data: &dyn Dataset) -> Result<(), ObjectiveError> {
        model.must_take(data)?;
        let fields = data.schema();
        let graph = &model.train.graph;
        for term in &self.terms {
            let output = self.output_of(term, model, &model.train.outputs)?;
            let width = graph.ty(output).shape.numel() / model.batch;
            let field = fields.iter().find(|f| f.name == term.target);
            let field = field.ok_or_else(|| ObjectiveError::NoTarget {
                target: term.target.clone(),
                fields: fields.iter().map(|f| f.name.clone()).collect(),
            })?;
            if !term.loss.takes(field, width) {
                return Err(ObjectiveError::Target {
                    loss: term.loss.name(),
                    output: term.output.clone(),
                    expected: term.loss.wants(width),
                    target: term.target.clone(),
                    found: field.to_string(),
                });
            }
        }
        Ok(())
    }
}

impl Model {
    /// Whether the examples of a data set have what the model takes.
    ///
    /// # Errors
    /// The first input that is missing or of another kind, with both sides.
    pub fn must_take(&self, data: &dyn Dataset) -> Result<(), ObjectiveError> {
        let fields = data.schema();
        let graph = &self.train.graph;
        for &input in &self.train.inputs {
            let (name, ty) = (graph.port(input), graph.ty(input));
            let dims = &ty.shape.dims()[1..];
            let field = fields.iter().find(|f| f.name == name);
            // A flat input takes an example of any shape, row by row.
            let fits = field.is_some_and(|f| {
                f.dtype == ty.dtype
                    && (f.shape.dims() == dims || (dims.len() == 1 && f.shape.numel() == dims[0]))
            });
            if !fits {
                return Err(ObjectiveError::Input {
                    model: self.name.clone(),
                    input: name.to_owned(),
                    expected: format!("{} {dims:?}", ty.dtype),
                    found: field.map_or_else(|| "none".to_owned(), ToString::to_string),
                });
            }
        }
        Ok(())
    }
}

fn shape_of(g: &Graph, v: Value) -> &Shape {
    &g.ty(v).shape
}

/// Turns the targets of a term into fp16 rows: what is stored as a class becomes the loss's row for it.
#[derive(Debug)]
pub(crate) struct TargetRows {
    loss: Loss,
    target: String,
    /// Values of a row of the output.
    width: usize,
    /// The row of every class, one behind the other.
    classes: Vec<u16>,
    rows: Vec<u16>,
}

impl TargetRows {
    pub(crate) fn new(term: &Term, width: usize) -> Self {
        // A single value tells two classes apart.
        let classes = if width == 1 { 2 } else { width };
        let row = |class| match width {
            1 => vec![class as f32],
            _ => term.loss.target_row(class, width),
        };
        Self {
            loss: term.loss,
            target: term.target.clone(),
            width,
            classes: (0..classes)
                .flat_map(row)
                .map(|x| f16::from_f32(x).to_bits())
                .collect(),
            rows: Vec::new(),
        }
    }

    /// The rows of a batch, padding included.
    pub(crate) fn of<'a>(&'a mut self, batch: &'a Batch) -> Result<&'a [u16], ObjectiveError> {
        match batch.get(&self.target) {
            Some(Values::Fp16(rows)) => {
                let outside = |bits: u16| self.loss.wants_probabilities() && !is_probability(bits);
                match rows.iter().position(|&bits| outside(bits)) {
                    None => Ok(rows),
                    Some(at) => Err(ObjectiveError::Range {
                        loss: self.loss.name(),
                        target: self.target.clone(),
                        row: at / self.width.max(1),
                        value: f16::from_bits(rows[at]).to_f32(),
                    }),
                }
            }
            Some(Values::Int32(classes)) => {
                self.rows.clear();
                for (row, &class) in classes.iter().enumerate() {
                    let from = usize::try_from(class).map(|c| c * self.width);
                    let values = from
                        .ok()
                        .and_then(|at| self.classes.get(at..at + self.width));
                    let values = values.ok_or_else(|| ObjectiveError::Class {
                        target: self.target.clone(),
                        row,
                        class,
                        classes: self.classes.len() / self.width,
                    })?;
                    self.rows.extend_from_slice(values);
                }
                Ok(&self.rows)
            }
            found => Err(ObjectiveError::NoTarget {
                target: match found {
                    Some(_) => format!("{} of fp16 or int32", self.target),
                    None => self.target.clone(),
                },
                fields: batch.names().map(str::to_owned).collect(),
            }),
        }
    }
}

/// Whether an fp16 bit pattern is a number from 0 to 1.
fn is_probability(bits: u16) -> bool {
    const ONE: u16 = 0x3C00;
    const MINUS_ZERO: u16 = 0x8000;
    bits <= ONE || bits == MINUS_ZERO
}

impl Loss {
    /// Whether its targets are probabilities.
    fn wants_probabilities(&self) -> bool {
        matches!(self, Self::CrossEntropy { .. } | Self::BceWithLogits)
    }

    /// Whether a tensor of the examples can be the target of an output of `width` values.
    pub(crate) fn takes(&self, field: &Field, width: usize) -> bool {
        match &field.classes {
            Some(classes) => classes.len() <= width.max(2),
            None => field.dtype == DType::Fp16 && field.shape.numel() == width,
        }
    }

    /// The targets that it takes, in words.
    pub(crate) fn wants(&self, width: usize) -> String {
        format!(
            "{width} fp16 values, or one of up to {} classes",
            width.max(2)
        )
    }
}
