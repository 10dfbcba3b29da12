//! The layers of a model as a table of at most eighty columns.

use crate::table::table;
use ane_train::{
    Trainer,
    memory::amount,
    summary::{LayerSummary, Summary},
};
use comfy_table::CellAlignment;

/// Most layers that a run shows; of more it shows the outermost alone.
const MOST_LAYERS: usize = 20;

/// What a run shows of the model that it trains.
pub(super) fn of(trainer: &Trainer) -> String {
    let model = &trainer.config().model;
    let all = Summary::of(model, trainer.stages(), &trainer.step().trained);
    let deepest = all.layers.iter().map(|l| l.path.split('.').count()).max();
    let fits = |depth: &usize| all.to_depth(*depth).layers.len() <= MOST_LAYERS;
    let depth = (1..=deepest.unwrap_or(1)).rev().find(fits);
    let shown = all.to_depth(depth.unwrap_or(1));
    format!(
        "{}memory: {} at the peak of a step\n",
        summary_table(&shown),
        amount(trainer.footprint().peak())
    )
}

/// The table, with its totals below.
pub(crate) fn summary_table(summary: &Summary) -> String {
    let mut table = table(["layer", "ops", "output", "parameters", "MFLOP", "runs on"]);
    for layer in &summary.layers {
        table.add_row([
            layer.path.clone(),
            layer.ops.join(", "),
            dims(layer),
            parameters(layer.parameters, layer.trained),
            mega(layer.flops),
            place(layer),
        ]);
    }
    if let Some(first) = table.column_mut(0) {
        first.set_padding((0, 1));
    }
    for column in table.column_iter_mut().skip(3).take(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    format!(
        "{}\n{} parameters, {} of them trained; {} MFLOP forward\n",
        table.trim_fmt(),
        grouped(summary.parameters),
        grouped(summary.trained),
        mega(summary.flops)
    )
}

fn dims(layer: &LayerSummary) -> String {
    let dims = layer.output.dims().iter().map(usize::to_string);
    dims.collect::<Vec<_>>().join("x")
}

fn parameters(all: usize, trained: usize) -> String {
    match (all, trained) {
        (0, _) => "-".to_owned(),
        (_, 0) => format!("{} frozen", grouped(all)),
        _ => grouped(all),
    }
}

fn mega(flops: u64) -> String {
    let mega = flops as f64 / 1e6;
    match flops {
        0 => "-".to_owned(),
        _ if mega < 0.1 => format!("{mega:.3}"),
        _ => format!("{mega:.1}"),
    }
}

fn place(layer: &LayerSummary) -> String {
    match layer.on_host {
        0 => "engine".to_owned(),
        n => format!("engine, {n} on host"),
    }
}

/// A number with its thousands apart.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.char_indices() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        let shown = [0, 999, 1_000, 1_234_567].map(grouped);
        assert_eq!(shown, ["0", "999", "1,000", "1,234,567"]);
    }
}
