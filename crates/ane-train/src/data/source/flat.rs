//! IDX files rebuilt from arrays that lie at known offsets of a stream.
//!
//! Offsets stand in for a parser of the format around the arrays (a Python pickle, which must not
//! be executed). The checksum of the rebuilt file is the judge of whether they are right.

use std::io::{self, Read};

use crate::data::idx;

/// Bytes of the stream that are decoded at a time; a multiple of both value sizes.
const CHUNK_BYTES: u64 = 1 << 16;

/// One IDX file and where its values lie.
#[derive(Debug, Clone, Copy)]
pub struct FlatFile {
    /// Name of the file.
    pub file: &'static str,
    /// What the values are.
    pub encoding: Encoding,
    /// Where they lie, in the order of the file, which must be that of the stream.
    pub runs: &'static [Run],
}

/// A stretch of values in a stream.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// Bytes before it.
    pub offset: u64,
    /// Its length in bytes.
    pub bytes: u64,
}

/// How a value is written; little-endian.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Encoding {
    /// A pixel as f32: the byte is the value times `scale`, rounded.
    PixelsF32 {
        /// What the pixel was divided by.
        scale: f32,
    },
    /// A label as i64.
    LabelsI64,
}

impl Encoding {
    fn decode(self, chunk: &[u8], values: &mut Vec<u8>) {
        // Both casts saturate: a value that is no byte becomes a wrong one, and fails the checksum.
        match self {
            Self::PixelsF32 { scale } => values.extend(
                chunk
                    .as_chunks()
                    .0
                    .iter()
                    .map(|&v| (f32::from_le_bytes(v) * scale).round() as u8),
            ),
            Self::LabelsI64 => values.extend(
                chunk
                    .as_chunks()
                    .0
                    .iter()
                    .map(|&v| i64::from_le_bytes(v).clamp(0, 255) as u8),
            ),
        }
    }

    /// The IDX header for `values`, which are images of `shape` or labels.
    fn header(self, values: usize, [channels, rows, columns]: [usize; 3]) -> io::Result<Vec<u8>> {
        let word = |size: usize| u32::try_from(size).map_err(io::Error::other);
        match self {
            Self::PixelsF32 { .. } => {
                let example = (channels * rows * columns).max(1);
                Ok(idx::images_header(
                    word(values / example)?,
                    word(rows)?,
                    word(columns)?,
                ))
            }
            Self::LabelsI64 => Ok(idx::labels_header(word(values)?)),
        }
    }
}

/// Reads `stream` once, front to back, and returns each file's name and IDX content.
pub(super) fn rebuild(
    mut stream: impl Read,
    files: &[FlatFile],
    example_shape: [usize; 3],
) -> io::Result<Vec<(&'static str, Vec<u8>)>> {
    let mut runs: Vec<(usize, Run)> = files
        .iter()
        .enumerate()
        .flat_map(|(i, file)| file.runs.iter().map(move |&run| (i, run)))
        .collect();
    runs.sort_by_key(|(_, run)| run.offset);

    let mut values = vec![Vec::new(); files.len()];
    let mut position = 0;
    let mut chunk = Vec::new();
    for (i, run) in runs {
        let gap = run
            .offset
            .checked_sub(position)
            .ok_or(io::ErrorKind::InvalidInput)?;
        exactly(
            gap,
            io::copy(&mut stream.by_ref().take(gap), &mut io::sink())?,
        )?;
        let mut left = run.bytes;
        while left > 0 {
            let want = left.min(CHUNK_BYTES);
            chunk.clear();
            exactly(
                want,
                stream.by_ref().take(want).read_to_end(&mut chunk)? as u64,
            )?;
            files[i].encoding.decode(&chunk, &mut values[i]);
            left -= want;
        }
        position = run.offset + run.bytes;
    }
    files
        .iter()
        .zip(values)
        .map(|(file, values)| {
            let mut content = file.encoding.header(values.len(), example_shape)?;
            content.extend(values);
            Ok((file.file, content))
        })
        .collect()
}

fn exactly(expected: u64, found: u64) -> io::Result<()> {
    if found == expected {
        Ok(())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: [FlatFile; 2] = [
        FlatFile {
            file: "images",
            encoding: Encoding::PixelsF32 { scale: 256.0 },
            runs: &[
                Run {
                    offset: 3,
                    bytes: 8,
                },
                Run {
                    offset: 28,
                    bytes: 8,
                },
            ],
        },
        FlatFile {
            file: "labels",
            encoding: Encoding::LabelsI64,
            runs: &[Run {
                offset: 12,
                bytes: 16,
            }],
        },
    ];

    fn stream() -> Vec<u8> {
        let pixels = |values: [u8; 2]| {
            values
                .map(|v| (f32::from(v) / 256.0).to_le_bytes())
                .concat()
        };
        let labels = [7_i64, 1].map(i64::to_le_bytes).concat();
        [
            b"...".to_vec(),
            pixels([0, 255]),
            b".".to_vec(),
            labels,
            pixels([1, 128]),
        ]
        .concat()
    }

    #[test]
    fn joins_runs_behind_an_idx_header() {
        let rebuilt = rebuild(stream().as_slice(), &FILES, [1, 1, 2]).unwrap();
        let images = [idx::images_header(2, 1, 2), vec![0, 255, 1, 128]].concat();
        let labels = [idx::labels_header(2), vec![7, 1]].concat();
        assert_eq!(rebuilt, [("images", images), ("labels", labels)]);
    }

    #[test]
    fn rejects_a_stream_that_ends_early() {
        let stream = stream();
        for length in [2, 10, 35] {
            let error = rebuild(&stream[..length], &FILES, [1, 1, 2]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
    }
}
