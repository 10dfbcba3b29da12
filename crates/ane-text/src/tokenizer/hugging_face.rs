//! Tokenizers as Hugging Face's `tokenizers` knows them: files of theirs, GPT-2's, and those that are trained here.
//!
//! Added tokens, such as `<|endoftext|>`, have their ids wherever they are written out in a text. Truncation, padding
//! and dropout of a file are left out: ids are those of the whole text, and the same each time.

use super::{
    Part, Rules, Tokenizer, blanks,
    byte_pairs::BytePairs,
    record::{Content, TokenizerRecord},
};
use crate::TextError;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{collections::HashMap, fmt};
use tokenizers::Tokenizer as Inner;

/// Ids are below this, so that no file makes tables of many gigabytes.
const MOST_IDS: u32 = 1 << 24;

/// Tokens that end a text, in the order in which they are looked for.
const ENDS: &[&str] = &[
    "<|endoftext|>",
    "<|end_of_text|>",
    "</s>",
    "<eos>",
    "<|im_end|>",
    "[SEP]",
];

/// Tokens that begin one.
const BEGINNINGS: &[&str] = &["<|begin_of_text|>", "<s>", "<bos>", "[CLS]"];

pub(super) struct HuggingFace {
    inner: Inner,
    /// What it is written as.
    json: String,
    vocabulary: usize,
    end_of_text: Option<u32>,
    begin_of_text: Option<u32>,
    /// The bytes of each id, where the decoder is that of bytes.
    bytes: Option<Vec<Box<[u8]>>>,
    /// Whether text can be cut behind a line feed.
    is_cut_at_lines: bool,
    /// Where it is GPT-2's kind of tokenizer: the same ids, sooner.
    byte_pairs: Option<BytePairs>,
}

impl fmt::Debug for HuggingFace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HuggingFace")
            .field("vocabulary", &self.vocabulary)
            .finish_non_exhaustive()
    }
}

/// The tokenizer of the content of a `tokenizer.json`; `place` is what messages call it.
///
/// # Errors
/// When it is none.
pub(super) fn of_json(json: &[u8], name: &str, place: &str) -> Result<Tokenizer, TextError> {
    let value = serde_json::from_slice(json);
    let value = value.map_err(|e| TextError::malformed(place, format!("it is no JSON: {e}")))?;
    of_value(value, name, place)
}

/// The tokenizer of what a `tokenizer.json` says.
///
/// # Errors
/// As [`of_json`].
pub(super) fn of_value(mut value: Value, name: &str, place: &str) -> Result<Tokenizer, TextError> {
    let wrong = |problem: String| TextError::malformed(place, problem);
    let Some(model) = value.get("model").and_then(Value::as_object) else {
        return Err(wrong(
            "expected an object with `model`, as a tokenizer.json of Hugging Face's".to_owned(),
        ));
    };
    check_model(model).map_err(wrong)?;
    for (place, key) in [("", "truncation"), ("", "padding"), ("/model", "dropout")] {
        if let Some(setting) = value.pointer_mut(&format!("{place}/{key}")) {
            *setting = Value::Null;
        }
    }
    // The crate's own deserialiser takes text only.
    let inner = Inner::from_bytes(value.to_string()).map_err(|e| wrong(e.to_string()))?;
    of_inner(inner, name, place)
}

/// What the crate takes for granted.
fn check_model(model: &serde_json::Map<String, Value>) -> Result<(), String> {
    let tokens = match model.get("vocab") {
        Some(Value::Object(vocab)) => {
            let outside = vocab
                .iter()
                .find(|(_, id)| id.as_u64().is_none_or(|id| id >= u64::from(MOST_IDS)));
            if let Some((token, id)) = outside {
                return Err(format!(
                    "{token:?} has the id {id}; expected one below {MOST_IDS}"
                ));
            }
            let mut ids: Vec<u64> = vocab.values().filter_map(Value::as_u64).collect();
            ids.sort_unstable();
            if let Some(twice) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
                return Err(format!("two tokens have the id {}", twice[0]));
            }
            vocab.len()
        }
        Some(Value::Array(pieces)) => pieces.len(),
        _ => return Err("expected `model.vocab`, the ids of its tokens".to_owned()),
    };
    match tokens {
        0 => Err("its vocabulary is empty".to_owned()),
        _ => Ok(()),
    }
}

