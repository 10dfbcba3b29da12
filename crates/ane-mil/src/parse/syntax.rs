//! The shape of a text, before anything is known about its names. Lives between `grammar` and `lower` only.

use super::error::Span;
use ane_ir::DType;

/// A word in its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name<'t> {
    pub(super) text: &'t str,
    pub(super) span: Span,
}

/// `func main<ios18>(…) { … } -> (…);`
#[derive(Debug)]
pub(super) struct Func<'t> {
    pub(super) name: Name<'t>,
    pub(super) opset: &'t str,
    pub(super) params: Vec<(Type, Name<'t>)>,
    pub(super) body: Vec<Statement<'t>>,
    pub(super) outputs: Vec<Name<'t>>,
}

/// `T1 a, T2 b = op(…)[…];`
#[derive(Debug)]
pub(super) struct Statement<'t> {
    pub(super) results: Vec<(Type, Name<'t>)>,
    pub(super) op: Name<'t>,
    /// In parentheses and in brackets alike, without `name`: sources put parameters of some ops in either.
    pub(super) arguments: Vec<Argument<'t>>,
}

/// `x = value`
#[derive(Debug)]
pub(super) struct Argument<'t> {
    pub(super) name: Name<'t>,
    pub(super) value: Value<'t>,
}

/// The right-hand side of an argument.
#[derive(Debug)]
pub(super) struct Value<'t> {
    pub(super) kind: ValueKind<'t>,
    pub(super) span: Span,
}

#[derive(Debug)]
pub(super) enum ValueKind<'t> {
    /// A value or a named constant.
    Name(&'t str),
    /// `fp16(0.5)`, or without its type `0.5`.
    Literal(Option<Type>, Body<'t>),
    /// `(a, b)`
    Tuple(Vec<Value<'t>>),
}

/// What a literal holds.
#[derive(Debug)]
pub(super) enum Body<'t> {
    Scalar(Scalar<'t>),
    List(Vec<Item<'t>>),
    /// `BLOBFILE(path = …, offset = …)`
    Blob {
        path: String,
        offset: u64,
    },
}

/// An element of a list.
#[derive(Debug)]
pub(super) struct Item<'t> {
    pub(super) kind: ItemKind<'t>,
    pub(super) span: Span,
}

#[derive(Debug)]
pub(super) enum ItemKind<'t> {
    Scalar(Scalar<'t>),
    List(Vec<Item<'t>>),
}

/// One element; a number is not read before its type is known.
#[derive(Debug, Clone)]
pub(super) enum Scalar<'t> {
    Number(&'t str),
    Bool(bool),
    Str(String),
}

/// A type as spelled; rank 0 for `fp16` and `tensor<fp16, []>` alike.
#[derive(Debug, Clone)]
pub(super) struct Type {
    pub(super) element: Element,
    pub(super) dims: Vec<usize>,
    pub(super) span: Span,
}

/// Element types of MIL text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    /// One that values can have.
    Tensor(DType),
    /// An integer that only parameters have.
    Integer(&'static str),
    /// A string.
    Str,
    /// One that this program cannot hold.
    Foreign(&'static str),
}

/// Integer types of parameters, beyond those of values.
const INTEGERS: [&str; 3] = ["int64", "uint32", "uint64"];
/// Types that sources saw in text and values cannot have.
const FOREIGN: [&str; 5] = ["bf16", "fp64", "int4", "uint1", "uint4"];

impl Element {
    /// The type spelled `name`.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        let among = |names: &[&'static str]| names.iter().copied().find(|&n| n == name);
        DType::from_name(name)
            .map(Self::Tensor)
            .or_else(|| among(&INTEGERS).map(Self::Integer))
            .or_else(|| (name == "string").then_some(Self::Str))
            .or_else(|| among(&FOREIGN).map(Self::Foreign))
    }

    /// Every spelling.
    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        DType::ALL
            .into_iter()
            .map(DType::name)
            .chain(INTEGERS)
            .chain(FOREIGN)
            .chain(["string"])
    }

    /// As spelled.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Tensor(dtype) => dtype.name(),
            Self::Integer(name) | Self::Foreign(name) => name,
            Self::Str => "string",
        }
    }
}
