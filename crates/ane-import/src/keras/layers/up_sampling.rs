//! `UpSampling1D` and `UpSampling2D`: rows and columns repeated, or drawn between.

use super::{Entry, map};
use crate::keras::{
    arguments::Arguments,
    error::KerasError,
    run::{Layer, Run, Tensor, fits, int},
};
use ane_ir::Value;

pub(super) static ALL: &[Entry] = &[
    Entry::new("UpSampling1D", up_sampling),
    Entry::new("UpSampling2D", up_sampling),
];

fn up_sampling(
    run: &mut Run<'_>,
    layer: &Layer<'_>,
    arguments: &Arguments<Tensor>,
) -> Result<Vec<Tensor>, KerasError> {
    map(run, arguments, |run, x| {
        let n = layer.axes();
        let factors = layer.settings.sizes("size", n, 1)?;
        let factors = factors.unwrap_or_else(|| vec![2; n]);
        let mut image = run.enter(x, layer)?;
        let mut dims = run.cx.shape(image).dims().to_vec();
        for (d, factor) in dims[2..].iter_mut().zip(&factors) {
            *d = d.saturating_mul(*factor);
        }
        fits(&dims, "the result")?;
        image = match layer.settings.text("interpolation", "nearest")? {
            "nearest" if n == 1 => {
                let shape = run.cx.shape(image).dims().to_vec();
                let row = [shape[0], shape[1], shape[2], 1];
                let row = run.reshape(image, &row)?;
                let g = run.cx.graph();
                let row = g.upsample_nearest_neighbor(row, [int(factors[0]), 1])?;
                run.reshape(row, &dims)?
            }
            "nearest" => run
                .cx
                .graph()
                .upsample_nearest_neighbor(image, [int(factors[0]), int(factors[1])])?,
            "bilinear" if n == 2 => bilinear(run, image, &factors)?,
            other => {
                let help = "use nearest or bilinear";
                let what = format!("`interpolation` {other}");
                return Err(KerasError::unsupported(what, help));
            }
        };
        run.leave(image, layer)
    })
}

/// As two products, by the rows and by the columns.
fn bilinear(run: &mut Run<'_>, x: Value, factors: &[usize]) -> Result<Value, KerasError> {
    let dims = run.cx.shape(x).dims().to_vec();
    let rows = between(run, dims[2], factors[0])?;
    let columns = between(run, dims[3], factors[1])?;
    let x = run.cx.graph().matmul(x, columns, false, true)?;
    Ok(run.cx.graph().matmul(rows, x, false, false)?)
}

/// The matrix [length · factor, length] whose products are drawn between the elements of an axis, whose centres lie at
/// ½, 1½, and so on; what lies before the first centre or after the last is as they are.
fn between(run: &mut Run<'_>, length: usize, factor: usize) -> Result<Value, KerasError> {
    let results = length * factor;
    fits(
        &[results, length, 1 << 8],
        "the weights of an interpolation",
    )?;
    let mut matrix = vec![0.0; results * length];
    for (i, row) in matrix.chunks_exact_mut(length).enumerate() {
        let at = (i as f64 + 0.5) / factor as f64 - 0.5;
        let at = at.clamp(0.0, (length - 1) as f64);
        let before = at.floor() as usize;
        let share = at - at.floor();
        row[before] += 1.0 - share;
        row[(before + 1).min(length - 1)] += share;
    }
    run.constant(&[results, length], &matrix)
}
