//! A function with its buffers: executing, and damaging what came out.
//!
//! What an engine does when an output is written to the buffer of an input is not known: the documented way to keep state
//! is an output of one execution that is an input of the next. Binding such buffers is taken, as frameworks take it, and
//! every execution then writes not-a-numbers, so that nobody relies on one reading.

use ane_engine::{BindError, Bound, Plan, Pool, SharedBuffer};

/// Byte of which outputs in place are full: every element of every floating-point type is not a number.
const POISON: u8 = 0xff;
/// Distance of the elements that [`Execution::corrupt`] damages.
const DAMAGE_STRIDE: usize = 61;

/// A function bound to buffers.
#[derive(Debug)]
pub struct Execution {
    bound: Bound,
    /// Buffers of inputs that outputs are written to, and the bytes of the inputs.
    in_place: Vec<(SharedBuffer, usize)>,
    /// Output buffers and the bytes of their ports.
    outputs: Vec<(SharedBuffer, usize)>,
}

impl Execution {
    pub(crate) fn new(
        plan: &Plan,
        inputs: &[SharedBuffer],
        outputs: &[SharedBuffer],
        threads: usize,
    ) -> Result<Self, BindError> {
        let mut in_place = Vec::new();
        let mut read = inputs.to_vec();
        for (port, input) in plan.inputs().iter().zip(&mut read) {
            let bytes = port.ty.bytes();
            // A buffer that is too small stays as it is: binding refuses it under its own name.
            if input.len() >= bytes && outputs.iter().any(|o| o.same_as(input)) {
                in_place.push((input.clone(), bytes));
                *input = SharedBuffer::new(bytes);
            }
        }
        Ok(Self {
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

    /// Computes the outputs from the inputs. A buffer that is bound to both is full of not-a-numbers afterwards.
    ///
    /// # Panics
    /// When the pool has more threads than were said at binding.
    pub fn execute(&mut self, pool: &Pool) {
        self.bound.execute(pool);
        if self.in_place.is_empty() {
            return;
        }
        let outputs = self.outputs.iter().chain(&self.in_place);
        for (buffer, bytes) in outputs {
            buffer.write(|to| to[..*bytes].fill(POISON));
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
    fn outputs_in_place_of_inputs_are_full_of_what_nobody_can_use() {
        let pool = Pool::new(2).unwrap();
        let swap = holding(8, [0.0, 1.0, 1.0, 0.0]);
        let (apart, z) = (holding(8, [0.0; 4]), holding(8, [0.0; 4]));
        let state = holding(64, [1.0, 2.0, 3.0, 4.0]);
        let mut execution = Execution::new(
            &plan(),
            &[state.clone(), swap.clone()],
            &[state.clone(), z.clone()],
            2,
        )
        .unwrap();
        execution.execute(&pool);
        for output in [&state, &z] {
            assert!(held(output).iter().all(|x| x.is_nan()));
        }
        assert_eq!(held(&swap), [0.0, 1.0, 1.0, 0.0]);
        let both = [apart.clone(), apart];
        assert!(matches!(
            Execution::new(&plan(), &[state, swap], &both, 2),
            Err(BindError::Shared { .. })
        ));
    }

    #[test]
    fn damage_changes_outputs_and_nothing_beyond_them() {
        let pool = Pool::new(1).unwrap();
        let x = holding(8, [1.0; 4]);
        let outputs = [holding(256, [0.0; 4]), holding(256, [0.0; 4])];
        let mut execution = Execution::new(&plan(), &[x.clone(), x.clone()], &outputs, 1).unwrap();
        execution.execute(&pool);
        let whole = outputs[1].read(<[u8]>::to_vec);
        execution.corrupt();
        let damaged = outputs[1].read(<[u8]>::to_vec);
        assert_ne!(whole[..8], damaged[..8]);
        assert_eq!(whole[8..], damaged[8..]);
        assert_eq!(held(&x), [1.0; 4]);
    }
}
