//! Every tensor that outlives a step, by role and path: weights, running statistics, what optimizers keep.
//!
//! Each entry has one owner: the host, in fp32, with a rounded copy where programs read it; or the engine, as a pair of
//! fp16 values that programs replace by writing the other of two sets. Programs of all purposes read the same entries.

mod layout;
mod weights;

pub use layout::{StateDiffers, StateKind, StateLayout};
pub use weights::weights_of;

use crate::optim::pair;
use ane_device::{Buffer, DeviceError};
use ane_engine::SharedBuffer;
use ane_ir::{Shape, TensorType};
use std::collections::BTreeMap;

/// A stored tensor: raw bits.
#[derive(Debug, Clone, PartialEq)]
pub enum StateTensor {
    /// fp16 bit patterns.
    Fp16(Vec<u16>),
    /// f32 numbers.
    Fp32(Vec<f32>),
}

impl StateTensor {
    /// What kind of tensor it is.
    pub fn kind(&self) -> StateKind {
        match self {
            Self::Fp16(x) => StateKind::Fp16(x.len()),
            Self::Fp32(x) => StateKind::Fp32(x.len()),
        }
    }
}

/// A store's tensors by name, `ROLE.PATH`, the halves of pairs with `.hi` and `.lo` behind it.
pub type State = BTreeMap<String, StateTensor>;

/// Name, dimensions and fp32 values of a tensor.
pub type NamedWeight = (String, Vec<usize>, Vec<f32>);

/// A tensor that an optimizer keeps: PyTorch's name of it, path of the parameter, and fp32 values.
pub type Moment = (String, String, Vec<f32>);

/// Role of what gradients belong to.
pub const WEIGHT: &str = "weight";
/// Role of running statistics.
pub const BUFFER: &str = "buffer";
/// Role of moving averages of what gradients belong to.
pub const AVERAGE: &str = "average";

/// An entry's position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryId(usize);

/// A tensor that outlives a step.
#[derive(Debug)]
pub struct Entry {
    /// What it is: [`WEIGHT`], [`BUFFER`], or an optimizer's name of its state.
    pub role: &'static str,
    /// Path of the parameter or buffer that it belongs to.
    pub path: String,
    /// Its shape.
    pub shape: Shape,
    owner: Owner,
    generation: u64,
}

#[derive(Debug)]
enum Owner {
    /// In fp32 on the host, with a rounded copy on the device where programs read it.
    Host {
        memory: SharedBuffer,
        rounded: Option<Buffer>,
    },
    /// High and low half on the device, in two sets.
    Pair { sets: Box<[[Buffer; 2]; 2]> },
}

/// All entries.
#[derive(Debug, Default)]
pub struct Store {
    entries: Vec<Entry>,
    /// Which set of every pair is the present one.
    current: usize,
}

impl Store {
    /// Adds a tensor of zeros that the host owns, with a copy in fp16 where programs read it.
    pub fn add_host(
        &mut self,
        role: &'static str,
        path: &str,
        shape: &Shape,
        rounded: Option<Buffer>,
    ) -> EntryId {
        let memory = SharedBuffer::new(4 * shape.numel());
        self.add(role, path, shape, Owner::Host { memory, rounded })
    }

    /// Adds a pair that lies in two sets of a high and a low half.
    pub fn add_pair(
        &mut self,
        role: &'static str,
        path: &str,
        shape: &Shape,
        sets: [[Buffer; 2]; 2],
    ) -> EntryId {
        let sets = Box::new(sets);
        self.add(role, path, shape, Owner::Pair { sets })
    }

    fn add(&mut self, role: &'static str, path: &str, shape: &Shape, owner: Owner) -> EntryId {
        self.entries.push(Entry {
            role,
            path: path.to_owned(),
            shape: shape.clone(),
            owner,
            generation: 0,
        });
        EntryId(self.entries.len() - 1)
    }

    /// An entry.
    pub fn entry(&self, id: EntryId) -> &Entry {
        &self.entries[id.0]
    }

    /// The entry of this role and path.
    pub fn find(&self, role: &str, path: &str) -> Option<EntryId> {
        let at = |e: &Entry| e.role == role && e.path == path;
        self.entries.iter().position(at).map(EntryId)
    }

    /// Every entry.
    pub fn entries(&self) -> impl Iterator<Item = (EntryId, &Entry)> {
        self.entries
            .iter()
            .enumerate()
            .map(|(i, e)| (EntryId(i), e))
    }

    /// Which set of every pair is the present one.
    pub fn current(&self) -> usize {
        self.current
    }

    /// How often an entry was written.
    pub fn generation(&self, id: EntryId) -> u64 {
        self.entries[id.0].generation
    }

