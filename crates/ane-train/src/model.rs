//! What is trained, before any loss: a network as two graphs over one list of parameters and buffers.
//!
//! [`Model::build`] runs one builder function twice, once for training and once for inference. The two graphs share
//! [`Model::parameters`] and [`Model::buffers`] and differ where layers do: batch norm takes its statistics from the
//! batch or from its buffers, dropout multiplies by a mask or does nothing. Both are forward only; the step adds loss,
//! gradients and update.

mod builder;
mod error;
mod head;
mod init;
mod kept;
mod layer;

/// A path as an identifier of MIL, without the loss that would make two paths one.
pub use ane_mil::identifier;
pub use builder::{Builder, Mode};
pub use error::{LayerError, ModelError};
pub use head::Head;
pub use init::Init;
pub use kept::{Kept, KeptValues};
pub use layer::Layer;

use ane_ir::{DType, Graph, Shape, TensorType, Value};

/// Name of the input port [B, 1] that is 1 for rows that hold an example and 0 for padding.
pub const PRESENT: &str = "present";

/// A tensor that outlives a step and that gradients belong to.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// PyTorch's name in the `state_dict`, such as `layer1.0.conv1.weight`.
    pub path: String,
    /// PyTorch's shape.
    pub shape: Shape,
    /// How it begins.
    pub init: Init,
    /// Whether a step changes it.
    pub trainable: bool,
    /// What kind of parameter it is, for groups with settings of their own.
    pub tags: Tags,
}

/// Kinds of parameters that optimizers are often told to treat apart, such as those without weight decay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tags {
    /// Added to a result.
    pub bias: bool,
    /// Belongs to a normalisation.
    pub norm: bool,
    /// Rows looked up by index.
    pub embedding: bool,
}

impl Tags {
    /// A bias, outside of normalisations.
    pub const BIAS: Self = Self {
        bias: true,
        norm: false,
        embedding: false,
    };
    /// The weight of a normalisation.
    pub const NORM: Self = Self {
        bias: false,
        norm: true,
        embedding: false,
    };
    /// A table of rows that are looked up.
    pub const EMBEDDING: Self = Self {
        bias: false,
        norm: false,
        embedding: true,
    };
    /// The bias of a normalisation.
    pub const NORM_BIAS: Self = Self {
        bias: true,
        norm: true,
        embedding: false,
    };
}

impl Parameter {
    /// Initial values for a seed; every position draws from a stream of its own, so models that share a prefix of
    /// parameters share its values.
    pub fn initial(&self, seed: u64, position: usize) -> Vec<f32> {
        self.init.values(self.shape.numel(), seed, position)
    }

    /// The path as an identifier of MIL, to be prefixed: `0.weight` becomes `0_weight`.
    pub fn identifier(&self) -> String {
        identifier(&self.path)
    }

    /// Its input port in a [`ModelGraph`].
    pub fn port(&self) -> String {
        format!("param_{}", self.identifier())
    }
}

/// A tensor that outlives a step and that no gradient belongs to: running statistics. The host keeps it in fp32.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelBuffer {
    /// PyTorch's name in the `state_dict`, such as `bn1.running_mean`.
    pub path: String,
    /// PyTorch's shape.
    pub shape: Shape,
    /// How it begins.
    pub init: Init,
}

impl ModelBuffer {
    /// Its elements before the first step. No buffer is drawn.
    pub fn initial(&self) -> Vec<f32> {
        self.init.values(self.shape.numel(), 0, 0)
    }
}

/// An input of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Name of its port.
    pub name: String,
    /// What its elements are: fp16, or an integer type for indices and bytes.
    pub dtype: DType,
    /// Shape of one example; the port has the batch before it.
    pub shape: Shape,
}

impl Input {
    /// An input of real numbers.
    pub fn fp16(name: &str, shape: impl Into<Shape>) -> Self {
        Self::new(name, DType::Fp16, shape)
    }

    /// An input of any type.
    pub fn new(name: &str, dtype: DType, shape: impl Into<Shape>) -> Self {
        Self {
            name: name.to_owned(),
            dtype,
            shape: shape.into(),
        }
    }
}

