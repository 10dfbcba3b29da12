//! An ML Program with its weight file as a graph: what a reader of a package finds in it. Nothing in it is believed.

use super::{
    encode::{WEIGHTS_PATH, code},
    opset::NEWER,
    proto::{
        Argument, BindingKind, Elements, ImmediateKind, Operation, Program, TypeKind, Value,
        ValueKind, ValueType,
    },
};
use ane_ir::{
    Argument as Given, Arity, DType, Graph, Literal, TensorType,
    ops::{Attr, Op},
};
use ane_mil::BlobReader;
use std::collections::{HashMap, HashSet};

/// What a program computes up to a classification, and the classes of that.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// The graph; of a classifier its output is the probabilities.
    pub graph: Graph,
    /// Names of the classes of a classifier.
    pub classes: Option<Vec<String>>,
}

/// A constant of a program.
#[derive(Debug, Clone)]
enum Data {
    Literal(Literal),
    Text(String),
}

/// Reads a program, or says what is wrong with it.
pub(super) fn program(program: &Program, weights: &[u8]) -> Result<Decoded, String> {
    let main = program
        .functions
        .get("main")
        .ok_or("it has no function `main`")?;
    let block = main.block_specializations.get(&main.opset);
    let block = block.ok_or_else(|| format!("`main` has no body of op set `{}`", main.opset))?;
    let mut reader = Reader {
        graph: Graph::new(),
        values: HashMap::new(),
        data: HashMap::new(),
        weights,
    };
    for input in &main.inputs {
        let ty = tensor_type(input.ty.as_ref())?;
        let value = reader.graph.input(&input.name, ty);
        let value = value.map_err(|e| e.to_string())?;
        reader.values.insert(input.name.clone(), value);
    }
    let mut outputs: Vec<&str> = block.outputs.iter().map(String::as_str).collect();
    let mut operands = operands(&block.operations);
    operands.extend(&outputs);
    let mut classes = None;
    for operation in &block.operations {
        if operation.op == "classify" {
            let found = reader.classify(operation)?;
            outputs = vec![found.0];
            classes = Some(found.1);
            continue;
        }
        reader.operation(operation, &operands)?;
    }
    for name in outputs {
        let value = reader.value(name)?;
        reader
            .graph
            .output(name, value)
            .map_err(|e| e.to_string())?;
    }
    Ok(Decoded {
        graph: reader.graph,
        classes,
    })
}

/// Names that ops read as operands rather than as attributes.
fn operands(operations: &[Operation]) -> HashSet<&str> {
    let mut all = HashSet::new();
    for operation in operations {
        let declared = Op::signature(&operation.op).map_or(&[][..], |(operands, _)| operands);
        for operand in declared {
            let given = operation.inputs.get(operand.name);
            all.extend(given.map(names).unwrap_or_default());
        }
    }
    all
}

/// The names that an argument binds.
fn names(argument: &Argument) -> Vec<&str> {
    let bindings = argument.arguments.iter();
    bindings
        .filter_map(|b| match &b.binding {
            Some(BindingKind::Name(name)) => Some(name.as_str()),
            _ => None,
        })
        .collect()
}

struct Reader<'a> {
    graph: Graph,
    values: HashMap<String, ane_ir::Value>,
    data: HashMap<String, Data>,
    weights: &'a [u8],
}

