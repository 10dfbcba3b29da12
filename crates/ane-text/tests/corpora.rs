//! Which texts are read, what is said of those that are none, and what files of tokens are made of them.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

use ane_text::{
    Corpus, Encoding, Prepare, Prepared, Progress, Split, TextError, TokenFile, Tokenizer,
    TokenizerSpec,
};
use std::{fs, ops::ControlFlow, path::Path};

fn text_of(corpus: &Corpus) -> Result<String, TextError> {
    let mut text = String::new();
    for document in corpus.documents() {
        for piece in document.pieces()? {
            text += &piece?.text;
        }
    }
    Ok(text)
}

fn refused(path: &Path, encoding: Encoding) -> String {
    let text = Corpus::open(path, encoding).and_then(|corpus| text_of(&corpus));
    text.unwrap_err()
        .to_string()
        .replace(path.to_str().unwrap(), "PATH")
}

fn of_texts(texts: &[(&str, &str)]) -> Corpus {
    let owned = texts
        .iter()
        .map(|&(name, text)| (name.to_owned(), text.to_owned()));
    Corpus::of_texts(owned).unwrap()
}

fn prepare(
    corpus: &Corpus,
    tokenizer: &Tokenizer,
    split: Split,
    folder: &Path,
) -> Result<Prepared, TextError> {
    Prepare {
        corpus,
        tokenizer,
        split,
        train: &folder.join("train"),
        validation: &folder.join("validation"),
    }
    .run(&mut |_| ControlFlow::Continue(()))
}

fn ids(file: &TokenFile) -> Vec<u32> {
    let mut ids = vec![0; usize::try_from(file.tokens()).unwrap()];
    file.read(0, &mut ids).unwrap();
    ids
}

fn text(file: &TokenFile, tokenizer: &Tokenizer) -> String {
    tokenizer.decode(&ids(file)).unwrap()
}

#[test]
fn texts_of_a_folder_come_sorted_by_path() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("b.md", "b");
    write("a/2.TXT", "a2");
    write("a/1.txt", "a1");
    write("a/.hidden.txt", "hidden");
    write(".git/x.txt", "hidden");
    write("c.rs", "code");
    write("empty.txt", "");
    let corpus = Corpus::open(dir.path(), Encoding::Utf8).unwrap();
    let keys: Vec<&str> = corpus.documents().iter().map(|d| d.key()).collect();
    assert_eq!(keys, ["a/1.txt", "a/2.TXT", "b.md"]);
    assert_eq!(text_of(&corpus).unwrap(), "a1a2b");
    assert_eq!(corpus.bytes(), 5);
}

#[test]
fn what_is_no_text_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("text");
    let cases: &[(&[u8], &str)] = &[
        (b"", "PATH is empty; expected text"),
        (
            b"ab\0c",
            "PATH is not text: the byte at offset 2 is NUL; expected UTF-8 without NUL bytes",
        ),
        (
            b"\xff\xfea\0b\0",
            "PATH is not text: the byte at offset 3 is NUL; expected UTF-8 without NUL bytes, and this looks like UTF-16: convert it first",
        ),
        (
            b"caf\xe9 \n",
            "PATH is not UTF-8: the byte at offset 3 is 0xe9; convert it, or say that it is Latin-1",
        ),
        (
            b"cut \xe2\x82",
            "PATH is not UTF-8: the byte at offset 4 is 0xe2; convert it, or say that it is Latin-1",
        ),
    ];
    for (bytes, expected) in cases {
        fs::write(&path, bytes).unwrap();
        assert_eq!(refused(&path, Encoding::Utf8), *expected);
    }
    fs::remove_file(&path).unwrap();
    assert!(refused(&path, Encoding::Utf8).starts_with("cannot read PATH: "));
    fs::create_dir(&path).unwrap();
    let none = "PATH has no texts: expected files that end in .txt or .md";
    assert_eq!(refused(&path, Encoding::Utf8), none);
    fs::write(path.join("empty.txt"), "").unwrap();
    assert_eq!(
        refused(&path, Encoding::Utf8),
        "PATH is empty; expected text"
    );
    assert!(refused(Path::new("/dev/zero"), Encoding::Utf8).contains("a device"));
    assert!(Corpus::of_texts([("a".to_owned(), String::new())]).is_err());
}

