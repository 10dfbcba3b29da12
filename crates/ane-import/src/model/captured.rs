//! A model that brings its own loss: an exported forward pass of a batch, inputs and targets alike, whose first result is
//! the loss and whose others are outputs.

use super::{
    Counter, TorchModel, TorchModelError,
    frame::ModelFrame,
    passes::{Pass, Passes},
};
use crate::{
    aten,
    error::ImportError,
    lower::{Cx, Frame, Given, dtype_of},
    pt2::{Exported, Role},
};
use ane_ir::{DType, Shape, Value, autodiff::vjp};
use ane_train::model::{Builder, Input, Model};

/// The module that the model itself is in the exported one; the loss lies beside it.
const WITHIN: &str = "model.";

/// A model that brings its own loss.
#[derive(Debug)]
pub struct Captured {
    /// The model. Its inputs are those of a batch in order, `input_0` and so on, and its outputs `output_0` and so on. What no
    /// gradient reaches is not trained.
    pub model: Model,
    /// Buffers that every training step counts up.
    pub counters: Vec<Counter>,
}

impl TorchModel {
    /// The model of programs that were exported of a module with the model as `model`: its forward pass takes a batch and
    /// gives the loss, and then any outputs. Paths are those of the model.
    ///
    /// # Errors
    /// When an op has no lowering, the loss is not one real number, or something of a batch has not the batch first.
    pub fn captured(&self, dtype: DType) -> Result<Captured, TorchModelError> {
        let given = user_inputs(&self.train.at(1)?);
        let batch = given.first().and_then(|t| t.shape.first().copied());
        let batch = batch.unwrap_or(0);
        for (index, tensor) in given.iter().enumerate() {
            if tensor.shape.first() != Some(&batch) || batch == 0 {
                return Err(TorchModelError::Rows {
                    index,
                    found: format!("{:?}", tensor.shape),
                    batch,
                });
            }
        }
        let (passes, counters) = Passes::new(self, batch, WITHIN)?;
        let inputs = given.iter().enumerate().map(|(i, t)| port(i, t));
        let inputs: Vec<Input> = inputs.collect();
        let mut model = passes.build(dtype, batch, &inputs, lowered)?;
        freeze_unreached(&mut model)?;
        Ok(Captured { model, counters })
    }
}

/// The tensors that the user passes.
fn user_inputs(exported: &Exported) -> Vec<aten::Tensor> {
    let inputs = exported.graph.inputs.iter().zip(&exported.roles);
    inputs
        .filter_map(|(tensor, role)| match role {
            Role::User => tensor.clone(),
            _ => None,
        })
        .collect()
}

/// The port of input `i`. Truth values cross as numbers, which every device carries.
fn port(i: usize, tensor: &aten::Tensor) -> Input {
    let dtype = match dtype_of(tensor.dtype) {
        Some(DType::Int32) => DType::Int32,
        _ => DType::Fp16,
    };
    let shape = tensor.shape.get(1..).unwrap_or(&[]);
    Input::new(&format!("input_{i}"), dtype, Shape::new(shape))
}

/// One forward pass: the outputs by name. The loss is declared.
fn lowered(
    cx: &mut Builder,
    ports: &[Value],
    pass: &Pass<'_>,
) -> Result<ane_train::model::Outputs, TorchModelError> {
    let exported = pass.exported;
    let mut given = Vec::new();
    for (&port, tensor) in ports.iter().zip(user_inputs(exported)) {
        given.push(match tensor.dtype {
            aten::Dtype::Bool => truth(cx, port)?,
            _ => port,
        });
    }
    let mut frame = ModelFrame::new(cx, &given, pass)?;
    let mut results = Vec::new();
    {
        let mut cx = Cx::lower(&mut frame, &exported.graph)?;
        for output in &exported.graph.outputs {
            results.push(cx.result(output));
        }
    }
    let mut values = Vec::new();
    for result in results {
        values.push(match result {
            Some(Given::Value(value, tensor)) if tensor.dtype.is_float() => Some(value),
            Some(Given::Input(i)) => match &exported.graph.inputs[i] {
                Some(tensor) if tensor.dtype.is_float() => Some(frame.input(i, tensor, false)?),
                _ => None,
            },
            _ => None,
        });
    }
    let loss = match values.first() {
        Some(Some(loss)) if cx.shape(*loss).numel() == 1 => *loss,
        Some(Some(loss)) => {
            let found = format!("{:?}", cx.shape(*loss).dims());
            return Err(TorchModelError::Loss { found });
        }
        _ => {
            let found = "no real number".to_owned();
            return Err(TorchModelError::Loss { found });
        }
    };
    cx.set_loss(loss);
    let outputs = values.into_iter().skip(1).enumerate();
    let named = outputs.filter_map(|(i, value)| Some((format!("output_{i}"), value?)));
    Ok(ane_train::model::Outputs(named.collect()))
}

/// A port of numbers as truth values.
fn truth(cx: &mut Builder, port: Value) -> Result<Value, TorchModelError> {
    let zero = cx.scalar(0.0).map_err(ImportError::from)?;
    let g = cx.graph();
    let is_zero = g.equal(port, zero).map_err(ImportError::from)?;
    Ok(g.logical_not(is_zero).map_err(ImportError::from)?)
}

/// Marks as not trained what no gradient of the loss reaches: PyTorch leaves its `grad` empty, and no optimizer moves it.
fn freeze_unreached(model: &mut Model) -> Result<(), TorchModelError> {
    let Some(loss) = model.train.loss else {
        return Ok(());
    };
    let mut g = model.train.graph.clone();
    let dtype = g.ty(loss).dtype;
    let shape = g.ty(loss).shape.clone();
    let seed = g.scalar(dtype, 1.0).map_err(ImportError::from)?;
    let seed = g.reshape(seed, &shape).map_err(ImportError::from)?;
    let gradients = vjp(&mut g, &[loss], &[seed], &model.train.parameters);
    let gradients = gradients.map_err(ImportError::from)?;
    for (parameter, gradient) in model.parameters.iter_mut().zip(gradients) {
        parameter.trainable &= gradient.is_some();
    }
    if model.parameters.iter().any(|p| p.trainable) {
        return Ok(());
    }
    Err(TorchModelError::Loss {
        found: "independent of every parameter that asks for gradients".to_owned(),
    })
}
