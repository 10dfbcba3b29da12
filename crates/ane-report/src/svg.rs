//! Text of SVG: what a number and a string are there.

/// Fonts by preference; the first is the one that pictures are rendered with.
pub(crate) const FONTS: &str = "Noto Sans, DejaVu Sans, Verdana, Helvetica, Arial, sans-serif";

/// A text within an element or an attribute. What XML cannot hold at all becomes a replacement character.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' | '\n' | '\r' => out.push(' '),
            c if c.is_control() || c == '\u{fffe}' || c == '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// A coordinate, to a hundredth.
pub(crate) fn at(x: f64) -> String {
    let text = format!("{x:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0" } else { text }.to_owned()
}

/// About how wide a text is in a font of so many pixels.
pub(crate) fn width(text: &str, size: f64) -> f64 {
    0.56 * size * text.chars().count() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_element() {
        assert_eq!(
            escape("<a b=\"c\">&'\u{1}\n"),
            "&lt;a b=&quot;c&quot;&gt;&amp;&#39;\u{fffd} "
        );
    }

    #[test]
    fn coordinates_are_short() {
        assert_eq!(
            [at(1.0), at(1.256), at(-0.001), at(100.0)],
            ["1", "1.26", "0", "100"]
        );
    }
}