/// The named results of a forward pass. A single value is called `output`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outputs(pub Vec<(String, Value)>);

impl From<Value> for Outputs {
    fn from(value: Value) -> Self {
        Self(vec![("output".to_owned(), value)])
    }
}

impl<S: Into<String>, const N: usize> From<[(S, Value); N]> for Outputs {
    fn from(named: [(S, Value); N]) -> Self {
        Self(named.map(|(name, value)| (name.into(), value)).into())
    }
}

/// The forward pass of a model at a fixed batch size.
#[derive(Debug, Clone)]
pub struct ModelGraph {
    /// The graph. Its inputs are those listed below and no others; it has no output ports yet, since a step may want
    /// more, fewer or other ones.
    pub graph: Graph,
    /// The inputs, each [B, …], in the order in which the model was given them.
    pub inputs: Vec<Value>,
    /// The outputs by name, each [B, …].
    pub outputs: Vec<(String, Value)>,
    /// Input port `param_…` of every parameter, in the order of [`Model::parameters`], of the parameter's shape.
    pub parameters: Vec<Value>,
    /// Inference: the buffers that are read.
    pub buffers: Vec<BufferPort>,
    /// The loss, one number, of a model that computes it itself; its targets are inputs then.
    pub loss: Option<Value>,
    /// A language model: by the name of its scores, what they are made of. They are no output.
    pub head: Option<(String, Head)>,
    /// Training: what buffers are updated with.
    pub statistics: Vec<Statistic>,
    /// Training: random inputs.
    pub randoms: Vec<RandomPort>,
    /// Training: the input [`PRESENT`] [B, 1], where a layer counts rows.
    pub present: Option<Value>,
}

/// An input port that a buffer is written to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BufferPort {
    /// Position in [`Model::buffers`].
    pub buffer: usize,
    /// The port, of the buffer's shape.
    pub value: Value,
    /// What of the buffer it holds.
    pub form: BufferForm,
}

/// What a port holds of a buffer. The host forms it in fp32, where a variance neither overflows nor vanishes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum BufferForm {
    /// The elements.
    Plain,
    /// 1/√(element + epsilon).
    ReciprocalRoot {
        /// Added before the root.
        epsilon: f64,
    },
}

impl BufferForm {
    /// What the port holds for an element of the buffer.
    pub fn of(self, element: f32) -> f32 {
        match self {
            Self::Plain => element,
            Self::ReciprocalRoot { epsilon } => {
                (1.0 / (f64::from(element) + epsilon).sqrt()) as f32
            }
        }
    }
}

/// A statistic of the batch that the host adds to a buffer after a step that was not skipped:
/// `running ← (1 − momentum)·running + momentum·batch`, as PyTorch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Statistic {
    /// Position in [`Model::buffers`].
    pub buffer: usize,
    /// The statistic, of the buffer's shape; to be made an output of the step.
    pub value: Value,
    /// Share of the batch.
    pub momentum: f64,
    /// What it is.
    pub kind: StatisticKind,
    /// How many values a row of the batch contributes to one element, such as H·W.
    pub count: usize,
}

/// What a [`Statistic`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatisticKind {
    /// A mean over the values of the present rows.
    Mean,
    /// A mean of squared distances from that mean. The buffer takes it times n/(n − 1), where n is the number of
    /// values of the present rows.
    Variance,
}

impl Statistic {
    /// The next element of the buffer, for a batch with this many present rows.
    ///
    /// With a single value the unbiased variance does not exist, and the running one stays.
    pub fn update(&self, running: f32, batch: f32, present_rows: usize) -> f32 {
        let n = (present_rows * self.count) as f64;
        let batch = match self.kind {
            StatisticKind::Mean if n >= 1.0 => f64::from(batch),
            StatisticKind::Variance if n >= 2.0 => f64::from(batch) * n / (n - 1.0),
            StatisticKind::Mean | StatisticKind::Variance => return running,
        };
        let running = f64::from(running);
        (running + self.momentum * (batch - running)) as f32
    }
}

