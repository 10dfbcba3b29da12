//! Pictures as examples: PNG and JPEG.
//!
//! Every picture becomes rows of pixels of one size. Sixteen bits are reduced to eight, what is transparent lies on black, and
//! of grey and coloured pictures the first one decides unless somebody says which they are to be.

use super::{
    Format, Kind, OwnDataError,
    error::{Problem, Sayer},
    raw::{Layout, Raw, RawTargets},
    rows::{Element, Rows},
    settings::DataSettings,
};
use crate::data::description::{Description, Fit};
use image::{
    DynamicImage, GenericImageView, ImageReader, Limits, Rgb, RgbImage, imageops,
    imageops::FilterType,
};
use std::{
    io::{self, Cursor},
    path::{Path, PathBuf},
};

/// Most pixels of a side of a picture.
const LONGEST_SIDE: u32 = 16_384;
/// Most bytes that a picture may take decoded.
const LARGEST: u64 = 512 << 20;
/// Most bytes of a file.
const LARGEST_FILE: u64 = 256 << 20;
/// Most bytes of all pixels.
const MOST_BYTES: u64 = 16 << 30;
/// Ends of the names of pictures.
const ENDS: [&str; 3] = ["png", "jpg", "jpeg"];

/// A single picture, of which a run is asked what it has learned.
#[derive(Debug)]
pub(super) struct Picture;

impl Format for Picture {
    fn name(&self) -> &'static str {
        "a picture (.png, .jpg), to predict"
    }

    fn takes(&self, path: &Path) -> bool {
        has_end(path)
    }

    fn kind(&self) -> Kind {
        Kind::Pictures
    }

    fn read(
        &self,
        path: &Path,
        settings: &DataSettings,
        known: Option<&Description>,
    ) -> Result<Raw, OwnDataError> {
        let say = Sayer(path);
        if known.is_none() {
            return Err(say
                .content("is a single picture, of which nothing can be learned")
                .advise("pass the folder that has a folder of pictures per class"));
        }
        of_pictures(vec![path.to_owned()], None, settings, known, &say)
    }
}

fn has_end(path: &Path) -> bool {
    let end = path.extension().unwrap_or_default();
    ENDS.iter().any(|e| end.eq_ignore_ascii_case(e))
}

/// Whether a path leads to a picture, by its name.
pub(super) fn is_picture(path: &Path) -> bool {
    has_end(path) && path.is_file()
}

/// Pictures as rows of pixels.
pub(super) fn of_pictures(
    pictures: Vec<PathBuf>,
    targets: Option<RawTargets>,
    settings: &DataSettings,
    known: Option<&Description>,
    say: &Sayer<'_>,
) -> Result<Raw, OwnDataError> {
    let Some(first) = pictures.first() else {
        return Err(say
            .content("holds no pictures")
            .advise("put PNG or JPEG pictures there"));
    };
    let first = decode(first)?;
    let channels = match settings.channels {
        Some(n @ (1 | 3)) => n,
        Some(n) => {
            return Err(say
                .whole(Problem::Differs {
                    expected: "1 channel (grey) or 3 (red, green and blue)".into(),
                    found: n.to_string(),
                })
                .advise("pass --channels 1 or --channels 3"));
        }
        None if first.color().has_color() => 3,
        None => 1,
    };
    let (width, height) = first.dimensions();
    let [rows, columns] = settings.size.unwrap_or([height as usize, width as usize]);
    if rows == 0 || columns == 0 || rows.max(columns) > LONGEST_SIDE as usize {
        return Err(say
            .whole(Problem::Differs {
                expected: format!("a size from 1 to {LONGEST_SIDE} rows and columns"),
                found: format!("{rows} rows and {columns} columns"),
            })
            .advise("pass another --size, such as --size 64x64"));
    }
    let bytes = (channels * rows * columns) as u64 * pictures.len() as u64;
    if bytes > MOST_BYTES {
        return Err(say
            .whole(Problem::TooMany {
                what: "bytes of pixels".into(),
                most: MOST_BYTES,
                found: bytes,
            })
            .advise("pass a smaller --size"));
    }
    let fit = settings.image_fit();
    let mut pixels = Vec::with_capacity(bytes as usize);
    for path in &pictures {
        let picture = fitted(decode(path)?, [rows, columns], fit);
        let picture =
            picture.map_err(|p| of_another_size(&p, [rows, columns], settings, known, path))?;
        planes(&picture, channels, &mut pixels);
    }
    Ok(Raw {
        inputs: Rows::held(Element::UInt8, channels * rows * columns, pixels),
        layout: Layout::Image {
            shape: [channels, rows, columns],
            channels_last: false,
        },
        targets,
        weights: None,
        dropped: Vec::new(),
        label: None,
        others: 0,
        names: Some(pictures),
    })
}