impl Reader<'_> {
    fn value(&self, name: &str) -> Result<ane_ir::Value, String> {
        let found = self.values.get(name).copied();
        found.ok_or_else(|| format!("`{name}` is read before it is made"))
    }

    fn operation(&mut self, operation: &Operation, operands: &HashSet<&str>) -> Result<(), String> {
        let own = operation.outputs.first().map_or("", |o| o.name.as_str());
        let at = |reason: String| format!("`{own}`, {}: {reason}", operation.op);
        if operation.op == "const" {
            let value = operation
                .attributes
                .get("val")
                .ok_or("a constant has no value")?;
            let data = self.constant(value).map_err(at)?;
            if let (Data::Literal(literal), true) = (&data, operands.contains(own)) {
                let value = self.graph.constant(literal.clone());
                self.values
                    .insert(own.to_owned(), value.map_err(|e| at(e.to_string()))?);
            }
            self.data.insert(own.to_owned(), data);
            return Ok(());
        }
        let (declared, attributes) =
            Op::signature(&operation.op).ok_or_else(|| at("there is no such op".to_owned()))?;
        let op = self.op(operation, attributes).map_err(at)?;
        let mut given = Vec::new();
        for operand in declared {
            let argument = operation.inputs.get(operand.name);
            let bound = argument.map(names).unwrap_or_default();
            let values = bound.into_iter().map(|name| self.value(name));
            given.push((
                operand.arity,
                values.collect::<Result<Vec<_>, _>>().map_err(at)?,
            ));
        }
        let arguments: Vec<Given<'_>> = (given.iter())
            .map(|(arity, values)| match (arity, &values[..]) {
                (Arity::Required | Arity::Optional, [one]) => Given::One(*one),
                (Arity::Required | Arity::Optional, []) => Given::Absent,
                (_, all) => Given::List(all),
            })
            .collect();
        let results = self.graph.push_arguments(op, &arguments);
        let results = results.map_err(|e| at(e.to_string()))?;
        if results.len() != operation.outputs.len() {
            return Err(at(format!("it has {} results", results.len())));
        }
        for (output, value) in operation.outputs.iter().zip(results) {
            let said = tensor_type(output.ty.as_ref()).map_err(at)?;
            if said != *self.graph.ty(value) {
                return Err(at(format!("it is {}, not {said}", self.graph.ty(value))));
            }
            if self.values.insert(output.name.clone(), value).is_some() {
                return Err(at("the name is taken".to_owned()));
            }
        }
        Ok(())
    }

    /// The op with its attributes. A number is one until the op wants data there.
    fn op(&self, operation: &Operation, attributes: &[&str]) -> Result<Op, String> {
        let mut as_data: HashSet<&str> = HashSet::new();
        loop {
            let mut get = |name: &str| {
                let bound = names(operation.inputs.get(name)?);
                match self.data.get(*bound.first()?)? {
                    Data::Text(text) => Some(Attr::Str(text.clone())),
                    Data::Literal(literal) if as_data.contains(name) => {
                        Some(Attr::Literal(literal.clone()))
                    }
                    Data::Literal(literal) => attribute(literal),
                }
            };
            let made = Op::from_attrs(&operation.op, &mut get);
            match made.ok_or("there is no such op")? {
                Ok(op) => return Ok(op),
                Err(missing) => {
                    let name = attributes.iter().find(|name| **name == missing);
                    let is_new = name.is_some_and(|name| as_data.insert(name));
                    if !is_new || NEWER.contains(&missing) {
                        return Err(format!("its attribute `{missing}` is missing or another"));
                    }
                }
            }
        }
    }

    fn constant(&self, value: &Value) -> Result<Data, String> {
        match &value.value {
            Some(ValueKind::BlobFile(blob)) => {
                if blob.file_name != WEIGHTS_PATH {
                    return Err(format!("there is no weight file `{}`", blob.file_name));
                }
                let ty = tensor_type(value.ty.as_ref())?;
                let reader = BlobReader::new(self.weights).map_err(|e| e.to_string())?;
                let literal = reader
                    .literal(blob.offset, &ty)
                    .map_err(|e| e.to_string())?;
                Ok(Data::Literal(literal))
            }
            Some(ValueKind::Immediate(immediate)) => match &immediate.value {
                Some(ImmediateKind::Tensor(tensor)) => data(
                    value.ty.as_ref(),
                    tensor.value.as_ref().ok_or("it has no elements")?,
                ),
                _ => Err("it is no tensor".to_owned()),
            },
            None => Err("it has no value".to_owned()),
        }
    }

    /// Name of the probabilities, and the classes.
    fn classify<'o>(&self, operation: &'o Operation) -> Result<(&'o str, Vec<String>), String> {
        let scores = operation.inputs.get("probabilities").map(names);
        let scores = *(scores.unwrap_or_default().first()).ok_or("classify reads nothing")?;
        self.value(scores)?;
        let classes = operation
            .inputs
            .get("classes")
            .and_then(|c| c.arguments.first());
        let Some(BindingKind::Value(list)) = classes.and_then(|b| b.binding.as_ref()) else {
            return Err("classify has no classes".to_owned());
        };
        let Some(ValueKind::Immediate(list)) = &list.value else {
            return Err("the classes are not in the program".to_owned());
        };
        let Some(ImmediateKind::List(list)) = &list.value else {
            return Err("the classes are no list".to_owned());
        };
        let texts = list.values.iter().map(|value| match self.constant(value)? {
            Data::Text(text) => Ok(text),
            Data::Literal(_) => Err("a class is no text".to_owned()),
        });
        Ok((scores, texts.collect::<Result<_, String>>()?))
    }
}

