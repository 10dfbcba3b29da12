//! A language model token by token, on devices: scores with a cache are those of whole sequences, whatever the pieces.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

use ane_device::open;
use ane_engine::{Pool, simd::Isa};
use ane_train::{
    Decoding, DecodingError, Trainer,
    config::RunConfig,
    data::{Batch, LABEL, Values},
    loss_scale::LossScale,
    models::{
        Examples, Outputs,
        decoder::{LOGITS, TOKENS},
    },
};
use std::sync::Arc;

const BATCH: usize = 2;
const CONTEXT: usize = 24;
const VOCABULARY: usize = 37;

fn examples() -> Examples {
    Examples {
        shape: [CONTEXT].into(),
        outputs: Outputs::Tokens(VOCABULARY),
    }
}

fn trainer(model: &str, target: &str) -> (Trainer, RunConfig) {
    let config = RunConfig {
        model: model.to_owned(),
        batch: BATCH,
        target: target.parse().unwrap(),
        device: "software".to_owned(),
        ..RunConfig::default()
    };
    let pool = Arc::new(Pool::new(2).unwrap());
    let isa = Isa::detect();
    let device = open("software", &config.settings(&pool, isa)).unwrap();
    let trainer = config.trainer(&examples(), 10).unwrap();
    (Trainer::new(trainer, device, pool, isa).unwrap(), config)
}

fn token(row: usize, position: usize) -> u32 {
    ((row * 11 + position * position * 7 + position) % VOCABULARY) as u32
}

/// The sequences, as a batch has them.
fn whole() -> Batch {
    let mut batch = Batch::new(BATCH, BATCH);
    let all = (0..BATCH).flat_map(|row| (0..CONTEXT).map(move |i| token(row, i) as i32));
    let all: Vec<i32> = all.collect();
    batch.set(TOKENS, Values::Int32(all.clone()));
    batch.set(LABEL, Values::Int32(all));
    batch
}

#[test]
fn scores_with_a_cache_are_those_of_whole_sequences() {
    for (model, target) in [
        ("char-gpt", "software"),
        ("llama-15m", "software"),
        ("char-gpt", "h13"),
        ("llama-15m", "h16"),
    ] {
        let (mut trainer, config) = trainer(model, target);
        // Weights that tell tokens apart.
        for _ in 0..3 {
            trainer.train_step(&[whole()]).unwrap();
        }
        let outputs = trainer.predict(&whole()).unwrap();
        let (_, wanted) = outputs.iter().find(|(name, _)| name == LOGITS).unwrap();
        let largest = wanted.iter().fold(0.0, |a: f32, x| a.max(x.abs()));
        let decoder = config.model().unwrap().decoder(&examples()).unwrap();
        let mut decoding = Decoding::new(&trainer, decoder, BATCH).unwrap();
        // A second time after other sequences were forgotten.
        for _ in 0..2 {
            let mut done = 0;
            for taken in [5, 1, 1, 9, 1, 7] {
                let fed: Vec<u32> = (0..BATCH)
                    .flat_map(|row| (done..done + taken).map(move |i| token(row, i)))
                    .collect();
                let found = decoding.feed(&mut trainer, &fed).unwrap();
                for row in 0..BATCH {
                    let at = (row * CONTEXT + done) * VOCABULARY;
                    let wanted = &wanted[at..at + taken * VOCABULARY];
                    let found = &found[row * taken * VOCABULARY..(row + 1) * taken * VOCABULARY];
                    for (found, wanted) in found.iter().zip(wanted) {
                        let near = (found - wanted).abs() <= 1e-2 * largest;
                        assert!(near, "{model} on {target}: {found} {wanted} of {largest}");
                    }
                }
                done += taken;
            }
            assert_eq!(decoding.length(), CONTEXT);
            let full = decoding.feed(&mut trainer, &[0; BATCH]).unwrap_err();
            assert!(matches!(
                full,
                DecodingError::Context {
                    length: CONTEXT,
                    more: 1,
                    ..
                }
            ));
            decoding.clear();
        }
        let unknown = decoding.feed(&mut trainer, &[0, 99]).unwrap_err();
        assert_eq!(
            unknown.to_string(),
            "token 99 is beyond the model's vocabulary of 37"
        );
    }
}

/// The embedding's gradient leaves the engine as rows, which the host adds up.
#[test]
fn rows_that_overflow_on_their_way_to_the_host_skip_the_step() {
    for target in ["h13", "h16", "h16:client"] {
        let (mut trainer, _) = trainer("llama-15m", target);
        trainer.set_loss_scale(LossScale::starting_at(32_768));
        let before = trainer.predict(&whole()).unwrap();
        let outcome = trainer.train_step(&[whole()]).unwrap();
        assert!(outcome.overflow, "{target}");
        assert_eq!(trainer.predict(&whole()).unwrap(), before, "{target}");
    }
}
