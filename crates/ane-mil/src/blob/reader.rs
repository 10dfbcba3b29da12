//! Reading weight files; nothing in them is believed.
//!
//! Writers of in-memory programs leave fields of a record out, and their programs compile and run: maderix
//! (inmem_peak.m, M4) writes no data offset and one size for tensors of every size, with the data right behind the
//! record. Where the data offset is 0 the data is read from there, and where it or the size is 0 the declared type
//! says how much of it. Whether the engine then computes with these numbers, nobody has published.

use super::{ALIGNMENT, BlobError, SENTINEL, VERSION, code};
use ane_ir::{Literal, TensorType};

/// A weight file whose header is sound.
#[derive(Debug, Clone, Copy)]
pub struct BlobReader<'a> {
    bytes: &'a [u8],
}

/// One tensor of a weight file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Element type, by its code.
    pub code: u32,
    /// Little-endian elements, row-major.
    pub data: &'a [u8],
}

impl<'a> BlobReader<'a> {
    /// Reads the header.
    ///
    /// # Errors
    /// When the file is shorter than a header or of another version.
    pub fn new(bytes: &'a [u8]) -> Result<Self, BlobError> {
        let reader = Self { bytes };
        reader.range("the header", 0, ALIGNMENT as u64)?;
        match reader.u32("the version", 4)? {
            VERSION => Ok(reader),
            found => Err(BlobError::Version { found }),
        }
    }

    /// Number of records, by the header.
    pub fn count(&self) -> u32 {
        self.u32("the count", 0).expect("the header is in the file")
    }

