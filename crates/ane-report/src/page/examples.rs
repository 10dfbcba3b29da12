//! The examples that were answered worst, as pictures or as numbers.

use super::section;
use crate::svg::escape;
use base64::{Engine, engine::general_purpose::STANDARD};
use resvg::tiny_skia::{ColorU8, Pixmap};
use std::fmt::Write;

/// An example that is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// Its number in the file that it is from, from 1.
    pub number: u64,
    /// What it is.
    pub content: Content,
    /// What was answered.
    pub answered: String,
    /// What it should have been.
    pub wanted: String,
    /// How sure the model was of its answer, from 0 to 1.
    pub confidence: Option<f64>,
}

/// What an example is.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A picture, as the model sees it: a value per channel, row and column.
    Picture {
        /// Channels, rows and columns; 1 channel is grey, 3 are red, green and blue.
        shape: [usize; 3],
        /// Channel by channel.
        values: Vec<f32>,
    },
    /// Numbers.
    Row(Vec<f32>),
}

/// Most numbers that are shown of an example.
const MOST_NUMBERS: usize = 12;

pub(super) fn write(out: &mut String, examples: &[Shown]) {
    if examples.is_empty() {
        return;
    }
    section(out, "Most wrong");
    out.push_str("<div class=\"examples\">\n");
    for shown in examples {
        let picture = match &shown.content {
            Content::Picture { shape, values } => png(*shape, values),
            Content::Row(_) => None,
        };
        match (&picture, &shown.content) {
            (Some(png), _) => {
                let _ = write!(
                    out,
                    "<figure><img alt=\"example {}\" src=\"data:image/png;base64,{}\">",
                    shown.number,
                    STANDARD.encode(png)
                );
            }
            (None, Content::Picture { values, .. } | Content::Row(values)) => {
                out.push_str("<figure class=\"row\">");
                let _ = write!(out, "<span>{}</span>", numbers(values));
            }
        }
        let sure = shown
            .confidence
            .map_or(String::new(), |p| format!(", {:.0}\u{a0}% sure", 100.0 * p));
        let _ = writeln!(
            out,
            "<figcaption><b>{}</b> instead of <b>{}</b>{sure}<br>example {}</figcaption></figure>",
            escape(&shown.answered),
            escape(&shown.wanted),
            shown.number
        );
    }
    out.push_str("</div>\n");
}

fn numbers(values: &[f32]) -> String {
    let first = values.iter().take(MOST_NUMBERS);
    let mut text: Vec<String> = first.map(|x| crate::axis::plain((*x).into())).collect();
    if values.len() > MOST_NUMBERS {
        text.push("…".to_owned());
    }
    text.join(", ")
}

/// A picture whose darkest value is black and whose brightest is white; none of a shape that is no picture's.
fn png([channels, rows, columns]: [usize; 3], values: &[f32]) -> Option<Vec<u8>> {
    let size = rows.checked_mul(columns)?;
    if !matches!(channels, 1 | 3) || size == 0 || values.len() != channels * size {
        return None;
    }
    let finite = || values.iter().copied().filter(|x| x.is_finite());
    let low = finite().fold(f32::INFINITY, f32::min);
    let high = finite().fold(f32::NEG_INFINITY, f32::max);
    let range = if high > low { high - low } else { 1.0 };
    let byte = |x: f32| (255.0 * (x - low) / range).round().clamp(0.0, 255.0) as u8;
    let mut picture = Pixmap::new(columns.try_into().ok()?, rows.try_into().ok()?)?;
    for (i, pixel) in picture.pixels_mut().iter_mut().enumerate() {
        let of = |channel: usize| byte(values[(channel % channels) * size + i]);
        *pixel = ColorU8::from_rgba(of(0), of(1), of(2), 255).premultiply();
    }
    picture.encode_png().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_grey_or_coloured_and_nothing_else() {
        let grey = png([1, 2, 2], &[0.0, 0.5, 1.0, 0.25]).unwrap();
        let pixels = Pixmap::decode_png(&grey).unwrap();
        let found: Vec<u8> = pixels.pixels().iter().map(|p| p.red()).collect();
        assert_eq!(found, [0, 128, 255, 64]);
        let coloured = png([3, 1, 1], &[-1.0, 0.0, 1.0]).unwrap();
        let pixel = Pixmap::decode_png(&coloured).unwrap().pixels()[0];
        assert_eq!((pixel.red(), pixel.green(), pixel.blue()), (0, 128, 255));
        assert!(png([1, 1, 2], &[f32::NAN, f32::INFINITY]).is_some());
        for (shape, values) in [
            ([2, 1, 1], 2),
            ([1, 0, 4], 0),
            ([1, 2, 2], 3),
            ([usize::MAX; 3], 1),
        ] {
            assert_eq!(png(shape, &vec![0.0; values]), None, "{shape:?}");
        }
    }
}
