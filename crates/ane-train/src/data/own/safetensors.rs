//! Tensors of a safetensors file as examples: one that is learned from, and one that is learned. They are read where they lie.

use super::{
    Format, Kind, OwnDataError,
    arrays::{self, Array},
    error::{Problem, Sayer},
    raw::Raw,
    rows::{Element, Rows},
    settings::DataSettings,
};
use crate::data::Description;
use ::safetensors::Dtype;
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    io::{self, Read},
    path::Path,
};

/// Most bytes of a header.
const LONGEST_HEADER: u64 = 64 << 20;
/// Where a header keeps what is no tensor.
const METADATA: &str = "__metadata__";
/// Bytes before the header: its length.
const LENGTH: u64 = 8;

/// What the header says of a tensor. The library's own reader wants the whole file in memory.
#[derive(Debug, Deserialize)]
struct Info {
    dtype: Dtype,
    shape: Vec<usize>,
    data_offsets: (u64, u64),
}

/// The tensors of a file by name.
type Head = BTreeMap<String, Info>;

/// See the module.
#[derive(Debug)]
pub(super) struct Tensors;

impl Format for Tensors {
    fn name(&self) -> &'static str {
        "a .safetensors file with tensors such as x and y"
    }

    fn takes(&self, path: &Path) -> bool {
        let end = path.extension().unwrap_or_default();
        end.eq_ignore_ascii_case("safetensors")
    }

    fn kind(&self) -> Kind {
        Kind::Arrays
    }

    fn names(&self, path: &Path) -> Vec<String> {
        let head = head(path, &Sayer(path));
        head.map_or_else(|_| Vec::new(), |(_, head)| head.into_keys().collect())
    }

    fn read(
        &self,
        path: &Path,
        settings: &DataSettings,
        known: Option<&Description>,
    ) -> Result<Raw, OwnDataError> {
        let say = Sayer(path);
        let (offset, head) = head(path, &say)?;
        let names: Vec<String> = head.keys().cloned().collect();
        let (input, label) = arrays::chosen(&names, settings, known.is_some(), &say)?;
        let tensor = |name: &str| tensor(path, name, &head, offset, &say);
        let weights = settings.example_weights.as_ref();
        let weights = weights.filter(|w| known.is_none() || names.contains(w));
        let weights = weights.filter(|_| !settings.inputs_alone);
        arrays::into_raw(
            tensor(&input)?,
            label.as_deref().map(tensor).transpose()?,
            weights.map(|w| tensor(w)).transpose()?,
            settings,
            &say,
        )
    }
}

/// The header, and where the tensors begin.
fn head(path: &Path, say: &Sayer<'_>) -> Result<(u64, Head), OwnDataError> {
    let (mut file, found) = ane_files::open(path).map_err(|e| say.whole(io::Error::from(e)))?;
    let broken = |why: &str| {
        say.content(format!("is no safetensors file: {why}"))
            .advise("save it again by safetensors.numpy.save_file")
    };
    let mut length = [0; LENGTH as usize];
    file.read_exact(&mut length)
        .map_err(|_| broken("it has no header"))?;
    let of_header = u64::from_le_bytes(length);
    if of_header > LONGEST_HEADER.min(found) {
        return Err(broken("its header is longer than it can be"));
    }
    let mut bytes = Vec::new();
    let read = file.take(of_header).read_to_end(&mut bytes);
    read.map_err(|e| say.whole(e))?;
    let head: BTreeMap<String, serde_json::Value> =
        serde_json::from_slice(&bytes).map_err(|e| broken(&e.to_string()))?;
    let tensors = head.into_iter().filter(|(name, _)| name != METADATA);
    let info = |(name, value)| Ok((name, serde_json::from_value(value)?));
    let tensors: Result<Head, serde_json::Error> = tensors.map(info).collect();
    let tensors = tensors.map_err(|e| broken(&e.to_string()))?;
    Ok((LENGTH + of_header, tensors))
}

fn tensor(
    path: &Path,
    name: &str,
    head: &Head,
    offset: u64,
    say: &Sayer<'_>,
) -> Result<Array, OwnDataError> {
    let at = || format!("tensor `{name}`");
    let info = head.get(name).ok_or_else(|| {
        say.whole(Problem::Missing {
            what: "tensor",
            asked: name.to_owned(),
            known: head.keys().cloned().collect(),
        })
    })?;
    let element = match info.dtype {
        Dtype::BOOL => Element::Bool,
        Dtype::U8 => Element::UInt8,
        Dtype::I8 => Element::Int8,
        Dtype::U16 => Element::UInt16,
        Dtype::I16 => Element::Int16,
        Dtype::U32 => Element::UInt32,
        Dtype::I32 => Element::Int32,
        Dtype::U64 => Element::UInt64,
        Dtype::I64 => Element::Int64,
        Dtype::F16 => Element::Fp16,
        Dtype::F32 => Element::Fp32,
        Dtype::F64 => Element::Fp64,
        other => {
            return Err(say
                .at(
                    at(),
                    Problem::Differs {
                        expected: "numbers of 8 to 64 bits".into(),
                        found: format!("elements of type {other:?}"),
                    },
                )
                .advise("save it as float32"));
        }
    };
    let [count, of_example @ ..] = &info.shape[..] else {
        return Err(say
            .at(at(), Problem::Content("is a single number".into()))
            .advise("save a tensor whose first axis counts the examples"));
    };
    let width = of_example
        .iter()
        .try_fold(1_usize, |all, &n| all.checked_mul(n))
        .unwrap_or(usize::MAX);
    let (begin, end) = info.data_offsets;
    let bytes = (width as u64)
        .checked_mul(*count as u64)
        .and_then(|n| n.checked_mul(element.size() as u64));
    if bytes != end.checked_sub(begin) {
        return Err(say
            .at(
                at(),
                Problem::Differs {
                    expected: format!("elements for {:?}", info.shape),
                    found: format!("bytes {begin} to {end}"),
                },
            )
            .advise("save it again by safetensors.numpy.save_file"));
    }
    let from = offset.saturating_add(begin);
    let rows = Rows::of_file(path, from, (element, width, *count));
    Ok(Array {
        name: name.to_owned(),
        shape: info.shape.clone(),
        rows: rows.map_err(|e| {
            say.at(at(), e)
                .advise("it was cut short; save or copy it again")
        })?,
    })
}
