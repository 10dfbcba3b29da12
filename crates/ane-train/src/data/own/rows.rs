//! Records of one length, in memory or read from their file one by one.
//!
//! A file that fits into a share of the memory is held; of a larger one each record is read where it is asked for, and the
//! system's cache does the rest. It is not mapped: a mapped file that somebody cuts short ends the process.

use std::{fs::File, io, os::unix::fs::FileExt, path::Path};

/// Most bytes of a file that are held in memory.
const HELD: u64 = 256 << 20;

/// The type of an element in a file, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "their names say all")]
pub enum Element {
    Bool,
    UInt8,
    Int8,
    UInt16,
    Int16,
    UInt32,
    Int32,
    UInt64,
    Int64,
    Fp16,
    Fp32,
    Fp64,
}

impl Element {
    /// Bytes of one.
    pub fn size(self) -> usize {
        match self {
            Self::Bool | Self::UInt8 | Self::Int8 => 1,
            Self::UInt16 | Self::Int16 | Self::Fp16 => 2,
            Self::UInt32 | Self::Int32 | Self::Fp32 => 4,
            Self::UInt64 | Self::Int64 | Self::Fp64 => 8,
        }
    }

    /// Whether it holds whole numbers only.
    pub fn is_integer(self) -> bool {
        !matches!(self, Self::Fp16 | Self::Fp32 | Self::Fp64)
    }

    /// An element as text: what it is called where it is a class. Minus nothing is nothing.
    pub(super) fn text(self, bytes: &[u8]) -> String {
        fn of<const N: usize>(bytes: &[u8]) -> [u8; N] {
            bytes.first_chunk().copied().unwrap_or([0; N])
        }
        match self {
            Self::UInt32 => u32::from_le_bytes(of(bytes)).to_string(),
            Self::Int32 => i32::from_le_bytes(of(bytes)).to_string(),
            Self::UInt64 => u64::from_le_bytes(of(bytes)).to_string(),
            Self::Int64 => i64::from_le_bytes(of(bytes)).to_string(),
            Self::Fp64 => (f64::from_le_bytes(of(bytes)) + 0.0).to_string(),
            _ => {
                let mut widened = Vec::with_capacity(1);
                self.widen(bytes, &mut widened);
                widened.first().map_or(0.0, |x| x + 0.0).to_string()
            }
        }
    }

    /// The elements of `bytes` as f32, rounded where that has too few digits.
    pub fn widen(self, bytes: &[u8], out: &mut Vec<f32>) {
        fn each<const N: usize>(bytes: &[u8], out: &mut Vec<f32>, of: impl Fn([u8; N]) -> f32) {
            out.extend(bytes.as_chunks::<N>().0.iter().map(|&b| of(b)));
        }
        match self {
            Self::Bool => each(bytes, out, |[b]| f32::from(u8::from(b != 0))),
            Self::UInt8 => each(bytes, out, |[b]| f32::from(b)),
            Self::Int8 => each(bytes, out, |b| f32::from(i8::from_le_bytes(b))),
            Self::UInt16 => each(bytes, out, |b| f32::from(u16::from_le_bytes(b))),
            Self::Int16 => each(bytes, out, |b| f32::from(i16::from_le_bytes(b))),
            Self::UInt32 => each(bytes, out, |b| u32::from_le_bytes(b) as f32),
            Self::Int32 => each(bytes, out, |b| i32::from_le_bytes(b) as f32),
            Self::UInt64 => each(bytes, out, |b| u64::from_le_bytes(b) as f32),
            Self::Int64 => each(bytes, out, |b| i64::from_le_bytes(b) as f32),
            Self::Fp16 => each(bytes, out, |b| half::f16::from_le_bytes(b).to_f32()),
            Self::Fp32 => each(bytes, out, f32::from_le_bytes),
            Self::Fp64 => each(bytes, out, |b| f64::from_le_bytes(b) as f32),
        }
    }
}

/// Records of one length.
#[derive(Debug)]
pub struct Rows {
    element: Element,
    /// Elements of a record.
    width: usize,
    len: usize,
    bytes: Bytes,
}

#[derive(Debug)]
enum Bytes {
    Held(Vec<u8>),
    /// A file, and where in it the first record begins.
    File(File, u64),
}

impl Rows {
    /// Records that are in memory. What is left of the bytes behind the last whole record belongs to none.
    pub fn held(element: Element, width: usize, bytes: Vec<u8>) -> Self {
        let record = (element.size() * width).max(1);
        Self {
            element,
            width,
            len: bytes.len() / record,
            bytes: Bytes::Held(bytes),
        }
    }

    /// Records in memory of f32.
    pub fn of_f32(width: usize, values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        Self::held(Element::Fp32, width, bytes)
    }

