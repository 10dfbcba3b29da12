//! IDX files without published checksums: one of inputs, such as `images-idx3-ubyte`, beside one of labels. Gzipped ones are
//! decompressed into memory.
//!
//! # Sources
//! LeCun, Cortes and Burges, "The MNIST database of handwritten digits", which describes the format: two zero bytes, a type,
//! the number of axes, the axes as big-endian u32, the elements, big-endian too.

use super::{
    Format, Kind, OwnDataError,
    arrays::{self, Array},
    error::{Problem, Sayer},
    raw::Raw,
    rows::{Element, Rows},
    settings::DataSettings,
};
use crate::data::Description;
use flate2::read::MultiGzDecoder;
use std::{
    io::{self, Read},
    path::{Path, PathBuf},
};

/// Most bytes of a file, decompressed.
const LARGEST: u64 = 8 << 30;

/// See the module.
#[derive(Debug)]
pub(super) struct Idx;

impl Format for Idx {
    fn name(&self) -> &'static str {
        "IDX (images-idx3-ubyte beside labels-idx1-ubyte, also .gz)"
    }

    fn takes(&self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.to_ascii_lowercase();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        let is_marked = (1..=4).any(|axes| name.contains(&format!("idx{axes}")));
        is_marked || name.ends_with(".idx")
    }

    fn kind(&self) -> Kind {
        Kind::Images
    }

    fn read(
        &self,
        path: &Path,
        settings: &DataSettings,
        known: Option<&Description>,
    ) -> Result<Raw, OwnDataError> {
        let say = Sayer(path);
        let named = settings.label.as_deref().filter(|_| known.is_none());
        let label = match named.map(PathBuf::from).or_else(|| beside(path)) {
            _ if settings.inputs_alone => None,
            Some(file) if file.is_file() => Some(array(&file, "labels")?),
            _ if known.is_some() => None,
            _ => {
                return Err(say
                    .content("has no file of labels beside it")
                    .advise("name it by --label, or call both as MNIST does: images-idx3-ubyte and labels-idx1-ubyte"));
            }
        };
        let mut raw = arrays::into_raw(array(path, "images")?, label, None, settings, &say)?;
        // It is found by the name of the inputs again.
        raw.label = settings.label.clone();
        Ok(raw)
    }
}

/// The file of labels that belongs to one of images, by its name.
fn beside(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let labels = name.replace("images", "labels");
    let labels = (2..=4).fold(labels, |name, axes| {
        name.replace(&format!("idx{axes}"), "idx1")
    });
    (labels != name).then(|| path.with_file_name(labels))
}

/// The array of a file.
fn array(path: &Path, name: &str) -> Result<Array, OwnDataError> {
    let say = Sayer(path);
    let (file, _) = ane_files::open(path).map_err(|e| say.whole(io::Error::from(e)))?;
    let is_gzip = path
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("gz"));
    let mut bytes = Vec::new();
    let read = match is_gzip {
        true => MultiGzDecoder::new(file)
            .take(LARGEST)
            .read_to_end(&mut bytes),
        false => file.take(LARGEST).read_to_end(&mut bytes),
    };
    read.map_err(|e| say.whole(e))?;
    let broken = |why: String| {
        say.content(format!("is no IDX file: {why}"))
            .advise("get or write it again")
    };
    let [0, 0, ty, axes, ..] = bytes[..] else {
        return Err(broken(
            "it does not begin with two zero bytes, a type and a number of axes".into(),
        ));
    };
    let element = match ty {
        0x08 => Element::UInt8,
        0x09 => Element::Int8,
        0x0B => Element::Int16,
        0x0C => Element::Int32,
        0x0D => Element::Fp32,
        0x0E => Element::Fp64,
        other => return Err(broken(format!("there is no type 0x{other:02x}"))),
    };
    let axes = usize::from(axes);
    if !(1..=4).contains(&axes) {
        return Err(broken(format!("expected 1 to 4 axes, found {axes}")));
    }
    let from = 4 + 4 * axes;
    let Some(head) = bytes.get(4..from) else {
        return Err(broken("it ends before its axes do".into()));
    };
    let axis = |b: &[u8; 4]| u32::from_be_bytes(*b) as usize;
    let shape: Vec<usize> = head.as_chunks().0.iter().map(axis).collect();
    let wanted = shape
        .iter()
        .try_fold(element.size(), |all, &n| all.checked_mul(n));
    let found = bytes.len() - from;
    if wanted != Some(found) {
        let expected = wanted.map_or("more bytes than there can be".to_owned(), |n| {
            format!("{n} bytes")
        });
        return Err(say
            .whole(Problem::Differs {
                expected: format!("{expected} of elements for {shape:?}"),
                found: found.to_string(),
            })
            .advise("it was cut short or is another file; get it again"));
    }
    let mut elements = bytes.split_off(from);
    elements
        .chunks_exact_mut(element.size())
        .for_each(<[u8]>::reverse);
    Ok(Array {
        name: name.to_owned(),
        rows: Rows::held(element, shape[1..].iter().product(), elements),
        shape,
    })
}
