//! What the IDX reader accepts, and the exact words with which it refuses.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

fn images() -> Vec<u8> {
    [images_header(2, 2, 3), (0..12).collect()].concat()
}

fn labels() -> Vec<u8> {
    [labels_header(4), vec![3, 0, 9, 1]].concat()
}

fn images_error(content: Vec<u8>) -> String {
    parse_images("a-images", content).unwrap_err().to_string()
}

#[test]
fn reads_images() {
    let images = parse_images("a-images", images()).unwrap();
    assert_eq!((images.count, images.rows, images.columns), (2, 2, 3));
    assert_eq!(images.pixels, (0..12).collect::<Vec<u8>>());
}

#[test]
fn reads_labels() {
    assert_eq!(
        parse_labels("a-labels", labels(), 10).unwrap(),
        [3, 0, 9, 1]
    );
}

#[test]
fn reads_gzip() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&labels()).unwrap();
    assert_eq!(
        parse_labels("a-labels", encoder.finish().unwrap(), 10).unwrap(),
        [3, 0, 9, 1]
    );
}

#[test]
fn rejects_damaged_gzip() {
    let error = images_error(vec![0x1f, 0x8b, 8, 0]);
    assert!(
        error.starts_with("`a-images`: the gzip stream is damaged: "),
        "{error}"
    );
}

#[test]
fn rejects_every_prefix() {
    let whole = images();
    for length in 0..whole.len() {
        let error = parse_images("a-images", whole[..length].to_vec()).unwrap_err();
        assert!(
            matches!(error, IdxError::Truncated { .. }),
            "{length}: {error}"
        );
    }
    assert_eq!(
        images_error(whole[..27].to_vec()),
        "`a-images` is truncated: expected 28 bytes, found 27"
    );
}

#[test]
fn rejects_trailing_bytes() {
    assert_eq!(
        images_error([images(), vec![7, 7]].concat()),
        "`a-images` has 2 trailing bytes: expected 28 bytes, found 30"
    );
}

#[test]
fn rejects_the_other_kind_and_says_so() {
    let error = parse_images("a-images", labels()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`a-images` has the wrong magic number: expected 0x00000803, found 0x00000801"
    );
    assert_eq!(
        error.help().as_deref(),
        Some("the files of images and labels are swapped")
    );
}

#[test]
fn rejects_zero_sizes() {
    assert_eq!(
        images_error(images_header(2, 0, 3)),
        "`a-images` states sizes [2, 0, 3]: every size must be at least 1"
    );
}

#[test]
fn rejects_absurd_sizes_without_allocating_for_them() {
    assert_eq!(
        images_error(images_header(u32::MAX, u32::MAX, u32::MAX)),
        "`a-images` states sizes [4294967295, 4294967295, 4294967295]: their product must be at most 1073741824"
    );
}

#[test]
fn rejects_a_label_without_class() {
    let error = parse_labels("a-labels", labels(), 9).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`a-labels` has label 9 in example 3: expected less than 9"
    );
}
