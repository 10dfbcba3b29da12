//! The fp32 values of a model's weights and running statistics in a stored state.

use super::{AVERAGE, BUFFER, NamedWeight, State, StateDiffers, StateKind, StateTensor, WEIGHT};
use crate::{model::Model, optim::pair};
use half::f16;

/// The values of the parameters and buffers of a model by path, in its order, whichever plan has written the state; of
/// parameters the average, where one is kept.
///
/// # Errors
/// Every tensor that is missing or of another size.
pub fn weights_of(model: &Model, state: &State) -> Result<Vec<NamedWeight>, StateDiffers> {
    let parameters = model.parameters.iter();
    let parameters = parameters.map(|p| (WEIGHT, &p.path, &p.shape));
    let buffers = model.buffers.iter().map(|b| (BUFFER, &b.path, &b.shape));
    let mut differences = Vec::new();
    let mut all = Vec::new();
    for (role, path, shape) in parameters.chain(buffers) {
        let name = format!("{role}.{path}");
        let average = values(state, &format!("{AVERAGE}.{path}"));
        match average.or_else(|| values(state, &name)) {
            Some(values) if values.len() == shape.numel() => {
                all.push((path.clone(), shape.dims().to_vec(), values));
            }
            found => {
                let expected = StateKind::Fp32(shape.numel());
                let found = found.map_or("nothing".to_owned(), |v| format!("{} values", v.len()));
                differences.push(format!("`{name}`: expected {expected}, found {found}"));
            }
        }
    }
    if differences.is_empty() {
        Ok(all)
    } else {
        Err(StateDiffers { differences })
    }
}

/// The tensor of this name, or the sum of the halves of the pair.
fn values(state: &State, name: &str) -> Option<Vec<f32>> {
    if let Some(StateTensor::Fp32(x)) = state.get(name) {
        return Some(x.clone());
    }
    let half = |part: &str| match state.get(&format!("{name}.{part}")) {
        Some(StateTensor::Fp16(bits)) => Some(bits.iter().map(|&x| f16::from_bits(x).to_f32())),
        _ => None,
    };
    let pairs = half("hi")?.zip(half("lo")?);
    Some(pairs.map(|(hi, lo)| pair::join(hi, lo)).collect())
}
