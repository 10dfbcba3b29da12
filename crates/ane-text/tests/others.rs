//! Ids and texts that other programs give, and what is said of files of theirs that are damaged.
//!
//! `fixtures/make_tokenizers.py` writes down what they give for the texts of `fixtures/odd.json`.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

use ane_text::{Corpus, Encoding, TextError, Tokenizer, TokenizerRecord, TokenizerSpec};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

#[derive(Deserialize)]
struct Case {
    ids: Vec<u32>,
    text: String,
}

#[derive(Deserialize)]
struct SentencePiece {
    models: BTreeMap<String, SentencePieceModel>,
}

#[derive(Deserialize)]
struct SentencePieceModel {
    vocabulary: usize,
    begin: Option<u32>,
    end: Option<u32>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct BytePairs {
    tokens: Vec<String>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct HuggingFace {
    tokenizers: BTreeMap<String, HuggingFaceTokenizer>,
}

#[derive(Deserialize)]
struct HuggingFaceTokenizer {
    vocabulary: usize,
    file: Value,
    cases: Vec<Case>,
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

fn read<T: DeserializeOwned>(name: &str) -> T {
    serde_json::from_slice(&fs::read(fixture(name)).unwrap()).unwrap()
}

fn sample() -> Corpus {
    Corpus::open(&fixture("sample.txt"), Encoding::Utf8).unwrap()
}

fn sample_text() -> String {
    fs::read_to_string(fixture("sample.txt")).unwrap()
}

/// Holds a tokenizer, and what its record makes again, to what another program gives for each odd text.
fn check(tokenizer: &Tokenizer, cases: &[Case]) {
    let json = serde_json::to_string(&tokenizer.record()).unwrap();
    let again = serde_json::from_str::<TokenizerRecord>(&json).unwrap();
    let again = again.tokenizer().unwrap();
    assert_eq!(again.fingerprint(), tokenizer.fingerprint());
    assert_eq!(again.name(), tokenizer.name());
    let texts: Vec<String> = read("odd.json");
    assert_eq!(texts.len(), cases.len());
    for (text, case) in texts.iter().zip(cases) {
        for tokenizer in [tokenizer, &again] {
            let name = tokenizer.name();
            assert_eq!(
                tokenizer.encode(text).unwrap(),
                case.ids,
                "{name}: {text:?}"
            );
            assert_eq!(
                tokenizer.decode(&case.ids).unwrap(),
                case.text,
                "{name}: {text:?}"
            );
            let mut decoder = tokenizer.decoder();
            let mut streamed = String::new();
            for &id in &case.ids {
                streamed += &decoder.push(id).unwrap();
            }
            streamed += &decoder.finish().unwrap();
            assert_eq!(streamed, case.text, "{name}: {text:?}");
        }
    }
}

/// Holds text that comes id by id to the whole.
fn check_stream(tokenizer: &Tokenizer) {
    let ids = tokenizer.encode(&sample_text()).unwrap();
    let mut decoder = tokenizer.decoder();
    let mut text = String::new();
    for &id in &ids {
        text += &decoder.push(id).unwrap();
        assert!(!text.ends_with('\u{fffd}'));
    }
    text += &decoder.finish().unwrap();
    assert_eq!(
        text,
        tokenizer.decode(&ids).unwrap(),
        "{}",
        tokenizer.name()
    );
}

/// Holds the ids of a long text that comes in pieces to those of the whole.
fn check_pieces(tokenizer: &Tokenizer) {
    let text = sample_text().repeat(40);
    let whole = tokenizer.encode(&text).unwrap();
    for length in [1000, 77_777, 10_000_000] {
        let mut encoder = tokenizer.encoder();
        let mut ids = Vec::new();
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(rest.ceil_char_boundary(length));
            encoder.push("text", piece, &mut ids).unwrap();
            rest = behind;
        }
        let before = ids.len();
        encoder.finish("text", &mut ids).unwrap();
        assert_eq!(ids, whole, "{} by {length}", tokenizer.name());
        assert!(before > 0, "{} waits for the end", tokenizer.name());
    }
}

#[test]
fn models_of_sentence_piece_give_its_ids() {
    let expected: SentencePiece = read("sentence_piece.json");
    assert_eq!(expected.models.len(), 3);
    for (name, model) in expected.models {
        let tokenizer = Tokenizer::open(&fixture(&format!("{name}.model"))).unwrap();
        assert_eq!(tokenizer.name(), format!("fixtures/{name}.model"));
        assert_eq!(tokenizer.vocabulary(), model.vocabulary);
        assert_eq!(tokenizer.begin_of_text(), model.begin);
        assert_eq!(tokenizer.end_of_text(), model.end);
        check(&tokenizer, &model.cases);
        check_stream(&tokenizer);
    }
}

#[test]
fn a_text_in_pieces_has_the_ids_of_the_whole() {
    for name in ["pairs.model", "marks.model", "gpt2"] {
        check_pieces(&Tokenizer::open(&fixture(name)).unwrap());
    }
    let trained = TokenizerSpec::Bpe { vocabulary: 300 }.tokenizer(&sample());
    check_pieces(&trained.unwrap());
}

#[test]
fn a_text_without_a_place_to_cut_is_encoded_in_bounded_parts() {
    let tokenizer = Tokenizer::open(&fixture("gpt2")).unwrap();
    let mut encoder = tokenizer.encoder();
    let mut ids = Vec::new();
    // 6 MB in one line.
    let piece = " é".repeat(5_000);
    for _ in 0..400 {
        encoder.push("text", &piece, &mut ids).unwrap();
    }
    assert!(!ids.is_empty());
    encoder.finish("text", &mut ids).unwrap();
    assert_eq!(tokenizer.decode(&ids).unwrap(), piece.repeat(400));
    let corpus = Corpus::of_texts([("text".to_owned(), piece.repeat(400))]).unwrap();
    let trained = TokenizerSpec::Bpe { vocabulary: 300 }
        .tokenizer(&corpus)
        .unwrap();
    assert_eq!(trained.encode(" é").unwrap().len(), 1);
}

#[test]
fn byte_pairs_are_those_that_others_learn() {
    let expected: BytePairs = read("byte_pairs.json");
    let tokenizer = "bpe:600".parse::<TokenizerSpec>().unwrap();
    let tokenizer = tokenizer.tokenizer(&sample()).unwrap();
    assert_eq!(tokenizer.name(), "bpe:600");
    assert_eq!(tokenizer.vocabulary(), expected.tokens.len());
    assert_eq!(
        tokenizer.end_of_text(),
        Some(expected.tokens.len() as u32 - 1)
    );
    let written = serde_json::to_value(tokenizer.record()).unwrap();
    assert_eq!(written["kind"], "hugging-face");
    check(&tokenizer, &expected.cases);
}

#[test]
fn gpt2_files_give_the_ids_of_their_pairs() {
    let expected: BytePairs = read("byte_pairs.json");
    let folder = Tokenizer::open(&fixture("gpt2")).unwrap();
    check(&folder, &expected.cases);
    for file in ["gpt2/vocab.json", "gpt2/merges.txt"] {
        assert_eq!(Tokenizer::open(&fixture(file)).unwrap(), folder);
    }
    let renamed = tempfile::tempdir().unwrap();
    fs::copy(
        fixture("gpt2/vocab.json"),
        renamed.path().join("encoder.json"),
    )
    .unwrap();
    fs::copy(fixture("gpt2/merges.txt"), renamed.path().join("vocab.bpe")).unwrap();
    assert_eq!(Tokenizer::open(renamed.path()).unwrap(), folder);
    assert_eq!(folder.name(), "gpt2/vocab.json");
}

#[test]
fn tokenizers_of_hugging_face_give_their_ids() {
    let expected: HuggingFace = read("hugging_face.json");
    assert_eq!(expected.tokenizers.len(), 4);
    let dir = tempfile::tempdir().unwrap();
    for (name, tokenizer) in expected.tokenizers {
        // Truncation, padding and dropout of the file count for nothing.
        fs::write(
            dir.path().join("tokenizer.json"),
            tokenizer.file.to_string(),
        )
        .unwrap();
        let read = Tokenizer::open(dir.path()).unwrap();
        assert_eq!(read.vocabulary(), tokenizer.vocabulary, "{name}");
        check(&read, &tokenizer.cases);
        if name == "fallback" || name == "digits" {
            check_stream(&read);
        }
        // However the file is laid out.
        let pretty = serde_json::to_string_pretty(&tokenizer.file).unwrap();
        fs::write(dir.path().join("pretty"), pretty).unwrap();
        let pretty = Tokenizer::open(&dir.path().join("pretty")).unwrap();
        assert_eq!(pretty, read, "{name}");
    }
}

#[test]
fn training_ends_where_nothing_is_seen_twice_and_learns_nothing_of_the_end_of_texts() {
    let of = |text: &str| Corpus::of_texts([("text".to_owned(), text.to_owned())]).unwrap();
    let spec = TokenizerSpec::Bpe { vocabulary: 1000 };
    let few = spec.tokenizer(&of("abab abab")).unwrap();
    // ab, abab.
    assert_eq!((few.vocabulary(), few.end_of_text()), (259, Some(258)));
    let fewest = TokenizerSpec::Bpe { vocabulary: 257 };
    let fewest = fewest.tokenizer(&of("abab abab")).unwrap();
    assert_eq!(
        (fewest.vocabulary(), fewest.end_of_text()),
        (257, Some(256))
    );
    assert_eq!(fewest.encode("ab!").unwrap(), [64, 65, 0]);
    let apart = spec.tokenizer(&of(&"<|endoftext|>".repeat(9))).unwrap();
    assert_eq!(apart.vocabulary(), 257);
    assert_eq!(apart.encode("<|endoftext|>").unwrap(), [256]);
    let ended = spec.train(&sample(), &mut |_| ControlFlow::Break(()));
    assert!(matches!(ended, Err(TextError::Interrupted)));
    let binary = spec.tokenizer(&of("a\0b")).unwrap_err();
    assert!(matches!(binary, TextError::Binary { .. }));
}

fn refused(path: &Path, content: impl AsRef<[u8]>) -> String {
    fs::write(path, content).unwrap();
    let said = Tokenizer::open(path).unwrap_err().to_string();
    let folder = path.parent().unwrap().to_str().unwrap();
    said.replace(folder, "DIR")
}

#[test]
fn malformed_files_are_refused_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let cannot = "is no tokenizer that can be used:";
    let folder = Tokenizer::open(dir.path()).unwrap_err().to_string();
    assert!(folder.ends_with("expected `tokenizer.json`, or `tokenizer.model`, or `encoder.json` with `vocab.bpe`, or `vocab.json` with `merges.txt` in the folder"), "{folder}");

    let json = dir.path().join("tokenizer.json");
    let cases = [
        (
            "{",
            format!(
                "DIR/tokenizer.json {cannot} it is no JSON: EOF while parsing an object at line 1 column 1"
            ),
        ),
        (
            "[]",
            format!(
                "DIR/tokenizer.json {cannot} expected an object with `model`, as a tokenizer.json of Hugging Face's"
            ),
        ),
        (
            r#"{"model":{"type":"BPE"}}"#,
            format!("DIR/tokenizer.json {cannot} expected `model.vocab`, the ids of its tokens"),
        ),
        (
            r#"{"model":{"vocab":{}}}"#,
            format!("DIR/tokenizer.json {cannot} its vocabulary is empty"),
        ),
        (
            r#"{"model":{"vocab":{"a":4294967295}}}"#,
            format!(
                "DIR/tokenizer.json {cannot} \"a\" has the id 4294967295; expected one below 16777216"
            ),
        ),
        (
            r#"{"model":{"vocab":{"a":1,"b":1}}}"#,
            format!("DIR/tokenizer.json {cannot} two tokens have the id 1"),
        ),
    ];
    for (content, expected) in cases {
        assert_eq!(refused(&json, content), expected);
    }

    let ids = r#"{"a": 0, "b": 1, "ab": 2}"#;
    let (vocabulary, merges) = (dir.path().join("vocab.json"), dir.path().join("merges.txt"));
    assert!(refused(&vocabulary, ids).starts_with("cannot read DIR/merges.txt: "));
    let cases = [
        (
            "a b\na\n",
            format!(
                "DIR/merges.txt {cannot} line 2 is \"a\"; expected two tokens with a blank between them"
            ),
        ),
        (
            "#version: 0.2\na b\nb a\n",
            format!("DIR/merges.txt {cannot} line 3 is \"b a\", but no token is \"ba\""),
        ),
    ];
    for (content, expected) in cases {
        assert_eq!(refused(&merges, content), expected);
    }
    let said = refused(&merges, b"a \xff");
    assert_eq!(
        said,
        format!("DIR/merges.txt {cannot} the byte at offset 2 is no UTF-8")
    );
    fs::write(&merges, "a b\n").unwrap();
    assert!(Tokenizer::open(&merges).is_ok());
    let said = refused(&vocabulary, "[1]");
    assert!(
        said.starts_with(&format!(
            "DIR/vocab.json {cannot} expected a JSON object of tokens and ids: "
        )),
        "{said}"
    );
}

/// A field of bytes of a message.
fn field(number: u8, content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    assert!(content.len() < 128);
    [&[number << 3 | 2, content.len() as u8], content].concat()
}

fn piece(text: &str, kind: u8) -> Vec<u8> {
    field(1, [&field(1, text), &[0x18, kind][..]].concat())
}

#[test]
fn malformed_models_are_refused_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.model");
    let unknown = piece("<unk>", 2);
    let nan = [field(1, "a"), vec![0x15, 0, 0, 0xc0, 0x7f]].concat();
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (vec![], "it has no pieces"),
        (
            b"text".to_vec(),
            "it is no file of SentencePiece: the field at offset 0 of a message has the number 14 and the wire type 4, which there is not",
        ),
        (
            b"\x0a\x05\x0a".to_vec(),
            "it is no file of SentencePiece: it ends within a field, at offset 0 of a message",
        ),
        (
            vec![0x08, 1],
            "it is no file of SentencePiece: field 1 is a varint, expected of bytes",
        ),
        (piece("", 1), "piece 0 is empty"),
        (
            field(1, field(1, b"\xff")),
            "it is no file of SentencePiece: the string in field 1 is no UTF-8",
        ),
        (
            field(1, nan),
            "piece 0, \"a\", has the score NaN; expected a finite number",
        ),
        (
            piece("a", 7),
            "piece 0, \"a\", is of type 7; expected 1 to 6",
        ),
        (
            piece("<0xg1>", 6),
            "piece 0 is called \"<0xg1>\"; expected a byte from `<0x00>` to `<0xFF>`",
        ),
        (piece("a", 1), "0 pieces are unknown ones; expected 1"),
        (
            [piece("a", 1), piece("a", 4)].concat(),
            "piece 1, \"a\", is there twice",
        ),
        (
            [unknown.clone(), piece("<0x00>", 6)].concat(),
            "it has 1 pieces of bytes; expected 0",
        ),
        (
            [unknown.clone(), field(2, [0x18, 4])].concat(),
            "its kind is 4; expected 1, `unigram`, or 2, `bpe`",
        ),
        (
            [unknown.clone(), field(3, field(2, b"abc"))].concat(),
            "its rules of normalisation are malformed: they end within their length",
        ),
        (
            [unknown.clone(), field(3, field(2, b"\x08\0\0\0abcd"))].concat(),
            "its rules of normalisation are malformed: their trie is not as long as they say",
        ),
        (
            [unknown.clone(), field(3, field(2, b"\x04\0\0\0abcdx"))].concat(),
            "its rules of normalisation are malformed: the last of their texts has no end",
        ),
        (
            [unknown.clone(), field(5, field(2, b"x"))].concat(),
            "it changes text that is decoded by rules of its own, which are not implemented",
        ),
    ];
    for (content, expected) in cases {
        let expected = format!("DIR/x.model is no tokenizer that can be used: {expected}");
        assert_eq!(refused(&path, content), expected);
    }
    fs::write(&path, unknown).unwrap();
    let smallest = Tokenizer::open(&path).unwrap();
    assert_eq!(smallest.encode("some text").unwrap(), [0]);
    assert_eq!(smallest.decode(&[0]).unwrap(), " \u{2047} ");
}

