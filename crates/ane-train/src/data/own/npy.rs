//! NumPy's arrays: a `.npy` file of inputs beside one of labels, or an `.npz` archive of both.
//!
//! A `.npy` file is read where it lies; an archive is decompressed into memory. Pickled objects are refused.

use super::{
    Format, Kind, OwnDataError,
    arrays::{self, Array},
    error::{Problem, Sayer},
    raw::Raw,
    rows::{Element, Rows},
    settings::DataSettings,
};
use crate::data::Description;
use npyz::{DType, Endianness, NpyHeader, Order, TypeChar};
use std::{
    fs::File,
    io::{self, BufReader, Cursor, Read, Seek},
    path::Path,
};
use zip::ZipArchive;

/// Most bytes of a header.
const LONGEST_HEADER: u64 = 1 << 16;
/// Most bytes of an array that is decompressed.
const LARGEST: u64 = 8 << 30;

/// See the module.
#[derive(Debug)]
pub(super) struct Npy;

impl Format for Npy {
    fn name(&self) -> &'static str {
        "arrays of NumPy (.npz with arrays such as x and y, or .npy with --label pointing to another)"
    }

    fn takes(&self, path: &Path) -> bool {
        let end = path.extension().unwrap_or_default();
        end.eq_ignore_ascii_case("npy") || end.eq_ignore_ascii_case("npz")
    }

    fn kind(&self) -> Kind {
        Kind::Arrays
    }

    fn names(&self, path: &Path) -> Vec<String> {
        if !is_archive(path) {
            return Vec::new();
        }
        let file = ane_files::open(path).ok();
        let archive = file.and_then(|(file, _)| ZipArchive::new(BufReader::new(file)).ok());
        archive.map_or_else(Vec::new, |archive| members(&archive))
    }

    fn read(
        &self,
        path: &Path,
        settings: &DataSettings,
        known: Option<&Description>,
    ) -> Result<Raw, OwnDataError> {
        let say = Sayer(path);
        if is_archive(path) {
            return archive(path, settings, known, &say);
        }
        let beside = |file: &str| {
            let in_folder = path.parent().unwrap_or(Path::new(".")).join(file);
            let asked = Path::new(file);
            let found = if asked.is_file() { asked } else { &in_folder };
            of_file(found, file)
        };
        let label = match &settings.label {
            _ if settings.inputs_alone => None,
            Some(file) if known.is_none() => Some(beside(file)?),
            // A run that is judged on another file finds its labels by the same name, where they are there.
            Some(file) => beside(file).ok(),
            None if known.is_some() => None,
            None => {
                return Err(say.content("is an array without labels").advise(
                    "name the .npy file of the labels by --label, or pass an .npz with both",
                ));
            }
        };
        let weights = settings
            .example_weights
            .as_deref()
            .filter(|_| !settings.inputs_alone)
            .map(beside)
            .transpose()?;
        let input = of_file(path, "x")?;
        let fits = |a: &Array| known.is_none() || a.rows.len() == input.rows.len();
        let (label, weights) = (label.filter(fits), weights.filter(fits));
        arrays::into_raw(input, label, weights, settings, &say)
    }
}

fn is_archive(path: &Path) -> bool {
    let end = path.extension().unwrap_or_default();
    end.eq_ignore_ascii_case("npz")
}

/// The names of the arrays of an archive.
fn members(archive: &ZipArchive<BufReader<File>>) -> Vec<String> {
    let names = archive.file_names();
    names
        .filter_map(|n| Some(n.ok()?.strip_suffix(".npy")?.to_owned()))
        .collect()
}

/// What a header says that can be used.
struct Head {
    element: Element,
    shape: Vec<usize>,
}

/// The bytes of a header, after which the elements come: a magic, a version, a length, a text.
fn header(mut from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 8];
    from.read_exact(&mut bytes)?;
    // Versions from 2 on have a length of four bytes.
    let of_length = if bytes[6] >= 2 { 4 } else { 2 };
    let mut length = [0; 4];
    from.read_exact(&mut length[..of_length])?;
    bytes.extend_from_slice(&length[..of_length]);
    let length = u64::from(u32::from_le_bytes(length)).min(LONGEST_HEADER);
    from.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whether the axes in a header's text have a product: the library multiplies them without asking.