    /// `len` records of a file, the first of which begins at `offset`.
    ///
    /// # Errors
    /// When the file cannot be read, or ends before the last record.
    pub fn of_file(
        path: &Path,
        offset: u64,
        (element, width, len): (Element, usize, usize),
    ) -> io::Result<Self> {
        let (file, found) = ane_files::open(path)?;
        let record = (element.size() as u64).checked_mul(width as u64);
        let bytes = record.and_then(|r| r.checked_mul(len as u64));
        let end = bytes.and_then(|b| b.checked_add(offset));
        if end.is_none_or(|end| end > found) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let bytes = match bytes {
            Some(bytes) if bytes <= HELD => {
                let mut held = vec![0; bytes as usize];
                file.read_exact_at(&mut held, offset)?;
                Bytes::Held(held)
            }
            _ => Bytes::File(file, offset),
        };
        Ok(Self {
            element,
            width,
            len,
            bytes,
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Elements of a record.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Their type.
    pub fn element(&self) -> Element {
        self.element
    }

    /// Whether they are in memory.
    pub fn are_held(&self) -> bool {
        matches!(self.bytes, Bytes::Held(_))
    }

    /// The bytes of record `i`, which are in `scratch` where they are not in memory.
    ///
    /// # Errors
    /// When the file cannot be read.
    ///
    /// # Panics
    /// When there is no record `i`.
    pub fn bytes<'a>(&'a self, i: usize, scratch: &'a mut Vec<u8>) -> io::Result<&'a [u8]> {
        assert!(i < self.len, "record {i} of {}", self.len);
        let record = self.element.size() * self.width;
        match &self.bytes {
            Bytes::Held(bytes) => Ok(&bytes[i * record..][..record]),
            Bytes::File(file, offset) => {
                scratch.resize(record, 0);
                file.read_exact_at(scratch, offset + i as u64 * record as u64)?;
                Ok(scratch)
            }
        }
    }

    /// The elements of record `i` as f32, in place of what `out` held.
    ///
    /// # Errors
    /// When the file cannot be read.
    ///
    /// # Panics
    /// When there is no record `i`.
    pub fn values(&self, i: usize, scratch: &mut Vec<u8>, out: &mut Vec<f32>) -> io::Result<()> {
        out.clear();
        self.element.widen(self.bytes(i, scratch)?, out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_a_file_are_those_in_memory() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows");
        let all: Vec<u8> = (0..64).collect();
        std::fs::write(&path, &all).unwrap();
        let (mut scratch, mut out) = (Vec::new(), Vec::new());
        let held = Rows::of_file(&path, 4, (Element::Int16, 3, 10)).unwrap();
        assert!(held.are_held());
        let file = Rows {
            bytes: Bytes::File(File::open(&path).unwrap(), 4),
            ..Rows::held(Element::Int16, 3, all[4..].to_vec())
        };
        for i in [0, 9] {
            let record = held.bytes(i, &mut scratch).unwrap().to_vec();
            assert_eq!(record, file.bytes(i, &mut scratch).unwrap());
        }
        file.values(1, &mut scratch, &mut out).unwrap();
        assert_eq!(
            out,
            [
                10.0 + 256.0 * 11.0,
                12.0 + 256.0 * 13.0,
                14.0 + 256.0 * 15.0
            ]
        );
        std::fs::write(&path, &all[..20]).unwrap();
        let lost = file.bytes(9, &mut scratch).unwrap_err();
        assert_eq!(lost.kind(), io::ErrorKind::UnexpectedEof);
        assert!(Rows::of_file(&path, 4, (Element::Int16, 3, 10)).is_err());
        assert!(Rows::of_file(&path, 4, (Element::Fp64, usize::MAX, 10)).is_err());
    }

    #[test]
    fn every_type_of_element_is_widened() {
        let mut out = Vec::new();
        Element::Fp64.widen(&(-2.5_f64).to_le_bytes(), &mut out);
        Element::Fp16.widen(&half::f16::from_f32(0.5).to_le_bytes(), &mut out);
        Element::Int64.widen(&(-7_i64).to_le_bytes(), &mut out);
        Element::UInt32.widen(&7_u32.to_le_bytes(), &mut out);
        Element::Int8.widen(&[0xFF], &mut out);
        Element::Bool.widen(&[2], &mut out);
        assert_eq!(out, [-2.5, 0.5, -7.0, 7.0, -1.0, 1.0]);
        for (element, bytes, text) in [
            (
                Element::Int64,
                &20_000_001_i64.to_le_bytes()[..],
                "20000001",
            ),
            (
                Element::UInt64,
                &u64::MAX.to_le_bytes(),
                "18446744073709551615",
            ),
            (Element::Fp64, &20_000_001_f64.to_le_bytes(), "20000001"),
            (Element::Fp32, &(-0.0_f32).to_le_bytes(), "0"),
            (Element::Int8, &[0xFF], "-1"),
        ] {
            assert_eq!(element.text(bytes), text);
        }
    }
}
