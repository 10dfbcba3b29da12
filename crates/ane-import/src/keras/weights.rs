//! The values of a model's weights, out of a safetensors file.
//!
//! A tensor belongs to the weight whose index its name begins with, such as `4.sequential_2.dense.kernel`: the rest of
//! what Keras calls a weight differs from run to run.

use super::{Imported, KerasError, Role, error::shortened};
use safetensors::{Dtype, SafeTensors};
use std::collections::HashMap;

/// Values of all weights of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Values {
    /// Of the parameters, in the model's order.
    pub parameters: Vec<Vec<f32>>,
    /// Of the buffers, in the model's order.
    pub buffers: Vec<Vec<f32>>,
}

impl Imported {
    /// Reads the values of all weights.
    ///
    /// # Errors
    /// When the file is none, has no tensor for a weight, or one of another shape or type.
    pub fn values(&self, file: &[u8]) -> Result<Values, KerasError> {
        let refused = |message: String| KerasError::Weights { message };
        let file = SafeTensors::deserialize(file).map_err(|e| refused(e.to_string()))?;
        let mut by_index = HashMap::new();
        for (name, tensor) in file.iter() {
            let (index, _) = name.split_once('.').unwrap_or((name, ""));
            if let Ok(index) = index.parse::<usize>() {
                by_index.insert(index, (name, tensor));
            }
        }
        // A layer that two models share is in the configuration twice and in the weights once: indices tell.
        if let Some(index) = by_index.keys().max().filter(|&&i| i >= self.weights.len()) {
            let most = self.weights.len();
            let message = format!("there is a weight {index}, the model has {most}");
            return Err(refused(message));
        }
        let mut found = HashMap::new();
        for (i, weight) in self.weights.iter().enumerate() {
            if weight.role == Role::Unused {
                continue;
            }
            let path = &weight.path;
            let (name, tensor) = by_index
                .get(&i)
                .ok_or_else(|| refused(format!("there is no `{}`", shortened(path))))?;
            let name = shortened(name);
            if tensor.shape() != weight.shape {
                let (found, wanted) = (tensor.shape(), &weight.shape);
                let message = format!("`{name}` is {found:?}, the model's `{path}` {wanted:?}");
                return Err(refused(message));
            }
            if tensor.dtype() != Dtype::F32 {
                let message = format!("`{name}` is {:?}, expected F32", tensor.dtype());
                return Err(refused(message));
            }
            let (elements, _) = tensor.data().as_chunks::<4>();
            let values: Vec<f32> = elements.iter().map(|c| f32::from_le_bytes(*c)).collect();
            found.insert(path.as_str(), values);
        }
        let mut take = |path: &str| found.remove(path).unwrap_or_default();
        Ok(Values {
            parameters: (self.model.parameters.iter())
                .map(|p| take(&p.path))
                .collect(),
            buffers: self.model.buffers.iter().map(|b| take(&b.path)).collect(),
        })
    }
}
