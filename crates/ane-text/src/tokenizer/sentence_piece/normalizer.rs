//! `Normalizer`: what SentencePiece does to text before it is divided.

use super::{
    super::Part,
    model::{Model, ModelError},
    wire::fields,
};

/// What stands for a blank.
pub(super) const SPACE: char = '\u{2581}';

/// What `NormalizerSpec` says, with SentencePiece's defaults.
#[derive(Debug, Clone)]
pub(super) struct Normalizer {
    pub(super) rules: Rules,
    pub(super) adds_prefix: bool,
    pub(super) removes_spaces: bool,
    pub(super) escapes_spaces: bool,
    /// The blank that is added stands behind the text.
    pub(super) is_suffix: bool,
}

/// Replacements of what a text begins with: a trie of what is replaced, and what by.
///
/// The trie is a double array: of unit `u` at node `n`, the child by byte `b` is at `n ^ offset(u) ^ b` and says `b`
/// itself. Values are offsets of texts that end with NUL.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules {
    content: Vec<u8>,
    units: Vec<u32>,
    texts: String,
}

impl Default for Normalizer {
    fn default() -> Self {
        Self {
            rules: Rules::default(),
            adds_prefix: true,
            removes_spaces: true,
            escapes_spaces: true,
            is_suffix: false,
        }
    }
}

impl Normalizer {
    pub(super) fn parse(&mut self, message: &[u8]) -> Result<(), ModelError> {
        for field in fields(message) {
            let field = field?;
            match field.number {
                2 => self.rules = Rules::parse(field.bytes()?)?,
                3 => self.adds_prefix = field.flag()?,
                4 => self.removes_spaces = field.flag()?,
                5 => self.escapes_spaces = field.flag()?,
                _ => {}
            }
        }
        Ok(())
    }

    fn space(&self) -> char {
        if self.escapes_spaces { SPACE } else { ' ' }
    }
}

impl Model {
    /// The text as it is divided.
    pub(super) fn normalise(&self, mut text: &str, part: Part) -> String {
        let spec = &self.normalizer;
        let space = spec.space();
        if spec.removes_spaces && part.is_first {
            while let (prefix, " ") = self.prefix(text)
                && prefix > 0
            {
                text = &text[prefix..];
            }
        }
        let mut normal = String::with_capacity(text.len() + text.len() / 8 + 4);
        if text.is_empty() {
            return normal;
        }
        if spec.adds_prefix && !spec.is_suffix && part.is_first {
            normal.push(space);
        }
        let mut is_behind_space = spec.removes_spaces && part.is_first;
        while !text.is_empty() {
            let (length, by) = self.prefix(text);
            let by = if is_behind_space {
                by.trim_start_matches(' ')
            } else {
                by
            };
            if !by.is_empty() {
                normal.extend(by.chars().map(|c| if c == ' ' { space } else { c }));
                is_behind_space = by.ends_with(' ');
            }
            is_behind_space &= spec.removes_spaces;
            text = &text[length..];
        }
        if spec.removes_spaces && part.is_last {
            normal.truncate(normal.trim_end_matches(space).len());
        }
        if spec.adds_prefix && spec.is_suffix && part.is_last {
            normal.push(space);
        }
        normal
    }

    /// How many bytes at the beginning of a text are replaced, and by what.
    fn prefix<'a>(&'a self, text: &'a str) -> (usize, &'a str) {
        if let Some(kept) = self.user_defined(text) {
            return (kept.len(), kept);
        }
        if let Some(found) = self.normalizer.rules.longest(text) {
            return found;
        }
        let length = text.chars().next().map_or(0, char::len_utf8);
        (length, &text[..length])
    }
}

impl Rules {
    fn parse(content: &[u8]) -> Result<Self, ModelError> {
        if content.is_empty() {
            return Ok(Self::default());
        }
        let wrong = ModelError::Rules;
        let (length, rest) = content
            .split_first_chunk::<4>()
            .ok_or(wrong("they end within their length"))?;
        let length = u32::from_le_bytes(*length) as usize;
        if length == 0 || !length.is_multiple_of(4) || length > rest.len() {
            return Err(wrong("their trie is not as long as they say"));
        }
        let (trie, texts) = rest.split_at(length);
        let units = trie.chunks_exact(4);
        let units = units.map(|u| u.iter().rev().fold(0, |sum, &b| sum << 8 | u32::from(b)));
        let texts = std::str::from_utf8(texts);
        let texts = texts.map_err(|_| wrong("what they replace text by is no UTF-8"))?;
        if !texts.ends_with('\0') {
            return Err(wrong("the last of their texts has no end"));
        }
        Ok(Self {
            content: content.to_owned(),
            units: units.collect(),
            texts: texts.to_owned(),
        })
    }

    pub(super) fn content(&self) -> &[u8] {
        &self.content
    }

    /// The longest beginning of a text that is replaced, in bytes, and what by.
    fn longest<'a>(&'a self, text: &str) -> Option<(usize, &'a str)> {
        let mut found = None;
        let mut at = offset(*self.units.first()?);
        for (index, byte) in text.bytes().enumerate() {
            at ^= byte as usize;
            let Some(&unit) = self.units.get(at) else {
                break;
            };
            if unit & 0x8000_00ff != u32::from(byte) {
                break;
            }
            at ^= offset(unit);
            if unit >> 8 & 1 == 1
                && let Some(&value) = self.units.get(at)
                && text.is_char_boundary(index + 1)
                && let Some(by) = self.texts.get((value & 0x7fff_ffff) as usize..)
            {
                let end = by.find('\0').unwrap_or(by.len());
                found = Some((index + 1, &by[..end]));
            }
        }
        found
    }
}

/// What the place of a node's children is combined with.
fn offset(unit: u32) -> usize {
    ((unit >> 10) << ((unit & 1 << 9) >> 6)) as usize
}
