//! `ZeroPadding1D/2D` and `Cropping1D/2D`.

use super::{Entry, map};
use crate::keras::{
    arguments::Arguments,
    error::KerasError,
    run::{Layer, Run, Tensor, fits, int},
};

pub(super) static ALL: &[Entry] = &[
    Entry::new("ZeroPadding1D", zero_padding),
    Entry::new("ZeroPadding2D", zero_padding),
    Entry::new("Cropping1D", cropping),
    Entry::new("Cropping2D", cropping),
];

fn zero_padding(
    run: &mut Run<'_>,
    layer: &Layer<'_>,
    arguments: &Arguments<Tensor>,
) -> Result<Vec<Tensor>, KerasError> {
    map(run, arguments, |run, x| {
        let ends = layer.settings.ends("padding", layer.axes())?;
        let x = run.enter(x, layer)?;
        let mut dims = run.cx.shape(x).dims().to_vec();
        for (d, [before, after]) in dims[2..].iter_mut().zip(&ends) {
            *d += before + after;
        }
        fits(&dims, "the result")?;
        let pad: Vec<i32> = ends.iter().flatten().map(|&n| int(n)).collect();
        let y = run.cx.graph().pad(x, &pad, 0.0)?;
        run.leave(y, layer)
    })
}

fn cropping(
    run: &mut Run<'_>,
    layer: &Layer<'_>,
    arguments: &Arguments<Tensor>,
) -> Result<Vec<Tensor>, KerasError> {
    map(run, arguments, |run, x| {
        let ends = layer.settings.ends("cropping", layer.axes())?;
        let x = run.enter(x, layer)?;
        let dims = run.cx.shape(x).dims().to_vec();
        let (mut begin, mut size) = (vec![0; 2], vec![int(dims[0]), int(dims[1])]);
        for (&length, [before, after]) in dims[2..].iter().zip(&ends) {
            let left = length.checked_sub(before + after).filter(|&n| n > 0);
            let left = left.ok_or_else(|| {
                let expected = format!("an image of more than {}", before + after);
                KerasError::input(expected, length)
            })?;
            begin.push(int(*before));
            size.push(int(left));
        }
        let y = run.cx.graph().slice_by_size(x, &begin, &size)?;
        run.leave(y, layer)
    })
}
