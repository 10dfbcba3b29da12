//! TFRecord framing: the length of the payload, a checksum of that length, the payload, a checksum of the payload.
//!
//! Numbers are little-endian. A checksum is CRC-32C, rotated and moved, as TensorFlow does it because a checksum of data
//! that hold checksums themselves says little.

/// What is added to a rotated checksum.
const MASK_DELTA: u32 = 0xa282_ead8;

fn masked(bytes: &[u8]) -> [u8; 4] {
    let crc = crc32c::crc32c(bytes);
    crc.rotate_right(15).wrapping_add(MASK_DELTA).to_le_bytes()
}

/// A payload as a record.
pub(super) fn of(payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(payload.len() + 16);
    record.extend(length);
    record.extend(masked(&length));
    record.extend(payload);
    record.extend(masked(payload));
    record
}

/// The payloads of whole records.
#[cfg(test)]
pub(super) fn read(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while let Some((head, rest)) = bytes.split_at_checked(12) {
        assert_eq!(masked(&head[..8]), head[8..], "of a length");
        let length = u64::from_le_bytes(head[..8].try_into().unwrap());
        let Some((payload, rest)) = rest.split_at_checked(length as usize) else {
            break;
        };
        let Some((crc, rest)) = rest.split_at_checked(4) else {
            break;
        };
        assert_eq!(masked(payload), crc, "of a payload");
        found.push(payload);
        bytes = rest;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_that_of_tensorflow() {
        // `tf.io.TFRecordWriter(path).write(b"ane")`, of TensorFlow 2.21.
        let expected = include_bytes!("record/ane.tfrecord");
        assert_eq!(of(b"ane"), expected);
        assert_eq!(read(expected), [b"ane"]);
    }

    #[test]
    fn a_record_that_was_cut_off_is_none() {
        let mut bytes = of(b"first");
        bytes.extend(of(b"second"));
        for end in 21..bytes.len() {
            assert_eq!(read(&bytes[..end]), [b"first"], "{end}");
        }
    }
}
