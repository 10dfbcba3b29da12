//! What an engine carries across its boundary: masks as fp16 of 0 and 1, tensors without axes as vectors of one element.

use super::StageError;
use ane_ir::{DType, Graph, GraphError, Shape, TensorType, TypeError, Value};

/// A tensor without axes as a vector of its element.
pub(super) fn with_an_axis(ty: &TensorType) -> TensorType {
    match ty.shape.rank() {
        0 => TensorType::new(ty.dtype, [1]),
        _ => ty.clone(),
    }
}

/// The type in which a value of type `ty` crosses between a stage and one on the engine.
pub(super) fn carried(ty: &TensorType) -> TensorType {
    let mut carried = with_an_axis(ty);
    if ty.dtype == DType::Bool {
        carried.dtype = DType::Fp16;
    }
    carried
}

/// `part` with ports of these types, by name.
pub(super) fn with_ports(
    part: &Graph,
    types: impl Fn(&str) -> TensorType,
) -> Result<Graph, StageError> {
    let ports = part.inputs().iter().chain(part.outputs());
    if ports.clone().all(|&v| types(part.port(v)) == *part.ty(v)) {
        return Ok(part.clone());
    }
    let mut g = Graph::new();
    let mut inputs = Vec::new();
    for &v in part.inputs() {
        let x = g.input(part.port(v), types(part.port(v)))?;
        inputs.push(from_port(&mut g, x, part.ty(v))?);
    }
    let outputs = g.inline(part, &inputs)?;
    for (&v, y) in part.outputs().iter().zip(outputs) {
        let y = to_port(&mut g, y, &types(part.port(v)))?;
        output(&mut g, part.port(v), y)?;
    }
    Ok(g)
}

/// The value of type `ty` that a port holds.
fn from_port(g: &mut Graph, mut x: Value, ty: &TensorType) -> Result<Value, TypeError> {
    if g.ty(x).shape != ty.shape {
        x = g.reshape(x, &ty.shape)?;
    }
    if ty.dtype == DType::Bool && g.ty(x).dtype == DType::Fp16 {
        let half = g.scalar(DType::Fp16, 0.5)?;
        x = g.greater(x, half)?;
    }
    Ok(x)
}

/// What a port of type `ty` holds of a value.
fn to_port(g: &mut Graph, mut y: Value, ty: &TensorType) -> Result<Value, TypeError> {
    if g.ty(y).dtype == DType::Bool && ty.dtype == DType::Fp16 {
        let (one, zero) = (g.scalar(DType::Fp16, 1.0)?, g.scalar(DType::Fp16, 0.0)?);
        y = g.select(y, one, zero)?;
    }
    if g.ty(y).shape != ty.shape {
        y = g.reshape(y, &Shape::new(ty.shape.dims()))?;
    }
    Ok(y)
}

/// Makes `value` an output. A value that is a port already leaves by a node of its own.
pub(super) fn output(g: &mut Graph, name: &str, value: Value) -> Result<(), GraphError> {
    let value = if g.is_port(value) {
        g.identity(value)?
    } else {
        value
    };
    g.output(name, value)
}