fn has_a_size(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let axes = text.split_once("shape").and_then(|(_, rest)| {
        let (_, rest) = rest.split_once('(')?;
        Some(rest.split_once(')')?.0)
    });
    let mut axes = axes
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|a| !a.is_empty());
    // The widest element has 16 bytes.
    axes.try_fold(16_u64, |all, axis| {
        all.checked_mul(axis.parse::<u64>().ok()?.max(1))
    })
    .is_some_and(|all| i64::try_from(all).is_ok())
}

/// Reads a header, after which the elements come.
fn head(from: impl Read, say: &Sayer<'_>, name: &str) -> Result<Head, OwnDataError> {
    let at = || format!("array `{name}`");
    let no_header = |why: String| {
        say.at(
            at(),
            Problem::Content(format!("has no header of NumPy's: {why}")),
        )
        .advise("save it by numpy.save")
    };
    let bytes = header(from).map_err(|e| no_header(e.to_string()))?;
    if bytes.starts_with(b"\x93NUMPY") && !has_a_size(&bytes) {
        return Err(say
            .at(
                at(),
                Problem::Content("says it has more elements than there can be".into()),
            )
            .advise("it is damaged; save it again"));
    }
    let header = NpyHeader::from_reader(&bytes[..]).map_err(|e| no_header(e.to_string()))?;
    let dtype = header.dtype();
    let unusable = |advice: &str| {
        say.at(
            at(),
            Problem::Differs {
                expected: "numbers or booleans, little-endian".into(),
                found: format!("elements of type {}", dtype.descr()),
            },
        )
        .advise(advice)
    };
    if header.uses_pickled_array() {
        return Err(unusable(
            "it holds pickled objects, which are never opened; save it with a numeric dtype",
        ));
    }
    let DType::Plain(ty) = &dtype else {
        return Err(unusable(
            "save the fields of a structured array as arrays of their own",
        ));
    };
    if ty.endianness() == Endianness::Big && ty.size_field() > 1 {
        return Err(unusable(
            "save it as little-endian, such as x.astype('<f4')",
        ));
    }
    let element = match (ty.type_char(), ty.size_field()) {
        (TypeChar::Bool, 1) => Element::Bool,
        (TypeChar::Uint, 1) => Element::UInt8,
        (TypeChar::Uint, 2) => Element::UInt16,
        (TypeChar::Uint, 4) => Element::UInt32,
        (TypeChar::Uint, 8) => Element::UInt64,
        (TypeChar::Int, 1) => Element::Int8,
        (TypeChar::Int, 2) => Element::Int16,
        (TypeChar::Int, 4) => Element::Int32,
        (TypeChar::Int, 8) => Element::Int64,
        (TypeChar::Float, 2) => Element::Fp16,
        (TypeChar::Float, 4) => Element::Fp32,
        (TypeChar::Float, 8) => Element::Fp64,
        _ => return Err(unusable("save it with a numeric dtype")),
    };
    let shape: Option<Vec<usize>> = header
        .shape()
        .iter()
        .map(|&n| usize::try_from(n).ok())
        .collect();
    let shape = shape.filter(|s| {
        s.iter()
            .try_fold(element.size(), |a, &n| a.checked_mul(n))
            .is_some()
    });
    let shape = shape.ok_or_else(|| {
        say.at(
            at(),
            Problem::Content(format!(
                "says it has {:?} elements, more than there can be",
                header.shape()
            )),
        )
    })?;
    if shape.is_empty() {
        return Err(say
            .at(at(), Problem::Content("is a single number".into()))
            .advise("save an array whose first axis counts the examples"));
    }
    if header.order() == Order::Fortran && shape.len() > 1 {
        return Err(say
            .at(
                at(),
                Problem::Content("lies in the order of Fortran".into()),
            )
            .advise("save numpy.ascontiguousarray of it"));
    }
    if shape.len() > 4 {
        return Err(say.at(
            at(),
            Problem::TooMany {
                what: "axes of an example".into(),
                most: 3,
                found: shape.len() as u64 - 1,
            },
        ));
    }
    Ok(Head { element, shape })
}

