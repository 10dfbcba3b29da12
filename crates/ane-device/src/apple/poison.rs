//! Whether an execution wrote its outputs.
//!
//! Engines have reported success and left outputs as they were. Before an execution, elements of
//! every floating-point output are set to a NaN that no arithmetic makes; one that is still there afterwards was not
//! written. The first element, the last and a few hundred between are looked at, so that the cost does not grow with
//! the tensor. Outputs of whole numbers have no such value and are not looked at, nor are outputs in place of an input,
//! whose buffer holds what the program reads.

use crate::buffer::{Buffer, Layout};
use ane_ir::DType;

/// A quiet NaN with a payload of its own; hardware makes 0x7E00 or 0xFE00, and results of ours are neither.
const POISON: u16 = 0x7EA9;
/// The same for fp32.
const POISON_32: u32 = 0x7FEA_95C3;
/// Most elements that are looked at, besides the last.
const SAMPLES: usize = 256;

/// The poison's bytes for elements of a type that can carry it.
fn pattern(dtype: DType) -> Option<&'static [u8]> {
    const HALF: [u8; 2] = POISON.to_le_bytes();
    const SINGLE: [u8; 4] = POISON_32.to_le_bytes();
    match dtype {
        DType::Fp16 => Some(&HALF),
        DType::Fp32 => Some(&SINGLE),
        DType::Int8 | DType::UInt8 | DType::Int16 | DType::UInt16 | DType::Int32 | DType::Bool => {
            None
        }
    }
}

/// Byte positions of the sampled elements.
fn positions(buffer: &Buffer) -> impl Iterator<Item = usize> {
    let ty = buffer.ty();
    let (count, size, row) = (ty.shape.numel(), ty.dtype.bytes(), ty.shape.last());
    let layout = buffer.layout();
    let step = count.div_ceil(SAMPLES).max(1);
    (0..count)
        .step_by(step)
        .chain(count.checked_sub(1))
        .map(move |i| match layout {
            Layout::Dense => i * size,
            Layout::Rows { row_bytes } => i / row * row_bytes + i % row * size,
        })
}

/// Poisons an output.
pub(super) fn put(buffer: &Buffer) {
    let Some(pattern) = pattern(buffer.ty().dtype) else {
        return;
    };
    buffer.memory().write(|bytes| {
        for at in positions(buffer) {
            bytes[at..at + pattern.len()].copy_from_slice(pattern);
        }
    });
}

/// Whether some of the poison is still there.
pub(super) fn remains(buffer: &Buffer) -> bool {
    let Some(pattern) = pattern(buffer.ty().dtype) else {
        return false;
    };
    buffer
        .memory()
        .read(|bytes| positions(buffer).any(|at| bytes[at..at + pattern.len()] == *pattern))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ane_ir::TensorType;

    fn buffers() -> impl Iterator<Item = Buffer> {
        let types = [
            TensorType::fp16([]),
            TensorType::fp16([3, 5]),
            TensorType::fp16([300, 7]),
            TensorType::fp32([2, 700]),
        ];
        types.into_iter().flat_map(|ty| {
            let rows = Layout::rows_of_64(&ty);
            [Layout::Dense, rows].map(|layout| Buffer::new(ty.clone(), layout))
        })
    }

    #[test]
    fn poison_remains_until_every_part_is_written() {
        for b in buffers() {
            assert!(!remains(&b));
            put(&b);
            assert!(remains(&b), "{b:?}");
            let n = b.ty().shape.numel();
            b.copy_in(&vec![f32::NAN; n]).unwrap();
            assert!(!remains(&b), "a NaN of arithmetic is a result: {b:?}");
        }
    }

    #[test]
    fn a_missing_last_element_is_noticed() {
        for b in buffers().filter(|b| b.ty().dtype == DType::Fp16) {
            b.copy_in(&vec![1.0; b.ty().shape.numel()]).unwrap();
            let before = b.copy_out_bytes();
            put(&b);
            let last = b.copy_out_bytes().len() - 2;
            let poisoned = b.copy_out_bytes();
            b.copy_in_bytes(&[&before[..last], &poisoned[last..]].concat())
                .unwrap();
            assert!(remains(&b));
        }
    }

    #[test]
    fn whole_numbers_are_left_alone() {
        let b = Buffer::new(TensorType::new(DType::Int8, [9]), Layout::Dense);
        put(&b);
        assert_eq!(b.copy_out(), [0.0; 9]);
        assert!(!remains(&b));
    }
}
