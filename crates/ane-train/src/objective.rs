//! What is minimised: losses over named outputs and targets, as one weighted mean over examples.

mod targets;

pub use targets::IGNORED;
pub(crate) use targets::{TermTargets, Written};

use crate::{
    data::{Dataset, Field},
    loss::{Loss, next_token},
    model::{Head, Model, ModelGraph, identifier},
};
use ane_ir::{DType, Graph, GraphError, Shape, TensorType, TypeError, Value};
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

    /// Input port of the target of term `i`: fp16 rows, or the ids of tokens.
    fn port(&self, i: usize) -> String {
        match self.terms.len() {
            1 => "target".to_owned(),
            _ => format!("target_{i}_{}", identifier(&self.terms[i].target)),
        }
    }

    /// Appends the loss [1, 1] to a forward pass, for example weights [B, 1] and a divisor [1, 1].
    ///
    /// # Errors
    /// When a term names no output of the model, or has a loss that does not take what it is.
    pub fn build(
        &self,
        g: &mut Graph,
        model: &Model,
        of: &ModelGraph,
        weight: Value,
        divisor: Value,
    ) -> Result<Minimised, ObjectiveError> {
        // Dividing the weights instead of the sum keeps every term of the gradient small: no term is scaled twice.
        let share = g.real_div(weight, divisor)?;
        let mut total = None;
        let mut minimised = Minimised::default();
        for (i, term) in self.terms.iter().enumerate() {
            let port = self.port(i);
            let per_example = match of.head.as_ref().filter(|(name, _)| *name == term.output) {
                Some((_, head)) => minimised.tokens(g, term, head, &port)?,
                None => {
                    let output = self.output_of(term, model, of)?;
                    let shape = &g.ty(output).shape;
                    let rows = Shape::new(&[model.batch, shape.numel() / model.batch]);
                    let ty = TensorType::new(g.ty(output).dtype, rows.clone());
                    let target = g.input(&port, ty)?;
                    let output = if g.ty(output).shape == rows {
                        output
                    } else {
                        g.reshape(output, &rows)?
                    };
                    minimised.targets.push(port);
                    term.loss.per_example(g, output, target)?
                }
            };
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
        minimised.loss = total;
        match total {
            Some(_) => Ok(minimised),
            None => Err(ObjectiveError::NoTerms {
                model: model.name.clone(),
            }),
        }
    }

    fn output_of(
        &self,
        term: &Term,
        model: &Model,
        of: &ModelGraph,
    ) -> Result<Value, ObjectiveError> {
        let found = of.outputs.iter().find(|(name, _)| *name == term.output);
        let (_, value) = found.ok_or_else(|| ObjectiveError::NoOutput {
            output: term.output.clone(),
            model: model.name.clone(),
            outputs: of.outputs.iter().map(|(name, _)| name.clone()).collect(),
        })?;
        Ok(*value)
    }

    /// The tensor that the only loss compares with, and what it wants of the output by class; none of another number of
    /// losses.
    pub fn class_rows(&self, model: &Model) -> Option<(&str, Vec<Vec<f32>>)> {
        let [term] = &self.terms[..] else { return None };
        let output = self.output_of(term, model, &model.train).ok()?;
        let width = model.train.graph.ty(output).shape.numel() / model.batch;
        Some((&term.target, targets::class_rows(&term.loss, width)))
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
            let field = fields.iter().find(|f| f.name == term.target);
            let field = field.ok_or_else(|| ObjectiveError::NoTarget {
                target: term.target.clone(),
                fields: fields.iter().map(|f| f.name.clone()).collect(),
            })?;
            let head = model.train.head.as_ref();
            if let Some((_, head)) = head.filter(|(name, _)| *name == term.output) {
                let positions = head.positions(graph);
                if field.dtype != DType::Int32 || field.shape.dims() != [positions] {
                    return Err(ObjectiveError::Target {
                        loss: term.loss.name(),
                        output: term.output.clone(),
                        expected: format!("{positions} tokens"),
                        target: term.target.clone(),
                        found: field.to_string(),
                    });
                }
                continue;
            }
            let output = self.output_of(term, model, &model.train)?;
            let width = graph.ty(output).shape.numel() / model.batch;
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

/// What became of an objective in a graph.
#[derive(Debug, Clone, Default)]
pub struct Minimised {
    /// The loss [1, 1].
    pub loss: Option<Value>,
    /// Input ports of the targets, those of a term one after the other.
    pub targets: Vec<String>,
    /// Language models: the loss of every token [B, T], by output port.
    pub token_losses: Vec<(String, Value)>,
}

/// Output port of the losses of tokens [B, T].
pub const TOKEN_LOSS: &str = "token_loss";

impl Minimised {
    /// The loss [B, 1] of every example of a language model: Σ over its positions of weight · loss.
    fn tokens(
        &mut self,
        g: &mut Graph,
        term: &Term,
        head: &Head,
        port: &str,
    ) -> Result<Value, ObjectiveError> {
        let Loss::CrossEntropy { label_smoothing } = term.loss else {
            return Err(ObjectiveError::Target {
                loss: term.loss.name(),
                output: term.output.clone(),
                expected: "numbers".to_owned(),
                target: term.target.clone(),
                found: "tokens, which cross-entropy is for".to_owned(),
            });
        };
        let hidden = g.ty(head.hidden).clone();
        let positions = Shape::new(&hidden.shape.dims()[..2]);
        let ids = g.input(port, TensorType::new(DType::Int32, positions.clone()))?;
        let weights = format!("{port}_weight");
        let weight = g.input(&weights, TensorType::new(hidden.dtype, positions.clone()))?;
        let losses = next_token(g, head, ids, label_smoothing)?;
        let losses = g.reshape(losses, &positions)?;
        let weighted = g.mul(losses, weight)?;
        self.targets.extend([port.to_owned(), weights]);
        let name = match self.token_losses.len() {
            0 => TOKEN_LOSS.to_owned(),
            n => format!("{TOKEN_LOSS}_{n}"),
        };
        self.token_losses.push((name, losses));
        Ok(g.reduce_sum(weighted, &[1], true)?)
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

impl Loss {
    /// Whether its targets are probabilities.
    pub(crate) fn wants_probabilities(&self) -> bool {
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