/// As [`of_value`], of a tokenizer that is there.
///
/// # Errors
/// When its ids are out of range.
pub(super) fn of_inner(inner: Inner, name: &str, place: &str) -> Result<Tokenizer, TextError> {
    let tokens = inner.get_vocab(true);
    let most = tokens.values().max().copied().unwrap_or_default();
    if tokens.is_empty() || most >= MOST_IDS {
        let problem = format!("its largest id is {most}; expected one below {MOST_IDS}");
        return Err(TextError::malformed(place, problem));
    }
    let vocabulary = most as usize + 1;
    let json = inner.to_string(false);
    let json = json.map_err(|e| TextError::malformed(place, e.to_string()))?;
    let value: Value = serde_json::from_str(&json)
        .map_err(|e| TextError::malformed(place, format!("it cannot be written down: {e}")))?;
    let find = |names: &[&str]| {
        let mut ids = names.iter().map(|name| inner.token_to_id(name));
        ids.find_map(|id| id)
    };
    let rules = HuggingFace {
        vocabulary,
        end_of_text: find(ENDS),
        begin_of_text: find(BEGINNINGS),
        bytes: is_of_bytes(&value["decoder"]).then(|| spelled(&tokens, vocabulary)),
        is_cut_at_lines: keeps_lines_apart(&value),
        byte_pairs: BytePairs::new(&inner, &value),
        json,
        inner,
    };
    Ok(Tokenizer::new(rules, name))
}

fn is_of_bytes(setting: &Value) -> bool {
    setting["type"] == "ByteLevel"
}

/// The bytes of each id; none where no token has it.
fn spelled(tokens: &HashMap<String, u32>, vocabulary: usize) -> Vec<Box<[u8]>> {
    let mut spelled = vec![Box::from([]); vocabulary];
    for (token, &id) in tokens {
        // A token that is not written in the alphabet of bytes is text.
        let bytes: Option<Vec<u8>> = token.chars().map(blanks::byte_of).collect();
        spelled[id as usize] = bytes.unwrap_or_else(|| token.clone().into_bytes()).into();
    }
    spelled
}

/// Whether each piece of a text that is cut behind a line gets the ids that it has within the text: whether there is
/// nothing that is put before a text or around it.
fn keeps_lines_apart(value: &Value) -> bool {
    let is_one_of = |setting: &Value, kinds: &[&str]| {
        setting["type"]
            .as_str()
            .is_some_and(|kind| kinds.contains(&kind))
    };
    let all = |setting: &Value, list: &str, test: &dyn Fn(&Value) -> bool| {
        let parts = setting[list].as_array();
        parts.is_some_and(|parts| parts.iter().all(test))
    };
    let normalizer = |n: &Value| {
        n.is_null()
            || is_one_of(
                n,
                &["NFC", "NFD", "NFKC", "NFKD", "Lowercase", "BertNormalizer"],
            )
    };
    let pre_tokenizer = |p: &Value| {
        is_one_of(
            p,
            &[
                "Split",
                "Digits",
                "Whitespace",
                "WhitespaceSplit",
                "BertPreTokenizer",
            ],
        ) || (is_of_bytes(p) && p["add_prefix_space"] == false)
    };
    let (first, second) = (&value["normalizer"], &value["pre_tokenizer"]);
    (normalizer(first) || all(first, "normalizers", &normalizer))
        && (pre_tokenizer(second) || all(second, "pretokenizers", &pre_tokenizer))
}

impl Rules for HuggingFace {
    fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    fn end_of_text(&self) -> Option<u32> {
        self.end_of_text
    }

    fn begin_of_text(&self) -> Option<u32> {
        self.begin_of_text
    }

    fn encode(&self, text: &str, _: Part, ids: &mut Vec<u32>) -> Result<(), TextError> {
        let refused = |error: tokenizers::Error| TextError::Refused {
            action: "encode a text",
            problem: error.to_string(),
        };
        if let Some(pairs) = &self.byte_pairs {
            return pairs.encode(&self.inner, text, ids).map_err(refused);
        }
        let encoding = self.inner.encode_fast(text, false).map_err(refused)?;
        ids.extend_from_slice(encoding.get_ids());
        Ok(())
    }

    fn cut(&self, text: &str) -> usize {
        match self.is_cut_at_lines {
            true => blanks::last_line_apart(text),
            false => 0,
        }
    }

    fn spell(&self, id: u32, _: bool, bytes: &mut Vec<u8>) -> bool {
        let spelled = self.bytes.as_ref().and_then(|all| all.get(id as usize));
        bytes.extend_from_slice(spelled.map_or(&[], |bytes| bytes));
        true
    }

    fn text(&self, ids: &[u32]) -> Option<Result<String, TextError>> {
        if self.bytes.is_some() {
            return None;
        }
        let text = self.inner.decode(ids, false);
        Some(text.map_err(|error| TextError::Refused {
            action: "decode ids",
            problem: error.to_string(),
        }))
    }

    fn record(&self, name: &str) -> TokenizerRecord {
        TokenizerRecord::HuggingFace {
            name: name.to_owned(),
            json: Content::of(self.json.as_bytes()),
        }
    }

    fn digest(&self, hash: &mut Sha256) {
        hash.update("hugging-face");
        hash.update(&self.json);
    }
}
