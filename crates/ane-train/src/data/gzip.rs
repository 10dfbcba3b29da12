//! Raw content out of bytes that may be gzip, told apart by their first two bytes.

use std::io::{self, Read};

use flate2::bufread::MultiGzDecoder;

/// The two bytes that every gzip stream starts with; no IDX file does (it starts with two zeros).
const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Largest raw content that is accepted, in bytes: 1 GiB. It bounds what a hostile stream can
/// make us allocate, and is twenty times the largest file of the catalog.
pub const MAX_RAW_BYTES: u64 = 1 << 30;

/// Why a gzip stream gives no content.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GzipError {
    /// The data's: the stream is cut short, damaged, or followed by something else.
    #[error("the gzip stream is damaged: {0}")]
    Damaged(#[source] io::Error),
    /// The data's: it expands to more than is allowed.
    #[error("the gzip stream expands to more than {limit} bytes")]
    TooLarge {
        /// Most bytes that were allowed.
        limit: u64,
    },
}

/// Returns `content` itself, or what it decompresses to where it is gzip.
///
/// # Errors
///
/// If the gzip stream is damaged or expands to more than `limit` bytes.
pub fn raw(content: Vec<u8>, limit: u64) -> Result<Vec<u8>, GzipError> {
    if !content.starts_with(&MAGIC) {
        return Ok(content);
    }
    let mut raw = Vec::new();
    // One byte beyond the limit is enough to know that there is more.
    MultiGzDecoder::new(content.as_slice())
        .take(limit.saturating_add(1))
        .read_to_end(&mut raw)
        .map_err(GzipError::Damaged)?;
    if raw.len() as u64 > limit {
        return Err(GzipError::TooLarge { limit });
    }
    Ok(raw)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn compressed(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn raw_content_passes_through() {
        assert_eq!(raw(vec![0, 0, 8], 10).unwrap(), [0, 0, 8]);
    }

    #[test]
    fn gzip_is_recognised_and_expanded() {
        assert_eq!(raw(compressed(b"digits"), 6).unwrap(), b"digits");
    }

    #[test]
    fn rejects_a_stream_that_expands_beyond_the_limit() {
        let error = raw(compressed(&[0; 5000]), 4999).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the gzip stream expands to more than 4999 bytes"
        );
    }

    #[test]
    fn rejects_a_stream_cut_short_and_one_with_something_behind_it() {
        let whole = compressed(b"digits");
        assert!(matches!(
            raw(whole[..whole.len() - 3].to_vec(), 100),
            Err(GzipError::Damaged(_))
        ));
        let longer = [whole.as_slice(), b"junk"].concat();
        assert!(matches!(raw(longer, 100), Err(GzipError::Damaged(_))));
    }
}
