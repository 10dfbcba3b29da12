//! `GetItem`: what `x[:, 1:3, -1]` leaves in a functional model.

use crate::keras::{
    arguments::{Argument, Arguments},
    error::KerasError,
    run::{Layer, Run, Tensor, int},
    settings::{integer, wrong},
};
use serde_json::Value as Json;

/// What is read along an axis.
enum Index {
    One(i64),
    Range {
        start: Option<i64>,
        stop: Option<i64>,
        step: i64,
    },
}

pub(super) fn get_item(
    run: &mut Run<'_>,
    _: &Layer<'_>,
    arguments: &Arguments<Tensor>,
) -> Result<Tensor, KerasError> {
    let x = super::operand(run, arguments, 0, "x")?;
    let dims = run.dims(x);
    let indices = match arguments.get(1, "key") {
        Some(Argument::List(all)) => all.iter().map(index).collect::<Result<Vec<_>, _>>()?,
        Some(one) => vec![index(one)?],
        None => return Err(KerasError::input("an index", "none")),
    };
    if indices.len() > dims.len() {
        let expected = format!("at most {} indices", dims.len());
        return Err(KerasError::input(expected, indices.len()));
    }
    let (mut begin, mut end, mut stride) = (Vec::new(), Vec::new(), Vec::new());
    let mut left = Vec::new();
    for (axis, &length) in dims.iter().enumerate() {
        let n = length as i64;
        let from_front = |i: i64| if i < 0 { i + n } else { i };
        let (start, stop, step) = match indices.get(axis) {
            None => (0, n, 1),
            Some(Index::One(i)) => {
                let i = from_front(*i);
                if !(0..n).contains(&i) {
                    return Err(wrong("key", format!("an index of {n} elements"), i));
                }
                (i, i + 1, 1)
            }
            Some(Index::Range { start, stop, step }) => {
                let bound = |i: i64| from_front(i).clamp(0, n);
                (start.map_or(0, bound), stop.map_or(n, bound), *step)
            }
        };
        if step < 1 || start >= stop {
            let help = "take elements forwards, and at least one";
            return Err(KerasError::unsupported("an empty or backward slice", help));
        }
        let count = usize::try_from((stop - start + step - 1) / step).unwrap_or(0);
        if axis == 0 && count != length {
            let help = "take all rows of the batch";
            return Err(KerasError::unsupported("an index of the batch", help));
        }
        let attribute = |i: i64| usize::try_from(i).map_or(0, int);
        begin.push(attribute(start));
        end.push(attribute(stop));
        stride.push(attribute(step));
        if !matches!(indices.get(axis), Some(Index::One(_))) {
            left.push(count);
        }
    }
    let x = run.plain(x)?;
    let y = run.cx.graph().slice_by_index(x, &begin, &end, &stride)?;
    Ok(Tensor::plain(run.reshape(y, &left)?))
}

fn index(argument: &Argument<Tensor>) -> Result<Index, KerasError> {
    let Argument::Json(json) = argument else {
        let help = "index by numbers and slices";
        return Err(KerasError::unsupported("an index that is computed", help));
    };
    if let Json::Number(_) = json {
        return Ok(Index::One(integer("key", json)?));
    }
    let config = json.get("config");
    if json.get("class_name").and_then(Json::as_str) != Some("__slice__") {
        return Err(wrong("key", "numbers and slices", json));
    }
    let part = |key: &str| match config.and_then(|c| c.get(key)) {
        None | Some(Json::Null) => Ok(None),
        Some(n) => integer(key, n).map(Some),
    };
    Ok(Index::Range {
        start: part("start")?,
        stop: part("stop")?,
        step: part("step")?.unwrap_or(1),
    })
}
