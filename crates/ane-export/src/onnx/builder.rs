//! A graph of ONNX while it is being written: names, nodes, and constants that are needed once.

use super::proto::{
    AttributeProto, AttributeType, DimensionProto, DimensionValue, GraphProto, NodeProto,
    TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};
use crate::ExportError;
use ane_ir::{DType, Literal, TensorType};
use std::collections::HashMap;

/// Name of the axis whose length is the number of examples.
pub(super) const BATCH: &str = "batch";

/// A setting of a node.
#[derive(Debug, Clone)]
pub(super) enum Setting {
    Int(i64),
    Ints(Vec<i64>),
    Float(f64),
    Text(&'static str),
    Tensor(TensorProto),
}

/// Settings by name.
pub(super) type Settings = Vec<(&'static str, Setting)>;

/// A graph that is being written.
#[derive(Debug, Default)]
pub(super) struct Builder {
    graph: GraphProto,
    /// Names in use, and how many were made of each by a number.
    taken: HashMap<String, usize>,
    /// Constants by what they hold.
    constants: HashMap<(i32, Vec<i64>, Vec<u8>), String>,
    /// What new names begin with: where the node comes from.
    place: String,
}

impl Builder {
    pub(super) fn new(name: &str) -> Self {
        let graph = GraphProto {
            name: name.to_owned(),
            ..GraphProto::default()
        };
        Self {
            graph,
            ..Self::default()
        }
    }

    /// Says where the nodes to come are from.
    pub(super) fn set_place(&mut self, place: &str) {
        self.place.clear();
        self.place.push_str(place);
    }

    /// Takes a name that has to be exactly this.
    pub(super) fn claim(&mut self, name: &str) -> Result<(), ExportError> {
        match self.taken.insert(name.to_owned(), 0) {
            None => Ok(()),
            Some(_) => Err(ExportError::NameTwice {
                name: name.to_owned(),
            }),
        }
    }

    fn fresh(&mut self, wanted: String) -> String {
        let Some(&made) = self.taken.get(&wanted) else {
            self.taken.insert(wanted.clone(), 0);
            return wanted;
        };
        let numbered = |i: &usize| format!("{wanted}_{i}");
        let free = (made + 1..).find(|i| !self.taken.contains_key(&numbered(i)));
        let number = free.expect("some number is free");
        let name = numbered(&number);
        self.taken.insert(wanted, number);
        self.taken.insert(name.clone(), 0);
        name
    }

    /// A name for a value that nobody asks for by name.
    pub(super) fn name_at(&mut self, what: &str) -> String {
        let wanted = if self.place.is_empty() {
            what.to_owned()
        } else {
            format!("{}/{what}", self.place)
        };
        self.fresh(wanted)
    }

    /// A node with a result of that name.
    pub(super) fn node_to(
        &mut self,
        op: &str,
        inputs: &[&str],
        settings: Settings,
        outputs: &[String],
    ) {
        let name = self.fresh(format!(
            "{}_node",
            outputs.first().map_or(op, String::as_str)
        ));
        self.graph.node.push(NodeProto {
            input: inputs.iter().map(|&x| x.to_owned()).collect(),
            output: outputs.to_vec(),
            name,
            op_type: op.to_owned(),
            attribute: settings.into_iter().map(attribute).collect(),
        });
    }

    /// A node; the name of its result.
    pub(super) fn node(&mut self, op: &str, inputs: &[&str], settings: Settings) -> String {
        let output = self.name_at(op);
        self.node_to(op, inputs, settings, std::slice::from_ref(&output));
        output
    }

    /// A weight under its own name.
    pub(super) fn initializer(&mut self, tensor: TensorProto) {
        self.graph.initializer.push(tensor);
    }

    /// A constant; the name of one that holds the same, where there is one.
    pub(super) fn constant(&mut self, mut tensor: TensorProto) -> String {
        let key = (
            tensor.data_type,
            tensor.dims.clone(),
            tensor.raw_data.clone(),
        );
        if let Some(name) = self.constants.get(&key) {
            return name.clone();
        }
        tensor.name = self.fresh(format!("constant_{}", self.constants.len()));
        let name = tensor.name.clone();
        self.constants.insert(key, name.clone());
        self.graph.initializer.push(tensor);
        name
    }

    /// A constant vector of int64, as ONNX has shapes, axes and positions.
    pub(super) fn ints(&mut self, values: &[i64]) -> String {
        self.constant(TensorProto {
            dims: vec![values.len() as i64],
            data_type: INT64,
            name: String::new(),
            raw_data: values.iter().flat_map(|x| x.to_le_bytes()).collect(),
        })
    }

    /// A constant int64 without axes.
    pub(super) fn int(&mut self, value: i64) -> String {
        self.constant(TensorProto {
            dims: Vec::new(),
            data_type: INT64,
            name: String::new(),
            raw_data: value.to_le_bytes().into(),
        })
    }

    /// A constant number without axes.
    pub(super) fn scalar(&mut self, dtype: DType, value: f64) -> String {
        let literal = Literal::splat(TensorType::new(dtype, []), value);
        self.constant(tensor(String::new(), &literal))
    }

    pub(super) fn input(&mut self, info: ValueInfoProto) {
        self.graph.input.push(info);
    }

    pub(super) fn output(&mut self, info: ValueInfoProto) {
        self.graph.output.push(info);
    }

    pub(super) fn finish(self) -> GraphProto {
        self.graph
    }
}

/// int64, which no value of ours has.
pub(super) const INT64: i32 = 7;

/// Code of an element type, `TensorProto.DataType` of the source.
pub(super) fn code(dtype: DType) -> i32 {
    match dtype {
        DType::Fp32 => 1,
        DType::UInt8 => 2,
        DType::Int8 => 3,
        DType::UInt16 => 4,
        DType::Int16 => 5,
        DType::Int32 => 6,
        DType::Bool => 9,
        DType::Fp16 => 10,
    }
}

/// A literal as a tensor.
pub(super) fn tensor(name: String, literal: &Literal) -> TensorProto {
    TensorProto {
        dims: literal
            .ty()
            .shape
            .dims()
            .iter()
            .map(|&d| d as i64)
            .collect(),
        data_type: code(literal.ty().dtype),
        name,
        raw_data: literal.bytes().to_vec(),
    }
}

/// A value with its type; an axis without a length is the batch.
pub(super) fn info(
    name: &str,
    dtype: DType,
    lengths: &[Option<usize>],
    about: &str,
) -> ValueInfoProto {
    let dim = lengths.iter().map(|length| DimensionProto {
        value: Some(match length {
            Some(length) => DimensionValue::DimValue(*length as i64),
            None => DimensionValue::DimParam(BATCH.to_owned()),
        }),
    });
    ValueInfoProto {
        name: name.to_owned(),
        ty: Some(TypeProto {
            tensor_type: Some(TensorTypeProto {
                elem_type: code(dtype),
                shape: Some(TensorShapeProto { dim: dim.collect() }),
            }),
        }),
        doc_string: about.to_owned(),
    }
}

fn attribute((name, setting): (&'static str, Setting)) -> AttributeProto {
    let mut to = AttributeProto {
        name: name.to_owned(),
        ..AttributeProto::default()
    };
    let kind = match setting {
        Setting::Int(i) => {
            to.i = Some(i);
            AttributeType::Int
        }
        Setting::Ints(all) => {
            to.ints = all;
            AttributeType::Ints
        }
        Setting::Float(f) => {
            to.f = Some(f as f32);
            AttributeType::Float
        }
        Setting::Text(s) => {
            to.s = Some(s.as_bytes().to_vec());
            AttributeType::String
        }
        Setting::Tensor(t) => {
            to.t = Some(t);
            AttributeType::Tensor
        }
    };
    to.kind = kind as i32;
    to
}