    /// The record that starts at `offset`.
    ///
    /// # Errors
    /// When there is none, or its data is not in the file.
    pub fn record(&self, offset: u64) -> Result<Record<'a>, BlobError> {
        self.record_of(offset, None)
    }

    /// The record at `offset`, of `bytes` bytes where it does not say itself how long it is.
    fn record_of(&self, offset: u64, bytes: Option<u64>) -> Result<Record<'a>, BlobError> {
        self.range("a record", offset, ALIGNMENT as u64)?;
        let found = self.u32("the sentinel", offset)?;
        if found != SENTINEL {
            return Err(BlobError::Sentinel { offset, found });
        }
        let code = self.u32("the dtype", offset + 4)?;
        let mut size = self.u64("the size", offset + 8)?;
        let mut start = self.u64("the data offset", offset + 16)?;
        if let Some(bytes) = bytes.filter(|_| size == 0 || start == 0) {
            size = bytes;
        }
        if start == 0 {
            start = offset + ALIGNMENT as u64;
        }
        if start < ALIGNMENT as u64 {
            return Err(BlobError::DataInHeader {
                offset,
                found: start,
            });
        }
        let data = self.range("data", start, size)?;
        Ok(Record { code, data })
    }

    /// The record at `offset` as a constant of type `ty`.
    ///
    /// # Errors
    /// When it is not a record of that element type and size.
    pub fn literal(&self, offset: u64, ty: &TensorType) -> Result<Literal, BlobError> {
        let expected = code(ty.dtype).ok_or(BlobError::NotStorable { dtype: ty.dtype })?;
        let record = self.record_of(offset, Some(ty.bytes() as u64))?;
        if record.code != expected {
            return Err(BlobError::DType {
                offset,
                expected: ty.dtype,
                found: record.code,
            });
        }
        let size = || BlobError::Size {
            offset,
            ty: ty.clone(),
            expected: ty.bytes() as u64,
            found: record.data.len() as u64,
        };
        if record.data.len() != ty.bytes() {
            return Err(size());
        }
        Literal::from_bytes(ty.clone(), record.data).ok_or_else(size)
    }

    /// `size` bytes from `offset`.
    fn range(&self, what: &'static str, offset: u64, size: u64) -> Result<&'a [u8], BlobError> {
        let truncated = || BlobError::Truncated {
            what,
            offset,
            expected: size,
            found: (self.bytes.len() as u64).saturating_sub(offset),
        };
        let end = offset.checked_add(size).ok_or_else(truncated)?;
        let start = usize::try_from(offset).map_err(|_| truncated())?;
        let end = usize::try_from(end).map_err(|_| truncated())?;
        self.bytes.get(start..end).ok_or_else(truncated)
    }

    fn u32(&self, what: &'static str, offset: u64) -> Result<u32, BlobError> {
        let bytes = self.range(what, offset, 4)?;
        Ok(u32::from_le_bytes(
            bytes.try_into().expect("the range has 4 bytes"),
        ))
    }

    fn u64(&self, what: &'static str, offset: u64) -> Result<u64, BlobError> {
        let bytes = self.range(what, offset, 8)?;
        Ok(u64::from_le_bytes(
            bytes.try_into().expect("the range has 8 bytes"),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BlobWriter;
    use ane_ir::testing;
    use proptest::prelude::*;

    fn file() -> Vec<u8> {
        let mut w = BlobWriter::new();
        w.write(&Literal::splat(TensorType::fp16([3]), 1.0))
            .unwrap();
        w.finish()
    }

    #[test]
    fn what_was_written_is_read() {
        let file = file();
        let reader = BlobReader::new(&file).unwrap();
        assert_eq!(reader.count(), 1);
        let back = reader.literal(64, &TensorType::fp16([3])).unwrap();
        assert_eq!(back.to_f64(), [1.0; 3]);
    }

    #[test]
    fn sizes_are_compared_with_the_declared_shape() {
        let file = file();
        let reader = BlobReader::new(&file).unwrap();
        assert_eq!(
            reader.literal(64, &TensorType::fp16([4])),
            Err(BlobError::Size {
                offset: 64,
                ty: TensorType::fp16([4]),
                expected: 8,
                found: 6
            })
        );
    }

    #[test]
    fn records_of_in_memory_writers_are_read_by_the_declared_type() {
        let ty = TensorType::fp16([3]);
        let field = |file: &mut [u8], at: usize, x: u64| {
            file[64 + at..][..8].copy_from_slice(&x.to_le_bytes());
        };
        let (no_offset, no_size, neither) = (file(), file(), file());
        for (mut file, size, start) in [(no_offset, 0x80000, 0), (no_size, 0, 128), (neither, 0, 0)]
        {
            field(&mut file, 8, size);
            field(&mut file, 16, start);
            let reader = BlobReader::new(&file).unwrap();
            assert_eq!(reader.literal(64, &ty).unwrap().to_f64(), [1.0; 3]);
            let longer = reader.literal(64, &TensorType::fp16([300]));
            assert!(matches!(longer, Err(BlobError::Truncated { .. })));
        }
    }

    #[test]
    fn data_that_wraps_around_the_address_space_is_refused() {
        let mut file = file();
        file[72..80].copy_from_slice(&u64::MAX.to_le_bytes());
        let reader = BlobReader::new(&file).unwrap();
        assert!(matches!(
            reader.record(64),
            Err(BlobError::Truncated { what: "data", .. })
        ));
    }

    #[test]
    fn no_file_makes_the_reader_panic() {
        for seed in testing::seeds() {
            let config = ProptestConfig {
                failure_persistence: None,
                rng_seed: proptest::test_runner::RngSeed::Fixed(seed),
                ..ProptestConfig::default()
            };
            proptest!(config, |(
                mut file in proptest::collection::vec(any::<u8>(), 0..300),
                sound_header in any::<bool>(),
                offset in any::<u64>(),
                near in 0..400_u64,
            )| {
                if sound_header && file.len() >= 72 {
                    file[4..8].copy_from_slice(&VERSION.to_le_bytes());
                    file[64..68].copy_from_slice(&SENTINEL.to_le_bytes());
                }
                if let Ok(reader) = BlobReader::new(&file) {
                    for offset in [offset, near, 64] {
                        let _ = reader.literal(offset, &TensorType::fp16([3]));
                    }
                }
            });
        }
    }
}
