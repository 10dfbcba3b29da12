//! Tensors of a safetensors file as examples: one that is learned from, and one that is learned. They are read where they lie.

use super::{
    Format, OwnDataError,
    arrays::{self, Array},
    error::{Problem, Sayer},
    raw::Raw,
    rows::{Element, Rows},
    settings::DataSettings,
};
use crate::data::description::Description;
use ::safetensors::{Dtype, SafeTensors, tensor::Metadata};
use std::{
    io::{self, Read},
    path::Path,
};

/// Most bytes of a header.
const LONGEST_HEADER: u64 = 64 << 20;
/// Bytes before the header: its length.
const LENGTH: u64 = 8;

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

    fn read(
        &self,
        path: &Path,
        settings: &DataSettings,
        known: Option<&Description>,
    ) -> Result<Raw, OwnDataError> {
        let say = Sayer(path);
        let (offset, head) = head(path, &say)?;
        let mut names = head.offset_keys();
        names.sort();
        let (input, label) = arrays::chosen(&names, settings, known.is_some(), &say)?;
        let tensor = |name: &str| tensor(path, name, &head, offset, &say);
        let weights = settings.example_weights.as_ref();
        let weights = weights.filter(|w| known.is_none() || names.contains(w));
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
fn head(path: &Path, say: &Sayer<'_>) -> Result<(u64, Metadata), OwnDataError> {
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
    let mut bytes = length.to_vec();
    let read = file.take(of_header).read_to_end(&mut bytes);
    read.map_err(|e| say.whole(e))?;
    let (_, head) = SafeTensors::read_metadata(&bytes).map_err(|e| broken(&e.to_string()))?;
    Ok((LENGTH + of_header, head))
}

fn tensor(
    path: &Path,
    name: &str,
    head: &Metadata,
    offset: u64,
    say: &Sayer<'_>,
) -> Result<Array, OwnDataError> {
    let at = || format!("tensor `{name}`");
    let info = head.info(name).ok_or_else(|| {
        say.whole(Problem::Missing {
            what: "tensor",
            asked: name.to_owned(),
            known: head.offset_keys(),
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
    let width = of_example.iter().product();
    let from = offset + info.data_offsets.0 as u64;
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
