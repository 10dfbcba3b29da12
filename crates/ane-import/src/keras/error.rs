//! What is wrong with a configuration, and where in it.

use ane_ir::TypeError;
use ane_train::{model::ModelError, models::Outputs};
use std::fmt;

/// A layer of a model.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// Its class.
    pub class: String,
    /// Its name, after those of the models that it is in.
    pub path: String,
}

impl Place {
    pub(super) fn new(class: &str, path: &str) -> Box<Self> {
        Box::new(Self {
            class: shortened(class),
            path: shortened(path),
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.class.as_str(), self.path.as_str()) {
            ("", "") => f.write_str("the model"),
            ("", path) => write!(f, "layer `{path}`"),
            (class, path) => write!(f, "{class} layer `{path}`"),
        }
    }
}

/// A model of Keras could not be imported.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum KerasError {
    /// Not JSON.
    #[error(
        "the configuration cannot be read as JSON: {message}; take what `model.to_json()` gives, or `config.json` of a .keras file"
    )]
    Json {
        /// What the parser says.
        message: String,
    },
    /// More text than any model needs.
    #[error("the configuration has {found} bytes, and at most {most} are read")]
    TooLong {
        /// Its length.
        found: usize,
        /// The limit.
        most: usize,
    },
    /// A key that must be there is not.
    #[error("{place}: the configuration has no `{key}`; save the model again with Keras 3")]
    Missing {
        /// The layer.
        place: Box<Place>,
        /// The key.
        key: String,
    },
    /// A setting of another type or value than it can have.
    #[error("{place}: `{key}` must be {expected}, found {found}")]
    Setting {
        /// The layer.
        place: Box<Place>,
        /// The setting.
        key: String,
        /// What it can be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A layer that is not implemented.
    #[error("{place}: `{module}` `{}` is not implemented; {help}", place.class)]
    UnsupportedLayer {
        /// The layer.
        place: Box<Place>,
        /// Where Keras has the class.
        module: String,
        /// What to do.
        help: &'static str,
    },
    /// A layer's setting that is not implemented.
    #[error("{place}: {what} is not implemented; {help}")]
    UnsupportedSetting {
        /// The layer.
        place: Box<Place>,
        /// The setting and its value.
        what: String,
        /// What to do.
        help: &'static str,
    },
    /// A layer is given something that it does not take.
    #[error("{place} takes {expected}, found {found}")]
    Input {
        /// The layer.
        place: Box<Place>,
        /// What it takes.
        expected: String,
        /// What it is given.
        found: String,
    },
    /// A reference to a tensor that no layer makes.
    #[error(
        "{place} refers to `{name}`, call {call}, output {output}, which the model does not have"
    )]
    Reference {
        /// Who refers.
        place: Box<Place>,
        /// The layer that should make it.
        name: String,
        /// Which of its calls.
        call: usize,
        /// Which of the tensors of that call.
        output: usize,
    },
    /// Layers that wait for each other.
    #[error("{place} waits for its own output: the model is no acyclic graph")]
    Cycle {
        /// One of them.
        place: Box<Place>,
    },
    /// Two layers, or two outputs, of one name.
    #[error("two layers are called `{path}`; give the second a name of its own")]
    Twice {
        /// The name.
        path: String,
    },
    /// More of something than can be.
    #[error("{what} would be {found}, and at most {most} are possible")]
    Limit {
        /// Of what.
        what: String,
        /// How many.
        found: String,
        /// The limit.
        most: usize,
    },
    /// It does not give a row of scores per example.
    #[error(
        "the model gives {found}, expected {} [{batch}, {width}] and nothing else; end it with a layer of {width} units",
        .outputs.name(), width = .outputs.width()
    )]
    Scores {
        /// What it gives.
        found: String,
        /// Rows of a batch.
        batch: usize,
        /// What the data set wants.
        outputs: Outputs,
    },
    /// A file of weights that is not the model's.
    #[error("the weights are not those of the model: {message}; export both from one model")]
    Weights {
        /// What does not fit.
        message: String,
    },
    /// The graph does not take a layer.
    #[error("{place}: {error}")]
    Graph {
        /// The layer.
        place: Box<Place>,
        /// Why.
        error: Box<ModelError>,
    },
}

impl KerasError {
    /// The same error with its place, unless it has one.
    pub(super) fn at(mut self, here: &Place) -> Self {
        match &mut self {
            Self::Missing { place, .. }
            | Self::Setting { place, .. }
            | Self::UnsupportedSetting { place, .. }
            | Self::Input { place, .. }
            | Self::Graph { place, .. }
                if **place == Place::default() =>
            {
                **place = here.clone();
            }
            _ => {}
        }
        self
    }

    /// What a layer takes and is given; the place is added by whoever applies the layer.
    pub(super) fn input(expected: impl Into<String>, found: impl fmt::Display) -> Self {
        Self::Input {
            place: Box::default(),
            expected: expected.into(),
            found: shortened(&found.to_string()),
        }
    }

    /// A setting that is not implemented; the place is added by whoever applies the layer.
    pub(super) fn unsupported(what: impl Into<String>, help: &'static str) -> Self {
        Self::UnsupportedSetting {
            place: Box::default(),
            what: shortened(&what.into()),
            help,
        }
    }
}

impl From<ModelError> for KerasError {
    fn from(error: ModelError) -> Self {
        Self::Graph {
            place: Box::default(),
            error: Box::new(error),
        }
    }
}

impl From<TypeError> for KerasError {
    fn from(error: TypeError) -> Self {
        ModelError::from(error).into()
    }
}

/// Text of somebody else's in a message: its beginning.
pub(super) fn shortened(text: &str) -> String {
    const MOST: usize = 120;
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    text.chars().take(MOST).chain(['…']).collect()
}
