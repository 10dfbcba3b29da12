//! A place among the tokens of a text.

use super::{
    error::{Fault, ParseErrorKind, Span, position},
    syntax::Name,
};
use crate::lex::{Token, TokenKind, lex};

/// Most brackets within each other that are read. Five levels of list and a few calls are the deepest that make sense.
const MAX_DEPTH: usize = 32;

/// A place among the tokens of a text.
#[derive(Debug)]
pub(super) struct Cursor<'t> {
    text: &'t str,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl<'t> Cursor<'t> {
    pub(super) fn new(text: &'t str) -> Result<Self, Fault> {
        let tokens = lex(text).map_err(|(kind, span)| Fault::new(kind, span))?;
        Ok(Self {
            text,
            tokens,
            at: 0,
            depth: 0,
        })
    }

    /// The next token; the last one, [`TokenKind::End`], is never passed.
    pub(super) fn peek(&self) -> Token {
        self.tokens[self.at]
    }

    /// The token after the next.
    pub(super) fn peek_second(&self) -> Token {
        self.tokens[(self.at + 1).min(self.tokens.len() - 1)]
    }

    pub(super) fn advance(&mut self) -> Token {
        let token = self.peek();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        token
    }

    pub(super) fn span(&self) -> Span {
        self.peek().span
    }

    pub(super) fn text(&self, token: Token) -> &'t str {
        &self.text[token.span.offset..token.span.offset + token.span.len]
    }

    pub(super) fn is(&self, punct: char) -> bool {
        self.peek().kind == TokenKind::Punct(punct)
    }

    pub(super) fn is_word(&self, word: &str) -> bool {
        self.peek().kind == TokenKind::Ident && self.text(self.peek()) == word
    }

    /// Passes `punct` if it is next.
    pub(super) fn accept(&mut self, punct: char) -> bool {
        let found = self.is(punct);
        if found {
            self.advance();
        }
        found
    }

    pub(super) fn expect(&mut self, punct: char) -> Result<Span, Fault> {
        if self.is(punct) {
            Ok(self.advance().span)
        } else {
            Err(self.unexpected(&format!("`{punct}`")))
        }
    }

    pub(super) fn word(&mut self, word: &str) -> Result<Span, Fault> {
        if self.is_word(word) {
            Ok(self.advance().span)
        } else {
            Err(self.unexpected(&format!("`{word}`")))
        }
    }

    pub(super) fn arrow(&mut self) -> Result<(), Fault> {
        if self.peek().kind == TokenKind::Arrow {
            self.advance();
            Ok(())
        } else {
            Err(self.unexpected("`->`"))
        }
    }

    pub(super) fn name(&mut self, what: &str) -> Result<Name<'t>, Fault> {
        if self.peek().kind != TokenKind::Ident {
            return Err(self.unexpected(what));
        }
        let token = self.advance();
        Ok(Name {
            text: self.text(token),
            span: token.span,
        })
    }

    /// Passes an opening bracket; goes with [`Cursor::close`].
    pub(super) fn open(&mut self, bracket: char) -> Result<Span, Fault> {
        let span = self.expect(bracket)?;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Fault::new(
                ParseErrorKind::TooDeep { limit: MAX_DEPTH },
                span,
            ));
        }
        Ok(span)
    }

    /// Passes the bracket that closes the one at `opened`.
    pub(super) fn close(&mut self, bracket: char, opened: Span) -> Result<Span, Fault> {
        self.depth -= 1;
        if self.is(bracket) {
            return Ok(self.advance().span);
        }
        let (opened_line, opened_column) = position(self.text, opened.offset);
        Err(Fault::new(
            ParseErrorKind::MissingBracket {
                bracket,
                opened_line,
                opened_column,
                found: self.found(),
            },
            self.span(),
        ))
    }

    /// Items separated by commas between brackets, possibly none.
    pub(super) fn list<T>(
        &mut self,
        (left, right): (char, char),
        mut item: impl FnMut(&mut Self) -> Result<T, Fault>,
    ) -> Result<(Vec<T>, Span), Fault> {
        let opened = self.open(left)?;
        let mut items = Vec::new();
        if !self.is(right) {
            items.push(item(self)?);
            while self.accept(',') {
                items.push(item(self)?);
            }
        }
        let closed = self.close(right, opened)?;
        Ok((items, opened.to(closed)))
    }

    /// Passes a bracket and all that is in it.
    pub(super) fn skip_brackets(&mut self) -> Result<(), Fault> {
        let mut opened: Vec<(char, Span)> = Vec::new();
        loop {
            match self.peek().kind {
                TokenKind::Punct(c @ ('(' | '[' | '{' | '<')) => {
                    let closing = match c {
                        '(' => ')',
                        '[' => ']',
                        '{' => '}',
                        _ => '>',
                    };
                    opened.push((closing, self.advance().span));
                }
                TokenKind::Punct(')' | ']' | '}' | '>') | TokenKind::End => {
                    let Some((closing, span)) = opened.pop() else {
                        return Ok(());
                    };
                    self.depth += 1;
                    self.close(closing, span)?;
                    if opened.is_empty() {
                        return Ok(());
                    }
                }
                _ => {
                    self.advance();
                }
            }
        }
    }

    /// The next token, for messages.
    pub(super) fn found(&self) -> String {
        let token = self.peek();
        let text = self.text(token);
        match token.kind {
            TokenKind::End => "the end of the text".into(),
            _ if text.len() > 40 => {
                let start: String = text.chars().take(40).collect();
                format!("`{start}…`")
            }
            _ => format!("`{text}`"),
        }
    }

    pub(super) fn unexpected(&self, expected: &str) -> Fault {
        Fault::new(
            ParseErrorKind::UnexpectedToken {
                expected: expected.to_owned(),
                found: self.found(),
            },
            self.span(),
        )
    }
}
