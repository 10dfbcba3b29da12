//! `Embedding`: rows of a table by index.

use super::{Entry, map};
use crate::keras::{
    arguments::Arguments,
    error::KerasError,
    run::{Layer, Run, Tensor},
};
use ane_train::model::{Init, Tags};

pub(super) static ALL: &[Entry] = &[Entry {
    indices: true,
    ..Entry::new("Embedding", embedding).weights(|_| Ok(vec!["embeddings".to_owned()]))
}];

fn embedding(
    run: &mut Run<'_>,
    layer: &Layer<'_>,
    arguments: &Arguments<Tensor>,
) -> Result<Vec<Tensor>, KerasError> {
    map(run, arguments, |run, x| {
        let rows = layer.settings.size("input_dim")?;
        let width = layer.settings.size("output_dim")?;
        let tags = Tags {
            embedding: true,
            ..Tags::default()
        };
        let shape = [rows, width];
        let table = run.weight(layer, "embeddings", &shape, Init::Uniform(0.05), tags)?;
        let x = run.indices(x)?;
        Ok(Tensor::plain(run.cx.graph().gather(table, x, 0)?))
    })
}
