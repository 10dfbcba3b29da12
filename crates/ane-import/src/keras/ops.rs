//! What operators and functions of `keras.ops` leave in a functional model: `x * 2.0` is a layer `Multiply` of
//! `keras.src.ops.numpy`, which is not the layer of that name.

mod indexing;

use super::{
    activation::{Activation, times},
    arguments::{Argument, Arguments},
    error::KerasError,
    layers::{joined, reshaped, transposed},
    network::tensors_of,
    run::{Layer, Run, Tensor, fits, int},
    settings::wrong,
};
use ane_ir::Value;
use serde_json::Value as Json;

/// What an operation is to the importer.
#[derive(Debug)]
pub(super) struct Operation {
    /// Its class.
    class: &'static str,
    /// Applies it.
    pub(super) apply: Apply,
}

type Apply = fn(&mut Run<'_>, &Layer<'_>, &Arguments<Tensor>) -> Result<Tensor, KerasError>;

/// Every operation that is implemented.
static ALL: &[Operation] = &[
    Operation::new("Add", binary),
    Operation::new("Subtract", binary),
    Operation::new("Multiply", binary),
    Operation::new("TrueDivide", binary),
    Operation::new("Divide", binary),
    Operation::new("Maximum", binary),
    Operation::new("Minimum", binary),
    Operation::new("Power", binary),
    Operation::new("Negative", unary),
    Operation::new("Absolute", unary),
    Operation::new("Abs", unary),
    Operation::new("Square", unary),
    Operation::new("Sqrt", unary),
    Operation::new("Exp", unary),
    Operation::new("Log", unary),
    Operation::new("Mean", reduction),
    Operation::new("Sum", reduction),
    Operation::new("Max", reduction),
    Operation::new("Min", reduction),
    Operation::new("Reshape", reshape),
    Operation::new("Transpose", transpose),
    Operation::new("ExpandDims", expand_dims),
    Operation::new("Squeeze", squeeze),
    Operation::new("Concatenate", concatenate),
    Operation::new("Matmul", matmul),
    Operation::new("GetItem", indexing::get_item),
    Operation::new("Relu", activation),
    Operation::new("Relu6", activation),
    Operation::new("LeakyRelu", activation),
    Operation::new("Elu", activation),
    Operation::new("Selu", activation),
    Operation::new("Gelu", activation),
    Operation::new("Silu", activation),
    Operation::new("Sigmoid", activation),
    Operation::new("Softmax", activation),
    Operation::new("LogSoftmax", activation),
    Operation::new("Softplus", activation),
    Operation::new("Softsign", activation),
    Operation::new("Tanh", activation),
    Operation::new("HardSigmoid", activation),
    Operation::new("HardSilu", activation),
    Operation::new("LogSigmoid", activation),
];

impl Operation {
    const fn new(class: &'static str, apply: Apply) -> Self {
        Self { class, apply }
    }
}

/// The operation of this class, which is Keras's own.
pub(super) fn find(module: &str, class: &str) -> Option<&'static Operation> {
    let own = module.starts_with("keras.src.ops.");
    ALL.iter().find(|operation| own && operation.class == class)
}

/// The operand at a place or of a name: a tensor, or numbers as a constant.
fn operand(
    run: &mut Run<'_>,
    arguments: &Arguments<Tensor>,
    position: usize,
    name: &str,
) -> Result<Tensor, KerasError> {
    match arguments.get(position, name) {
        Some(Argument::Tensor(x)) => run.real(*x),
        Some(Argument::Json(json)) => {
            // Arrays of Python are written with their class around them.
            let json = json
                .get("config")
                .and_then(|c| c.get("value"))
                .unwrap_or(json);
            let (mut dims, mut elements) = (Vec::new(), Vec::new());
            numbers(json, 0, &mut dims, &mut elements)?;
            fits(&dims, "a constant")?;
            if elements.len() != dims.iter().product::<usize>() || elements.is_empty() {
                return Err(wrong("value", "numbers in rows of one length", json));
            }
            let value = match dims.as_slice() {
                [] => run.cx.scalar(elements[0])?,
                dims => run.constant(dims, &elements)?,
            };
            Ok(Tensor::plain(value))
        }
        Some(_) => Err(KerasError::input("tensors and numbers", "a list")),
        None => Err(KerasError::input(format!("an operand `{name}`"), "none")),
    }
}

