//! What a trainer has learned: reading it, replacing it.

use super::{Progress, Trainer, TrainerError};
use crate::{optim::pair, step};
use std::collections::BTreeMap;

/// A tensor of state, as stored: raw bits.
#[derive(Debug, Clone, PartialEq)]
pub enum StateTensor {
    /// fp16 bit patterns.
    Fp16(Vec<u16>),
    /// f32 numbers.
    Fp32(Vec<f32>),
}

/// Everything a run needs to continue besides [`Progress`], by name, in raw bits.
pub type State = BTreeMap<String, StateTensor>;

/// The first tensor that training cannot go on from: it holds a number that is not finite, or a weight that rounds to
/// infinity in fp16.
pub(crate) fn unsound(state: &State) -> Option<&str> {
    let is_sound = |name: &str, tensor: &StateTensor| match tensor {
        StateTensor::Fp16(bits) => bits.iter().all(|&x| half::f16::from_bits(x).is_finite()),
        StateTensor::Fp32(x) if name.starts_with("weight.") => {
            x.iter().all(|&x| half::f16::from_f32(x).is_finite())
        }
        StateTensor::Fp32(x) => x.iter().all(|x| x.is_finite()),
    };
    let found = state.iter().find(|(name, tensor)| !is_sound(name, tensor));
    found.map(|(name, _)| name.as_str())
}

/// Name, dimensions and fp32 values of a trainable tensor.
pub type NamedWeight = (String, Vec<usize>, Vec<f32>);

fn name_of(role: &str, parameter: &str) -> String {
    format!("{role}.{parameter}")
}

fn name_of_half(role: &str, parameter: &str, low: bool) -> String {
    let part = if low { "lo" } else { "hi" };
    format!("{role}.{parameter}.{part}")
}

impl Trainer {
    /// Sets the weights, in PyTorch's layout; optimizer state stays as it is.
    ///
    /// # Errors
    /// When a weight has another number of values.
    pub fn set_weights(&mut self, weights: &[Vec<f32>]) -> Result<(), TrainerError> {
        for (i, w) in weights.iter().enumerate() {
            let p = &self.step.parameters[i];
            if w.len() != p.shape.numel() {
                return Err(TrainerError::State {
                    name: p.path.clone(),
                    expected: p.shape.numel(),
                    found: w.len().to_string(),
                });
            }
            if let Some(host) = &self.host {
                host.state[i][0].write_f32(|m| m.copy_from_slice(w));
                self.ports[&step::weight_port(p)].copy_in(w)?;
                continue;
            }
            let (hi, lo): (Vec<f32>, Vec<f32>) = w.iter().map(|&x| pair::split(x)).unzip();
            for (s, buffer) in self.step.state.iter().zip(&self.sets[self.current]) {
                if s.parameter == i && s.role == "weight" {
                    buffer.copy_in(if s.low { &lo } else { &hi })?;
                }
            }
        }
        Ok(self.device.health()?)
    }

    /// The weights in fp32, named as PyTorch does.
    ///
    /// # Errors
    /// When the device fails.
    pub fn weights(&self) -> Result<Vec<NamedWeight>, TrainerError> {
        Ok(self.weights_of(&self.state()?))
    }

    /// The weights in a state of this trainer.
    pub fn weights_of(&self, state: &State) -> Vec<NamedWeight> {
        let half = |name: &str, low| match state.get(&name_of_half("weight", name, low)) {
            Some(StateTensor::Fp16(bits)) => bits.as_slice(),
            _ => &[],
        };
        let f32_of = |&bits: &u16| half::f16::from_bits(bits).to_f32();
        let values = |name: &str| match state.get(&name_of("weight", name)) {
            Some(StateTensor::Fp32(x)) => x.clone(),
            _ => half(name, false)
                .iter()
                .zip(half(name, true))
                .map(|(hi, lo)| pair::join(f32_of(hi), f32_of(lo)))
                .collect(),
        };
        self.step
            .parameters
            .iter()
            .map(|p| (p.path.clone(), p.shape.dims().to_vec(), values(&p.path)))
            .collect()
    }

