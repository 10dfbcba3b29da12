//! Files that are no exported programs, or are damaged, or lie.

use super::{EXAMPLES, Examples, file};
use ane_import::model::TorchModel;
use ane_ir::DType;
use std::{
    io::{Cursor, Read, Write},
    path::Path,
};
use zip::{CompressionMethod, ZipArchive, ZipWriter, write::SimpleFileOptions};

/// What is said of these bytes, and where reading them ends otherwise: as a model.
fn said_of(bytes: &[u8], name: &str) -> Result<(), String> {
    let path = std::env::temp_dir().join(format!("ane-import-{}-{name}.pt2", std::process::id()));
    std::fs::write(&path, bytes).unwrap();
    let read = TorchModel::open("m", &path, None);
    let _ = std::fs::remove_file(&path);
    let model = read.map_err(|e| format!("{e}; {}", e.help()))?;
    let built = model.model(DType::Fp16, 3, &EXAMPLES);
    built.map(|_| ()).map_err(|e| format!("{e}; {}", e.help()))
}

/// The MLP's file with one part changed.
fn with(
    part: &str,
    change: impl Fn(Vec<u8>) -> Option<Vec<u8>>,
    method: CompressionMethod,
) -> Vec<u8> {
    let whole = std::fs::read(file("mlp.train.pt2")).unwrap();
    let mut from = ZipArchive::new(Cursor::new(whole)).unwrap();
    let mut to = ZipWriter::new(Cursor::new(Vec::new()));
    for i in 0..from.len() {
        let mut entry = from.by_index(i).unwrap();
        let name = entry.name().unwrap().to_string();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        let mut options =
            SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        if name.ends_with(part) {
            options = options.compression_method(method);
            match change(content) {
                Some(changed) => content = changed,
                None => continue,
            }
        }
        to.start_file(name, options).unwrap();
        to.write_all(&content).unwrap();
    }
    to.finish().unwrap().into_inner()
}

/// The MLP's file with a text replaced in one part.
fn replaced(part: &str, from: &str, to: &str) -> Vec<u8> {
    with(
        part,
        |content| {
            let text = String::from_utf8(content).unwrap();
            assert!(text.contains(from), "{from}");
            Some(text.replacen(from, to, 1).into_bytes())
        },
        CompressionMethod::Stored,
    )
}

#[test]
fn files_that_lie_are_refused_with_what_is_wrong() {
    const MODEL: &str = "models/model.json";
    const INDEX: &str = "model_weights_config.json";
    let zeros = |_| Some(vec![b' '; 1 << 22]);
    let stored = CompressionMethod::Stored;
    let huge = "{\"as_int\": 9223372036854775807}";
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("text", b"no zip at all".to_vec(), "no .pt2 file"),
        ("empty", Vec::new(), "no .pt2 file"),
        (
            "newer",
            replaced(MODEL, "\"major\": 8", "\"major\": 9"),
            "schema 9",
        ),
        (
            "no-model",
            with(MODEL, |_| None, stored),
            "it has no `models/model.json`",
        ),
        (
            "bomb",
            with(MODEL, zeros, CompressionMethod::Deflated),
            "compressed",
        ),
        (
            "no-json",
            with(MODEL, |_| Some(b"{".to_vec()), stored),
            "cannot be read",
        ),
        (
            "deep",
            with(MODEL, |_| Some(b"[".repeat(1 << 20)), stored),
            "cannot be read",
        ),
        ("no-weight", with("weight_0", |_| None, stored), "weight_0"),
        (
            "short-weight",
            with("weight_0", |c| Some(c[..8].to_vec()), stored),
            "lies outside of its storage",
        ),
        (
            "pickle",
            replaced(INDEX, "\"use_pickle\": false", "\"use_pickle\": true"),
            "pickle",
        ),
        (
            "offset",
            replaced(
                INDEX,
                "\"storage_offset\": {\"as_int\": 0}",
                "\"storage_offset\": {\"as_int\": 77}",
            ),
            "lies outside",
        ),
        (
            "size",
            replaced(
                INDEX,
                "\"sizes\": [{\"as_int\": 8}",
                &format!("\"sizes\": [{huge}"),
            ),
            "lies outside",
        ),
        (
            "negative",
            replaced(
                INDEX,
                "\"strides\": [{\"as_int\": 16}",
                "\"strides\": [{\"as_int\": -16}",
            ),
            "-16",
        ),
        (
            "op",
            replaced(MODEL, "aten.layer_norm.default", "aten.fft_fft.default"),
            "aten.fft_fft.default",
        ),
        (
            "name",
            replaced(
                MODEL,
                "{\"as_tensor\": {\"name\": \"linear\"}}, \"kind\"",
                "{\"as_tensor\": {\"name\": \"nothing\"}}, \"kind\"",
            ),
            "should be a tensor",
        ),
    ];
    for (name, bytes, expected) in cases {
        let said = said_of(&bytes, name).unwrap_err();
        assert!(said.contains(expected), "{name}: {said}");
    }
}

#[test]
fn a_file_that_is_cut_or_flipped_anywhere_is_never_a_crash() {
    let whole = std::fs::read(file("mlp.train.pt2")).unwrap();
    for i in 0..64 {
        let at = whole.len() * i / 64;
        assert!(said_of(&whole[..at], "cut").is_err());
        let mut flipped = whole.clone();
        flipped[at] ^= 0x55;
        let _ = said_of(&flipped, "flipped");
    }
}

#[test]
fn another_batch_or_data_set_is_said() {
    let open = TorchModel::open("m", &file("mlp.train.pt2"), None).unwrap();
    let other = open.model(DType::Fp16, 4, &EXAMPLES).unwrap_err();
    assert!(other.to_string().contains("batches of 3"));
    assert!(other.help().contains("--batch 3"));
    let examples = Examples::images([3, 32, 32], 4);
    let other = open.model(DType::Fp16, 3, &examples).unwrap_err();
    assert!(other.to_string().contains("[3, 32, 32]"), "{other}");
    let examples = Examples::images([1, 4, 4], 10);
    let other = open.model(DType::Fp16, 3, &examples).unwrap_err();
    assert!(other.to_string().contains("[3, 10]"), "{other}");
    assert!(TorchModel::open("m", Path::new("/dev/zero"), None).is_err());
    let dynamic = TorchModel::open("m", &file("transformer.train.pt2"), None).unwrap();
    assert_eq!(dynamic.batch().unwrap(), None);
    assert!(dynamic.model(DType::Fp16, 9, &EXAMPLES).is_ok());
}
