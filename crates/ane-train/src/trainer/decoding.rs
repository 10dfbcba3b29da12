//! A language model that says one token after another: programs over the trainer's weights, and a cache of keys and values.
//!
//! A cache has two buffers, and a program reads one and writes the other, so that it stays on the device from token to token.

use super::{Trainer, batch_ports::upload, homes};
use crate::{
    data::Values,
    error::TrainerError,
    models::decoder::{self, Decoder, DecoderSizes, port},
    nn::{HIDDEN, angles},
    program::{Compiled, Program, Stored},
    stage::Staged,
    step::Step,
};
use ane_device::Buffer;
use ane_ir::{DType, TensorType};
use half::f16;

/// Most positions of a prompt that a program takes at once.
const PREFILL: usize = 64;

/// Sequences that are continued, and what the model has made of them so far.
#[derive(Debug)]
pub struct Decoding {
    decoder: Box<dyn Decoder>,
    sizes: DecoderSizes,
    batch: usize,
    /// Two buffers for each port of a cache.
    caches: Stored,
    /// Which of them holds what was written last.
    current: usize,
    /// Tokens of each sequence.
    length: usize,
    /// Programs by how many positions they take.
    programs: Vec<(usize, Program)>,
}

/// A sequence cannot be continued.
#[derive(Debug, thiserror::Error)]
pub enum DecodingError {
    /// It would be longer than the model's context.
    #[error("{length} tokens and {more} more are beyond the model's context of {context}")]
    Context {
        /// Tokens there are.
        length: usize,
        /// Those that were to be added.
        more: usize,
        /// The context.
        context: usize,
    },
    /// A token that the model does not know.
    #[error("token {token} is beyond the model's vocabulary of {vocabulary}")]
    Token {
        /// The token.
        token: u32,
        /// Tokens there are.
        vocabulary: usize,
    },
    /// The programs cannot be compiled or run.
    #[error(transparent)]
    Trainer(#[from] TrainerError),
}

impl Decoding {
    /// `batch` empty sequences for a model of the trainer's parameters.
    ///
    /// # Errors
    /// When the device gives no memory.
    pub fn new(
        trainer: &Trainer,
        decoder: Box<dyn Decoder>,
        batch: usize,
    ) -> Result<Self, TrainerError> {
        let sizes = decoder.sizes();
        let shape = [batch, sizes.key_heads, sizes.context, sizes.head_width];
        let ty = TensorType::new(DType::Fp16, shape);
        let mut caches = Stored::new();
        for layer in 0..sizes.layers {
            for values in [false, true] {
                let allocate = || -> Result<Buffer, TrainerError> {
                    let buffer = trainer.device.allocate(&ty)?;
                    // What was never written may be anything, and 0 times infinity is none.
                    buffer.copy_in_bits(&vec![0; ty.shape.numel()])?;
                    Ok(buffer)
                };
                let [a, b] = [allocate()?, allocate()?];
                caches.insert(
                    port::cache(layer, values, false),
                    vec![a.clone(), b.clone()],
                );
                caches.insert(port::cache(layer, values, true), vec![b, a]);
            }
        }
        Ok(Self {
            decoder,
            sizes,
            batch,
            caches,
            current: 0,
            length: 0,
            programs: Vec::new(),
        })
    }

    /// Tokens of each sequence.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Most tokens of a sequence.
    pub fn context(&self) -> usize {
        self.sizes.context
    }

    /// Forgets the sequences.
    pub fn clear(&mut self) {
        self.length = 0;
    }

    /// Adds as many tokens to each sequence, `tokens` being those of the first, then those of the next; gives the scores of
    /// what follows each, [batch, n, vocabulary].
    ///
    /// # Errors
    /// When a sequence would be longer than the context, a token is none, or the device fails; what was added before the
    /// failure stays.
    pub fn feed(
        &mut self,
        trainer: &mut Trainer,
        tokens: &[u32],
    ) -> Result<Vec<f32>, DecodingError> {
        let vocabulary = self.sizes.vocabulary;
        let more = tokens.len() / self.batch.max(1);
        if self.length + more > self.sizes.context {
            return Err(DecodingError::Context {
                length: self.length,
                more,
                context: self.sizes.context,
            });
        }
        if let Some(&token) = tokens.iter().find(|&&t| t as usize >= vocabulary) {
            return Err(DecodingError::Token { token, vocabulary });
        }
        let mut logits = vec![0.0; self.batch * more * vocabulary];
        let mut done = 0;
        while done < more {
            let take = PREFILL.min(self.sizes.context).min(more - done);
            let rows = tokens.chunks(more).map(|row| &row[done..done + take]);
            let found = self.run(trainer, &rows.collect::<Vec<_>>())?;
            for (i, scores) in found.chunks(take * vocabulary).enumerate() {
                let at = (i * more + done) * vocabulary;
                logits[at..at + scores.len()].copy_from_slice(scores);
            }
            done += take;
        }
        Ok(logits)
    }