    /// The buffers that a program reads an entry's fp16 value from: one, or one per set. None for what no program reads.
    pub fn readable(&self, id: EntryId) -> Vec<Buffer> {
        match &self.entries[id.0].owner {
            Owner::Host { rounded, .. } => rounded.iter().cloned().collect(),
            Owner::Pair { sets } => sets.iter().map(|[hi, _]| hi.clone()).collect(),
        }
    }

    /// Half of a pair in both sets.
    pub fn halves(&self, id: EntryId, low: bool) -> Option<[Buffer; 2]> {
        match &self.entries[id.0].owner {
            Owner::Host { .. } => None,
            Owner::Pair { sets } => Some([0, 1].map(|set| sets[set][usize::from(low)].clone())),
        }
    }

    /// The host's memory of an entry, for an update in place; who writes there calls [`Store::wrote`].
    pub fn memory(&self, id: EntryId) -> Option<&SharedBuffer> {
        match &self.entries[id.0].owner {
            Owner::Host { memory, .. } => Some(memory),
            Owner::Pair { .. } => None,
        }
    }

    /// Notes that entries of this role were written in place.
    pub fn wrote(&mut self, ids: &[EntryId]) {
        for id in ids {
            self.entries[id.0].generation += 1;
        }
    }

    /// Makes the other set of every pair the present one, which a program has written.
    pub fn flip(&mut self) {
        self.current = 1 - self.current;
        for e in &mut self.entries {
            if matches!(e.owner, Owner::Pair { .. }) {
                e.generation += 1;
            }
        }
    }

    /// Replaces the values of an entry.
    ///
    /// # Errors
    /// When their number is another.
    pub fn write(&mut self, id: EntryId, values: &[f32]) -> Result<(), DeviceError> {
        let entry = &mut self.entries[id.0];
        if values.len() != entry.shape.numel() {
            return Err(DeviceError::Length {
                ty: TensorType::new(ane_ir::DType::Fp32, entry.shape.clone()),
                expected: entry.shape.numel(),
                found: values.len(),
            });
        }
        entry.generation += 1;
        match &entry.owner {
            Owner::Host { memory, rounded } => {
                memory.write_f32(|m| m[..values.len()].copy_from_slice(values));
                if let Some(rounded) = rounded {
                    rounded.copy_in(values)?;
                }
            }
            Owner::Pair { sets } => {
                let (hi, lo): (Vec<f32>, Vec<f32>) = values.iter().map(|&x| pair::split(x)).unzip();
                let [hi_buffer, lo_buffer] = &sets[self.current];
                hi_buffer.copy_in(&hi)?;
                lo_buffer.copy_in(&lo)?;
            }
        }
        Ok(())
    }

    /// The values of an entry. Whether they are good, [`ane_device::Device::health`] says.
    pub fn read(&self, id: EntryId) -> Vec<f32> {
        let entry = &self.entries[id.0];
        match &entry.owner {
            Owner::Host { memory, .. } => memory.read_f32(|x| x[..entry.shape.numel()].to_vec()),
            Owner::Pair { sets } => {
                let [hi, lo] = &sets[self.current];
                let parts = hi.copy_out().into_iter().zip(lo.copy_out());
                parts.map(|(hi, lo)| pair::join(hi, lo)).collect()
            }
        }
    }

