//! Writing weight files.

use super::{ALIGNMENT, BlobError, SENTINEL, VERSION, code};
use ane_ir::Literal;
use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

/// A weight file being written. Equal payloads share one record.
#[derive(Debug, Clone, Default)]
pub struct BlobWriter {
    bytes: Vec<u8>,
    records: u32,
    /// Offsets of records by the hash of code and data.
    known: HashMap<u64, Vec<usize>>,
}

impl BlobWriter {
    /// An empty file.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `literal`, or finds it; the offset of its record, which is what the text says.
    ///
    /// # Errors
    /// When the format has no code for its element type.
    pub fn write(&mut self, literal: &Literal) -> Result<u64, BlobError> {
        let dtype = literal.ty().dtype;
        let code = code(dtype).ok_or(BlobError::NotStorable { dtype })?;
        let data = literal.bytes();
        let mut hasher = DefaultHasher::new();
        (code, data).hash(&mut hasher);
        let same = self.known.entry(hasher.finish()).or_default();
        let found = same.iter().find(|&&record| {
            let start = record + ALIGNMENT;
            self.bytes[record + 4..record + 8] == code.to_le_bytes()
                && self.bytes[record + 8..record + 16] == (data.len() as u64).to_le_bytes()
                && self.bytes[start..start + data.len()] == *data
        });
        if let Some(&record) = found {
            return Ok(record as u64);
        }
        if self.bytes.is_empty() {
            self.bytes.resize(ALIGNMENT, 0);
            self.bytes[4..8].copy_from_slice(&VERSION.to_le_bytes());
        }
        let record = self.bytes.len().next_multiple_of(ALIGNMENT);
        same.push(record);
        self.bytes.resize(record, 0);
        self.bytes.extend(SENTINEL.to_le_bytes());
        self.bytes.extend(code.to_le_bytes());
        self.bytes.extend((data.len() as u64).to_le_bytes());
        self.bytes
            .extend(((record + ALIGNMENT) as u64).to_le_bytes());
        self.bytes.resize(record + ALIGNMENT, 0);
        self.bytes.extend_from_slice(data);
        self.records += 1;
        self.bytes[0..4].copy_from_slice(&self.records.to_le_bytes());
        Ok(record as u64)
    }

    /// The file; empty when nothing was written.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ane_ir::{DType, TensorType};

    #[test]
    fn records_and_data_are_aligned_and_shared() {
        let mut w = BlobWriter::new();
        let a = Literal::splat(TensorType::fp16([3]), 1.0);
        let b = Literal::splat(TensorType::fp16([40]), 2.0);
        assert_eq!(w.write(&a), Ok(64));
        assert_eq!(w.write(&b), Ok(192));
        assert_eq!(w.write(&a), Ok(64));
        let file = w.finish();
        assert_eq!(file.len(), 256 + 80);
        assert_eq!(file[..8], [2, 0, 0, 0, 2, 0, 0, 0]);
        assert_eq!(file[64..72], [0xEF, 0xBE, 0xAD, 0xDE, 1, 0, 0, 0]);
        assert_eq!(file[80..88], 128_u64.to_le_bytes());
    }

    #[test]
    fn equal_bytes_of_another_type_get_their_own_record() {
        let mut w = BlobWriter::new();
        let a = Literal::splat(TensorType::new(DType::Int16, [3]), 0.0);
        let b = Literal::splat(TensorType::fp16([3]), 0.0);
        assert_ne!(w.write(&a), w.write(&b));
    }
}
