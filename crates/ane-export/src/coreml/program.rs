//! The program of a package as a graph: casts at its ports, pictures scaled, the network in fp16 with its weights.

use super::{FORMAT, Options};
use crate::{Baked, ExportError, Network, OwnUnits, Preprocessing, Trained};
use ane_ir::{DType, Graph, Literal, Shape, TensorType, Value};
use ane_train::data::description::{Input, Target};

/// Name of the value that a classifier takes the class from.
const SCORES: &str = "probabilities";

/// The program, and its ports in order.
pub(super) struct Built {
    pub(super) graph: Graph,
    pub(super) inputs: Vec<Port>,
    pub(super) outputs: Vec<Port>,
}

/// An input or an output.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) name: String,
    pub(super) ty: TensorType,
}

/// Builds the program.
pub(super) fn build(
    network: &Network,
    trained: &Trained<'_>,
    options: Options,
) -> Result<Built, ExportError> {
    let source = &network.graph;
    let mut baked = Baked::new(network, DType::Fp16, 1);
    let mut graph = Graph::new();
    let raw = match options {
        Options {
            image_input: true, ..
        } => Some(picture(network, &baked, trained)?),
        Options {
            with_preprocessing: true,
            ..
        } => Some(raw_numbers(network, &baked, trained)?),
        _ => None,
    };
    // Pixels are whole in fp16, as `ImageType` of coremltools scales them; of other numbers it would hold too few digits.
    let inside_of_raw = match options.image_input {
        true => DType::Fp16,
        false => DType::Fp32,
    };
    let units = raw.as_ref().and_then(|raw| raw.units.clone());
    let mut inputs = Vec::new();
    for &input in &network.inputs {
        let inside = baked.ty(input);
        let name = source.port(input);
        let (ty, value) = match &raw {
            Some(raw) => {
                let dims: Shape = [1].into_iter().chain(raw.shape.iter().copied()).collect();
                let ty = TensorType::fp32(dims);
                let x = graph.input(name, ty.clone())?;
                let x = scaled(&mut graph, x, raw, &inside.shape, inside_of_raw)?;
                (ty, graph.cast(x, DType::Fp16)?)
            }
            None if inside.dtype.is_float() => {
                let ty = TensorType::fp32(inside.shape.clone());
                let x = graph.input(name, ty.clone())?;
                let half = graph.cast(x, DType::Fp16)?;
                graph.set_name(half, &format!("{name}_to_fp16"));
                (ty, half)
            }
            None if inside.dtype == DType::Int32 => {
                let x = graph.input(name, inside.clone())?;
                (inside, x)
            }
            None => {
                return Err(ExportError::Elements {
                    format: FORMAT,
                    dtype: inside.dtype,
                    name: name.to_owned(),
                });
            }
        };
        baked.give(input, value);
        inputs.push(Port {
            name: name.to_owned(),
            ty,
        });
    }
    let results = baked.put(&mut graph)?;
    graph.set_scope(ane_ir::Place::UNKNOWN);
    let mut outputs = Vec::new();
    for (&old, &value) in source.outputs().iter().zip(&results) {
        let mut name = source.port(old);
        let mut value = value;
        if options.classifier {
            let classes = classes(trained)?;
            if results.len() != 1 || *graph.ty(value).shape.dims() != [1, classes] {
                return Err(unsuited(
                    "a classifier",
                    "models that give one example a score for each class",
                    format!("an output {}", graph.ty(value)),
                ));
            }
            value = graph.softmax(value, -1)?;
            name = SCORES;
        }
        let dtype = graph.ty(value).dtype;
        let value = match dtype {
            DType::Int32 => graph.identity(value)?,
            DType::Bool | DType::Int8 | DType::UInt8 | DType::Int16 | DType::UInt16 => {
                graph.cast(value, DType::Int32)?
            }
            DType::Fp16 | DType::Fp32 => graph.cast(value, DType::Fp32)?,
        };
        let value = match &units {
            Some(units) => in_own_units(&mut graph, value, units)?,
            None => value,
        };
        graph.output(name, value)?;
        outputs.push(Port {
            name: name.to_owned(),
            ty: graph.ty(value).clone(),
        });
    }
    Ok(Built {
        graph,
        inputs,
        outputs,
    })
}