    /// Adds a few tokens to each sequence; those of a program that takes more are padding, which takes no place of the cache.
    fn run(&mut self, trainer: &mut Trainer, rows: &[&[u32]]) -> Result<Vec<f32>, TrainerError> {
        let taken = rows[0].len();
        let at = match taken {
            1 => self.program(trainer, 1)?,
            _ => self.program(trainer, PREFILL.min(self.sizes.context))?,
        };
        let (positions, program) = &mut self.programs[at];
        for (name, values) in inputs(&self.sizes, (self.length, *positions), rows) {
            if let Some(buffer) = program.find(&name) {
                upload(buffer, &name, Some(&values))?;
            }
        }
        program.execute(self.current)?;
        trainer.device.health()?;
        let found = program.port(decoder::LOGITS).copy_out();
        self.current = 1 - self.current;
        self.length += taken;
        let of_sequence = found.chunks(*positions * self.sizes.vocabulary);
        let used = of_sequence.flat_map(|scores| &scores[..taken * self.sizes.vocabulary]);
        Ok(used.copied().collect())
    }

    /// The place of the program for so many positions, which is compiled when it is first used.
    fn program(&mut self, trainer: &mut Trainer, positions: usize) -> Result<usize, TrainerError> {
        if let Some(at) = self.programs.iter().position(|(n, _)| *n == positions) {
            return Ok(at);
        }
        let target = *trainer.device.target();
        let model = self.decoder.with_cache(DType::Fp16, self.batch, positions);
        let model = model.map_err(|e| TrainerError::Decoder(Box::new(e)))?;
        let mut step = Step::predict(&model, &target)?;
        homes::pack_inference(&mut step, &trainer.step, &trainer.config)?;
        let staged = Staged::of(&step.graph, &target)?;
        if trainer.requires_ane {
            staged.require_ane()?;
        }
        let ports = step.graph.inputs().iter().map(|&v| step.graph.port(v));
        let weights =
            ports.filter_map(|port| Some((port.to_owned(), trainer.stored.get(port)?.clone())));
        let mut stored: Stored = weights.collect();
        stored.extend(self.caches.clone());
        let compiled = Compiled::new(staged, &*trainer.device, &trainer.host)?;
        let program = compiled.bind(&*trainer.device, &trainer.host, &stored)?;
        self.programs.push((positions, program));
        Ok(self.programs.len() - 1)
    }
}

/// What ports besides weights and caches hold when sequences of `length` tokens get those of `rows`, in a program that takes
/// `positions`.
pub fn inputs(
    sizes: &DecoderSizes,
    (length, positions): (usize, usize),
    rows: &[&[u32]],
) -> Vec<(String, Values)> {
    let (context, taken) = (sizes.context, rows.first().map_or(0, |row| row.len()));
    let padded = |of: &dyn Fn(usize, usize) -> i32| -> Values {
        let row = |r| (0..positions).map(move |i| if i < taken { of(r, i) } else { 0 });
        Values::Int32((0..rows.len()).flat_map(row).collect())
    };
    let integer = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    let real =
        |x: Vec<f64>| Values::Fp16(x.into_iter().map(|x| f16::from_f64(x).to_bits()).collect());
    let flag = |is: bool| f64::from(u8::from(is));
    let mut place = Vec::with_capacity(context * positions);
    let mut keep = Vec::with_capacity(context);
    for c in 0..context {
        keep.push(flag(!(length..length + taken).contains(&c)));
        place.extend((0..positions).map(|i| flag(i < taken && c == length + i)));
    }
    let mut mask = Vec::with_capacity(context * positions);
    for i in 0..positions {
        mask.extend((0..context).map(|c| if c <= length + i { 0.0 } else { HIDDEN }));
    }
    let mut all = vec![
        (
            decoder::TOKENS,
            padded(&|r, i| integer(rows[r][i] as usize)),
        ),
        (port::POSITIONS, padded(&|_, i| integer(length + i))),
        (port::PLACE, real(place)),
        (port::KEEP, real(keep)),
        (port::MASK, real(mask)),
    ];
    if let Some(base) = sizes.rope {
        let [cos, sin] = angles(length..length + positions, sizes.head_width, base);
        all.extend([(port::COS, real(cos)), (port::SIN, real(sin))]);
    }
    all.into_iter()
        .map(|(name, values)| (name.to_owned(), values))
        .collect()
}
