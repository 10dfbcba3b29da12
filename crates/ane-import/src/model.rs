//! Exported programs of PyTorch as models: the graph of `model.train()` and, where there is one, that of `model.eval()`.
//!
//! Both are undecomposed, as `torch.export.export` gives them: `detach` and `no_grad` blocks still say where gradients end,
//! and batch norms where running statistics change. A file with the training graph alone evaluates by the same graph,
//! without dropout and by running statistics.
//!
//! Parameters have PyTorch's paths and begin with the values of the file. Tied weights are one parameter, by the first of
//! its paths. What else belongs to the `state_dict` is kept as it came, for `load_state_dict(strict=True)`.

mod captured;
mod counters;
mod examples;
mod frame;
mod passes;
mod state;

pub use captured::Captured;
pub use counters::Counter;
pub use state::StateError;

use crate::{
    error::ImportError,
    lower::{Cx, Given},
    pt2::{Exported, Pt2, Pt2Error, Role},
};
use ane_ir::{DType, Shape};
use ane_train::{
    model::{Builder, Input, Model},
    models::{Examples, Outputs},
};
use examples::Layout;
use frame::ModelFrame;
use passes::{Pass, Passes};
use std::path::Path;

/// What the input of examples is called.
const INPUT: &str = "x";

/// A model in one or two `.pt2` files.
#[derive(Debug)]
pub struct TorchModel {
    name: String,
    train: Pt2,
    eval: Option<Pt2>,
}

/// A model cannot be made of exported programs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TorchModelError {
    /// A file is not what it should be.
    #[error(transparent)]
    File(#[from] Pt2Error),
    /// An op has no lowering.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The file is for another batch.
    #[error("it was exported for batches of {exported}, and {asked} were asked for")]
    Batch {
        /// The file's.
        exported: usize,
        /// The run's.
        asked: usize,
    },
    /// It takes other examples than there are.
    #[error("it takes {takes:?} with the batch first; examples of the data set are {shape}")]
    Examples {
        /// What it takes.
        takes: Vec<usize>,
        /// The data set's.
        shape: Shape,
    },
    /// It does not give a row of scores per example.
    #[error("it gives {found}, expected {} [{batch}, {}]", .outputs.name(), .outputs.width())]
    Scores {
        /// What it gives.
        found: String,
        /// Rows of a batch.
        batch: usize,
        /// What the data set wants.
        outputs: Outputs,
    },
    /// What should be the loss is none.
    #[error("the loss is {found}, expected one real number that depends on the parameters")]
    Loss {
        /// What it is.
        found: String,
    },
    /// Something that the user passes has no axis of the batch, or another than the rest.
    #[error(
        "input {index} of a batch is {found}, expected a first axis of {batch} rows, as input 0 has"
    )]
    Rows {
        /// Which, from 0.
        index: usize,
        /// Its shape.
        found: String,
        /// Rows of the first.
        batch: usize,
    },
    /// The state dict contradicts the graph.
    #[error(transparent)]
    State(#[from] StateError),
}

impl TorchModelError {
    /// What the user can do.
    pub fn help(&self) -> String {
        match self {
            Self::File(e) => e.help().to_owned(),
            Self::Batch { exported, .. } => format!(
                "pass --batch {exported}, or export it with the first axis as a torch.export.Dim"
            ),
            Self::Examples { .. } => {
                "pass another --dataset, or change the model's input".to_owned()
            }
            Self::Scores { .. } => {
                "return one score per class, before any softmax, or the values that are to be said, and nothing else".to_owned()
            }
            Self::Loss { .. } => "reduce the loss to its mean or its sum".to_owned(),
            Self::Rows { .. } => {
                "pass tensors whose first axis is the batch, and keep others in the model"
                    .to_owned()
            }
            Self::Import(_) => "write that part of the model in another way".to_owned(),
            Self::State(_) => "save it again with torch.export.save of torch ≥ 2.15".to_owned(),
        }
    }
}

impl TorchModel {
    /// Reads a model: the exported program of `model.train()`, and that of `model.eval()`.
    ///
    /// # Errors
    /// When a file is not what it should be.
    pub fn open(name: &str, train: &Path, eval: Option<&Path>) -> Result<Self, Pt2Error> {
        Ok(Self {
            name: name.to_owned(),
            train: Pt2::open(train)?,
            eval: eval.map(Pt2::open).transpose()?,
        })
    }

    /// The batch it was exported for; none if it is open.
    ///
    /// # Errors
    /// When it takes something else than one tensor.
    pub fn batch(&self) -> Result<Option<usize>, Pt2Error> {
        self.train.batch()
    }

    /// The model for examples of a data set, with the input `x` and the output that is named after what the data set wants.
    ///
    /// # Errors
    /// When the examples or the batch are not what it was made for; when an op has no lowering.
    pub fn model(
        &self,
        dtype: DType,
        batch: usize,
        examples: &Examples,
    ) -> Result<Model, TorchModelError> {
        if let Some(exported) = self.batch()?.filter(|&b| b != batch) {
            return Err(TorchModelError::Batch {
                exported,
                asked: batch,
            });
        }
        let (passes, _) = Passes::new(self, batch, "")?;
        let layout = Layout::of(&user_shape(passes.train()), examples)?;
        let inputs = [Input::fp16(INPUT, layout.port())];
        passes.build(dtype, batch, &inputs, |cx, x, pass| {
            let y = forward(cx, x[0], pass, (&layout, examples))?;
            Ok([(examples.outputs.name(), y)])
        })
    }
}

/// One forward pass.
fn forward(
    cx: &mut Builder,
    x: ane_ir::Value,
    pass: &Pass<'_>,
    (layout, examples): (&Layout, &Examples),
) -> Result<ane_ir::Value, TorchModelError> {
    let exported = pass.exported;
    let batch = cx.batch();
    let x = layout.apply(cx.graph(), x).map_err(ImportError::from)?;
    let mut frame = ModelFrame::new(cx, &[x], pass)?;
    let given = {
        let mut cx = Cx::lower(&mut frame, &exported.graph)?;
        match &exported.graph.outputs[..] {
            [output] => cx.result(output),
            _ => None,
        }
    };
    let scores = |found: String| TorchModelError::Scores {
        found,
        batch,
        outputs: examples.outputs,
    };
    match given {
        Some(Given::Value(y, tensor)) => {
            if tensor.shape != [batch, examples.outputs.width()] || !tensor.dtype.is_float() {
                return Err(scores(format!("{:?}", tensor.shape)));
            }
            Ok(y)
        }
        Some(_) => Err(scores("what it was given".to_owned())),
        None => Err(scores(format!("{} results", exported.graph.outputs.len()))),
    }
}

/// Shape of what the user passes.
fn user_shape(exported: &Exported) -> Vec<usize> {
    let inputs = exported.graph.inputs.iter().zip(&exported.roles);
    let mut user = inputs.filter(|(_, role)| **role == Role::User);
    match user.next() {
        Some((Some(tensor), _)) => tensor.shape.clone(),
        _ => Vec::new(),
    }
}
