//! Weight files against Apple's own writer.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

use ane_ir::{DType, Literal, TensorType};
use ane_mil::{BlobReader, BlobWriter};

/// Written by `_BlobStorageWriter` of coremltools 9.0 on Linux, one record after the other from [`tensors`].
const COREMLTOOLS: &[u8] = include_bytes!("fixtures/coremltools.bin");

fn tensors() -> Vec<Literal> {
    let steps: Vec<f64> = (0..20).map(|i| f64::from(i) / 8.0).collect();
    let of = |dtype, elements: &[f64]| {
        Literal::from_f64(TensorType::new(dtype, [elements.len()]), elements)
    };
    vec![
        of(DType::Fp16, &[1.0, -2.5, 65_504.0]),
        of(DType::Fp32, &steps),
        of(DType::Int8, &[-128.0, 0.0, 127.0]),
        of(DType::UInt8, &[0.0, 128.0, 255.0]),
        of(DType::Int16, &[-32_768.0, 32_767.0]),
        of(DType::UInt16, &[0.0, 65_535.0]),
        of(DType::Int32, &[-2_147_483_648.0, 7.0]),
    ]
}

#[test]
fn files_are_those_of_coremltools_byte_for_byte() {
    let mut writer = BlobWriter::new();
    for tensor in tensors() {
        writer.write(&tensor).unwrap();
    }
    assert_eq!(writer.finish(), COREMLTOOLS);
}

#[test]
fn files_of_coremltools_are_read() {
    let reader = BlobReader::new(COREMLTOOLS).unwrap();
    assert_eq!(reader.count(), 7);
    // The offsets that its writer returned.
    let offsets = [64, 192, 384, 512, 640, 768, 896];
    for (offset, tensor) in offsets.into_iter().zip(tensors()) {
        assert_eq!(reader.literal(offset, tensor.ty()), Ok(tensor));
    }
}
