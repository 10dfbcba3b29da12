//! IDX, the format of MNIST and its kin: a magic number, big-endian sizes, then bytes.
//!
//! Two kinds are read, both of unsigned bytes: images (rank 3: count, rows, columns) and labels
//! (rank 1: count), each raw or gzip. A header is believed only where the content that follows
//! has exactly the length it implies, so nothing is allocated on its word.

use super::gzip::{self, GzipError, MAX_RAW_BYTES};

/// Magic number of images: two zeros, 8 for unsigned bytes, rank 3.
pub const IMAGES_MAGIC: u32 = 0x0000_0803;
/// Magic number of labels: two zeros, 8 for unsigned bytes, rank 1.
pub const LABELS_MAGIC: u32 = 0x0000_0801;

/// Images of one size, one byte a pixel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    /// Number of images.
    pub count: usize,
    /// Height in pixels.
    pub rows: usize,
    /// Width in pixels.
    pub columns: usize,
    /// `[count, rows, columns]`, row-major.
    pub pixels: Vec<u8>,
}

/// What is wrong with an IDX file; always the file's fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdxError {
    /// The file is gzip and cannot be decompressed.
    #[error("`{file}`: {source}")]
    Gzip {
        /// Name of the file.
        file: String,
        /// What is wrong with the stream.
        source: GzipError,
    },
    /// The file is of another kind.
    #[error("`{file}` has the wrong magic number: expected {expected:#010x}, found {found:#010x}")]
    WrongMagic {
        /// Name of the file.
        file: String,
        /// Magic number of the kind that was asked for.
        expected: u32,
        /// First four bytes of the file.
        found: u32,
    },
    /// The file ends too early.
    #[error("`{file}` is truncated: expected {expected} bytes, found {found}")]
    Truncated {
        /// Name of the file.
        file: String,
        /// Bytes that the header implies (or that a header takes).
        expected: u64,
        /// Bytes in the file.
        found: u64,
    },
    /// The file goes on after its last value.
    #[error("`{file}` has {} trailing bytes: expected {expected} bytes, found {found}", found - expected)]
    TrailingBytes {
        /// Name of the file.
        file: String,
        /// Bytes that the header implies.
        expected: u64,
        /// Bytes in the file.
        found: u64,
    },
    /// A size in the header is zero.
    #[error("`{file}` states sizes {sizes:?}: every size must be at least 1")]
    ZeroSize {
        /// Name of the file.
        file: String,
        /// All sizes in the header.
        sizes: Vec<u32>,
    },
    /// The sizes in the header multiply to more than any data set has.
    #[error("`{file}` states sizes {sizes:?}: their product must be at most {limit}")]
    AbsurdSize {
        /// Name of the file.
        file: String,
        /// All sizes in the header.
        sizes: Vec<u32>,
        /// Most bytes that are accepted.
        limit: u64,
    },
    /// A label names no class.
    #[error("`{file}` has label {value} in example {}: expected less than {classes}", .index + 1)]
    LabelOutOfRange {
        /// Name of the file.
        file: String,
        /// Position of the label, from 0.
        index: usize,
        /// The label.
        value: u8,
        /// Number of classes.
        classes: usize,
    },
    /// Images and labels do not pair up.
    #[error("`{images_file}` has {images} images but `{labels_file}` has {labels} labels")]
    CountsDiffer {
        /// Name of the file of images.
        images_file: String,
        /// Number of images.
        images: usize,
        /// Name of the file of labels.
        labels_file: String,
        /// Number of labels.
        labels: usize,
    },
}

impl IdxError {
    /// What the user can do about it, where something can be done.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::WrongMagic {
                expected, found, ..
            } if [IMAGES_MAGIC, LABELS_MAGIC].contains(expected)
                && [IMAGES_MAGIC, LABELS_MAGIC].contains(found) =>
            {
                Some("the files of images and labels are swapped".to_owned())
            }
            Self::CountsDiffer { .. } => {
                Some("take images and labels from the same split (train or t10k)".to_owned())
            }
            Self::LabelOutOfRange { .. } => {
                Some("check that the file belongs to this data set".to_owned())
            }
            Self::Gzip { file, .. }
            | Self::WrongMagic { file, .. }
            | Self::Truncated { file, .. }
            | Self::TrailingBytes { file, .. }
            | Self::ZeroSize { file, .. }
            | Self::AbsurdSize { file, .. } => Some(format!(
                "get `{file}` again: this copy is damaged or another file"
            )),
        }
    }
}

