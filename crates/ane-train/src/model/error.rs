//! What is wrong with a model, and where in it.

use ane_ir::{GraphError, Shape, TensorType, TypeError};

/// A model could not be built: the fault of whoever wrote or configured it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A layer cannot do what it is asked.
    #[error("{}: {error}", place(path))]
    Layer {
        /// The layer; empty outside of all scopes.
        path: String,
        /// Why.
        error: LayerError,
    },
    /// An op does not take its operands; the error knows its place.
    #[error(transparent)]
    Type(#[from] TypeError),
    /// A port could not be made.
    #[error("{}: {error}", place(path))]
    Port {
        /// The layer; empty outside of all scopes.
        path: String,
        /// Why.
        error: GraphError,
    },
    /// A language model, and examples that are no text.
    #[error("model `{model}` learns the next token of a text, the examples have {found}")]
    NoTokens {
        /// The model.
        model: String,
        /// What is to be said of an example.
        found: String,
    },
    /// Two parameters or buffers of the same path.
    #[error("`{path}` is declared twice; give the second layer a name of its own")]
    PathTwice {
        /// The path.
        path: String,
    },
    /// The forward pass is not the same model in training and in inference.
    #[error(
        "`{path}` is declared in only one of training and inference, or with another shape; declare all parameters and buffers in both modes, in the same order"
    )]
    ModesDiffer {
        /// The first parameter or buffer that differs.
        path: String,
    },
    /// Two outputs of the same name.
    #[error("the model has two outputs called `{name}`")]
    OutputTwice {
        /// The name.
        name: String,
    },
    /// An output that is not one row per example.
    #[error("the output `{name}` is {found}; an output has the batch of {batch} as its first axis")]
    OutputShape {
        /// The output.
        name: String,
        /// Its shape.
        found: Shape,
        /// Rows of a batch.
        batch: usize,
    },
    /// An input, a parameter or the batch has no elements.
    #[error("`{name}` is {shape}: every axis has at least one element")]
    Empty {
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Shape,
    },
    /// Widths that are not those of the data set.
    #[error(
        "model `{model}` is made for {expected} {what}, the data set has {found}; write that width, or take `mlp`"
    )]
    Examples {
        /// The model.
        model: String,
        /// What is counted.
        what: &'static str,
        /// The model's width.
        expected: usize,
        /// The data set's.
        found: usize,
    },
    /// Examples without the axes of an image.
    #[error(
        "model `{model}` takes images [channels, rows, columns], an example of the data set is {shape}; take `mlp`"
    )]
    NoImages {
        /// The model.
        model: String,
        /// Shape of an example.
        shape: Shape,
    },
    /// The last layer of a list makes something else than the data set asks for.
    #[error(
        "model `{model}` makes {found}, the data set asks for {expected}; a last Linear without out_features makes as many as are asked for"
    )]
    LastLayer {
        /// The model.
        model: String,
        /// What the last layer makes.
        found: Shape,
        /// Rows of a batch, and outputs.
        expected: Shape,
    },
    /// A model of another framework cannot be read as one of ours.
    #[error("{0}")]
    Imported(String),
    /// A model without outputs.
    #[error("the model has no outputs")]
    NoOutputs,
}

/// Where in a model: a path, or the whole.
fn place(path: &str) -> &str {
    if path.is_empty() { "the model" } else { path }
}

