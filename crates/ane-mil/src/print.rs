//! Graphs to MIL text and a weight file. Total: every graph has a text.
//!
//! The dialect is the one that most sources compiled on hardware (`program(1.3)`, every statement typed and named), with
//! attributes as inline typed literals. Nothing here knows an op; inputs and constants are the structural exceptions.

use crate::{
    blob::{BlobWriter, MemoryBlobs},
    legal::LegalGraph,
    namer, number,
};
use ane_ir::{Arity, DType, Graph, Literal, Module, Node, ops};
use std::fmt::Write;

/// Path of the weight file in the text: beside the text, as the e5rt and client routes want it.
pub const WEIGHTS_PATH: &str = "@model_path/weights.bin";

/// The op set that a checked graph asks for; the oldest that has every op of ours.
const OPSET: &str = "ios18";

/// Names and versions that Apple's own tools write; no source saw them being checked.
const BUILD_INFO: &str = r#"[buildInfo = dict<string, string>({{"coremlc-component-MIL", "3510.2.1"}, {"coremlc-version", "3505.4.1"}, {"coremltools-component-milinternal", ""}, {"coremltools-version", "9.0"}})]"#;

/// Longest constant that is written into the text; longer ones go to the weight file.
const INLINE_ELEMENTS: usize = 16;

/// A program as files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// MIL text, the contents of `model.mil`.
    pub text: String,
    /// The weight file that the text calls [`WEIGHTS_PATH`]; empty when no constant needs it.
    pub weights: Vec<u8>,
    /// Inputs and the outputs that may be written in their place, by name. The text has no words for that.
    pub in_place: Vec<(String, String)>,
}

impl Program {
    /// The weight file as a source for [`crate::parse()`].
    pub fn blobs(&self) -> MemoryBlobs {
        MemoryBlobs::new().with(WEIGHTS_PATH, self.weights.as_slice())
    }
}

/// The program of the one function `main`.
pub fn print(graph: &LegalGraph) -> Program {
    let g = graph.graph();
    let port = |v: ane_ir::Value| g.port(v).to_owned();
    let pairs = g.in_place().iter();
    Program {
        in_place: pairs
            .map(|&(i, o)| (port(g.inputs()[i]), port(g.outputs()[o])))
            .collect(),
        ..program(std::iter::once(("main", OPSET, g)))
    }
}

/// The program of any module, for dumps; no target has agreed to it.
pub fn print_module(module: &Module) -> Program {
    let functions = module.functions.iter();
    program(functions.map(|f| (f.name.as_str(), f.opset.as_str(), &f.graph)))
}

/// Whether the constant is printed as a reference to the weight file.
pub(crate) fn is_blob(literal: &Literal) -> bool {
    // The format has no code for truth values. Text has no spelling for non-finite numbers that any source has seen.
    literal.ty().dtype != DType::Bool
        && (literal.ty().shape.numel() > INLINE_ELEMENTS
            || literal.to_f64().iter().any(|x| !x.is_finite()))
}

fn program<'a>(functions: impl Iterator<Item = (&'a str, &'a str, &'a Graph)>) -> Program {
    let mut out = Printer {
        text: format!("program(1.3)\n{BUILD_INFO}\n{{\n"),
        weights: BlobWriter::new(),
    };
    for (name, opset, graph) in functions {
        out.function(name, opset, graph);
    }
    out.text.push_str("}\n");
    Program {
        text: out.text,
        weights: out.weights.finish(),
        in_place: Vec::new(),
    }
}

#[derive(Default)]
pub(crate) struct Printer {
    text: String,
    weights: BlobWriter,
}

impl Printer {
    fn function(&mut self, name: &str, opset: &str, graph: &Graph) {
        let names = namer::names(graph);
        let inputs = graph.inputs().iter();
        let parameters = joined(inputs.map(|&v| format!("{} {}", graph.ty(v), names[v.index()])));
        self.line(&format!("    func {name}<{opset}>({parameters}) {{"));
        for node in graph.nodes() {
            self.statement(graph, node, &names);
        }
        let outputs = joined(graph.outputs().iter().map(|v| names[v.index()].clone()));
        self.line(&format!("    }} -> ({outputs});"));
    }

