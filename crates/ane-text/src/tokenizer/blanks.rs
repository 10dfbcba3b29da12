//! What blanks and bytes are where tokens are made of words.

/// The byte that a character of GPT-2's alphabet stands for.
///
/// Bytes that print are themselves; the others follow from U+0100 on, so that no token has a blank in it.
pub(super) fn byte_of(character: char) -> Option<u8> {
    let code = u32::from(character);
    match code {
        0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff => u8::try_from(code).ok(),
        0x100..=0x120 => u8::try_from(code - 0x100).ok(),
        0x121..=0x142 => u8::try_from(code - 0x121 + 0x7f).ok(),
        0x143 => Some(0xad),
        _ => None,
    }
}

/// The character of GPT-2's alphabet that stands for a byte.
pub(super) fn character_of(byte: u8) -> char {
    let code = u32::from(byte);
    let code = match byte {
        0..=0x20 => code + 0x100,
        0x7f..=0xa0 => code - 0x7f + 0x121,
        0xad => 0x143,
        _ => code,
    };
    char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// A word in GPT-2's alphabet.
pub(super) fn spelled(word: &str) -> String {
    word.bytes().map(character_of).collect()
}

/// The offset behind the last line feed that stands alone behind a character which is no blank, and before a letter or
/// a digit; 0 where there is none.
///
/// Patterns that divide text into words end one there, whichever way they treat several blanks, blanks before words,
/// and punctuation at line ends; and a text that ends there is divided as if it went on.
pub(super) fn last_line_apart(text: &str) -> usize {
    let mut ends = text.match_indices('\n').map(|(at, _)| at).rev();
    let apart = ends.find(|&at| {
        let before = text[..at].chars().next_back();
        let behind = text[at + 1..].chars().next();
        before.is_some_and(|c| !c.is_whitespace() && !c.is_control())
            && behind.is_some_and(char::is_alphanumeric)
    });
    apart.map_or(0, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_characters_of_their_own() {
        for byte in 0..=255 {
            assert_eq!(byte_of(character_of(byte)), Some(byte));
            assert!(!character_of(byte).is_whitespace() && !character_of(byte).is_control());
        }
        assert_eq!((character_of(b' '), character_of(b'\n')), ('Ġ', 'Ċ'));
        let known = (0..0x400).filter_map(char::from_u32).filter_map(byte_of);
        assert_eq!(known.count(), 256);
    }

    #[test]
    fn text_is_cut_behind_lines_that_stand_apart() {
        let cases = [
            ("", 0),
            ("a\nb", 2),
            ("a\nb\nc", 4),
            ("a\nb\n", 2),
            ("a\nb\n\nc", 2),
            ("a\nb\n c", 2),
            ("a\nb \nc", 2),
            ("a\nb.\n/c", 2),
            ("a\r\nb", 0),
            ("a.\né", 3),
        ];
        for (text, at) in cases {
            assert_eq!(last_line_apart(text), at, "{text:?}");
        }
    }
}