/// The elements of nested lists, and how long they are.
fn numbers(
    json: &Json,
    depth: usize,
    dims: &mut Vec<usize>,
    elements: &mut Vec<f64>,
) -> Result<(), KerasError> {
    let Json::Array(all) = json else {
        elements.push(super::settings::number("value", json)?);
        return Ok(());
    };
    if dims.len() == depth {
        dims.push(all.len());
    }
    if dims[depth] != all.len() {
        return Err(wrong("value", "rows of one length", all.len()));
    }
    all.iter()
        .try_for_each(|v| numbers(v, depth + 1, dims, elements))
}

fn binary(
    run: &mut Run<'_>,
    layer: &Layer<'_>,
    arguments: &Arguments<Tensor>,
) -> Result<Tensor, KerasError> {
    let a = operand(run, arguments, 0, "x1")?;
    let b = operand(run, arguments, 1, "x2")?;
    // A scalar meets any arrangement.
    let scalar = |run: &Run<'_>, x: Tensor| run.cx.shape(x.value).rank() == 0;
    let (values, channels_first) = match (scalar(run, a), scalar(run, b)) {
        (false, true) => (vec![a.value, b.value], a.channels_first),
        (true, false) => (vec![a.value, b.value], b.channels_first),
        _ => run.together(&[a, b])?,
    };
    let (a, b) = (values[0], values[1]);
    let g = run.cx.graph();
    let value = match layer.class() {
        "Subtract" => g.sub(a, b)?,
        "Multiply" => g.mul(a, b)?,
        "TrueDivide" | "Divide" => g.real_div(a, b)?,
        "Maximum" => g.maximum(a, b)?,
        "Minimum" => g.minimum(a, b)?,
        "Power" => g.pow(a, b)?,
        _ => g.add(a, b)?,
    };
    Ok(Tensor {
        value,
        channels_first,
    })
}

fn unary(
    run: &mut Run<'_>,
    layer: &Layer<'_>,
    arguments: &Arguments<Tensor>,
) -> Result<Tensor, KerasError> {
    let x = operand(run, arguments, 0, "x")?;
    let value = match layer.class() {
        "Negative" => times(run, x.value, -1.0)?,
        "Square" => run.cx.graph().mul(x.value, x.value)?,
        "Sqrt" => run.cx.graph().sqrt(x.value)?,
        "Exp" => run.cx.graph().exp(x.value)?,
        "Log" => run.cx.graph().log(x.value, 0.0)?,
        _ => run.cx.graph().abs(x.value)?,
    };
    Ok(Tensor { value, ..x })
}

fn activation(
    run: &mut Run<'_>,
    layer: &Layer<'_>,
    arguments: &Arguments<Tensor>,
) -> Result<Tensor, KerasError> {
    let x = operand(run, arguments, 0, "x")?;
    let settings = &layer.settings;
    let axis = match settings.integers("axis")?.as_deref() {
        None => -1,
        Some([axis]) => *axis,
        Some(_) => return Err(wrong("axis", "one axis", "several")),
    };
    let activation = match layer.class() {
        "Softmax" => Activation::Softmax(axis),
        "LogSoftmax" => Activation::LogSoftmax(axis),
        "Gelu" => Activation::Gelu {
            approximate: settings.flag("approximate", true)?,
        },
        "LeakyRelu" => Activation::Relu {
            negative_slope: settings.number("negative_slope", 0.2)?,
            max_value: None,
            threshold: 0.0,
        },
        "Elu" => Activation::Exponential {
            alpha: settings.number("alpha", 1.0)?,
            divisor: 1.0,
            scale: 1.0,
        },
        // The others are called as the strings are, in another spelling.
        class => {
            let mut name = String::new();
            for (i, c) in class.chars().enumerate() {
                if c.is_ascii_uppercase() && i > 0 {
                    name.push('_');
                }
                name.push(c.to_ascii_lowercase());
            }
            Activation::named(&name)?
        }
    };
    match activation {
        Activation::Softmax(_) | Activation::Sigmoid => activation.last(run, layer, x),
        _ => activation.apply(run, x),
    }
}

fn reduction(
    run: &mut Run<'_>,
    layer: &Layer<'_>,
    arguments: &Arguments<Tensor>,
) -> Result<Tensor, KerasError> {
    let x = operand(run, arguments, 0, "x")?;
    let keep = layer.settings.flag("keepdims", false)?;
    let mut axes = Vec::new();
    for axis in layer.settings.integers("axis")?.unwrap_or_else(|| vec![0]) {
        let axis = run.axis(x, axis)?;
        if axis == 0 {
            let help = "reduce the axes of an example only";
            return Err(KerasError::unsupported("a reduction of the batch", help));
        }
        axes.push(int(axis));
    }
    axes.sort_unstable();
    axes.dedup();
    // Without their axes, what is left need not have the channels first.
    let (x, axes) = match keep || !x.channels_first {
        true => (x, axes),
        false => {
            let rank = int(run.dims(x).len());
            let back = |a: i32| if a == 1 { rank - 1 } else { a - 1 };
            let mut axes: Vec<i32> = axes.into_iter().map(back).collect();
            axes.sort_unstable();
            (Tensor::plain(run.plain(x)?), axes)
        }
    };
    let g = run.cx.graph();
    let value = match layer.class() {
        "Mean" => g.reduce_mean(x.value, &axes, keep)?,
        "Max" => g.reduce_max(x.value, &axes, keep)?,
        "Min" => g.reduce_min(x.value, &axes, keep)?,
        _ => g.reduce_sum(x.value, &axes, keep)?,
    };
    Ok(Tensor { value, ..x })
}

