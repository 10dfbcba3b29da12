//! The messages of Core ML that an exported package has; fields of others are skipped by whoever reads them.
//!
//! Names and numbers are those of `mlmodel/format/{Model,FeatureTypes,MIL}.proto` of coremltools 9.0 (BSD-3-Clause).

use std::collections::BTreeMap;

/// `model.mlmodel`, the specification.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Model {
    /// Which systems read it: 7 is macOS 13 and iOS 16.
    #[prost(int32, tag = "1")]
    pub specification_version: i32,
    /// What goes in and comes out.
    #[prost(message, optional, tag = "2")]
    pub description: Option<ModelDescription>,
    /// What it computes, the variant `mlProgram` of the oneof `Type`.
    #[prost(message, optional, tag = "502")]
    pub ml_program: Option<Program>,
}

/// What goes in and comes out.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ModelDescription {
    /// Inputs.
    #[prost(message, repeated, tag = "1")]
    pub input: Vec<FeatureDescription>,
    /// Outputs.
    #[prost(message, repeated, tag = "10")]
    pub output: Vec<FeatureDescription>,
    /// Of a classifier: the output that is the name of a class.
    #[prost(string, tag = "11")]
    pub predicted_feature_name: String,
    /// Of a classifier: the output that is the probability of each class.
    #[prost(string, tag = "12")]
    pub predicted_probabilities_name: String,
    /// For people.
    #[prost(message, optional, tag = "100")]
    pub metadata: Option<Metadata>,
}

/// What is said of a model.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Metadata {
    /// In a sentence.
    #[prost(string, tag = "1")]
    pub short_description: String,
    /// Which version it is.
    #[prost(string, tag = "2")]
    pub version_string: String,
    /// Who made it.
    #[prost(string, tag = "3")]
    pub author: String,
    /// Anything else.
    #[prost(btree_map = "string, string", tag = "100")]
    pub user_defined: BTreeMap<String, String>,
}

/// An input or an output.
#[derive(Clone, PartialEq, prost::Message)]
pub struct FeatureDescription {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// For people.
    #[prost(string, tag = "2")]
    pub short_description: String,
    /// Its type, the field `type` of the source.
    #[prost(message, optional, tag = "3")]
    pub ty: Option<FeatureType>,
}

/// What an input or an output is.
#[derive(Clone, PartialEq, prost::Message)]
pub struct FeatureType {
    /// The kinds, the oneof `Type` of the source.
    #[prost(oneof = "FeatureKind", tags = "3, 4, 5, 6")]
    pub kind: Option<FeatureKind>,
}

/// Kinds of inputs and outputs.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum FeatureKind {
    /// Text, `StringFeatureType`.
    #[prost(message, tag = "3")]
    String(Empty),
    /// A picture.
    #[prost(message, tag = "4")]
    Image(ImageFeatureType),
    /// A tensor, `multiArrayType`.
    #[prost(message, tag = "5")]
    MultiArray(ArrayFeatureType),
    /// A dictionary.
    #[prost(message, tag = "6")]
    Dictionary(DictionaryFeatureType),
}

/// A message without fields.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Empty {}

/// A picture.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ImageFeatureType {
    /// Columns.
    #[prost(int64, tag = "1")]
    pub width: i64,
    /// Rows.
    #[prost(int64, tag = "2")]
    pub height: i64,
    /// Its channels.
    #[prost(enumeration = "ColorSpace", tag = "3")]
    pub color_space: i32,
}

/// Channels of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum ColorSpace {
    /// None.
    Invalid = 0,
    /// One of bytes.
    Grayscale = 10,
    /// Red, green and blue.
    Rgb = 20,
}

/// A tensor.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ArrayFeatureType {
    /// Lengths of its axes.
    #[prost(int64, repeated, tag = "1")]
    pub shape: Vec<i64>,
    /// What it holds.
    #[prost(enumeration = "ArrayDataType", tag = "2")]
    pub data_type: i32,
}

/// Elements of a multi-array.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum ArrayDataType {
    /// None.
    Invalid = 0,
    /// fp32.
    Float32 = 65_568,
    /// int32.
    Int32 = 131_104,
}

