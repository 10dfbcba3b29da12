//! Rust text with comments and strings set apart, so that a search for a word finds code and nothing else.
//!
//! This is a scanner, not a parser: it knows where comments, strings, characters and brackets begin and end.

/// One Rust file, scanned.
pub(crate) struct RustCode {
    /// The text with every comment and the inside of every string and character blanked; lines stay where they are.
    pub(crate) text: String,
    /// For every line, what is comment in it.
    pub(crate) comments: Vec<String>,
    /// For every line, whether it is part of an item that exists only in tests.
    in_test: Vec<bool>,
}

impl RustCode {
    pub(crate) fn new(source: &str) -> RustCode {
        let scanned = Scanner::new(source).scan();
        let comments: Vec<String> = scanned
            .comments
            .split('\n')
            .map(|line| line.trim().to_owned())
            .collect();
        let mut code = RustCode {
            text: scanned.code,
            in_test: vec![false; comments.len()],
            comments,
        };
        code.mark_tests();
        code
    }

    /// The line, from 1, of a position in `text`.
    pub(crate) fn line_of(&self, position: usize) -> usize {
        self.text[..position].matches('\n').count() + 1
    }

    /// Whether a line, from 1, exists only in tests.
    pub(crate) fn is_test(&self, line: usize) -> bool {
        self.in_test.get(line - 1).copied().unwrap_or(false)
    }

    /// The positions of a word in `text`, whole words only.
    pub(crate) fn words(&self, word: &str) -> impl Iterator<Item = usize> {
        let borders = |at: usize| {
            let before = self.text[..at].chars().next_back();
            let after = self.text[at + word.len()..].chars().next();
            !before.is_some_and(is_identifier) && !after.is_some_and(is_identifier)
        };
        self.text
            .match_indices(word)
            .map(|(at, _)| at)
            .filter(move |at| borders(*at))
    }

    /// The identifier that begins at or after a position, if only blanks come before it.
    pub(crate) fn identifier_after(&self, position: usize) -> &str {
        let rest = self.text[position..].trim_start();
        &rest[..rest.find(|c| !is_identifier(c)).unwrap_or(rest.len())]
    }

    /// The position just behind the bracket that closes the one at `open`.
    pub(crate) fn closing(&self, open: usize) -> Option<usize> {
        let mut depth = 0usize;
        for (at, c) in self.text[open..].char_indices() {
            match c {
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' => depth = depth.checked_sub(1)?,
                _ => {}
            }
            if depth == 0 {
                return Some(open + at + c.len_utf8());
            }
        }
        None
    }

    fn mark_tests(&mut self) {
        let attributes: Vec<usize> = self.text.match_indices("#[").map(|(at, _)| at).collect();
        for attribute in attributes {
            let Some(end) = self.closing(attribute + 1) else {
                continue;
            };
            let inside = &self.text[attribute + 2..end - 1];
            let for_tests = inside.starts_with("cfg")
                && has_word(inside, "test")
                && !inside.contains("not(test");
            if !for_tests && inside.trim() != "test" {
                continue;
            }
            let (first, last) = (self.line_of(attribute), self.line_of(self.item_end(end)));
            self.in_test[first - 1..last].fill(true);
        }
    }

    /// The last position of the item that begins at a position: its semicolon or its closing brace.
    fn item_end(&self, start: usize) -> usize {
        let mut at = start;
        while let Some(step) = self.text[at..].find(['(', '[', '{', ';']) {
            at += step;
            if self.text[at..].starts_with(';') {
                return at;
            }
            let Some(end) = self.closing(at) else { break };
            if self.text[at..].starts_with('{') {
                return end - 1;
            }
            at = end;
        }
        self.text.len()
    }
}

/// Whether a text holds a word, whole words only.
pub(crate) fn has_word(text: &str, word: &str) -> bool {
    text.split(|c| !is_identifier(c)).any(|part| part == word)
}

