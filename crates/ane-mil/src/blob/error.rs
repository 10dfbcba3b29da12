//! What can be wrong with a weight file.

use super::{SENTINEL, VERSION, code_name};
use ane_ir::{DType, TensorType};

/// A weight file does not hold what the text says. Offsets count bytes from the start of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlobError {
    /// The text names a file that the source does not have: the caller gave the wrong files.
    #[error("there is no weight file `{path}`")]
    NotFound {
        /// As the text names it.
        path: String,
    },
    /// The text names a weight file and the caller said there are none.
    #[error("`{path}` is needed, but the program was read without weights")]
    NoWeights {
        /// As the text names it.
        path: String,
    },
    /// The text names a file outside the model's directory.
    #[error("`{path}` does not lie in the model's directory")]
    Escapes {
        /// As the text names it.
        path: String,
    },
    /// The operating system could not read the file.
    #[error("`{path}` cannot be read: {reason}")]
    Io {
        /// As the text names it.
        path: String,
        /// What the system said, or why it was not asked.
        reason: String,
    },
    /// Something lies beyond the end of the file.
    #[error("{what} at offset {offset} needs {expected} bytes, the file has {found} there")]
    Truncated {
        /// What lies there.
        what: &'static str,
        /// Where it starts.
        offset: u64,
        /// Its size in bytes.
        expected: u64,
        /// Bytes from there to the end of the file.
        found: u64,
    },
    /// Not this format.
    #[error("version at offset 4 must be {VERSION}, found {found}")]
    Version {
        /// What the header says.
        found: u32,
    },
    /// The text's offset is not that of a record.
    #[error("no record starts at offset {offset}: expected {SENTINEL:#010x}, found {found:#010x}")]
    Sentinel {
        /// Where a record should start.
        offset: u64,
        /// What is there.
        found: u32,
    },
    /// The record holds another element type than the text declares.
    #[error("record at offset {offset} holds {} (code {found}), the text declares {expected}", code_name(*.found))]
    DType {
        /// Where the record starts.
        offset: u64,
        /// Declared in the text.
        expected: DType,
        /// Code in the record.
        found: u32,
    },
    /// The record holds another number of bytes than the declared type has.
    #[error("record at offset {offset} holds {found} bytes, {ty} has {expected}")]
    Size {
        /// Where the record starts.
        offset: u64,
        /// Declared in the text.
        ty: TensorType,
        /// Size of the declared type in bytes.
        expected: u64,
        /// Size in the record.
        found: u64,
    },
    /// The data of a record lies in the header.
    #[error("record at offset {offset} says its data starts at {found}, which is in the header")]
    DataInHeader {
        /// Where the record starts.
        offset: u64,
        /// Where the data should start.
        found: u64,
    },
    /// The format has no code for the element type.
    #[error("weight files cannot hold {dtype}")]
    NotStorable {
        /// The element type.
        dtype: DType,
    },
}