/// A dictionary whose keys are text.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DictionaryFeatureType {
    /// Its keys, the variant `stringKeyType` of the oneof `KeyType`.
    #[prost(message, optional, tag = "2")]
    pub string_key_type: Option<Empty>,
}

/// An ML Program.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Program {
    /// Version of the format.
    #[prost(int64, tag = "1")]
    pub version: i64,
    /// Its functions; a model has `main`.
    #[prost(btree_map = "string, message", tag = "2")]
    pub functions: BTreeMap<String, Function>,
}

/// A function.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Function {
    /// What is given.
    #[prost(message, repeated, tag = "1")]
    pub inputs: Vec<NamedValueType>,
    /// Which of its bodies is meant.
    #[prost(string, tag = "2")]
    pub opset: String,
    /// Bodies by op set.
    #[prost(btree_map = "string, message", tag = "3")]
    pub block_specializations: BTreeMap<String, Block>,
}

/// The body of a function.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Block {
    /// Names of the results.
    #[prost(string, repeated, tag = "2")]
    pub outputs: Vec<String>,
    /// What is computed, operands first.
    #[prost(message, repeated, tag = "3")]
    pub operations: Vec<Operation>,
}

/// An op applied to arguments.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Operation {
    /// The op, the field `type` of the source.
    #[prost(string, tag = "1")]
    pub op: String,
    /// Arguments by name.
    #[prost(btree_map = "string, message", tag = "2")]
    pub inputs: BTreeMap<String, Argument>,
    /// Results.
    #[prost(message, repeated, tag = "3")]
    pub outputs: Vec<NamedValueType>,
    /// Its name, and the value of a constant.
    #[prost(btree_map = "string, message", tag = "5")]
    pub attributes: BTreeMap<String, Value>,
}

/// What is given for one parameter: one binding, or those of a list.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Argument {
    /// The bindings.
    #[prost(message, repeated, tag = "1")]
    pub arguments: Vec<Binding>,
}

/// A value by name or by itself, `Argument.Binding` of the source.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Binding {
    /// Which of both.
    #[prost(oneof = "BindingKind", tags = "1, 2")]
    pub binding: Option<BindingKind>,
}

/// Kinds of bindings.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum BindingKind {
    /// A value of the block.
    #[prost(string, tag = "1")]
    Name(String),
    /// A constant.
    #[prost(message, tag = "2")]
    Value(Value),
}

/// A value with its type.
#[derive(Clone, PartialEq, prost::Message)]
pub struct NamedValueType {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its type, the field `type` of the source.
    #[prost(message, optional, tag = "2")]
    pub ty: Option<ValueType>,
}

/// A type.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ValueType {
    /// The kinds, the oneof `type` of the source.
    #[prost(oneof = "TypeKind", tags = "1, 2, 4")]
    pub kind: Option<TypeKind>,
}

/// Kinds of types.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum TypeKind {
    /// A tensor, or without axes a single value.
    #[prost(message, tag = "1")]
    Tensor(TensorType),
    /// A list.
    #[prost(message, tag = "2")]
    List(Box<ListType>),
    /// A dictionary.
    #[prost(message, tag = "4")]
    Dictionary(Box<DictionaryType>),
}

/// The type of a tensor.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TensorType {
    /// What it holds.
    #[prost(enumeration = "DataType", tag = "1")]
    pub data_type: i32,
    /// How many axes it has.
    #[prost(int64, tag = "2")]
    pub rank: i64,
    /// Its axes.
    #[prost(message, repeated, tag = "3")]
    pub dimensions: Vec<Dimension>,
}

/// Elements of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum DataType {
    /// None.
    UnusedType = 0,
    /// Truth values.
    Bool = 1,
    /// Text.
    String = 2,
    /// fp16.
    Float16 = 10,
    /// fp32.
    Float32 = 11,
    /// fp64, which no tensor of ours has: probabilities in the dictionary of a classifier.
    Float64 = 12,
    /// int8.
    Int8 = 21,
    /// int16.
    Int16 = 22,
    /// int32.
    Int32 = 23,
    /// int64.
    Int64 = 24,
    /// uint8.
    Uint8 = 31,
    /// uint16.
    Uint16 = 32,
}

