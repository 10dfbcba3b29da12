//! CIFAR's binary files: records of a label and an image, one behind the other, nothing else.
//!
//! A record is a byte for the class, then the pixels of the red plane row by row, of the green one and of the blue one.
//! There is no header, so the length is all that a file says of itself.

/// Images and labels of some files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Records {
    /// `[count, channels, rows, columns]`, row-major.
    pub pixels: Vec<u8>,
    /// `[count]`.
    pub labels: Vec<u8>,
}

/// What is wrong with a file of records; always the file's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CifarError {
    /// The length is that of no number of records.
    #[error(
        "`{file}` has {found} bytes: expected a multiple of {record}, a label and {channels} × {rows} × {columns} pixels each"
    )]
    Length {
        /// Name of the file.
        file: String,
        /// Bytes in it.
        found: usize,
        /// Bytes of a record.
        record: usize,
        /// Channels of an image.
        channels: usize,
        /// Its height in pixels.
        rows: usize,
        /// Its width in pixels.
        columns: usize,
    },
    /// A label names no class.
    #[error("`{file}` has label {value} in record {}: expected less than {classes}", .index + 1)]
    LabelOutOfRange {
        /// Name of the file.
        file: String,
        /// Position of the record, from 0.
        index: usize,
        /// The label.
        value: u8,
        /// Number of classes.
        classes: usize,
    },
}

impl CifarError {
    /// What the user can do about it.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        let (Self::Length { file, .. } | Self::LabelOutOfRange { file, .. }) = self;
        Some(format!(
            "get `{file}` again, from the archive of the binary version: this copy is damaged or another file"
        ))
    }
}

impl Records {
    /// No records yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            pixels: Vec::new(),
            labels: Vec::new(),
        }
    }

    /// Adds the records of `content`; `file` names it in errors.
    ///
    /// # Errors
    ///
    /// If `content` is not a whole number of records with labels less than `classes`.
    pub fn add(
        &mut self,
        file: &str,
        content: &[u8],
        [channels, rows, columns]: [usize; 3],
        classes: usize,
    ) -> Result<(), CifarError> {
        let record = 1 + channels * rows * columns;
        if content.is_empty() || !content.len().is_multiple_of(record) {
            return Err(CifarError::Length {
                file: file.to_owned(),
                found: content.len(),
                record,
                channels,
                rows,
                columns,
            });
        }
        self.pixels.reserve_exact(content.len());
        for (index, record) in content.chunks_exact(record).enumerate() {
            let value = record[0];
            if usize::from(value) >= classes {
                return Err(CifarError::LabelOutOfRange {
                    file: file.to_owned(),
                    index,
                    value,
                    classes,
                });
            }
            self.labels.push(value);
            self.pixels.extend_from_slice(&record[1..]);
        }
        Ok(())
    }
}

impl Default for Records {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: [usize; 3] = [3, 1, 2];

    #[test]
    fn records_of_several_files_follow_each_other() {
        let mut records = Records::new();
        let first = [2, 10, 11, 20, 21, 30, 31, 0, 1, 2, 3, 4, 5, 6];
        records.add("a", &first, SHAPE, 3).unwrap();
        records.add("b", &[1, 9, 9, 8, 8, 7, 7], SHAPE, 3).unwrap();
        assert_eq!(records.labels, [2, 0, 1]);
        assert_eq!(records.pixels[..6], [10, 11, 20, 21, 30, 31]);
        assert_eq!(records.pixels[12..], [9, 9, 8, 8, 7, 7]);
    }

    #[test]
    fn what_is_no_file_of_records_is_named() {
        let mut records = Records::new();
        for bytes in [0, 6, 8, 15] {
            let error = records.add("f", &vec![0; bytes], SHAPE, 3).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!(
                    "`f` has {bytes} bytes: expected a multiple of 7, a label and 3 × 1 × 2 pixels each"
                )
            );
        }
        let mut content = [0; 21];
        content[14] = 3;
        let error = records.add("f", &content, SHAPE, 3).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`f` has label 3 in record 3: expected less than 3"
        );
    }
}