/// A constant as an attribute.
fn attribute(literal: &Literal) -> Option<Attr> {
    let numbers = literal.to_f64();
    let dtype = literal.ty().dtype;
    let ints = || numbers.iter().map(|&x| x as i32).collect::<Vec<_>>();
    let truths = || numbers.iter().map(|&x| x != 0.0).collect::<Vec<_>>();
    match literal.ty().shape.rank() {
        0 if dtype == DType::Bool => Some(Attr::Bool(truths()[0])),
        0 if dtype.is_float() => Some(Attr::Float(numbers[0])),
        0 => Some(Attr::Int(ints()[0])),
        1 if dtype == DType::Bool => Some(Attr::Bools(truths())),
        1 if dtype.is_float() => Some(Attr::Floats(numbers)),
        1 => Some(Attr::Ints(ints())),
        _ => Some(Attr::Literal(literal.clone())),
    }
}

fn data(ty: Option<&ValueType>, elements: &Elements) -> Result<Data, String> {
    if let Elements::Strings(texts) = elements {
        let [text] = &texts.values[..] else {
            return Err("it is not one text".to_owned());
        };
        return Ok(Data::Text(text.clone()));
    }
    let ty = tensor_type(ty)?;
    let expected = ty.shape.numel();
    let numbers: Vec<f64> = match elements {
        Elements::Bytes(bytes) => {
            let literal = Literal::from_bytes(ty.clone(), &bytes.values[..]);
            return (literal.map(Data::Literal))
                .ok_or_else(|| format!("{} bytes are no {ty}", bytes.values.len()));
        }
        Elements::Floats(all) => all.values.iter().map(|&x| f64::from(x)).collect(),
        Elements::Ints(all) => all.values.iter().map(|&x| f64::from(x)).collect(),
        Elements::Bools(all) => all.values.iter().map(|&x| f64::from(u8::from(x))).collect(),
        Elements::Strings(_) => return Err("text is no number".to_owned()),
    };
    if numbers.len() != expected {
        return Err(format!("{} elements are no {ty}", numbers.len()));
    }
    Ok(Data::Literal(Literal::from_f64(ty, &numbers)))
}

/// Most elements that a tensor of a program may have, so that no file is taken at its word.
const MOST_ELEMENTS: u64 = 1 << 40;

fn tensor_type(ty: Option<&ValueType>) -> Result<TensorType, String> {
    let Some(TypeKind::Tensor(tensor)) = ty.and_then(|ty| ty.kind.as_ref()) else {
        return Err("it is no tensor".to_owned());
    };
    let dtype = DType::ALL
        .into_iter()
        .find(|&dtype| code(dtype) as i32 == tensor.data_type);
    let dtype = dtype.ok_or_else(|| format!("there is no element type {}", tensor.data_type))?;
    let mut dims = Vec::new();
    let mut elements = 1_u64;
    for dimension in &tensor.dimensions {
        let size = dimension
            .constant
            .as_ref()
            .ok_or("an axis has no length")?
            .size;
        elements = elements.saturating_mul(size.max(1));
        dims.push(usize::try_from(size).map_err(|e| e.to_string())?);
    }
    if elements > MOST_ELEMENTS || dims.len() > ane_ir::MAX_RANK {
        return Err("it is larger than anything that computes it".to_owned());
    }
    Ok(TensorType::new(dtype, &dims[..]))
}
