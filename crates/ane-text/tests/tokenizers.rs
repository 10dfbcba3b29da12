//! What each kind of tokenizer makes of text, and says of what it cannot take.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

use ane_text::{Corpus, Tokenizer, TokenizerRecord, TokenizerSpec};

/// Texts that tokenizers stumble over.
const ODD: &[&str] = &[
    "",
    " ",
    "a",
    "\n\n\n",
    "tabs\tand  several   spaces ",
    "emoji 🦀👩‍👩‍👧 and e\u{301}",
    "日本語 العربية ᚠᛇᚻ",
    "\u{1}\u{7f}\u{feff}\u{fffd}",
    "\r\nline\rfeeds\r\n",
];

fn corpus(text: &str) -> Corpus {
    Corpus::of_texts([("text".to_owned(), text.to_owned())]).unwrap()
}

fn of(spec: &str, text: &str) -> Tokenizer {
    let spec: TokenizerSpec = spec.parse().unwrap();
    spec.tokenizer(&corpus(text)).unwrap()
}

fn refused(spec: &str) -> String {
    spec.parse::<TokenizerSpec>().unwrap_err().to_string()
}

#[test]
fn text_comes_back_from_its_ids() {
    let all = ODD.concat();
    for spec in ["byte", "char", "bpe:300"] {
        let tokenizer = of(spec, &all);
        for text in ODD {
            let ids = tokenizer.encode(text).unwrap();
            assert_eq!(tokenizer.decode(&ids).unwrap(), *text, "{spec}");
            let mut decoder = tokenizer.decoder();
            let mut streamed = String::new();
            for id in ids {
                streamed += &decoder.push(id).unwrap();
            }
            streamed += &decoder.finish().unwrap();
            assert_eq!(streamed, *text, "{spec}");
        }
    }
}

#[test]
fn ids_are_bytes_or_places_in_the_sorted_characters() {
    let byte = of("byte", "x");
    assert_eq!((byte.vocabulary(), byte.name()), (256, "byte"));
    assert_eq!(byte.encode("aé").unwrap(), [0x61, 0xc3, 0xa9]);
    let char = of("char", "hello, wörld\n");
    assert_eq!((char.vocabulary(), char.name()), (11, "char"));
    assert_eq!(
        char.decode(&(0..11).collect::<Vec<_>>()).unwrap(),
        "\n ,dehlorwö"
    );
    assert_eq!((char.end_of_text(), char.begin_of_text()), (None, None));
}

#[test]
fn an_unknown_character_is_named_with_its_place() {
    let tokenizer = of("char", "abc\n ");
    let said = tokenizer.encode("abc\nab é").unwrap_err().to_string();
    let expected = "the tokenizer has no 'é' (U+00E9), found at line 2, column 4; it knows the 5 characters of the text that it was made of";
    assert_eq!(said, expected);
}

#[test]
fn an_id_that_is_none_is_refused() {
    let tokenizer = of("char", "abc");
    let expected = "there is no token 3: the tokenizer `char` has 3, from 0";
    assert_eq!(tokenizer.decode(&[0, 3]).unwrap_err().to_string(), expected);
    let mut decoder = tokenizer.decoder();
    assert_eq!(
        decoder.push(u32::MAX).unwrap_err().to_string(),
        expected.replace("3:", "4294967295:")
    );
    assert_eq!(decoder.push(2).unwrap(), "c");
}

#[test]
fn bytes_that_are_no_utf8_become_replacement_characters() {
    let tokenizer = of("byte", "x");
    let ids = [0x61, 0xff, 0xe2, 0x82, 0x62, 0xe2, 0x82];
    let mut decoder = tokenizer.decoder();
    let pushed: Vec<String> = ids.iter().map(|&id| decoder.push(id).unwrap()).collect();
    assert_eq!(pushed, ["a", "\u{fffd}", "", "", "\u{fffd}b", "", ""]);
    let whole = pushed.concat() + &decoder.finish().unwrap();
    assert_eq!(tokenizer.decode(&ids).unwrap(), whole);
}

#[test]
fn records_make_the_tokenizer_again() {
    for spec in ["byte", "char", "bpe:300"] {
        let tokenizer = of(spec, "some text");
        let json = serde_json::to_string(&tokenizer.record()).unwrap();
        let record: TokenizerRecord = serde_json::from_str(&json).unwrap();
        let again = record.tokenizer().unwrap();
        assert_eq!(again.fingerprint(), tokenizer.fingerprint());
        assert_eq!(again.name(), tokenizer.name());
        assert_eq!(
            again.encode("some").unwrap(),
            tokenizer.encode("some").unwrap()
        );
    }
}

#[test]
fn fingerprints_tell_tokenizers_apart() {
    assert_eq!(of("char", "abcab"), of("char", "cab"));
    assert_ne!(of("char", "abc"), of("char", "abd"));
    assert_ne!(of("char", "abc"), of("byte", "abc"));
    assert_eq!(of("byte", "x").fingerprint().len(), 64);
}

#[test]
fn records_of_no_tokenizer_are_refused() {
    for characters in ["", "ba", "aa"] {
        let record = TokenizerRecord::Char {
            characters: characters.to_owned(),
        };
        assert!(record.tokenizer().is_err(), "{characters:?}");
    }
    assert!(serde_json::from_str::<TokenizerRecord>(r#"{"kind":"words"}"#).is_err());
}

#[test]
fn specs_say_what_they_can_be() {
    for spec in [
        "byte",
        "char",
        "bpe:257",
        "bpe:4096",
        "folder/tokenizer.json",
    ] {
        assert_eq!(spec.parse::<TokenizerSpec>().unwrap().to_string(), spec);
    }
    let expected = "expected `byte`, `char`, `bpe:N` such as `bpe:4096`, or a path";
    assert_eq!(
        refused(""),
        format!("`` is no tokenizer: it is empty; {expected}")
    );
    assert_eq!(
        refused("words"),
        format!("`words` is no tokenizer: no file has this name; {expected}")
    );
    for vocabulary in ["", "256", "-1", "1048577", "many"] {
        let said = refused(&format!("bpe:{vocabulary}"));
        let problem =
            format!("its vocabulary is `{vocabulary}`, expected a number from 257 to 1048576");
        assert!(said.contains(&problem), "{said}");
    }
    assert!(refused("chars").contains("did you mean `char`?"));
}