/// The array of a `.npy` file.
fn of_file(path: &Path, name: &str) -> Result<Array, OwnDataError> {
    let say = Sayer(path);
    let (mut file, length) = ane_files::open(path).map_err(|e| say.whole(io::Error::from(e)))?;
    let Head { element, shape } = head(&mut file, &say, name)?;
    let offset = file.stream_position().map_err(|e| say.whole(e))?;
    let width = shape[1..].iter().product();
    let rows = Rows::of_file(path, offset, (element, width, shape[0])).map_err(|e| {
        if e.kind() != io::ErrorKind::UnexpectedEof {
            return say.whole(e);
        }
        say.whole(Problem::Differs {
            expected: format!(
                "{} bytes of elements for {shape:?}",
                shape.iter().product::<usize>() * element.size()
            ),
            found: (length - offset).to_string(),
        })
        .advise("it was cut short; save or copy it again")
    })?;
    Ok(Array {
        name: name.to_owned(),
        shape,
        rows,
    })
}

/// The arrays of an `.npz` archive.
fn archive(
    path: &Path,
    settings: &DataSettings,
    known: Option<&Description>,
    say: &Sayer<'_>,
) -> Result<Raw, OwnDataError> {
    let (file, _) = ane_files::open(path).map_err(|e| say.whole(io::Error::from(e)))?;
    let broken = |e: zip::result::ZipError| {
        say.content(format!("is no archive of NumPy's: {e}"))
            .advise("save it by numpy.savez or numpy.savez_compressed")
    };
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(broken)?;
    let names = members(&archive);
    let (input, label) = arrays::chosen(&names, settings, known.is_some(), say)?;
    let mut member = |name: &str| -> Result<Array, OwnDataError> {
        let entry = archive.by_name(&format!("{name}.npy")).map_err(broken)?;
        of_member(entry, name, say)
    };
    let input = member(&input)?;
    let label = label.map(|l| member(&l)).transpose()?;
    let weights = settings.example_weights.as_deref();
    let is_read = |w: &&str| {
        let is_there = known.is_none() || names.iter().any(|n| n == w);
        is_there && !settings.inputs_alone
    };
    let weights = weights.filter(is_read);
    let weights = weights.map(&mut member).transpose()?;
    arrays::into_raw(input, label, weights, settings, say)
}

/// An array of an archive, in memory: no more of it is read than its header says, whatever it decompresses to.
fn of_member(
    mut entry: zip::read::ZipFile<'_, BufReader<File>>,
    name: &str,
    say: &Sayer<'_>,
) -> Result<Array, OwnDataError> {
    let mut start = Vec::new();
    let read = (&mut entry).take(LONGEST_HEADER).read_to_end(&mut start);
    read.map_err(|e| say.at(format!("array `{name}`"), e))?;
    let mut cursor = Cursor::new(&start);
    let Head { element, shape } = head(&mut cursor, say, name)?;
    let offset = cursor.position() as usize;
    let width: usize = shape[1..].iter().product();
    let wanted = (width * shape[0] * element.size()) as u64;
    if wanted > LARGEST {
        return Err(say
            .at(
                format!("array `{name}`"),
                Problem::TooMany {
                    what: "bytes of an array in an archive".into(),
                    most: LARGEST,
                    found: wanted,
                },
            )
            .advise("save it as a .npy file, which is read where it lies"));
    }
    let mut bytes = start.split_off(offset);
    let left = wanted.saturating_sub(bytes.len() as u64);
    let read = entry.take(left).read_to_end(&mut bytes);
    read.map_err(|e| say.at(format!("array `{name}`"), e))?;
    bytes.truncate(wanted as usize);
    if bytes.len() as u64 != wanted {
        return Err(say
            .at(
                format!("array `{name}`"),
                Problem::Differs {
                    expected: format!("{wanted} bytes of elements for {shape:?}"),
                    found: bytes.len().to_string(),
                },
            )
            .advise("it was cut short; save or copy it again"));
    }
    Ok(Array {
        name: name.to_owned(),
        shape,
        rows: Rows::held(element, width, bytes),
    })
}
