//! A model of Keras's that classifies the images of a data set: its configuration, and the weights that it begins with.

use super::{Head, Imported, KerasError, Options, import, settings::wrong};
use ane_ir::DType;
use ane_train::{loss::Loss, model::Init, models::Examples};

/// A configuration and weights, as the exporter writes them.
#[derive(Debug, Clone, PartialEq)]
pub struct Classifier {
    /// `model.to_json()`.
    pub config: Vec<u8>,
    /// A safetensors file; a tensor belongs to the weight whose index its name begins with.
    pub weights: Vec<u8>,
}

impl Classifier {
    /// The model for images of a data set: input `x` [B, C, H, W] or [B, features], output `logits` [B, classes] or `values` [B, values], and the weights that it
    /// came with as initial values. A loss on logits takes a final softmax or sigmoid off.
    ///
    /// # Errors
    /// When the configuration or the weights are not what they should be, when the images are not what the model takes,
    /// when it gives something else than scores, or when they end in an activation that is not the loss's.
    pub fn import(
        &self,
        (dtype, batch): (DType, usize),
        examples: &Examples,
        loss: &Loss,
    ) -> Result<Imported, KerasError> {
        let own = match loss {
            Loss::CrossEntropy { .. } => Some(Head::Softmax),
            Loss::BceWithLogits => Some(Head::Sigmoid),
            Loss::Mse | Loss::L1 | Loss::Huber { .. } => None,
        };
        let options = Options {
            dtype,
            logits: own.is_some(),
            examples: Some(examples.shape.clone()),
            ..Options::new(batch)
        };
        let mut imported = import(&self.config, &options)?;
        let values = imported.values(&self.weights)?;
        let [output] = &imported.outputs[..] else {
            let found = format!("{} outputs", imported.outputs.len());
            return Err(scores(found, batch, examples));
        };
        let expected = match output.head {
            Some(Head::Softmax) => "cross-entropy or mse, as the model ends with a softmax",
            Some(Head::Sigmoid) => "bce-with-logits or mse, as the model ends with a sigmoid",
            None => "",
        };
        if output.head.is_some() && output.head != own {
            return Err(wrong("loss", expected, loss.name()));
        }
        let model = &mut imported.model;
        let (_, value) = model.train.outputs[0];
        let found = model.train.graph.ty(value).shape.dims();
        if found != [batch, examples.outputs.width()] {
            return Err(scores(format!("{found:?}"), batch, examples));
        }
        for graph in [&mut model.train, &mut model.infer] {
            examples.outputs.name().clone_into(&mut graph.outputs[0].0);
        }
        for (parameter, values) in model.parameters.iter_mut().zip(values.parameters) {
            parameter.init = Init::Values(values.into());
        }
        for (buffer, values) in model.buffers.iter_mut().zip(values.buffers) {
            buffer.init = Init::Values(values.into());
        }
        Ok(imported)
    }
}

fn scores(found: String, batch: usize, examples: &Examples) -> KerasError {
    KerasError::Scores {
        found,
        batch,
        outputs: examples.outputs,
    }
}