#[test]
fn offsets_are_right_behind_the_first_piece() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("text");
    // Pieces end within the three bytes of a character where no line ends.
    let mut bytes = "€".repeat(1_000_000).into_bytes();
    fs::write(&path, &bytes).unwrap();
    let corpus = Corpus::open(&path, Encoding::Utf8).unwrap();
    assert_eq!(text_of(&corpus).unwrap().as_bytes(), bytes);
    let last = corpus.documents()[0]
        .pieces()
        .unwrap()
        .last()
        .unwrap()
        .unwrap();
    assert_eq!(last.bytes, 3_000_000);
    bytes[2_900_000] = b'x';
    fs::write(&path, &bytes).unwrap();
    let said = refused(&path, Encoding::Utf8);
    // The character before it lacks a byte.
    assert!(
        said.contains("the byte at offset 2899998 is 0xe2"),
        "{said}"
    );
}

#[test]
fn latin1_is_read_on_request_and_the_byte_order_mark_is_no_text() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("text");
    fs::write(&path, b"caf\xe9").unwrap();
    let corpus = Corpus::open(&path, Encoding::Latin1).unwrap();
    assert_eq!(text_of(&corpus).unwrap(), "café");
    fs::write(&path, "\u{feff}a\u{feff}").unwrap();
    let corpus = Corpus::open(&path, Encoding::Utf8).unwrap();
    assert_eq!(text_of(&corpus).unwrap(), "a\u{feff}");
    fs::write(&path, "\u{feff}").unwrap();
    let corpus = Corpus::open(&path, Encoding::Utf8).unwrap();
    assert!(TokenizerSpec::Char.tokenizer(&corpus).is_err());
    assert!(prepare(&corpus, &Tokenizer::byte(), Split::None, dir.path()).is_err());
}

#[test]
fn one_document_is_divided_at_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let tokenizer = Tokenizer::byte();
    let cases = [
        (
            "one\ntwo\nthree\nfour\n",
            0.3,
            "one\ntwo\nthree\n",
            "four\n",
        ),
        ("one\ntwo\n", 0.5, "one\n", "two\n"),
        ("one\ntwo\n", 0.6, "one\n", "two\n"),
        // Without a line that begins there, at a character.
        ("aé€bc", 0.5, "aé€", "bc"),
        ("one\nlonglonglong\n", 0.5, "one\nlongl", "onglong\n"),
    ];
    for (whole, fraction, train, validation) in cases {
        let corpus = of_texts(&[("text", whole)]);
        let made = prepare(&corpus, &tokenizer, Split::Fraction(fraction), dir.path()).unwrap();
        assert_eq!(text(&made.train, &tokenizer), train);
        assert_eq!(text(&made.validation.unwrap(), &tokenizer), validation);
    }
    let corpus = of_texts(&[("text", "x")]);
    let said = prepare(&corpus, &tokenizer, Split::Fraction(0.5), dir.path()).unwrap_err();
    assert_eq!(
        said.to_string(),
        "no text is left to validate on; take another fraction, or a longer text"
    );
    for fraction in [0.0, 1.0, -1.0, f64::NAN] {
        assert!(prepare(&corpus, &tokenizer, Split::Fraction(fraction), dir.path()).is_err());
    }
}