    /// What the trainer has learned.
    ///
    /// # Errors
    /// When the device fails.
    pub fn state(&self) -> Result<State, TrainerError> {
        let mut all = State::new();
        for (name, part) in self.parts() {
            let tensor = match part {
                Part::Master { memory, len, .. } => {
                    StateTensor::Fp32(memory.read_f32(|x| x[..len].to_vec()))
                }
                Part::Half(buffer) => {
                    let bytes = buffer.copy_out_bytes();
                    let bits = bytes.as_chunks::<2>().0.iter();
                    StateTensor::Fp16(bits.map(|c| u16::from_le_bytes(*c)).collect())
                }
            };
            all.insert(name, tensor);
        }
        self.device.health()?;
        Ok(all)
    }

    /// Continues from stored state.
    ///
    /// # Errors
    /// When a tensor is missing or has another size, and nothing is changed then; when the device fails.
    pub fn restore(&mut self, progress: Progress, state: &State) -> Result<(), TrainerError> {
        let parts = self.parts();
        for (name, part) in &parts {
            let (expected, found) = match (part, state.get(name)) {
                (Part::Half(b), Some(StateTensor::Fp16(x))) => {
                    (b.ty().shape.numel(), Some(x.len()))
                }
                (Part::Master { len, .. }, Some(StateTensor::Fp32(x))) => (*len, Some(x.len())),
                (Part::Half(b), _) => (b.ty().shape.numel(), None),
                (Part::Master { len, .. }, _) => (*len, None),
            };
            if found != Some(expected) {
                return Err(TrainerError::State {
                    name: name.clone(),
                    expected,
                    found: found.map_or("none".into(), |n| n.to_string()),
                });
            }
        }
        for (name, part) in parts {
            match (part, state.get(&name)) {
                (
                    Part::Master {
                        memory, on_device, ..
                    },
                    Some(StateTensor::Fp32(x)),
                ) => {
                    memory.write_f32(|out| out[..x.len()].copy_from_slice(x));
                    if let Some(buffer) = on_device {
                        buffer.copy_in(x)?;
                    }
                }
                (Part::Half(buffer), Some(StateTensor::Fp16(x))) => buffer.copy_in_bits(x)?,
                _ => {}
            }
        }
        self.device.health()?;
        self.progress = progress;
        Ok(())
    }

    /// Every tensor of state by name, with where it is kept now.
    fn parts(&self) -> Vec<(String, Part<'_>)> {
        let mut parts = Vec::new();
        let Some(host) = &self.host else {
            for (s, buffer) in self.step.state.iter().zip(&self.sets[self.current]) {
                let p = &self.step.parameters[s.parameter];
                parts.push((name_of_half(s.role, &p.path, s.low), Part::Half(buffer)));
            }
            return parts;
        };
        let names = self.config.optimizer.as_dyn().state();
        for (p, buffers) in self.step.parameters.iter().zip(&host.state) {
            let roles = std::iter::once("weight").chain(names.iter().copied());
            for (role, memory) in roles.zip(buffers) {
                let on_device = (role == "weight").then(|| &self.ports[&step::weight_port(p)]);
                let part = Part::Master {
                    memory,
                    len: p.shape.numel(),
                    on_device,
                };
                parts.push((name_of(role, &p.path), part));
            }
        }
        parts
    }
}

/// Where a tensor of state is kept.
enum Part<'a> {
    /// In fp32 on the host, with a rounded copy on the device for weights.
    Master {
        memory: &'a ane_engine::SharedBuffer,
        len: usize,
        on_device: Option<&'a ane_device::Buffer>,
    },
    /// Half of a pair on the device.
    Half(&'a ane_device::Buffer),
}
