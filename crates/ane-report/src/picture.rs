//! SVG as a PNG, with a font that the program brings along.

use resvg::{
    tiny_skia::{Pixmap, Transform},
    usvg::{Options, Tree, fontdb::Database},
};
use std::sync::Arc;

/// An SVG cannot be made a picture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PictureError {
    /// It cannot be read; those of this crate can.
    #[error("the curves cannot be rendered: {reason}")]
    Svg {
        /// Why not.
        reason: String,
    },
    /// The picture would be larger than can be held.
    #[error("a picture of {width}×{height} pixels cannot be made")]
    Size {
        /// Its width.
        width: u32,
        /// Its height.
        height: u32,
    },
}

/// Pixels of a picture for each of the SVG, so that it is sharp on dense screens.
const DENSITY: f32 = 2.0;

/// An SVG as a PNG.
///
/// # Errors
/// When the SVG cannot be read, or is too large.
pub fn png(svg: &str) -> Result<Vec<u8>, PictureError> {
    let unreadable = |e: &dyn std::fmt::Display| PictureError::Svg {
        reason: e.to_string(),
    };
    let mut fonts = Database::new();
    fonts.load_font_data(ttf_noto_sans::REGULAR.to_vec());
    fonts.set_sans_serif_family("Noto Sans");
    let options = Options {
        fontdb: Arc::new(fonts),
        font_family: "Noto Sans".to_owned(),
        ..Options::default()
    };
    let tree = Tree::from_str(svg, &options).map_err(|e| unreadable(&e))?;
    let size = tree.size();
    let [width, height] = [size.width(), size.height()].map(|x| (x * DENSITY).ceil() as u32);
    let mut pixels = Pixmap::new(width, height).ok_or(PictureError::Size { width, height })?;
    let scale = Transform::from_scale(DENSITY, DENSITY);
    resvg::render(&tree, scale, &mut pixels.as_mut());
    pixels.encode_png().map_err(|e| unreadable(&e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_drawn_and_nonsense_is_refused() {
        let svg = |inner: &str| {
            format!(
                r#"<svg xmlns="http://www.w3.org/2000/svg" width="80" height="40">{inner}</svg>"#
            )
        };
        let empty = png(&svg("")).unwrap();
        assert_eq!(empty[..8], *b"\x89PNG\r\n\x1a\n");
        let text = r#"<text x="4" y="30" font-family="sans-serif" font-size="20">loss</text>"#;
        assert_ne!(png(&svg(text)).unwrap(), empty);
        assert!(png("no picture").is_err());
    }
}