#[test]
fn documents_are_divided_whole_and_by_their_names() {
    let dir = tempfile::tempdir().unwrap();
    let tokenizer = Tokenizer::byte();
    let names: Vec<String> = (0..20).map(|i| format!("{i:02}.txt")).collect();
    let mut texts: Vec<(&str, &str)> = names.iter().map(|n| (n.as_str(), n.as_str())).collect();
    let made = prepare(
        &of_texts(&texts),
        &tokenizer,
        Split::Fraction(0.2),
        dir.path(),
    )
    .unwrap();
    let validation = made.validation.unwrap();
    assert_eq!(validation.documents(), [0, 6, 12, 18]);
    assert_eq!(made.train.documents().len(), 16);
    let held_out = text(&validation, &tokenizer);
    let kept = text(&made.train, &tokenizer);
    assert!(
        names
            .iter()
            .all(|n| held_out.contains(n.as_str()) != kept.contains(n.as_str()))
    );
    // The order of the others decides nothing.
    texts.reverse();
    let made = prepare(
        &of_texts(&texts),
        &tokenizer,
        Split::Fraction(0.2),
        dir.path(),
    )
    .unwrap();
    let again = text(&made.validation.unwrap(), &tokenizer);
    assert!(
        names
            .iter()
            .all(|n| held_out.contains(n.as_str()) == again.contains(n.as_str()))
    );

    let corpus = of_texts(&[("books/a.txt", "a"), ("books/b.txt", "b"), ("c.txt", "c")]);
    let by_name = |name: &str| Split::Documents(vec![name.to_owned(), name.to_owned()]);
    let made = prepare(&corpus, &tokenizer, by_name("b.txt"), dir.path()).unwrap();
    assert_eq!(text(&made.train, &tokenizer), "ac");
    assert_eq!(text(&made.validation.unwrap(), &tokenizer), "b");
    let said = prepare(&corpus, &tokenizer, by_name("d.txt"), dir.path()).unwrap_err();
    assert_eq!(
        said.to_string(),
        "no document is called d.txt; there are books/a.txt, books/b.txt, c.txt"
    );
    let made = prepare(&corpus, &tokenizer, Split::None, dir.path()).unwrap();
    assert!(made.validation.is_none());
    assert_eq!(text(&made.train, &tokenizer), "abc");
}

#[test]
fn documents_end_with_the_end_of_text_where_there_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let corpus = of_texts(&[("a", "ab\n"), ("b", "b")]);
    let tokenizer = TokenizerSpec::Bpe { vocabulary: 257 };
    let tokenizer = tokenizer.tokenizer(&corpus).unwrap();
    let made = prepare(&corpus, &tokenizer, Split::None, dir.path()).unwrap();
    // The bytes have the order of GPT-2's alphabet.
    assert_eq!(ids(&made.train), [64, 65, 198, 256, 65, 256]);
    assert_eq!(made.train.documents(), [0, 4]);
}

#[test]
fn progress_counts_bytes_and_may_end_it_without_a_trace() {
    let dir = tempfile::tempdir().unwrap();
    let line = "a line of text\n".repeat(100_000);
    let corpus = of_texts(&[("a", &line), ("b", &line)]);
    let tokenizer = Tokenizer::byte();
    let (train, validation) = (dir.path().join("train"), dir.path().join("validation"));
    let job = Prepare {
        corpus: &corpus,
        tokenizer: &tokenizer,
        split: Split::Fraction(0.5),
        train: &train,
        validation: &validation,
    };
    let mut seen: Vec<Progress> = Vec::new();
    job.run(&mut |now| {
        seen.push(now);
        ControlFlow::Continue(())
    })
    .unwrap();
    assert!(seen.is_sorted_by_key(|p| p.done) && seen.len() >= 4);
    let last = seen.last().unwrap();
    assert_eq!(
        (last.done, last.total, last.tokens),
        (3_000_000, 3_000_000, 3_000_000)
    );
    fs::remove_file(&train).unwrap();
    fs::remove_file(&validation).unwrap();
    for stop in 0..seen.len() {
        let mut count = 0;
        let stopped = job.run(&mut |_| {
            count += 1;
            if count > stop {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        assert!(matches!(stopped, Err(TextError::Interrupted)));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}

#[test]
fn a_document_that_fails_leaves_no_file_and_says_where() {
    let dir = tempfile::tempdir().unwrap();
    let known = of_texts(&[("a", "abc \n")]);
    let tokenizer = TokenizerSpec::Char.tokenizer(&known).unwrap();
    let long = "abc abc\n".repeat(200_000) + "abc\nab é";
    let corpus = of_texts(&[("good", "abc"), ("bad", &long)]);
    let said = prepare(&corpus, &tokenizer, Split::None, dir.path()).unwrap_err();
    assert_eq!(
        said.to_string(),
        "the tokenizer has no 'é' (U+00E9), found at line 200002, column 4 of bad; it knows the 5 characters of the text that it was made of"
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    // Nor does one whose second name cannot be taken.
    fs::create_dir(dir.path().join("train")).unwrap();
    let two = of_texts(&[("a", "abc"), ("b", "abc")]);
    let said = prepare(&two, &tokenizer, Split::Fraction(0.5), dir.path()).unwrap_err();
    assert!(said.to_string().starts_with("cannot rename to "), "{said}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}
