//! NumPy archives: an array for every parameter and buffer under its path, which `numpy.load` opens.
//!
//! An `.npz` is a ZIP archive of `.npy` files, here not compressed, so that `numpy.load(…, mmap_mode)` of an unpacked one
//! works. An `.npy` is the magic `\x93NUMPY`, version 1.0, the length of the header (u16, little-endian), the header as a
//! literal of Python, spaces and a newline up to a multiple of 64, and the elements, row-major.
//! <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>

use crate::{ExportError, file};
use ane_train::store::NamedWeight;
use std::{
    io::{Cursor, Read, Write},
    path::Path,
};
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter, write::SimpleFileOptions};

/// What an `.npy` begins with: the magic and version 1.0.
const MAGIC: &[u8] = b"\x93NUMPY\x01\x00";
/// What its header is filled up to.
const ALIGNMENT: usize = 64;

/// Writes fp32 arrays under their paths, and reads them again.
///
/// # Errors
/// When the file cannot be written; an old file stays as it is then.
pub fn write(path: &Path, weights: &[NamedWeight]) -> Result<(), ExportError> {
    let bytes = archive(weights).map_err(|source| ExportError::Io {
        action: "make an archive for",
        path: path.to_owned(),
        source,
    })?;
    file::replace(path, &bytes, |back| check(back, weights))
}

/// The archive in memory.
fn archive(weights: &[NamedWeight]) -> std::io::Result<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    // One time for all, so that a run that is exported twice has the same bytes.
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::default());
    for (name, shape, elements) in weights {
        zip.start_file(format!("{name}.npy"), options)?;
        zip.write_all(&header(shape))?;
        let bytes: Vec<u8> = elements.iter().flat_map(|x| x.to_le_bytes()).collect();
        zip.write_all(&bytes)?;
    }
    Ok(zip.finish()?.into_inner())
}

/// The beginning of an `.npy` of fp32.
fn header(shape: &[usize]) -> Vec<u8> {
    let lengths: Vec<String> = shape.iter().map(ToString::to_string).collect();
    // A tuple of one is written with a comma.
    let comma = if shape.len() == 1 { "," } else { "" };
    let shape = format!("({}{comma})", lengths.join(", "));
    let mut text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
    let before = MAGIC.len() + 2;
    let whole = (before + text.len() + 1).next_multiple_of(ALIGNMENT);
    text.extend(std::iter::repeat_n(' ', whole - before - text.len() - 1));
    text.push('\n');
    let length = text.len() as u16;
    [MAGIC, &length.to_le_bytes(), text.as_bytes()].concat()
}

/// What is other in an archive than in the weights that were written.
fn check(bytes: &[u8], weights: &[NamedWeight]) -> Result<(), String> {
    let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(|e| e.to_string())?;
    if zip.len() != weights.len() {
        return Err(format!(
            "it has {} arrays, not {}",
            zip.len(),
            weights.len()
        ));
    }
    for (name, shape, elements) in weights {
        let mut entry =
            (zip.by_name(&format!("{name}.npy"))).map_err(|e| format!("`{name}`: {e}"))?;
        let mut array = Vec::new();
        entry
            .read_to_end(&mut array)
            .map_err(|e| format!("`{name}`: {e}"))?;
        let expected = header(shape);
        let data = array.strip_prefix(&expected[..]);
        let data = data.ok_or_else(|| format!("`{name}` has another shape"))?;
        let same = data.len() == 4 * elements.len()
            && (data.as_chunks::<4>().0.iter().zip(elements)).all(|(d, x)| *d == x.to_le_bytes());
        if !same {
            return Err(format!("`{name}` has other elements"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights() -> Vec<NamedWeight> {
        vec![
            (
                "conv.weight".to_owned(),
                vec![2, 1, 1, 2],
                vec![1.0, -2.5, f32::NAN, 0.0],
            ),
            ("conv.bias".to_owned(), vec![2], vec![0.25, -0.0]),
            ("scale".to_owned(), vec![], vec![3.0]),
        ]
    }

    #[test]
    fn headers_are_those_of_numpy() {
        for (shape, text) in [
            (&[2, 1, 1, 2][..], "'shape': (2, 1, 1, 2), }"),
            (&[2], "'shape': (2,), }"),
            (&[], "'shape': (), }"),
        ] {
            let header = header(shape);
            assert_eq!(header.len() % ALIGNMENT, 0);
            assert_eq!(header.last(), Some(&b'\n'));
            assert!(
                String::from_utf8_lossy(&header).contains(text),
                "{header:?}"
            );
        }
    }

    #[test]
    fn an_archive_is_read_again_and_any_other_one_is_noticed() {
        let bytes = archive(&weights()).unwrap();
        assert_eq!(bytes, archive(&weights()).unwrap());
        check(&bytes, &weights()).unwrap();
        let mut other = weights();
        other[1].2[1] = 0.0;
        assert_eq!(
            check(&bytes, &other).unwrap_err(),
            "`conv.bias` has other elements"
        );
        other = weights();
        other[1].1 = vec![1, 2];
        assert_eq!(
            check(&bytes, &other).unwrap_err(),
            "`conv.bias` has another shape"
        );
        other.pop();
        assert_eq!(check(&bytes, &other).unwrap_err(), "it has 3 arrays, not 2");
        assert!(check(&bytes[..40], &weights()).is_err());
    }
}