/// The type of a list.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ListType {
    /// Of what, the field `type` of the source.
    #[prost(message, optional, tag = "1")]
    pub ty: Option<ValueType>,
    /// Of how many.
    #[prost(message, optional, tag = "2")]
    pub length: Option<Dimension>,
}

/// The type of a dictionary.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DictionaryType {
    /// Of its keys.
    #[prost(message, optional, tag = "1")]
    pub key_type: Option<ValueType>,
    /// Of its values.
    #[prost(message, optional, tag = "2")]
    pub value_type: Option<ValueType>,
}

/// An axis.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Dimension {
    /// How long it is, the variant `constant` of the oneof `dimension`.
    #[prost(message, optional, tag = "1")]
    pub constant: Option<ConstantDimension>,
}

/// The length of an axis, `Dimension.ConstantDimension` of the source.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ConstantDimension {
    /// Elements.
    #[prost(uint64, tag = "1")]
    pub size: u64,
}

/// A constant.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Value {
    /// Its type, the field `type` of the source.
    #[prost(message, optional, tag = "2")]
    pub ty: Option<ValueType>,
    /// Where its elements are, the oneof `value` of the source.
    #[prost(oneof = "ValueKind", tags = "3, 5")]
    pub value: Option<ValueKind>,
}

/// Where the elements of a constant are.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum ValueKind {
    /// Here.
    #[prost(message, tag = "3")]
    Immediate(ImmediateValue),
    /// In a weight file.
    #[prost(message, tag = "5")]
    BlobFile(BlobFileValue),
}

/// A constant in the program, `Value.ImmediateValue` of the source.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ImmediateValue {
    /// The kinds, the oneof `value` of the source.
    #[prost(oneof = "ImmediateKind", tags = "1, 3")]
    pub value: Option<ImmediateKind>,
}

/// Kinds of constants in the program.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum ImmediateKind {
    /// A tensor.
    #[prost(message, tag = "1")]
    Tensor(TensorValue),
    /// A list.
    #[prost(message, tag = "3")]
    List(ListValue),
}

/// The constants of a list.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ListValue {
    /// In order.
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<Value>,
}

/// A constant in a weight file, `Value.BlobFileValue` of the source.
#[derive(Clone, PartialEq, prost::Message)]
pub struct BlobFileValue {
    /// The file, below `@model_path`.
    #[prost(string, tag = "1")]
    pub file_name: String,
    /// Where its record begins.
    #[prost(uint64, tag = "2")]
    pub offset: u64,
}

/// Elements of a tensor.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TensorValue {
    /// The kinds, the oneof `value` of the source.
    #[prost(oneof = "Elements", tags = "1, 2, 3, 4, 7")]
    pub value: Option<Elements>,
}

/// Kinds of elements; each is a message of the source, such as `TensorValue.RepeatedFloats`.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Elements {
    /// fp32.
    #[prost(message, tag = "1")]
    Floats(RepeatedFloats),
    /// int32.
    #[prost(message, tag = "2")]
    Ints(RepeatedInts),
    /// Truth values.
    #[prost(message, tag = "3")]
    Bools(RepeatedBools),
    /// Text.
    #[prost(message, tag = "4")]
    Strings(RepeatedStrings),
    /// All else, little-endian.
    #[prost(message, tag = "7")]
    Bytes(RepeatedBytes),
}

/// fp32.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RepeatedFloats {
    /// In order.
    #[prost(float, repeated, tag = "1")]
    pub values: Vec<f32>,
}

/// int32.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RepeatedInts {
    /// In order.
    #[prost(int32, repeated, tag = "1")]
    pub values: Vec<i32>,
}

/// Truth values.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RepeatedBools {
    /// In order.
    #[prost(bool, repeated, tag = "1")]
    pub values: Vec<bool>,
}

/// Text.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RepeatedStrings {
    /// In order.
    #[prost(string, repeated, tag = "1")]
    pub values: Vec<String>,
}

/// Elements of any type as their bytes.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RepeatedBytes {
    /// Little-endian.
    #[prost(bytes = "vec", tag = "1")]
    pub values: Vec<u8>,
}
