//! Weight files: MILBlob storage, version 2.
//!
//! All numbers are little-endian. A header of 64 bytes (u32 count of records, u32 version, reserved zeros), then records
//! and their data, each aligned to 64 bytes. A record: u32 sentinel, u32 dtype code, u64 size of the data in bytes, u64
//! offset of the data in the file, u64 padding in bits (types below a byte only), four reserved u64. MIL text refers to a
//! tensor by the offset of its *record*.
//!
//! Facts: coremltools `mlmodel/src/MILBlob/Blob/StorageFormat.hpp`, `BlobDataType.hpp`, `StorageReader.cpp`. The engine's
//! compiler does not check data offsets and answers wrong ones with garbage, so the reader here checks everything.

mod error;
mod reader;
mod source;
mod writer;

pub use error::BlobError;
pub use reader::{BlobReader, Record};
pub use source::{BlobSource, DirectoryBlobs, MemoryBlobs, NoBlobs};
pub use writer::BlobWriter;

use ane_ir::DType;

/// Size of the header, size of a record, and alignment of records and data.
const ALIGNMENT: usize = 64;
/// First word of a record.
const SENTINEL: u32 = 0xDEAD_BEEF;
/// Version of the format; 1 was Espresso's.
const VERSION: u32 = 2;

/// Code of an element type in a record; the format has none for `bool`.
fn code(dtype: DType) -> Option<u32> {
    match dtype {
        DType::Fp16 => Some(1),
        DType::Fp32 => Some(2),
        DType::UInt8 => Some(3),
        DType::Int8 => Some(4),
        DType::Int16 => Some(6),
        DType::UInt16 => Some(7),
        DType::Int32 => Some(14),
        DType::Bool => None,
    }
}

/// Name of a dtype code, for messages.
fn code_name(code: u32) -> &'static str {
    const NAMES: [&str; 18] = [
        "none",
        "fp16",
        "fp32",
        "uint8",
        "int8",
        "bf16",
        "int16",
        "uint16",
        "int4",
        "uint1",
        "uint2",
        "uint4",
        "uint3",
        "uint6",
        "int32",
        "uint32",
        "fp8e4m3fn",
        "fp8e5m2",
    ];
    usize::try_from(code)
        .ok()
        .and_then(|i| NAMES.get(i))
        .copied()
        .unwrap_or("unknown")
}
