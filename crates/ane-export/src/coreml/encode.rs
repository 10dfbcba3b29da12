//! A graph as an ML Program with a weight file. Nothing here knows an op; constants are the structural exception.

use super::{
    FORMAT, LABEL, PROBABILITIES, opset,
    proto::{
        Argument, Binding, BindingKind, BlobFileValue, Block, ConstantDimension, DataType,
        DictionaryType, Dimension, Elements, Function, ImmediateKind, ImmediateValue, ListType,
        ListValue, NamedValueType, Operation, Program, RepeatedBools, RepeatedBytes,
        RepeatedFloats, RepeatedInts, RepeatedStrings, TensorType, TensorValue, TypeKind, Value,
        ValueKind, ValueType,
    },
};
use crate::ExportError;
use ane_ir::{DType, Graph, Literal, ops::Attr};
use ane_mil::{BlobWriter, identifier};
use std::collections::{BTreeMap, HashSet};

/// The weight file as a program calls it.
pub(super) const WEIGHTS_PATH: &str = "@model_path/weights/weight.bin";
/// Shortest constant that goes to the weight file.
const IN_FILE: usize = 10;

/// The program of the one function `main`, and its weight file; with names of classes the last result is what the class
/// is taken from.
pub(super) fn program(
    graph: &Graph,
    classes: Option<&[String]>,
) -> Result<(Program, Vec<u8>), ExportError> {
    let mut encoder = Encoder {
        names: Names::of(graph),
        operations: Vec::new(),
        weights: BlobWriter::new(),
    };
    for (position, node) in graph.nodes().iter().enumerate() {
        encoder.node(graph, position).map_err(|error| match error {
            Fault::Refused(reason) => ExportError::Unsupported {
                format: FORMAT,
                op: node.op.name(),
                place: graph.place(position).suffix(),
                reason,
            },
            Fault::Other(error) => *error,
        })?;
    }
    let named = |v: &ane_ir::Value| {
        let ty = graph.ty(*v);
        named_type(&encoder.names.of_values[v.index()], tensor_type(ty))
    };
    let inputs = graph.inputs().iter().map(named).collect();
    let mut outputs: Vec<String> = (graph.outputs().iter())
        .map(|v| encoder.names.of_values[v.index()].clone())
        .collect();
    if let Some(classes) = classes
        && let Some(scores) = outputs.pop()
    {
        encoder.operations.push(classify(&scores, classes));
        outputs.extend([LABEL.to_owned(), PROBABILITIES.to_owned()]);
    }
    let block = Block {
        outputs,
        operations: encoder.operations,
    };
    let main = Function {
        inputs,
        opset: opset::OPSET.to_owned(),
        block_specializations: BTreeMap::from([(opset::OPSET.to_owned(), block)]),
    };
    let program = Program {
        version: 1,
        functions: BTreeMap::from([("main".to_owned(), main)]),
    };
    Ok((program, encoder.weights.finish()))
}

struct Encoder {
    names: Names,
    operations: Vec<Operation>,
    weights: BlobWriter,
}

/// What is wrong with a node.
enum Fault {
    Refused(&'static str),
    Other(Box<ExportError>),
}

impl From<ExportError> for Fault {
    fn from(error: ExportError) -> Self {
        Self::Other(Box::new(error))
    }
}

impl Encoder {
    fn node(&mut self, graph: &Graph, position: usize) -> Result<(), Fault> {
        let node = &graph.nodes()[position];
        let results = node.results.iter().map(|&v| {
            let name = &self.names.of_values[v.index()];
            named_type(name, tensor_type(graph.ty(v)))
        });
        let results: Vec<NamedValueType> = results.collect();
        let own = (results.first()).map_or_else(String::new, |result| result.name.clone());
        if let Some(literal) = node.results.first().and_then(|&v| graph.literal(v)) {
            let value = self.literal(literal)?;
            self.operations.push(constant(&own, value));
            return Ok(());
        }
        let mut inputs = BTreeMap::new();
        for (operand, group) in node.view(&node.operands).groups() {
            if !group.is_empty() {
                let names = group.iter().map(|v| &self.names.of_values[v.index()]);
                inputs.insert(operand.name.to_owned(), by_names(names));
            }
        }
        let dtype = (node.operands.iter())
            .map(|&x| graph.ty(x).dtype)
            .find(|dtype| dtype.is_float())
            .unwrap_or(DType::Fp32);
        for (name, attr) in opset::attributes(graph, node).map_err(Fault::Refused)? {
            let value = attribute(&attr, dtype);
            let constant_name = self.names.fresh(format!("{own}_{name}"));
            self.operations.push(constant(&constant_name, value));
            inputs.insert(name.to_owned(), by_names(std::iter::once(&constant_name)));
        }
        self.operations.push(Operation {
            op: node.op.name().to_owned(),
            inputs,
            outputs: results,
            attributes: BTreeMap::from([("name".to_owned(), text(&own))]),
        });
        Ok(())
    }