/// Why a layer cannot do what it is asked.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LayerError {
    /// x has too many or too few axes.
    #[error("{layer} takes x as {expected}, found {found}")]
    Rank {
        /// The layer.
        layer: &'static str,
        /// Names of the axes.
        expected: &'static str,
        /// Shape of x.
        found: Shape,
    },
    /// x has another number of channels or features than the layer.
    #[error("{layer} takes {expected} {what}, x is {found}")]
    Features {
        /// The layer.
        layer: &'static str,
        /// `channels` or `features`.
        what: &'static str,
        /// How many the layer was made for.
        expected: usize,
        /// Shape of x.
        found: Shape,
    },
    /// A setting that must be at least 1 is 0.
    #[error("{layer}: {setting} must be at least 1, found 0")]
    Zero {
        /// The layer.
        layer: &'static str,
        /// Its setting.
        setting: &'static str,
    },
    /// Groups that do not divide the channels.
    #[error("{layer}: {groups} groups do not divide {inputs} channels in and {outputs} out")]
    Groups {
        /// The layer.
        layer: &'static str,
        /// How many groups.
        groups: usize,
        /// Channels of x.
        inputs: usize,
        /// Channels of the result.
        outputs: usize,
    },
    /// A window is larger than the image it slides over.
    #[error(
        "{layer}: the kernel covers {covered} elements, but an axis of x {found} has {length} and {padding} of padding at each end; take a smaller kernel or more padding"
    )]
    Kernel {
        /// The layer.
        layer: &'static str,
        /// From the first to the last element of a window.
        covered: usize,
        /// Length of the axis.
        length: usize,
        /// Padding at each end of it.
        padding: usize,
        /// Shape of x.
        found: Shape,
    },
    /// Windows of a pool that would lie in the padding as a whole.
    #[error("{layer}: padding {padding} must be at most half of the kernel {kernel}")]
    PoolPadding {
        /// The layer.
        layer: &'static str,
        /// Padding at each end.
        padding: usize,
        /// Elements of a window.
        kernel: usize,
    },
    /// An output padding that names no shape.
    #[error(
        "{layer}: output padding {output_padding} must be less than stride {stride} or dilation {dilation}"
    )]
    OutputPadding {
        /// The layer.
        layer: &'static str,
        /// What is added after an axis.
        output_padding: usize,
        /// Stride of the axis.
        stride: usize,
        /// Dilation of the axis.
        dilation: usize,
    },
    /// The padding of a transposed convolution takes everything away.
    #[error("{layer}: padding {padding} at each end leaves nothing of an axis of {length}")]
    NothingLeft {
        /// The layer.
        layer: &'static str,
        /// What is taken off each end.
        padding: usize,
        /// Length of the axis before.
        length: usize,
    },
    /// A normalisation over a single value, whose variance is always 0.
    #[error(
        "{layer} normalises over one value per channel or group of x {found}, which leaves nothing of it; take a larger batch or image"
    )]
    OneValue {
        /// The layer.
        layer: &'static str,
        /// Shape of x.
        found: Shape,
    },
    /// x ends with other axes than the layer normalises.
    #[error("{layer} normalises the last axes {expected} after a batch, x is {found}")]
    LastAxes {
        /// The layer.
        layer: &'static str,
        /// The axes.
        expected: Shape,
        /// Shape of x.
        found: Shape,
    },
    /// A probability to drop that is not one, or that would drop everything.
    #[error("{layer}: the probability must be at least 0 and less than 1, found {found}")]
    Probability {
        /// The layer.
        layer: &'static str,
        /// The setting.
        found: f64,
    },
    /// Two sides of a residual block of different shapes.
    #[error(
        "the path of a residual block gives {path}, its shortcut {shortcut}; put a projection on the shortcut"
    )]
    Residual {
        /// Shape that the path gives.
        path: Shape,
        /// Shape that the shortcut gives.
        shortcut: Shape,
    },
    /// Paths whose results differ in more than their channels.
    #[error("the first path gives {first}, `{path}` gives {found}: only the channels may differ")]
    Concat {
        /// Shape that the first path gives.
        first: Shape,
        /// Name of another path.
        path: String,
        /// Shape that it gives.
        found: Shape,
    },
    /// Indices that are no integers.
    #[error("{layer} takes indices of int32, found {found}")]
    Indices {
        /// The layer.
        layer: &'static str,
        /// What it was given.
        found: TensorType,
    },
    /// Heads that do not divide what they share.
    #[error("{layer}: {heads} {what} do not divide {whole}")]
    Heads {
        /// The layer.
        layer: &'static str,
        /// How many.
        heads: usize,
        /// Of what.
        what: &'static str,
        /// What they should divide, such as `a width of 130`.
        whole: String,
    },
    /// More positions than a model has.
    #[error("{layer} knows {context} positions, x has {found}")]
    Positions {
        /// The layer.
        layer: &'static str,
        /// Positions there are.
        context: usize,
        /// Positions of x.
        found: usize,
    },
    /// A block of no paths.
    #[error("{layer} has no paths")]
    NoPaths {
        /// The layer.
        layer: &'static str,
    },
}

impl ModelError {
    /// The same error with its place, unless it has one.
    pub(super) fn at(self, place: &str) -> Self {
        match self {
            Self::Layer { path, error } if path.is_empty() => Self::Layer {
                path: place.to_owned(),
                error,
            },
            Self::Port { path, error } if path.is_empty() => Self::Port {
                path: place.to_owned(),
                error,
            },
            other => other,
        }
    }
}

impl From<LayerError> for ModelError {
    fn from(error: LayerError) -> Self {
        Self::Layer {
            path: String::new(),
            error,
        }
    }
}

impl From<GraphError> for ModelError {
    fn from(error: GraphError) -> Self {
        Self::Port {
            path: String::new(),
            error,
        }
    }
}