/// Reads images from `content`, raw or gzip; `file` names them in errors.
///
/// # Errors
///
/// If `content` is not exactly one IDX file of images.
pub fn parse_images(file: &str, content: Vec<u8>) -> Result<Images, IdxError> {
    let ([count, rows, columns], pixels) = parse(file, content, IMAGES_MAGIC)?;
    Ok(Images {
        count,
        rows,
        columns,
        pixels,
    })
}

/// Reads labels from `content`, raw or gzip; each must be less than `classes`.
///
/// # Errors
///
/// If `content` is not exactly one IDX file of labels, or a label is out of range.
pub fn parse_labels(file: &str, content: Vec<u8>, classes: usize) -> Result<Vec<u8>, IdxError> {
    let ([_], labels) = parse(file, content, LABELS_MAGIC)?;
    match labels
        .iter()
        .position(|&label| usize::from(label) >= classes)
    {
        None => Ok(labels),
        Some(index) => Err(IdxError::LabelOutOfRange {
            file: file.to_owned(),
            index,
            value: labels[index],
            classes,
        }),
    }
}

/// The 16 bytes that start a file of images.
#[must_use]
pub fn images_header(count: u32, rows: u32, columns: u32) -> Vec<u8> {
    [IMAGES_MAGIC, count, rows, columns]
        .into_iter()
        .flat_map(u32::to_be_bytes)
        .collect()
}

/// The 8 bytes that start a file of labels.
#[must_use]
pub fn labels_header(count: u32) -> Vec<u8> {
    [LABELS_MAGIC, count]
        .into_iter()
        .flat_map(u32::to_be_bytes)
        .collect()
}

/// Sizes and values of a file of rank `RANK`.
fn parse<const RANK: usize>(
    file: &str,
    content: Vec<u8>,
    magic: u32,
) -> Result<([usize; RANK], Vec<u8>), IdxError> {
    let mut content = gzip::raw(content, MAX_RAW_BYTES).map_err(|source| IdxError::Gzip {
        file: file.to_owned(),
        source,
    })?;
    let found = content.len() as u64;
    let header_bytes = 4 * (1 + RANK);
    let word = |i: usize| {
        let bytes = content.get(4 * i..4 * i + 4)?;
        Some(u32::from_be_bytes(bytes.try_into().ok()?))
    };
    let truncated = |expected: u64| IdxError::Truncated {
        file: file.to_owned(),
        expected,
        found,
    };

    // The magic number is judged before the length: "wrong kind" helps more than "too short".
    let found_magic = word(0).ok_or_else(|| truncated(header_bytes as u64))?;
    if found_magic != magic {
        let file = file.to_owned();
        return Err(IdxError::WrongMagic {
            file,
            expected: magic,
            found: found_magic,
        });
    }
    let sizes = (1..=RANK)
        .map(word)
        .collect::<Option<Vec<u32>>>()
        .ok_or_else(|| truncated(header_bytes as u64))?;
    if sizes.contains(&0) {
        return Err(IdxError::ZeroSize {
            file: file.to_owned(),
            sizes,
        });
    }
    let payload = sizes
        .iter()
        .try_fold(1_u64, |product, &size| product.checked_mul(size.into()));
    let Some(payload) = payload.filter(|&bytes| bytes <= MAX_RAW_BYTES) else {
        return Err(IdxError::AbsurdSize {
            file: file.to_owned(),
            sizes,
            limit: MAX_RAW_BYTES,
        });
    };
    let expected = header_bytes as u64 + payload;
    if found < expected {
        return Err(truncated(expected));
    }
    if found > expected {
        return Err(IdxError::TrailingBytes {
            file: file.to_owned(),
            expected,
            found,
        });
    }
    content.drain(..header_bytes);
    Ok((std::array::from_fn(|axis| sizes[axis] as usize), content))
}

#[cfg(test)]
mod tests;