    /// A constant, in the weight file where it is long.
    fn literal(&mut self, literal: &Literal) -> Result<Value, ExportError> {
        let in_file = matches!(literal.ty().dtype, DType::Fp16 | DType::Fp32);
        if !in_file || literal.ty().shape.numel() < IN_FILE {
            return Ok(immediate(literal));
        }
        let offset = self.weights.write(literal)?;
        Ok(Value {
            ty: Some(tensor_type(literal.ty())),
            value: Some(ValueKind::BlobFile(BlobFileValue {
                file_name: WEIGHTS_PATH.to_owned(),
                offset,
            })),
        })
    }
}

/// Names of values, each once.
struct Names {
    of_values: Vec<String>,
    taken: HashSet<String>,
}

impl Names {
    fn of(graph: &Graph) -> Self {
        let ports = graph.inputs().iter().chain(graph.outputs());
        let taken = ports.map(|&v| graph.port(v).to_owned()).collect();
        let mut names = Self {
            of_values: Vec::new(),
            taken,
        };
        for v in graph.values() {
            let name = if graph.is_port(v) {
                graph.port(v).to_owned()
            } else {
                let op = graph.node_of(v).map_or("value", |node| node.op.name());
                let place = graph.place_of(v).path();
                let wanted = match graph.name(v) {
                    Some(name) => identifier(name),
                    None if place.is_empty() => op.to_owned(),
                    None => format!("{}_{op}", identifier(place)),
                };
                names.fresh(wanted)
            };
            names.of_values.push(name);
        }
        names
    }

    fn fresh(&mut self, wanted: String) -> String {
        let numbered = (0..).map(|i| match i {
            0 => wanted.clone(),
            i => format!("{wanted}_{i}"),
        });
        let name = numbered
            .into_iter()
            .find(|name| !self.taken.contains(name))
            .expect("some number is free");
        self.taken.insert(name.clone());
        name
    }
}

/// An attribute as a constant; floats are of `dtype`.
fn attribute(attr: &Attr, dtype: DType) -> Value {
    let numbers = |dtype: DType, shape: &[usize], values: &[f64]| {
        Literal::from_f64(ane_ir::TensorType::new(dtype, shape), values)
    };
    let ints = |all: &[i32]| all.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
    let truths = |all: &[bool]| {
        all.iter()
            .map(|&x| f64::from(u8::from(x)))
            .collect::<Vec<_>>()
    };
    let literal = match attr {
        Attr::Str(s) => return text(s),
        Attr::Strs(all) => return texts(all),
        Attr::Literal(literal) => literal.clone(),
        Attr::Bool(x) => numbers(DType::Bool, &[], &truths(&[*x])),
        Attr::Bools(all) => numbers(DType::Bool, &[all.len()], &truths(all)),
        Attr::Int(x) => numbers(DType::Int32, &[], &[f64::from(*x)]),
        Attr::Ints(all) => numbers(DType::Int32, &[all.len()], &ints(all)),
        Attr::Float(x) => numbers(dtype, &[], &[*x]),
        Attr::Floats(all) => numbers(dtype, &[all.len()], all),
    };
    immediate(&literal)
}

/// The op that makes a class of probabilities; its classes are bound to it, not made before.
fn classify(scores: &str, classes: &[String]) -> Operation {
    let element = scalar_type(DataType::String);
    let list = ListType {
        ty: Some(element.clone()),
        length: Some(dimension(classes.len())),
    };
    let values = ListValue {
        values: classes.iter().map(|name| text(name)).collect(),
    };
    let list = Value {
        ty: Some(ValueType {
            kind: Some(TypeKind::List(Box::new(list))),
        }),
        value: Some(ValueKind::Immediate(ImmediateValue {
            value: Some(ImmediateKind::List(values)),
        })),
    };
    let list = Argument {
        arguments: vec![Binding {
            binding: Some(BindingKind::Value(list)),
        }],
    };
    let probabilities = ValueType {
        kind: Some(TypeKind::Dictionary(Box::new(DictionaryType {
            key_type: Some(element.clone()),
            value_type: Some(scalar_type(DataType::Float64)),
        }))),
    };
    let scores = by_names(std::iter::once(&scores.to_owned()));
    Operation {
        op: "classify".to_owned(),
        inputs: BTreeMap::from([
            ("probabilities".to_owned(), scores),
            ("classes".to_owned(), list),
        ]),
        outputs: vec![
            named_type(LABEL, element),
            named_type(PROBABILITIES, probabilities),
        ],
        attributes: BTreeMap::from([("name".to_owned(), text("classify"))]),
    }
}

fn by_names<'a>(names: impl Iterator<Item = &'a String>) -> Argument {
    Argument {
        arguments: names
            .map(|name| Binding {
                binding: Some(BindingKind::Name(name.clone())),
            })
            .collect(),
    }
}

