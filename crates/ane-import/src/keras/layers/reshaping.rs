//! `Flatten`, `Reshape`, `Permute`, `RepeatVector`, `Identity`: elements in Keras's order.

use super::{Entry, map};
use crate::keras::{
    arguments::Arguments,
    error::KerasError,
    run::{Layer, Run, Tensor, fits, int},
    settings::wrong,
};

pub(super) static ALL: &[Entry] = &[
    Entry::new("Flatten", flatten),
    Entry::new("Reshape", reshape),
    Entry::new("Permute", permute),
    Entry::new("RepeatVector", repeat_vector),
    Entry::new("Identity", |run, _, arguments| {
        map(run, arguments, |_, x| Ok(x))
    }),
];

fn flatten(
    run: &mut Run<'_>,
    layer: &Layer<'_>,
    arguments: &Arguments<Tensor>,
) -> Result<Vec<Tensor>, KerasError> {
    map(run, arguments, |run, x| {
        let mut x = run.plain(x)?;
        let dims = run.cx.shape(x).dims().to_vec();
        // Keras reads channels that come first as if they came last.
        if layer.channels_first()? && dims.len() > 2 {
            let mut order: Vec<usize> = (0..dims.len()).collect();
            order[1..].rotate_left(1);
            let mut to = dims.clone();
            to[1..].rotate_left(1);
            x = run.rearranged(x, &order, &to)?;
        }
        let width = dims[1..].iter().product();
        Ok(Tensor::plain(run.reshape(x, &[dims[0], width])?))
    })
}

fn reshape(
    run: &mut Run<'_>,
    layer: &Layer<'_>,
    arguments: &Arguments<Tensor>,
) -> Result<Vec<Tensor>, KerasError> {
    map(run, arguments, |run, x| {
        let target = layer.settings.integers("target_shape")?;
        let target = target.ok_or_else(|| KerasError::Missing {
            place: Box::default(),
            key: "target_shape".to_owned(),
        })?;
        let batch = run.dims(x)[0];
        let mut to = vec![batch as i64];
        to.extend(target);
        reshaped(run, x, &to, "target_shape")
    })
}

/// x in another shape, of which one axis may be −1.
pub(in crate::keras) fn reshaped(
    run: &mut Run<'_>,
    x: Tensor,
    to: &[i64],
    key: &str,
) -> Result<Tensor, KerasError> {
    let x = run.plain(x)?;
    let elements = run.cx.shape(x).numel();
    let expected = || {
        wrong(
            key,
            format!("a shape of {elements} elements"),
            format!("{to:?}"),
        )
    };
    let mut dims = Vec::new();
    let mut open = None;
    for (i, &d) in to.iter().enumerate() {
        match usize::try_from(d) {
            Ok(d) if d > 0 => dims.push(d),
            Err(_) if d == -1 && open.is_none() => {
                open = Some(i);
                dims.push(1);
            }
            _ => return Err(expected()),
        }
    }
    fits(&dims, "the result")?;
    let known = dims.iter().product::<usize>();
    if let Some(i) = open {
        dims[i] = elements / known;
    }
    if dims.iter().product::<usize>() != elements || dims.contains(&0) {
        return Err(expected());
    }
    Ok(Tensor::plain(run.reshape(x, &dims)?))
}

fn permute(
    run: &mut Run<'_>,
    layer: &Layer<'_>,
    arguments: &Arguments<Tensor>,
) -> Result<Vec<Tensor>, KerasError> {
    map(run, arguments, |run, x| {
        let dims = layer.settings.integers("dims")?.unwrap_or_default();
        let mut order = vec![0];
        order.extend(dims);
        transposed(run, x, &order, "dims")
    })
}

/// x with its axes in another order.
pub(in crate::keras) fn transposed(
    run: &mut Run<'_>,
    x: Tensor,
    order: &[i64],
    key: &str,
) -> Result<Tensor, KerasError> {
    let x = run.plain(x)?;
    let from = run.cx.shape(x).dims().to_vec();
    let mut sorted = order.to_vec();
    sorted.sort_unstable();
    if !sorted.into_iter().eq(0..from.len() as i64) {
        let expected = format!("the axes of {from:?} in an order");
        return Err(wrong(key, expected, format!("{order:?}")));
    }
    let order: Vec<usize> = order
        .iter()
        .filter_map(|&a| usize::try_from(a).ok())
        .collect();
    let to: Vec<usize> = order.iter().map(|&a| from[a]).collect();
    Ok(Tensor::plain(run.rearranged(x, &order, &to)?))
}

fn repeat_vector(
    run: &mut Run<'_>,
    layer: &Layer<'_>,
    arguments: &Arguments<Tensor>,
) -> Result<Vec<Tensor>, KerasError> {
    map(run, arguments, |run, x| {
        let n = layer.settings.size("n")?;
        let dims = run.dims(x);
        let [batch, width] = *dims else {
            return Err(KerasError::input("x [B, D]", format!("{dims:?}")));
        };
        fits(&[batch, n, width], "the result")?;
        let x = run.reshape(x.value, &[batch, 1, width])?;
        Ok(Tensor::plain(run.cx.graph().tile(x, &[1, int(n), 1])?))
    })
}
