//! Layers of several tensors: `Add`, `Subtract`, `Multiply`, `Average`, `Maximum`, `Minimum`, `Concatenate`.

use super::Entry;
use crate::keras::{
    activation::times,
    arguments::Arguments,
    error::KerasError,
    run::{Layer, Run, Tensor, int},
};

pub(super) static ALL: &[Entry] = &[
    Entry::new("Add", elementwise),
    Entry::new("Subtract", elementwise),
    Entry::new("Multiply", elementwise),
    Entry::new("Average", elementwise),
    Entry::new("Maximum", elementwise),
    Entry::new("Minimum", elementwise),
    Entry::new("Concatenate", concatenate),
];

/// The tensors that a layer joins.
fn several(arguments: &Arguments<Tensor>, least: usize) -> Result<Vec<Tensor>, KerasError> {
    arguments.refuse_named(&[])?;
    let all: Vec<Tensor> = arguments.tensors().into_iter().copied().collect();
    if all.len() < least {
        let expected = format!("a list of at least {least} tensors");
        return Err(KerasError::input(expected, format!("{}", all.len())));
    }
    Ok(all)
}

fn elementwise(
    run: &mut Run<'_>,
    layer: &Layer<'_>,
    arguments: &Arguments<Tensor>,
) -> Result<Vec<Tensor>, KerasError> {
    let xs = several(arguments, 1)?;
    let class = layer.class();
    if class == "Subtract" && xs.len() != 2 {
        return Err(KerasError::input("two tensors", xs.len()));
    }
    let (values, channels_first) = run.together(&xs)?;
    let mut all = values.into_iter();
    let mut value = all.next().expect("there is at least one");
    for x in all {
        let g = run.cx.graph();
        value = match class {
            "Subtract" => g.sub(value, x)?,
            "Multiply" => g.mul(value, x)?,
            "Maximum" => g.maximum(value, x)?,
            "Minimum" => g.minimum(value, x)?,
            _ => g.add(value, x)?,
        };
    }
    if class == "Average" {
        value = times(run, value, 1.0 / xs.len() as f64)?;
    }
    Ok(vec![Tensor {
        value,
        channels_first,
    }])
}

fn concatenate(
    run: &mut Run<'_>,
    layer: &Layer<'_>,
    arguments: &Arguments<Tensor>,
) -> Result<Vec<Tensor>, KerasError> {
    let xs = several(arguments, 1)?;
    let axis = match layer.settings.integers("axis")?.as_deref() {
        None => -1,
        Some([axis]) => *axis,
        Some(_) => return Err(crate::keras::settings::wrong("axis", "one axis", "several")),
    };
    Ok(vec![joined(run, &xs, axis)?])
}

/// Tensors joined along an axis of Keras's.
pub(in crate::keras) fn joined(
    run: &mut Run<'_>,
    xs: &[Tensor],
    axis: i64,
) -> Result<Tensor, KerasError> {
    let (values, channels_first) = run.together(xs)?;
    let first = Tensor {
        value: values[0],
        channels_first,
    };
    let axis = int(run.axis(first, axis)?);
    let value = match values.as_slice() {
        [one] => *one,
        all => run.cx.graph().concat(all, axis)?,
    };
    Ok(Tensor {
        value,
        channels_first,
    })
}
