//! The formats of this crate as JSON, for comparing them with another implementation.
//!
//! `ops` prints every op with the names of its operands and attributes.
//! `pack FILE` writes the tensors that its input lists, `[{"dtype": "fp16", "hex": "003c"}]`, into a weight file and prints their offsets.
//! `unpack FILE` prints the bytes of those that its input lists, `[{"dtype": "fp16", "offset": 64, "elements": 1}]`.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fs;
use std::io;

use ane_ir::ops::{Arity, Op, Operand};
use ane_ir::{DType, Literal, TensorType};
use ane_mil::{BlobReader, BlobWriter};
use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let answer = match arguments[..] {
        ["ops"] => ops(),
        ["pack", file] => pack(file, &input()?)?,
        ["unpack", file] => unpack(file, &input()?)?,
        _ => return Err("expected `ops`, `pack FILE` or `unpack FILE`".into()),
    };
    println!("{answer}");
    Ok(())
}

fn ops() -> Value {
    let signatures = Op::NAMES.iter().filter_map(|name| Op::signature(name));
    let entries = Op::NAMES.iter().zip(signatures);
    entries
        .map(|(name, (operands, attributes))| {
            let operands: Vec<Value> = operands.iter().map(operand).collect();
            json!({"name": name, "operands": operands, "attributes": attributes})
        })
        .collect()
}

fn operand(operand: &Operand) -> Value {
    let arity = match operand.arity {
        Arity::Required => "required",
        Arity::Optional => "optional",
        Arity::List => "list",
    };
    json!({"name": operand.name, "arity": arity})
}

fn pack(file: &str, tensors: &[Value]) -> Result<Value> {
    let mut writer = BlobWriter::new();
    let mut offsets = Vec::new();
    for tensor in tensors {
        let dtype = dtype(tensor)?;
        let bytes = from_hex(tensor["hex"].as_str().unwrap_or_default())?;
        let ty = TensorType::new(dtype, [bytes.len() / dtype.bytes()]);
        let literal = Literal::from_bytes(ty, bytes).ok_or("the bytes are no whole elements")?;
        offsets.push(writer.write(&literal)?);
    }
    fs::write(file, writer.finish())?;
    Ok(json!(offsets))
}

fn unpack(file: &str, records: &[Value]) -> Result<Value> {
    let bytes = fs::read(file)?;
    let reader = BlobReader::new(&bytes)?;
    let mut tensors = Vec::new();
    for record in records {
        let elements = usize::try_from(record["elements"].as_u64().ok_or("no `elements`")?)?;
        let offset = record["offset"].as_u64().ok_or("no `offset`")?;
        let literal = reader.literal(offset, &TensorType::new(dtype(record)?, [elements]))?;
        let hex: String = literal.bytes().iter().map(|b| format!("{b:02x}")).collect();
        tensors.push(hex);
    }
    Ok(json!(tensors))
}

fn input() -> Result<Vec<Value>> {
    Ok(serde_json::from_reader(io::stdin())?)
}

fn dtype(entry: &Value) -> Result<DType> {
    let name = entry["dtype"].as_str().unwrap_or_default();
    DType::from_name(name).ok_or_else(|| format!("`{name}` is no dtype").into())
}

fn from_hex(text: &str) -> Result<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?))
        .collect()
}