/// Whether a character may be part of an identifier.
pub(crate) fn is_identifier(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

struct Scanner {
    source: Vec<char>,
    at: usize,
    code: String,
    comments: String,
}

impl Scanner {
    fn new(source: &str) -> Scanner {
        Scanner {
            source: source.chars().collect(),
            at: 0,
            code: String::new(),
            comments: String::new(),
        }
    }

    fn scan(mut self) -> Scanner {
        while let Some(c) = self.peek(0) {
            match c {
                '/' if self.peek(1) == Some('/') => self.line_comment(),
                '/' if self.peek(1) == Some('*') => self.block_comment(),
                '"' => self.string(),
                'r' if self.is_raw_string() => self.raw_string(),
                '\'' => self.quote(),
                _ => self.keep(1),
            }
        }
        self
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.source.get(self.at + ahead).copied()
    }

    /// Moves on by some characters; `code` and `comments` say where they stay visible.
    fn advance(&mut self, count: usize, code: bool, comment: bool) {
        for _ in 0..count {
            let Some(c) = self.peek(0) else { return };
            let shown = |show: bool| if show || c == '\n' { c } else { ' ' };
            self.code.push(shown(code));
            self.comments.push(shown(comment));
            self.at += 1;
        }
    }

    fn keep(&mut self, count: usize) {
        self.advance(count, true, false);
    }

    fn blank(&mut self, count: usize) {
        self.advance(count, false, false);
    }

    fn line_comment(&mut self) {
        while self.peek(0).is_some_and(|c| c != '\n') {
            self.advance(1, false, true);
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0usize;
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some('/'), Some('*')) => {
                    depth += 1;
                    self.advance(2, false, true);
                }
                (Some('*'), Some('/')) => {
                    depth -= 1;
                    self.advance(2, false, true);
                    if depth == 0 {
                        return;
                    }
                }
                (Some(_), _) => self.advance(1, false, true),
                (None, _) => return,
            }
        }
    }

    fn string(&mut self) {
        self.keep(1);
        while let Some(c) = self.peek(0) {
            match c {
                '\\' => self.blank(2),
                '"' => return self.keep(1),
                _ => self.blank(1),
            }
        }
    }

    /// Whether an `r` here begins a raw string: not the end of a longer word (but for `br` and `cr`), then `#`s, then a quote.
    fn is_raw_string(&self) -> bool {
        let before = |back: usize| {
            self.at
                .checked_sub(back)
                .and_then(|i| self.source.get(i))
                .copied()
        };
        let starts = match before(1) {
            Some('b' | 'c') => !before(2).is_some_and(is_identifier),
            other => !other.is_some_and(is_identifier),
        };
        starts && self.peek(1 + self.hashes(1)) == Some('"')
    }

    fn hashes(&self, from: usize) -> usize {
        self.source[(self.at + from).min(self.source.len())..]
            .iter()
            .take_while(|c| **c == '#')
            .count()
    }

    fn raw_string(&mut self) {
        let hashes = self.hashes(1);
        self.keep(hashes + 2);
        while let Some(c) = self.peek(0) {
            if c == '"' && self.hashes(1) >= hashes {
                return self.keep(1 + hashes);
            }
            self.blank(1);
        }
    }

    /// A quote begins a character or a lifetime.
    fn quote(&mut self) {
        if self.peek(1) == Some('\\') {
            self.keep(1);
            self.blank(2);
            while self.peek(0).is_some_and(|c| c != '\'' && c != '\n') {
                self.blank(1);
            }
            self.keep(1);
        } else if self.peek(2) == Some('\'') {
            self.keep(1);
            self.blank(1);
            self.keep(1);
        } else {
            self.keep(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_comments_and_strings_apart() {
        let code = RustCode::new(
            "let a = \"un\\\"safe\"; // unsafe\n/* un /* safe */ x */ let b = r#\"x\"y\"#; br\"z\"",
        );
        assert_eq!(
            code.text,
            "let a = \"        \";          \n                      let b = r#\"   \"#; br\" \""
        );
        assert_eq!(code.comments, ["// unsafe", "/* un /* safe */ x */"]);
    }

    #[test]
    fn tells_characters_from_lifetimes() {
        let code = RustCode::new(
            r#"fn f<'a>(x: &'a str) { g('"', '\'', '\u{41}', b'x', '{') } 'outer: loop {} r#type"#,
        );
        assert_eq!(
            code.text,
            r#"fn f<'a>(x: &'a str) { g(' ', '  ', '      ', b' ', ' ') } 'outer: loop {} r#type"#
        );
    }

    #[test]
    fn finds_whole_words_and_closing_brackets() {
        let code = RustCode::new("unsafe_code unsafe(a[1], {b}) x");
        assert_eq!(code.words("unsafe").collect::<Vec<_>>(), [12]);
        assert_eq!(code.closing(18), Some(29));
        assert_eq!(code.closing(20), Some(23));
    }

    #[test]
    fn marks_the_lines_that_exist_only_in_tests() {
        let code = RustCode::new(
            "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n#[cfg(not(test))]\nfn d() {}\n#[test]\nfn e(x: [u8; 2]) {\n}\n",
        );
        let lines: Vec<usize> = (1..=11).filter(|line| code.is_test(*line)).collect();
        assert_eq!(lines, [2, 3, 4, 5, 9, 10, 11]);
    }
}