/// Numbers that look random, the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from((self.0 >> 33) % end as u64).unwrap()
    }
}

/// Uses what can be read of a damaged file, which may do anything but panic.
fn use_up(tokenizer: &Tokenizer, texts: &[String]) {
    for text in texts {
        if let Ok(ids) = tokenizer.encode(text) {
            assert!(ids.iter().all(|&id| (id as usize) < tokenizer.vocabulary()));
            let _ = tokenizer.decode(&ids);
        }
    }
}

#[test]
fn damaged_models_do_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.model");
    let texts: Vec<String> = read("odd.json");
    let mut random = Random(1);
    let mut opened = 0;
    for name in ["pairs.model", "unigram.model", "marks.model"] {
        let good = fs::read(fixture(name)).unwrap();
        for round in 0..400 {
            let mut bytes = good.clone();
            // The specifications stand behind the pieces.
            let from = if round % 2 == 0 {
                0
            } else {
                good.len() * 9 / 10
            };
            for _ in 0..=random.below(4) {
                let at = from + random.below(bytes.len() - from);
                match random.below(4) {
                    0 => bytes[at] = random.below(256) as u8,
                    1 => bytes[at] ^= 1 << random.below(8),
                    2 => drop(bytes.remove(at)),
                    _ => bytes.insert(at, random.below(256) as u8),
                }
            }
            if round % 10 == 0 {
                bytes.truncate(random.below(good.len()));
            }
            fs::write(&path, bytes).unwrap();
            if let Ok(tokenizer) = Tokenizer::open(&path) {
                opened += 1;
                use_up(&tokenizer, &texts);
            }
        }
    }
    assert!((10..1190).contains(&opened), "{opened} of 1200 can be read");
}

