//! A graph of ATen ops, as PyTorch traces them: what `torch.export` writes and what AOTAutograd hands to a backend.
//!
//! Arguments are known by the names of their op's schema. What an argument is left out of the node has the schema's
//! default, which the op's lowering knows.

use crate::error::ImportError;
use ane_ir::Place;
use serde::Deserialize;

/// Type of a tensor's elements, by PyTorch's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Dtype {
    Float16,
    BFloat16,
    Float32,
    Float64,
    Int8,
    UInt8,
    Int16,
    Int32,
    Int64,
    Bool,
    /// Complex, quantised and other types, which no program of ours holds.
    #[serde(other)]
    Other,
}

impl Dtype {
    /// Whether it is a type of real numbers.
    pub fn is_float(self) -> bool {
        matches!(
            self,
            Self::Float16 | Self::BFloat16 | Self::Float32 | Self::Float64
        )
    }

    /// Whether it is a type of integers.
    pub fn is_integer(self) -> bool {
        matches!(
            self,
            Self::Int8 | Self::UInt8 | Self::Int16 | Self::Int32 | Self::Int64
        )
    }
}

/// A tensor of a graph: name, element type and shape.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Tensor {
    /// Its name in the graph.
    pub name: String,
    /// Type of its elements.
    pub dtype: Dtype,
    /// Length of every axis; none for a scalar.
    pub shape: Vec<usize>,
}

/// An argument of a node, or a result of the graph.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arg {
    /// Left empty.
    None,
    /// A tensor, by name.
    Tensor(String),
    /// A whole number.
    Int(i64),
    /// A real number, written as text so that infinities have a form.
    #[serde(deserialize_with = "float")]
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// A text, such as a rounding mode.
    Str(String),
    /// An element type.
    Dtype(Dtype),
    /// Several.
    List(Vec<Arg>),
}

fn float<'de, D: serde::Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    let text = String::deserialize(from)?;
    text.parse().map_err(serde::de::Error::custom)
}

/// A call of an op.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Node {
    /// The overload: `aten.add.Tensor`.
    pub target: String,
    /// Arguments by the names of the schema.
    pub args: Vec<(String, Arg)>,
    /// The results; none where nobody reads one.
    pub outputs: Vec<Option<Tensor>>,
    /// Path of the module that called it; empty where unknown.
    #[serde(default)]
    pub module: String,
    /// The line of the user's program: `train.py:41`; empty where unknown.
    #[serde(default)]
    pub source: String,
}

impl Node {
    /// Name of the op without library and overload: `add`.
    pub fn op(&self) -> &str {
        self.target.split('.').nth(1).unwrap_or(&self.target)
    }

    /// Where the user wrote it.
    pub fn place(&self) -> Place {
        let place = Place::new(self.module.as_str());
        match self.source.as_str() {
            "" => place,
            source => place.with_source(source),
        }
    }

    /// The argument of this name, unless it is left out or empty.
    pub fn arg(&self, name: &str) -> Option<&Arg> {
        let found = self.args.iter().find(|(n, _)| n == name);
        found.map(|(_, arg)| arg).filter(|arg| **arg != Arg::None)
    }
}

/// A graph: inputs, nodes in an order in which they can run, results.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Graph {
    /// What the graph is called in messages.
    pub name: String,
    /// The inputs; none for one that is no tensor.
    pub inputs: Vec<Option<Tensor>>,
    /// The nodes.
    pub nodes: Vec<Node>,
    /// The results.
    pub outputs: Vec<Arg>,
}

impl Graph {
    /// Reads the JSON that the Python package writes of a traced graph.
    ///
    /// # Errors
    /// When the text is no such graph.
    pub fn from_json(text: &str) -> Result<Self, ImportError> {
        serde_json::from_str(text).map_err(|e| ImportError::Json {
            what: "a graph",
            error: e.to_string(),
        })
    }
}
