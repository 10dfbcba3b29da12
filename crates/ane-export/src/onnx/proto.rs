//! The messages of ONNX that an exported model has; fields of others are skipped by whoever reads them.
//!
//! Names and numbers are those of `onnx/onnx.proto3` of ONNX 1.23 (Apache-2.0), as of IR version 8.

/// A model file.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ModelProto {
    /// Version of the format.
    #[prost(int64, tag = "1")]
    pub ir_version: i64,
    /// Who wrote it.
    #[prost(string, tag = "2")]
    pub producer_name: String,
    /// Which version of that program.
    #[prost(string, tag = "3")]
    pub producer_version: String,
    /// For people.
    #[prost(string, tag = "6")]
    pub doc_string: String,
    /// The model.
    #[prost(message, optional, tag = "7")]
    pub graph: Option<GraphProto>,
    /// Whose ops it uses.
    #[prost(message, repeated, tag = "8")]
    pub opset_import: Vec<OperatorSetIdProto>,
    /// What else is to be known of it.
    #[prost(message, repeated, tag = "14")]
    pub metadata_props: Vec<StringStringEntryProto>,
}

/// A set of ops; an empty domain is ONNX's own.
#[derive(Clone, PartialEq, prost::Message)]
pub struct OperatorSetIdProto {
    /// Whose.
    #[prost(string, tag = "1")]
    pub domain: String,
    /// Which version.
    #[prost(int64, tag = "2")]
    pub version: i64,
}

/// A pair of strings.
#[derive(Clone, PartialEq, prost::Message)]
pub struct StringStringEntryProto {
    /// The first.
    #[prost(string, tag = "1")]
    pub key: String,
    /// The second.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// Nodes in order, with the tensors that are part of the model.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GraphProto {
    /// What is computed, operands first.
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<NodeProto>,
    /// What it is called.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Weights and constants.
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<TensorProto>,
    /// What is given.
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<ValueInfoProto>,
    /// What is asked for.
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<ValueInfoProto>,
}

/// An op applied to values by name.
#[derive(Clone, PartialEq, prost::Message)]
pub struct NodeProto {
    /// Operands; an empty name is one that is left out.
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    /// Results.
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    /// Its own name.
    #[prost(string, tag = "3")]
    pub name: String,
    /// The op.
    #[prost(string, tag = "4")]
    pub op_type: String,
    /// Its settings.
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<AttributeProto>,
}

/// A setting of a node; `kind` says which field holds it, which then is written even where it is 0: readers of the older
/// syntax of the source tell a 0 from nothing.
#[derive(Clone, PartialEq, prost::Message)]
pub struct AttributeProto {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// A real number.
    #[prost(float, optional, tag = "2")]
    pub f: Option<f32>,
    /// A whole number.
    #[prost(int64, optional, tag = "3")]
    pub i: Option<i64>,
    /// Text.
    #[prost(bytes = "vec", optional, tag = "4")]
    pub s: Option<Vec<u8>>,
    /// A tensor.
    #[prost(message, optional, tag = "5")]
    pub t: Option<TensorProto>,
    /// Whole numbers.
    #[prost(int64, repeated, tag = "8")]
    pub ints: Vec<i64>,
    /// Which of them, the field `type` of the source.
    #[prost(enumeration = "AttributeType", tag = "20")]
    pub kind: i32,
}

/// What an attribute holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum AttributeType {
    /// Nothing.
    Undefined = 0,
    /// `f`.
    Float = 1,
    /// `i`.
    Int = 2,
    /// `s`.
    String = 3,
    /// `t`.
    Tensor = 4,
    /// `ints`.
    Ints = 7,
}

/// A tensor with its elements, row-major and little-endian.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TensorProto {
    /// Lengths of its axes.
    #[prost(int64, repeated, tag = "1")]
    pub dims: Vec<i64>,
    /// Code of its element type.
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    /// Its name.
    #[prost(string, tag = "8")]
    pub name: String,
    /// Its elements.
    #[prost(bytes = "vec", tag = "9")]
    pub raw_data: Vec<u8>,
}

/// A value with its type.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ValueInfoProto {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its type, the field `type` of the source.
    #[prost(message, optional, tag = "2")]
    pub ty: Option<TypeProto>,
    /// For people.
    #[prost(string, tag = "3")]
    pub doc_string: String,
}

/// A type; of those that the source lists, tensors.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TypeProto {
    /// A tensor.
    #[prost(message, optional, tag = "1")]
    pub tensor_type: Option<TensorTypeProto>,
}

/// The type of a tensor, `TypeProto.Tensor` of the source.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TensorTypeProto {
    /// Code of its element type.
    #[prost(int32, tag = "1")]
    pub elem_type: i32,
    /// Its shape.
    #[prost(message, optional, tag = "2")]
    pub shape: Option<TensorShapeProto>,
}

/// A shape.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TensorShapeProto {
    /// The axes.
    #[prost(message, repeated, tag = "1")]
    pub dim: Vec<DimensionProto>,
}

/// An axis, `TensorShapeProto.Dimension` of the source.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DimensionProto {
    /// How long it is.
    #[prost(oneof = "DimensionValue", tags = "1, 2")]
    pub value: Option<DimensionValue>,
}

/// How long an axis is.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum DimensionValue {
    /// A number.
    #[prost(int64, tag = "1")]
    DimValue(i64),
    /// A name: as many as there are.
    #[prost(string, tag = "2")]
    DimParam(String),
}
