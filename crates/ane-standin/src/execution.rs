//! A function with its buffers: executing, and damaging what came out.
//!
//! An output in the buffer of an input is resident state: the program reads what the buffer held and leaves the next
//! value there. A client that trains MNIST that way is published (aneforge, e5rt on M1 and M5). [`InPlace::Poison`] shows
//! who relies on it without having said so: every execution then fills the outputs with not-a-numbers.

use ane_engine::{BindError, Bound, Plan, Pool, SharedBuffer};

/// Byte of which outputs in place are full: every element of every floating-point type is not a number.
const POISON: u8 = 0xff;
/// Distance of the elements that [`Execution::corrupt`] damages.
const DAMAGE_STRIDE: usize = 61;

/// What an execution does where an output has the buffer of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InPlace {
    /// The input is read before the output is written.
    #[default]
    State,
    /// Every output is full of not-a-numbers afterwards.
    Poison,
}

/// A function bound to buffers.
#[derive(Debug)]
pub struct Execution {
    bound: Bound,
    mode: InPlace,
    /// Inputs that outputs are written to: the buffer of both, and the one from which the program reads.
    in_place: Vec<(SharedBuffer, SharedBuffer)>,
    /// Output buffers and the bytes of their ports.
    outputs: Vec<(SharedBuffer, usize)>,
}

impl Execution {
    pub(crate) fn new(
        plan: &Plan,
        inputs: &[SharedBuffer],
        outputs: &[SharedBuffer],
        threads: usize,
        mode: InPlace,
    ) -> Result<Self, BindError> {
        let mut in_place = Vec::new();
        let mut read = inputs.to_vec();
        for (port, input) in plan.inputs().iter().zip(&mut read) {
            let bytes = port.ty.bytes();
            // A buffer that is too small stays as it is: binding refuses it under its own name.
            if input.len() >= bytes && outputs.iter().any(|o| o.same_as(input)) {
                let read = SharedBuffer::new(bytes);
                in_place.push((std::mem::replace(input, read.clone()), read));
            }
        }
        Ok(Self {
            mode,
            bound: plan.bind(&read, outputs, threads)?,
            in_place,
            outputs: plan
                .outputs()
                .iter()
                .zip(outputs)
                .map(|(port, buffer)| (buffer.clone(), port.ty.bytes()))
                .collect(),
        })
    }

    /// Computes the outputs from the inputs.
    ///
    /// # Panics
    /// When the pool has more threads than were said at binding.
    pub fn execute(&mut self, pool: &Pool) {
        for (state, read) in &self.in_place {
            state.read(|from| read.write(|to| to.copy_from_slice(&from[..to.len()])));
        }
        self.bound.execute(pool);
        if self.mode == InPlace::Poison && !self.in_place.is_empty() {
            for (buffer, bytes) in &self.outputs {
                buffer.write(|to| to[..*bytes].fill(POISON));
            }
        }
    }

    /// Makes every output zero.
    pub fn zero(&self) {
        for (buffer, bytes) in &self.outputs {
            buffer.write(|to| to[..*bytes].fill(0));
        }
    }

    /// Flips the highest bit of the exponent in every 61st fp16 element of every output.
    pub fn corrupt(&self) {
        for (buffer, bytes) in &self.outputs {
            buffer.write_u16(|elements| {
                let count = (bytes / 2).min(elements.len());
                for element in elements[..count].iter_mut().step_by(DAMAGE_STRIDE) {
                    *element ^= 0x4000;
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ane_engine::Options;
    use ane_ir::{Graph, Numerics, TensorType};

    /// y = matmul(x, w), z = x + x.
    fn plan() -> Plan {
        let mut g = Graph::new();
        let x = g.input("x", TensorType::fp16([2, 2])).unwrap();
        let w = g.input("w", TensorType::fp16([2, 2])).unwrap();
        let y = g.matmul(x, w, false, false).unwrap();
        let z = g.add(x, x).unwrap();
        g.output("y", y).unwrap();
        g.output("z", z).unwrap();
        Plan::compile(&g, Options::new(Numerics::ieee())).unwrap()
    }

    fn holding(bytes: usize, elements: [f32; 4]) -> SharedBuffer {
        let buffer = SharedBuffer::new(bytes);
        buffer.write_u16(|b| {
            ane_engine::simd::narrow(ane_engine::simd::Isa::detect(), &elements, &mut b[..4])
        });
        buffer
    }

    fn held(buffer: &SharedBuffer) -> [f32; 4] {
        let mut out = [0.0; 4];
        buffer.read_u16(|b| {
            ane_engine::simd::widen(ane_engine::simd::Isa::detect(), &b[..4], &mut out)
        });
        out
    }

    #[test]
    fn outputs_in_place_of_inputs_are_state_or_what_nobody_can_use() {
        let pool = Pool::new(2).unwrap();
        let swap = holding(8, [0.0, 1.0, 1.0, 0.0]);
        let (apart, z) = (holding(8, [0.0; 4]), holding(8, [0.0; 4]));
        let state = holding(64, [1.0, 2.0, 3.0, 4.0]);
        let bind = |mode| {
            let inputs = [state.clone(), swap.clone()];
            Execution::new(&plan(), &inputs, &[state.clone(), z.clone()], 2, mode).unwrap()
        };
        let mut execution = bind(InPlace::State);
        for (next, twice) in [
            ([2.0, 1.0, 4.0, 3.0], [2.0, 4.0, 6.0, 8.0]),
            ([1.0, 2.0, 3.0, 4.0], [4.0, 2.0, 8.0, 6.0]),
        ] {
            execution.execute(&pool);
            assert_eq!((held(&state), held(&z)), (next, twice));
        }
        bind(InPlace::Poison).execute(&pool);
        for output in [&state, &z] {
            assert!(held(output).iter().all(|x| x.is_nan()));
        }
        assert_eq!(held(&swap), [0.0, 1.0, 1.0, 0.0]);
        let both = [apart.clone(), apart];
        assert!(matches!(
            Execution::new(&plan(), &[state, swap], &both, 2, InPlace::State),
            Err(BindError::Shared { .. })
        ));
    }

    #[test]
    fn damage_changes_outputs_and_nothing_beyond_them() {
        let pool = Pool::new(1).unwrap();
        let x = holding(8, [1.0; 4]);
        let outputs = [holding(256, [0.0; 4]), holding(256, [0.0; 4])];
        let inputs = [x.clone(), x.clone()];
        let mut execution = Execution::new(&plan(), &inputs, &outputs, 1, InPlace::State).unwrap();
        execution.execute(&pool);
        let whole = outputs[1].read(<[u8]>::to_vec);
        execution.corrupt();
        let damaged = outputs[1].read(<[u8]>::to_vec);
        assert_ne!(whole[..8], damaged[..8]);
        assert_eq!(whole[8..], damaged[8..]);
        outputs[1].write(|bytes| bytes[8..].fill(7));
        execution.zero();
        outputs[1].read(|bytes| assert_eq!((&bytes[..8], bytes[8]), (&[0; 8][..], 7)));
        assert_eq!(held(&x), [1.0; 4]);
    }
}