fn reshape(
    run: &mut Run<'_>,
    layer: &Layer<'_>,
    arguments: &Arguments<Tensor>,
) -> Result<Tensor, KerasError> {
    let x = operand(run, arguments, 0, "x")?;
    let to = layer.settings.integers("newshape")?;
    let to = to.ok_or_else(|| KerasError::unsupported("a shape that is computed", "say it"))?;
    reshaped(run, x, &to, "newshape")
}

fn transpose(
    run: &mut Run<'_>,
    layer: &Layer<'_>,
    arguments: &Arguments<Tensor>,
) -> Result<Tensor, KerasError> {
    let x = operand(run, arguments, 0, "x")?;
    let rank = run.dims(x).len() as i64;
    let order = layer.settings.integers("axes")?;
    let order = order.unwrap_or_else(|| (0..rank).rev().collect());
    transposed(run, x, &order, "axes")
}

fn expand_dims(
    run: &mut Run<'_>,
    layer: &Layer<'_>,
    arguments: &Arguments<Tensor>,
) -> Result<Tensor, KerasError> {
    let x = operand(run, arguments, 0, "x")?;
    let mut dims = run.dims(x);
    let rank = dims.len() as i64 + 1;
    let axis = match layer.settings.integers("axis")?.as_deref() {
        Some([axis]) => *axis,
        _ => return Err(wrong("axis", "one axis", "none or several")),
    };
    let at = if axis < 0 { axis + rank } else { axis };
    let at = usize::try_from(at).ok().filter(|&a| a < dims.len() + 1);
    let at = at.ok_or_else(|| wrong("axis", format!("an axis of {rank}"), axis))?;
    dims.insert(at, 1);
    let x = run.plain(x)?;
    Ok(Tensor::plain(run.reshape(x, &dims)?))
}

fn squeeze(
    run: &mut Run<'_>,
    layer: &Layer<'_>,
    arguments: &Arguments<Tensor>,
) -> Result<Tensor, KerasError> {
    let x = operand(run, arguments, 0, "x")?;
    let mut dims = run.dims(x);
    let mut axes = Vec::new();
    for axis in layer.settings.integers("axis")?.unwrap_or_default() {
        axes.push(run.keras_axis(x, axis)?);
    }
    axes.sort_unstable();
    axes.dedup();
    if axes.is_empty() || axes.iter().any(|&a| dims[a] != 1) {
        let expected = format!("axes of one element, of {dims:?}");
        return Err(wrong("axis", expected, format!("{axes:?}")));
    }
    for axis in axes.into_iter().rev() {
        dims.remove(axis);
    }
    let x = run.plain(x)?;
    Ok(Tensor::plain(run.reshape(x, &dims)?))
}

fn concatenate(
    run: &mut Run<'_>,
    layer: &Layer<'_>,
    arguments: &Arguments<Tensor>,
) -> Result<Tensor, KerasError> {
    let mut xs = Vec::new();
    for x in arguments.get(0, "xs").map(tensors_of).unwrap_or_default() {
        xs.push(run.real(x)?);
    }
    if xs.is_empty() {
        return Err(KerasError::input("a list of tensors", "none"));
    }
    let axis = match layer.settings.integers("axis")?.as_deref() {
        None => 0,
        Some([axis]) => *axis,
        Some(_) => return Err(wrong("axis", "one axis", "several")),
    };
    joined(run, &xs, axis)
}

fn matmul(
    run: &mut Run<'_>,
    _: &Layer<'_>,
    arguments: &Arguments<Tensor>,
) -> Result<Tensor, KerasError> {
    let mut side = |position, name| -> Result<Value, KerasError> {
        let x = operand(run, arguments, position, name)?;
        run.plain(x)
    };
    let (a, b) = (side(0, "x1")?, side(1, "x2")?);
    Ok(Tensor::plain(run.cx.graph().matmul(a, b, false, false)?))
}