#[test]
fn damaged_tokenizers_of_hugging_face_do_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokenizer.json");
    let texts: Vec<String> = read("odd.json");
    let files: HuggingFace = read("hugging_face.json");
    let mut random = Random(2);
    for (name, tokenizer) in files.tokenizers {
        let good = tokenizer.file;
        let places = places(&good, String::new());
        assert!(places.len() > 30, "{name}");
        for place in &places {
            for other in [
                Value::Null,
                json!(3),
                json!("x"),
                json!([]),
                json!({}),
                json!(-1e300),
            ] {
                if random.below(2) == 0 {
                    continue;
                }
                let mut bad = good.clone();
                *bad.pointer_mut(place).unwrap() = other;
                fs::write(&path, bad.to_string()).unwrap();
                if let Ok(tokenizer) = Tokenizer::open(&path) {
                    use_up(&tokenizer, &texts);
                }
            }
        }
    }
}

/// The places of a value, without those of long lists but for the first.
fn places(value: &Value, at: String) -> Vec<String> {
    let inner: Vec<String> = match value {
        Value::Array(list) => (0..list.len().min(2)).map(|i| i.to_string()).collect(),
        Value::Object(map) => map.keys().take(12).cloned().collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    let mut all = vec![at.clone()];
    for key in inner {
        let key = key.replace('~', "~0").replace('/', "~1");
        let next = format!("{at}/{key}");
        if let Some(value) = value.pointer(&next[at.len()..]) {
            all.extend(places(value, next));
        }
    }
    all
}

#[test]
fn damaged_records_do_no_harm() {
    let tokenizer = Tokenizer::open(&fixture("pairs.model")).unwrap();
    let mut record = serde_json::to_value(tokenizer.record()).unwrap();
    for content in ["!", "", "AAAA"] {
        record["model"] = json!(content);
        let record: TokenizerRecord = serde_json::from_value(record.clone()).unwrap();
        let said = record.tokenizer().unwrap_err().to_string();
        assert!(
            said.starts_with("a record of a tokenizer is no tokenizer"),
            "{said}"
        );
    }
}