fn unsuited(asked: &'static str, wanted: &'static str, found: String) -> ExportError {
    ExportError::Examples {
        asked,
        wanted,
        found,
    }
}

/// Number of the classes that examples have.
fn classes(trained: &Trained<'_>) -> Result<usize, ExportError> {
    match &trained.description.target {
        Target::Classes { names } => Ok(names.len()),
        Target::Values { .. } => Err(unsuited(
            "a classifier",
            "models that tell classes apart",
            "numbers".to_owned(),
        )),
        Target::Tokens { .. } => Err(unsuited(
            "a classifier",
            "models that tell classes apart",
            "tokens".to_owned(),
        )),
    }
}

/// How the pixels of a picture become the only input.
fn picture(
    network: &Network,
    baked: &Baked<'_>,
    trained: &Trained<'_>,
) -> Result<Preprocessing, ExportError> {
    let asked = "an input that is a picture";
    match &trained.description.input {
        Input::Image { shape, .. } if matches!(shape[0], 1 | 3) => {}
        Input::Image { shape, .. } => {
            let found = format!("pictures of {} channels", shape[0]);
            return Err(unsuited(
                asked,
                "grey pictures and those of red, green and blue",
                found,
            ));
        }
        Input::Array { .. } | Input::Table { .. } => {
            return Err(unsuited(asked, "models of pictures", "numbers".to_owned()));
        }
        Input::Tokens { .. } => {
            return Err(unsuited(asked, "models of pictures", "tokens".to_owned()));
        }
    }
    raw_numbers(network, baked, trained)
}

/// How what a file holds becomes the only input.
fn raw_numbers(
    network: &Network,
    baked: &Baked<'_>,
    trained: &Trained<'_>,
) -> Result<Preprocessing, ExportError> {
    let values = match network.inputs[..] {
        [x] if baked.ty(x).dtype.is_float() => Some(baked.ty(x).shape.numel()),
        _ => None,
    };
    // For more than one example at a time an input has more values than a picture.
    Preprocessing::of(trained.description, values)
}

/// Numbers that a model says, in the units of the data.
fn in_own_units(graph: &mut Graph, said: Value, units: &OwnUnits) -> Result<Value, ExportError> {
    let constant = |graph: &mut Graph, values: &[f32], name: &str| {
        let values: Vec<f64> = values.iter().map(|&x| f64::from(x)).collect();
        let ty = TensorType::fp32([values.len()]);
        let value = graph.constant(Literal::from_f64(ty, &values))?;
        graph.set_name(value, name);
        Ok::<_, ExportError>(value)
    };
    let factor = constant(graph, &units.factor, "own_units_factor")?;
    let offset = constant(graph, &units.offset, "own_units_offset")?;
    let scaled = graph.mul(said, factor)?;
    let y = graph.add(scaled, offset)?;
    Ok(if units.exp { graph.exp(y)? } else { y })
}

/// What a file holds as the model takes it, computed in `dtype`: times 1/divisor, plus −offset/divisor, as `ImageType` of
/// coremltools scales pixels.
fn scaled(
    graph: &mut Graph,
    x: Value,
    raw: &Preprocessing,
    shape: &Shape,
    dtype: DType,
) -> Result<Value, ExportError> {
    let constant = |graph: &mut Graph, values: Vec<f64>, name: &str| {
        let ty = TensorType::new(dtype, raw.broadcast.clone());
        let value = graph.constant(Literal::from_f64(ty, &values))?;
        graph.set_name(value, name);
        Ok::<_, ExportError>(value)
    };
    let pairs = || raw.offset.iter().zip(&raw.divisor);
    let scale = pairs().map(|(_, &d)| 1.0 / f64::from(d)).collect();
    let bias = pairs()
        .map(|(&o, &d)| -f64::from(o) / f64::from(d))
        .collect();
    let x = graph.cast(x, dtype)?;
    let scale = constant(graph, scale, "preprocessing_scale")?;
    let mut y = graph.mul(x, scale)?;
    if raw.offset.iter().any(|&o| o != 0.0) {
        let bias = constant(graph, bias, "preprocessing_bias")?;
        y = graph.add(y, bias)?;
    }
    if graph.ty(y).shape != *shape {
        y = graph.reshape(y, shape)?;
    }
    Ok(y)
}
