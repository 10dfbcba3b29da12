//! Text to tokens.

use crate::parse::{ParseErrorKind, Span};

/// What a token is; its text is read from the source by its span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// A word.
    Ident,
    /// Something that starts like a number; whether it is one is decided where its type is known.
    Number,
    /// A string with its quotes.
    Str,
    /// One of `( ) { } [ ] < > , ; =`.
    Punct(char),
    /// `->`
    Arrow,
    /// After the last token.
    End,
}

/// A token in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) span: Span,
}

/// All tokens of `text` and one [`TokenKind::End`]; comments and white space are dropped.
pub(crate) fn lex(text: &str) -> Result<Vec<Token>, (ParseErrorKind, Span)> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(&b) = bytes.get(at) {
        if b.is_ascii_whitespace() {
            at += 1;
            continue;
        }
        let rest = &text[at..];
        if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
            continue;
        }
        let (kind, len) = token(rest, at)?;
        tokens.push(Token {
            kind,
            span: Span { offset: at, len },
        });
        at += len;
    }
    tokens.push(Token {
        kind: TokenKind::End,
        span: Span {
            offset: text.len(),
            len: 0,
        },
    });
    Ok(tokens)
}

/// Kind and length in bytes of the token that `rest` starts with.
fn token(rest: &str, at: usize) -> Result<(TokenKind, usize), (ParseErrorKind, Span)> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let first = rest.chars().next().unwrap_or_default();
    match first {
        '(' | ')' | '{' | '}' | '[' | ']' | '<' | '>' | ',' | ';' | '=' => {
            Ok((TokenKind::Punct(first), 1))
        }
        '-' if rest.starts_with("->") => Ok((TokenKind::Arrow, 2)),
        '"' => match string_len(rest) {
            Some(len) => Ok((TokenKind::Str, len)),
            None => {
                let len = rest.find('\n').unwrap_or(rest.len());
                Err((ParseErrorKind::UnterminatedString, Span { offset: at, len }))
            }
        },
        '-' | '+' | '.' | '0'..='9' => Ok((TokenKind::Number, number_len(rest))),
        c if word(c) => Ok((
            TokenKind::Ident,
            rest.find(|c| !word(c)).unwrap_or(rest.len()),
        )),
        found => Err((
            ParseErrorKind::UnexpectedCharacter { found },
            Span {
                offset: at,
                len: found.len_utf8(),
            },
        )),
    }
}

/// Length of the string, quotes included, that `rest` starts with; `None` when it does not end on its line.
fn string_len(rest: &str) -> Option<usize> {
    let mut escaped = false;
    for (i, c) in rest.char_indices().skip(1) {
        match c {
            '\n' => return None,
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(i + 1),
            _ => {}
        }
    }
    None
}

/// Length of the number that `rest` starts with. A sign belongs to it first and after the letter of an exponent.
fn number_len(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let unsigned = rest.trim_start_matches(['-', '+']);
    let is_hex = unsigned.starts_with("0x") || unsigned.starts_with("0X");
    let mut len = 1;
    while let Some(&b) = bytes.get(len) {
        let exponent = |b: u8| match b {
            b'p' | b'P' => is_hex,
            b'e' | b'E' => !is_hex,
            _ => false,
        };
        let sign = matches!(b, b'+' | b'-') && exponent(bytes[len - 1]);
        if !(b.is_ascii_alphanumeric() || b == b'.' || b == b'_' || sign) {
            break;
        }
        len += 1;
    }
    len
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        let tokens = lex(text).unwrap();
        tokens
            .iter()
            .map(|t| &text[t.span.offset..t.span.offset + t.span.len])
            .collect()
    }

    #[test]
    fn numbers_keep_their_signs_and_arrows_are_not_numbers() {
        assert_eq!(
            texts("f(-1, 0x1.8p+3)->1e-5 // c\n-inf"),
            [
                "f", "(", "-1", ",", "0x1.8p+3", ")", "->", "1e-5", "-inf", ""
            ]
        );
    }

    #[test]
    fn strings_end_at_an_unescaped_quote() {
        assert_eq!(texts(r#""a\"b" c"#), [r#""a\"b""#, "c", ""]);
        assert!(lex("\"a\nb\"").is_err());
    }

    #[test]
    fn foreign_characters_are_refused() {
        assert!(lex("tensor é").is_err());
    }
}