    /// Every tensor in raw bits. Whether they are good, [`ane_device::Device::health`] says.
    pub fn state(&self) -> State {
        let mut all = State::new();
        for (name, part) in self.parts() {
            let tensor = match part {
                Part::Fp32 { memory, len, .. } => {
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
        all
    }

    /// What a state of this store is made of.
    pub fn layout(&self) -> StateLayout {
        let parts = self.parts().into_iter().map(|(name, part)| match part {
            Part::Fp32 { len, .. } => (name, StateKind::Fp32(len)),
            Part::Half(b) => (name, StateKind::Fp16(b.ty().shape.numel())),
        });
        StateLayout(parts.collect())
    }

    /// Replaces every tensor by those of a state that was checked.
    ///
    /// # Errors
    /// When the device fails.
    pub fn restore(&mut self, state: &State) -> Result<(), DeviceError> {
        for (name, part) in self.parts() {
            match (part, state.get(&name)) {
                (
                    Part::Fp32 {
                        memory, rounded, ..
                    },
                    Some(StateTensor::Fp32(x)),
                ) => {
                    memory.write_f32(|out| out[..x.len()].copy_from_slice(x));
                    if let Some(buffer) = rounded {
                        buffer.copy_in(x)?;
                    }
                }
                (Part::Half(buffer), Some(StateTensor::Fp16(x))) => buffer.copy_in_bits(x)?,
                _ => {}
            }
        }
        for e in &mut self.entries {
            e.generation += 1;
        }
        Ok(())
    }

    /// Every tensor by name, with where it is kept now.
    fn parts(&self) -> Vec<(String, Part<'_>)> {
        let mut parts = Vec::new();
        for e in &self.entries {
            let name = format!("{}.{}", e.role, e.path);
            match &e.owner {
                Owner::Host { memory, rounded } => parts.push((
                    name,
                    Part::Fp32 {
                        memory,
                        len: e.shape.numel(),
                        rounded: rounded.as_ref(),
                    },
                )),
                Owner::Pair { sets } => {
                    let [hi, lo] = &sets[self.current];
                    parts.push((format!("{name}.hi"), Part::Half(hi)));
                    parts.push((format!("{name}.lo"), Part::Half(lo)));
                }
            }
        }
        parts
    }
}

/// Where a stored tensor is kept.
enum Part<'a> {
    Fp32 {
        memory: &'a SharedBuffer,
        len: usize,
        rounded: Option<&'a Buffer>,
    },
    Half(&'a Buffer),
}

/// The first tensor that training cannot go on from: it holds a number that is not finite, or a weight that rounds to
/// infinity in fp16.
pub(crate) fn first_not_finite(state: &State) -> Option<&str> {
    let weight = format!("{WEIGHT}.");
    let is_sound = |name: &str, tensor: &StateTensor| match tensor {
        StateTensor::Fp16(bits) => bits.iter().all(|&x| half::f16::from_bits(x).is_finite()),
        StateTensor::Fp32(x) if name.starts_with(&weight) => {
            x.iter().all(|&x| half::f16::from_f32(x).is_finite())
        }
        StateTensor::Fp32(x) => x.iter().all(|x| x.is_finite()),
    };
    let found = state.iter().find(|(name, tensor)| !is_sound(name, tensor));
    found.map(|(name, _)| name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (Store, [EntryId; 3]) {
        let mut s = Store::default();
        let shape = Shape::new(&[2, 2]);
        let buffer = || Buffer::new(TensorType::fp16([2, 2]), ane_device::Layout::Dense);
        let ids = [
            s.add_host(WEIGHT, "a", &shape, Some(buffer())),
            s.add_pair(WEIGHT, "b", &shape, [0, 1].map(|_| [buffer(), buffer()])),
            s.add_host(BUFFER, "c", &Shape::new(&[3]), None),
        ];
        (s, ids)
    }

    #[test]
    fn what_is_written_is_read_and_every_write_is_counted() {
        let (mut s, [a, b, c]) = store();
        let x = [1.0, -2.5, 0.125, 1.000_1];
        for id in [a, b] {
            s.write(id, &x).unwrap();
            let back = s.read(id);
            assert!(back.iter().zip(&x).all(|(a, b)| (a - b).abs() < 1e-6));
            assert_eq!(s.generation(id), 1);
        }
        assert_eq!(s.readable(a)[0].copy_out()[3], 1.0);
        assert_eq!((s.readable(b).len(), s.readable(c).len()), (2, 0));
        s.flip();
        assert_eq!(s.read(b), [0.0; 4]);
        assert_eq!([a, b, c].map(|id| s.generation(id)), [1, 2, 0]);
        assert!(s.write(c, &x).is_err());
    }

    #[test]
    fn a_state_comes_back_and_another_models_is_told_apart_by_path() {
        let (mut s, [a, b, c]) = store();
        s.write(a, &[0.1; 4]).unwrap();
        s.write(b, &[0.2; 4]).unwrap();
        s.write(c, &[0.3; 3]).unwrap();
        let state = s.state();
        assert_eq!(
            state.keys().collect::<Vec<_>>(),
            ["buffer.c", "weight.a", "weight.b.hi", "weight.b.lo"]
        );
        let (mut other, ids) = store();
        other.flip();
        other.layout().check(&state).unwrap();
        other.restore(&state).unwrap();
        assert_eq!(other.state(), state);
        assert_eq!(other.read(ids[0]), [0.1; 4]);
        let mut wrong = state;
        wrong.remove("buffer.c");
        wrong.insert("weight.a".into(), StateTensor::Fp32(vec![0.0; 6]));
        wrong.insert("weight.z".into(), StateTensor::Fp32(vec![0.0]));
        let error = other.layout().check(&wrong).unwrap_err().to_string();
        for part in [
            "`buffer.c` is missing: expected 3 fp32 values",
            "`weight.a`: expected 4 fp32 values, found 6 fp32 values",
            "`weight.z` has no place: found 1 fp32 values",
        ] {
            assert!(error.contains(part), "{error}");
        }
    }
}