/// An input that the host draws anew for every step: what dropout multiplies by.
#[derive(Debug, Clone, PartialEq)]
pub struct RandomPort {
    /// The port.
    pub value: Value,
    /// Its name.
    pub port: String,
    /// Its shape, batch first.
    pub shape: Shape,
    /// The probability of an element that it is kept.
    pub keep: f64,
    /// The layer that draws.
    pub path: String,
    /// Which of the draws of its layer it is, from 0.
    pub ordinal: usize,
}

impl RandomPort {
    /// The element for a number drawn uniformly from [0, 1): 1/keep for one that is kept, so that the expectation
    /// stays, and 0 for another.
    pub fn element(&self, unit: f64) -> f32 {
        if unit < self.keep {
            (1.0 / self.keep) as f32
        } else {
            0.0
        }
    }
}

/// A network at a fixed batch size.
#[derive(Debug, Clone)]
pub struct Model {
    /// What it is called.
    pub name: String,
    /// Rows of every input and output.
    pub batch: usize,
    /// The trainable tensors, in the order in which the forward pass asks for them.
    pub parameters: Vec<Parameter>,
    /// The running statistics, in the order in which the forward pass asks for them.
    pub buffers: Vec<ModelBuffer>,
    /// What else belongs to its `state_dict`, and that no step reads or changes.
    pub kept: Vec<Kept>,
    /// The forward pass of a training step.
    pub train: ModelGraph,
    /// The forward pass of evaluation and prediction.
    pub infer: ModelGraph,
}

impl Model {
    /// Builds a model in fp16 from a function that applies layers to its inputs.
    ///
    /// The function is run for training and for inference, and must ask for the same parameters and buffers both
    /// times.
    ///
    /// # Errors
    /// When a layer does not fit what it is given, with the layer's path; when the function asks for a path twice, or
    /// for different ones in the two modes; when the batch or an axis of an input is empty.
    pub fn build<O: Into<Outputs>>(
        name: &str,
        batch: usize,
        inputs: &[Input],
        forward: impl Fn(&mut Builder, &[Value]) -> Result<O, ModelError>,
    ) -> Result<Self, ModelError> {
        Self::build_in(DType::Fp16, name, batch, inputs, forward)
    }

    /// [`Model::build`] with another type for all real numbers; inputs of fp16 become inputs of it.
    ///
    /// # Errors
    /// As [`Model::build`].
    pub fn build_in<O: Into<Outputs>>(
        dtype: DType,
        name: &str,
        batch: usize,
        inputs: &[Input],
        forward: impl Fn(&mut Builder, &[Value]) -> Result<O, ModelError>,
    ) -> Result<Self, ModelError> {
        let run = |mode| -> Result<builder::Built, ModelError> {
            let mut cx = Builder::new(mode, dtype, batch);
            let ports = inputs
                .iter()
                .map(|input| cx.input(input))
                .collect::<Result<Vec<_>, _>>()?;
            let outputs = forward(&mut cx, &ports)?.into();
            cx.finish(ports, outputs)
        };
        let train = run(Mode::Train)?;
        let infer = run(Mode::Infer)?;
        if let Some(path) = train.first_difference(&infer) {
            return Err(ModelError::ModesDiffer { path });
        }
        Ok(Self {
            name: name.to_owned(),
            batch,
            parameters: train.parameters,
            buffers: train.buffers,
            kept: Vec::new(),
            train: train.graph,
            infer: infer.graph,
        })
    }

    /// The parameter or buffer with this path, if there is one: its shape.
    pub fn shape_of(&self, path: &str) -> Option<&Shape> {
        let parameters = self.parameters.iter().map(|p| (&p.path, &p.shape));
        let buffers = self.buffers.iter().map(|b| (&b.path, &b.shape));
        parameters
            .chain(buffers)
            .find(|(p, _)| *p == path)
            .map(|(_, shape)| shape)
    }
}

/// The type of a tensor of real numbers.
fn real(dtype: DType, shape: &Shape) -> TensorType {
    TensorType {
        dtype,
        shape: shape.clone(),
    }
}

#[cfg(test)]
mod tests;
