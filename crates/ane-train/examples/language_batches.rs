//! Writes what a language model of this crate begins with and what it is trained on, for another framework to do the same:
//! `initial.safetensors`, `train.i32` of [steps, batch, context + 1] tokens in the order of the run, and `validation.i32` of
//! [windows, context + 1].
//!
//! ```text
//! cargo run --release -p ane-train --example language_batches -- RUN STEPS FOLDER
//! ```

use ane_train::{
    checkpoint::{Checkpoint, write_weights},
    config::RunConfig,
    data::{Batch, Dataset, FetchOptions, LABEL, Opened, Values},
    models::decoder::TOKENS,
    store::NamedWeight,
};
use std::{collections::BTreeMap, error::Error, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [run, steps, folder] = &arguments[..] else {
        return Err("expected RUN STEPS FOLDER".into());
    };
    let (run, folder) = (Path::new(run), Path::new(folder));
    let steps: usize = steps.parse()?;
    let checkpoint = Checkpoint::read(&run.join("checkpoints/last.ckpt"))?;
    let config: RunConfig = serde_json::from_value(checkpoint.record.config)?;
    let known = checkpoint.record.data.as_ref();
    let options = FetchOptions::default();
    let opened = Opened::of(&config, known, &options, &|_| {})?;
    let model = config.trainer_on(&opened.description, 1)?.model;
    fs::create_dir_all(folder)?;
    let parameters = model.parameters.iter().enumerate();
    let weights: Vec<NamedWeight> = parameters
        .map(|(i, p)| {
            (
                p.path.clone(),
                p.shape.dims().to_vec(),
                p.initial(config.seed, i),
            )
        })
        .collect();
    write_weights(
        &folder.join("initial.safetensors"),
        &weights,
        &[],
        &BTreeMap::new(),
    )?;
    let sampler = opened.sampler(config.batch)?;
    let loaded = opened.load(config.batch, &options, &|_| {})?;
    let mut order = Vec::new();
    for epoch in 0.. {
        let examples = sampler.epoch(epoch);
        let whole = examples.chunks_exact(config.batch);
        order.extend(whole.flatten().map(|&example| (example, epoch)));
        if order.len() >= steps * config.batch {
            break;
        }
    }
    order.truncate(steps * config.batch);
    fs::write(folder.join("train.i32"), windows(&*loaded.train, &order)?)?;
    if let Some(validation) = loaded.validation {
        let all: Vec<(u32, u64)> = validation.indices.iter().map(|&i| (i, 0)).collect();
        let written = windows(&*validation.data, &all)?;
        fs::write(folder.join("validation.i32"), written)?;
    }
    Ok(())
}

/// The tokens of examples and the one after the last, little-endian.
fn windows(data: &dyn Dataset, examples: &[(u32, u64)]) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut bytes = Vec::new();
    for &example in examples {
        let mut batch = Batch::new(1, 1);
        data.fill(&[example], &mut batch)?;
        let (Some(Values::Int32(tokens)), Some(Values::Int32(targets))) =
            (batch.get(TOKENS), batch.get(LABEL))
        else {
            return Err("the data set is of no text".into());
        };
        let after = targets.last().copied().unwrap_or_default();
        bytes.extend(tokens.iter().chain([&after]).flat_map(|t| t.to_le_bytes()));
    }
    Ok(bytes)
}