fn constant(name: &str, value: Value) -> Operation {
    let ty = value.ty.clone();
    Operation {
        op: "const".to_owned(),
        inputs: BTreeMap::new(),
        outputs: vec![NamedValueType {
            name: name.to_owned(),
            ty,
        }],
        attributes: BTreeMap::from([("name".to_owned(), text(name)), ("val".to_owned(), value)]),
    }
}

fn named_type(name: &str, ty: ValueType) -> NamedValueType {
    NamedValueType {
        name: name.to_owned(),
        ty: Some(ty),
    }
}

fn dimension(size: usize) -> Dimension {
    Dimension {
        constant: Some(ConstantDimension { size: size as u64 }),
    }
}

/// Code of an element type.
pub(super) fn code(dtype: DType) -> DataType {
    match dtype {
        DType::Fp16 => DataType::Float16,
        DType::Fp32 => DataType::Float32,
        DType::Int8 => DataType::Int8,
        DType::UInt8 => DataType::Uint8,
        DType::Int16 => DataType::Int16,
        DType::UInt16 => DataType::Uint16,
        DType::Int32 => DataType::Int32,
        DType::Bool => DataType::Bool,
    }
}

fn type_of(code: DataType, dims: &[usize]) -> ValueType {
    ValueType {
        kind: Some(TypeKind::Tensor(TensorType {
            data_type: code as i32,
            rank: dims.len() as i64,
            dimensions: dims.iter().map(|&d| dimension(d)).collect(),
        })),
    }
}

fn tensor_type(ty: &ane_ir::TensorType) -> ValueType {
    type_of(code(ty.dtype), ty.shape.dims())
}

fn scalar_type(code: DataType) -> ValueType {
    type_of(code, &[])
}

fn immediate_of(ty: ValueType, elements: Elements) -> Value {
    Value {
        ty: Some(ty),
        value: Some(ValueKind::Immediate(ImmediateValue {
            value: Some(ImmediateKind::Tensor(TensorValue {
                value: Some(elements),
            })),
        })),
    }
}

/// A constant in the program.
fn immediate(literal: &Literal) -> Value {
    let numbers = literal.to_f64();
    let elements = match literal.ty().dtype {
        DType::Bool => Elements::Bools(RepeatedBools {
            values: numbers.iter().map(|&x| x != 0.0).collect(),
        }),
        DType::Fp32 => Elements::Floats(RepeatedFloats {
            values: numbers.iter().map(|&x| x as f32).collect(),
        }),
        DType::Int32 | DType::Int16 | DType::UInt16 => Elements::Ints(RepeatedInts {
            values: numbers.iter().map(|&x| x as i32).collect(),
        }),
        DType::Fp16 | DType::Int8 | DType::UInt8 => Elements::Bytes(RepeatedBytes {
            values: literal.bytes().to_vec(),
        }),
    };
    immediate_of(tensor_type(literal.ty()), elements)
}

fn text(s: &str) -> Value {
    let elements = Elements::Strings(RepeatedStrings {
        values: vec![s.to_owned()],
    });
    immediate_of(scalar_type(DataType::String), elements)
}

fn texts(all: &[String]) -> Value {
    let elements = Elements::Strings(RepeatedStrings {
        values: all.to_vec(),
    });
    immediate_of(type_of(DataType::String, &[all.len()]), elements)
}
