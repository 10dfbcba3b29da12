//! GPT-2's files: the ids of tokens as JSON, and the pairs that are joined, one a line and the first ones first.

use super::{Tokenizer, files, hugging_face};
use crate::TextError;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// What the two files are called.
pub(super) const PAIRS: &[(&str, &str)] =
    &[("encoder.json", "vocab.bpe"), ("vocab.json", "merges.txt")];

/// The token that ends a text.
const END: &str = "<|endoftext|>";

/// Both files, where a path is one of them.
pub(super) fn pair_with(path: &Path) -> Option<(PathBuf, PathBuf)> {
    let name = path.file_name()?;
    let mut pairs = PAIRS.iter();
    let (vocabulary, merges) = pairs.find(|(a, b)| name == *a || name == *b)?;
    Some((path.with_file_name(vocabulary), path.with_file_name(merges)))
}

/// The tokenizer of two files.
///
/// # Errors
/// When one cannot be read, is malformed, or does not fit the other.
pub(super) fn open(vocabulary: &Path, merges: &Path) -> Result<Tokenizer, TextError> {
    let place = vocabulary.display().to_string();
    let bytes = files::read(vocabulary)?;
    let ids: Map<String, Value> = serde_json::from_slice(&bytes).map_err(|e| {
        TextError::malformed(
            &place,
            format!("expected a JSON object of tokens and ids: {e}"),
        )
    })?;
    let bytes = files::read(merges)?;
    let pairs = parse(&bytes, &ids)
        .map_err(|problem| TextError::malformed(&merges.display().to_string(), problem))?;
    let end = ids.get(END).map(|id| {
        json!({
            "id": id, "content": END, "special": true, "normalized": false,
            "single_word": false, "lstrip": false, "rstrip": false,
        })
    });
    let words = json!({
        "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": true,
    });
    let tokenizer = json!({
        "version": "1.0",
        "added_tokens": end.into_iter().collect::<Vec<_>>(),
        "normalizer": null,
        "pre_tokenizer": words,
        "post_processor": null,
        "decoder": words,
        "model": { "type": "BPE", "vocab": ids, "merges": pairs },
    });
    hugging_face::of_value(tokenizer, &files::name_of(vocabulary), &place)
}

/// The pairs of a file of merges, each of which and what they become has an id.
fn parse(bytes: &[u8], ids: &Map<String, Value>) -> Result<Vec<[String; 2]>, String> {
    let text = std::str::from_utf8(bytes)
        .map_err(|e| format!("the byte at offset {} is no UTF-8", e.valid_up_to()))?;
    let mut pairs = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.is_empty() || (number == 1 && line.starts_with("#version")) {
            continue;
        }
        let parts: Vec<&str> = line.split(' ').collect();
        let [first, second] = parts[..] else {
            let problem = "expected two tokens with a blank between them";
            return Err(format!("line {number} is {line:?}; {problem}"));
        };
        let joined = format!("{first}{second}");
        if let Some(missing) = [first, second, &joined]
            .iter()
            .find(|t| !ids.contains_key(**t))
        {
            return Err(format!(
                "line {number} is {line:?}, but no token is {missing:?}"
            ));
        }
        pairs.push([first.to_owned(), second.to_owned()]);
    }
    Ok(pairs)
}