/// A picture of a file, of bounded size.
fn decode(path: &Path) -> Result<DynamicImage, OwnDataError> {
    let say = Sayer(path);
    let bytes = ane_files::read(path, LARGEST_FILE).map_err(|e| say.whole(io::Error::from(e)))?;
    let broken = |e: String| {
        say.content(format!("is no picture that can be read: {e}"))
            .advise("mend or remove it, or save it as PNG or JPEG")
    };
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
    let mut reader = reader.map_err(|e| broken(e.to_string()))?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(LONGEST_SIDE);
    limits.max_image_height = Some(LONGEST_SIDE);
    limits.max_alloc = Some(LARGEST);
    reader.limits(limits);
    let picture = reader.decode().map_err(|e| broken(e.to_string()))?;
    if picture.width() == 0 || picture.height() == 0 {
        return Err(broken("it has no pixels".into()));
    }
    Ok(picture)
}

/// A picture of another size than the others.
fn of_another_size(
    picture: &DynamicImage,
    [rows, columns]: [usize; 2],
    settings: &DataSettings,
    known: Option<&Description>,
    path: &Path,
) -> OwnDataError {
    let (of, advice) = match known {
        None => (
            "the first picture has",
            "pass --size ROWSxCOLUMNS, to which all are scaled, and --fit for how",
        ),
        Some(_) if settings.inputs_alone => (
            "the run has learned from",
            "pass --fit crop, pad or stretch, by which pictures are brought to that size",
        ),
        Some(_) => (
            "those have that are trained on",
            "bring it to that size, or train with --size ROWSxCOLUMNS, to which all are scaled",
        ),
    };
    Sayer(path)
        .whole(Problem::Differs {
            expected: format!("{rows} rows and {columns} columns, as {of}"),
            found: format!("{} and {}", picture.height(), picture.width()),
        })
        .advise(advice)
}

/// A picture at this size; as it is where it would have to be scaled and may not.
fn fitted(
    picture: DynamicImage,
    [rows, columns]: [usize; 2],
    fit: Fit,
) -> Result<DynamicImage, DynamicImage> {
    let (width, height) = (columns as u32, rows as u32);
    if picture.dimensions() == (width, height) {
        return Ok(picture);
    }
    Ok(match fit {
        Fit::Exact => return Err(picture),
        Fit::Stretch => picture.resize_exact(width, height, FilterType::Triangle),
        Fit::Crop => picture.resize_to_fill(width, height, FilterType::Triangle),
        Fit::Pad => {
            let small = picture
                .resize(width, height, FilterType::Triangle)
                .to_rgb8();
            let mut all = RgbImage::from_pixel(width, height, Rgb([0; 3]));
            let left = (width - small.width()) / 2;
            let top = (height - small.height()) / 2;
            imageops::replace(&mut all, &small, left.into(), top.into());
            DynamicImage::ImageRgb8(all)
        }
    })
}

/// The channels of a picture, one behind the other; what is transparent lies on black.
fn planes(picture: &DynamicImage, channels: usize, out: &mut Vec<u8>) {
    let over_black =
        |colour: u8, alpha: u8| ((u16::from(colour) * u16::from(alpha) + 127) / 255) as u8;
    if channels == 1 {
        let grey = picture.to_luma_alpha8();
        out.extend(grey.pixels().map(|p| over_black(p.0[0], p.0[1])));
        return;
    }
    let colours = picture.to_rgba8();
    for channel in 0..channels {
        out.extend(colours.pixels().map(|p| over_black(p.0[channel], p.0[3])));
    }
}