    fn statement(&mut self, graph: &Graph, node: &Node, names: &[String]) {
        let results = node.results.iter();
        let declared = joined(results.map(|&v| format!("{} {}", graph.ty(v), names[v.index()])));
        let op = node.op.name();
        let own_name = node.results.first().map_or("", |v| &names[v.index()]);
        let own_name = format!("name = string({})", quoted(own_name));
        let constant = node.results.first().and_then(|&v| graph.literal(v));
        if let Some(literal) = constant {
            let val = self.literal(literal);
            return self.line(&format!(
                "        {declared} = {op}()[{own_name}, val = {val}];"
            ));
        }
        let mut arguments = Vec::new();
        for (operand, group) in node.view(&node.operands).groups() {
            let all = joined(group.iter().map(|x| names[x.index()].clone()));
            match (operand.arity, group) {
                (Arity::List, _) => arguments.push(format!("{} = ({all})", operand.name)),
                (Arity::Required | Arity::Optional, []) => {}
                (Arity::Required | Arity::Optional, _) => {
                    arguments.push(format!("{} = {all}", operand.name));
                }
            }
        }
        let dtype = node
            .operands
            .first()
            .map_or(DType::Fp32, |&x| graph.ty(x).dtype);
        for (name, attr) in node.op.attrs() {
            let value = self.attribute(&attr, dtype);
            arguments.push(format!("{name} = {value}"));
        }
        let arguments = joined(arguments.into_iter());
        self.line(&format!(
            "        {declared} = {op}({arguments})[{own_name}];"
        ));
    }

    /// A typed literal; floats are said to be of `dtype`, though written with every bit they have.
    pub(crate) fn attribute(&mut self, attr: &ops::Attr, dtype: DType) -> String {
        let float = if dtype.is_float() { dtype } else { DType::Fp32 };
        match attr {
            ops::Attr::Bool(b) => format!("bool({b})"),
            ops::Attr::Int(i) => format!("int32({i})"),
            ops::Attr::Ints(all) => list("int32", all.iter().map(ToString::to_string)),
            ops::Attr::Bools(all) => list("bool", all.iter().map(ToString::to_string)),
            ops::Attr::Floats(all) => list(float.name(), all.iter().map(|&x| number::hex(x))),
            ops::Attr::Strs(all) => list("string", all.iter().map(|s| quoted(s))),
            ops::Attr::Float(x) => format!("{float}({})", number::hex(*x)),
            ops::Attr::Str(s) => format!("string({})", quoted(s)),
            ops::Attr::Literal(literal) => self.literal(literal),
        }
    }

    fn literal(&mut self, literal: &Literal) -> String {
        let ty = literal.ty();
        if is_blob(literal)
            && let Ok(offset) = self.weights.write(literal)
        {
            let path = quoted(WEIGHTS_PATH);
            return format!("{ty}(BLOBFILE(path = string({path}), offset = uint64({offset})))");
        }
        let elements: Vec<String> = literal
            .to_f64()
            .iter()
            .map(|&x| element(ty.dtype, x))
            .collect();
        format!("{ty}({})", nested(ty.shape.dims(), &elements))
    }

    fn line(&mut self, line: &str) {
        writeln!(self.text, "{line}").expect("writing to a string does not fail");
    }
}

fn element(dtype: DType, x: f64) -> String {
    match dtype {
        DType::Bool => (x != 0.0).to_string(),
        DType::Fp16 | DType::Fp32 => number::hex(x),
        DType::Int8 | DType::UInt8 | DType::Int16 | DType::UInt16 | DType::Int32 => {
            (x as i64).to_string()
        }
    }
}

/// Elements in brackets, one pair per row of every axis; a scalar without.
fn nested(dims: &[usize], elements: &[String]) -> String {
    match dims {
        [] => elements.first().cloned().unwrap_or_default(),
        [_] => format!("[{}]", elements.join(", ")),
        [n, inner @ ..] => {
            let row = elements.len() / (*n).max(1);
            let rows = elements.chunks(row.max(1)).map(|row| nested(inner, row));
            format!("[{}]", joined(rows))
        }
    }
}

/// A list of elements as a typed literal.
fn list(element: &str, parts: impl ExactSizeIterator<Item = String>) -> String {
    let len = parts.len();
    format!("tensor<{element}, [{len}]>([{}])", joined(parts))
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

/// `s` in quotes.
fn quoted(s: &str) -> String {
    let mut text = String::from("\"");
    for c in s.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
    text.push('"');
    text
}
