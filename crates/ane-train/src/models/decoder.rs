//! Language models that predict the next token from those before: what all of them have, and what their positions see.

use crate::{
    model::{Builder, Head, Input, Model, ModelError, Outputs},
    nn::{Rope, causal_mask},
};
use ane_ir::{DType, Shape, Value};
use std::fmt;

/// Name of the input of token ids [B, T].
pub const TOKENS: &str = "tokens";
/// Name of the scores of the next token [B, T, vocabulary].
pub const LOGITS: &str = "logits";

/// Sizes of a decoder that its caches and programs depend on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DecoderSizes {
    /// Tokens that there are.
    pub vocabulary: usize,
    /// Most positions of a sequence.
    pub context: usize,
    /// Blocks one after the other.
    pub layers: usize,
    /// Heads of keys and values in a block.
    pub key_heads: usize,
    /// Numbers of a head.
    pub head_width: usize,
    /// `rope_theta`, where positions are rotations.
    pub rope: Option<f64>,
}

/// A language model.
pub trait Decoder: fmt::Debug {
    /// Its sizes.
    fn sizes(&self) -> DecoderSizes;
    /// tokens [B, T] → what the next token is told from.
    ///
    /// # Errors
    /// When sizes do not fit each other.
    fn forward(&self, cx: &mut Builder, tokens: Value, seen: &mut Seen)
    -> Result<Head, ModelError>;
}

/// What positions see of each other.
#[derive(Debug)]
pub enum Seen {
    /// Those before them, in the same sequence from its beginning.
    Whole {
        /// Added to scores.
        mask: Value,
        /// Of positions that are rotations.
        rope: Option<Rope>,
    },
    /// Those of a cache, in which they take their place.
    Cached(Cached),
}

/// Ports of a program whose positions see a cache.
#[derive(Debug)]
pub struct Cached {
    /// Position of each token [B, T], int32.
    positions: Value,
    /// [1, 1, C, T]: 1 where a new token takes a place of the cache.
    place: Value,
    /// [1, 1, C, 1]: 0 for places that are taken anew, otherwise 1.
    keep: Value,
    /// [1, 1, T, C]: added to scores.
    mask: Value,
    rope: Option<Rope>,
    /// Keys and values of every layer, each [B, heads, C, width], as they were.
    old: Vec<[Value; 2]>,
    /// And with the new tokens.
    new: Vec<[Value; 2]>,
}

/// Names of the ports of [`Cached`], besides those of caches.
pub mod port {
    /// Position of each token [B, T], int32.
    pub const POSITIONS: &str = "positions";
    /// [1, 1, C, T]: 1 where a new token takes a place of the cache.
    pub const PLACE: &str = "place";
    /// [1, 1, C, 1]: 0 for places that are taken anew, otherwise 1.
    pub const KEEP: &str = "keep";
    /// [1, 1, T, C]: added to scores.
    pub const MASK: &str = "mask";
    /// [1, 1, T, width]: cosines of the positions.
    pub const COS: &str = "rope_cos";
    /// [1, 1, T, width]: signed sines of the positions.
    pub const SIN: &str = "rope_sin";

    /// Keys or values of a layer, before a program runs and after it.
    pub fn cache(layer: usize, values: bool, new: bool) -> String {
        let what = if values { "value" } else { "key" };
        let when = if new { "_new" } else { "" };
        format!("cache_{layer}_{what}{when}")
    }
}

impl Seen {
    fn whole(cx: &mut Builder, sizes: &DecoderSizes, positions: usize) -> Result<Self, ModelError> {
        let rope = sizes
            .rope
            .map(|base| Rope::new(cx, positions, sizes.head_width, base));
        Ok(Self::Whole {
            mask: causal_mask(cx, positions)?,
            rope: rope.transpose()?,
        })
    }

    /// Rows of a table of positions [context, width] for x [B, T, width], to be added to it.
    ///
    /// # Errors
    /// When the table is no matrix.
    pub fn positions(
        &self,
        cx: &mut Builder,
        table: Value,
        positions: usize,
    ) -> Result<Value, ModelError> {
        let dims = cx.shape(table).dims();
        let (context, width) = (dims[0], dims[1]);
        let g = cx.graph();
        Ok(match self {
            Self::Cached(cached) => g.gather(table, cached.positions, 0)?,
            Self::Whole { .. } if positions == context => table,
            Self::Whole { .. } => {
                let size = [positions, width].map(|n| i32::try_from(n).unwrap_or(i32::MAX));
                g.slice_by_size(table, &[0, 0], &size)?
            }
        })
    }

    /// Queries or keys [B, heads, T, width] with their positions, where these are rotations.
    ///
    /// # Errors
    /// When x has another shape.
    pub fn rotate(&self, cx: &mut Builder, x: Value) -> Result<Value, ModelError> {
        match self {
            Self::Whole { rope, .. } | Self::Cached(Cached { rope, .. }) => match rope {
                Some(rope) => rope.rotate(cx, x),
                None => Ok(x),
            },
        }
    }

    /// What the queries of a layer see, for its new keys and values [B, heads, T, width]: all keys, all values, and the mask.
    ///
    /// # Errors
    /// When a shape does not fit.
    pub fn of_layer(
        &mut self,
        cx: &mut Builder,
        layer: usize,
        new: [Value; 2],
    ) -> Result<([Value; 2], Value), ModelError> {
        match self {
            Self::Whole { mask, .. } => Ok((new, *mask)),
            Self::Cached(cached) => {
                let g = cx.graph();
                let mut all = cached.old[layer];
                for (cache, new) in all.iter_mut().zip(new) {
                    // One-hot columns move rows exactly, so a cached number is the one that was computed.
                    let placed = g.matmul(cached.place, new, false, false)?;
                    let kept = g.mul(*cache, cached.keep)?;
                    *cache = g.add(kept, placed)?;
                }
                cached.new.push(all);
                Ok((all, cached.mask))
            }
        }
    }
}

/// A language model on whole sequences: input [`TOKENS`] [B, T], and the head that scores the token after each.
///
/// # Errors
/// When sizes do not fit each other.
pub fn model_of(
    decoder: &dyn Decoder,
    dtype: DType,
    name: &str,
    batch: usize,
    positions: usize,
) -> Result<Model, ModelError> {
    let tokens = Input::new(TOKENS, DType::Int32, [positions]);
    Model::build_in(dtype, name, batch, &[tokens], |cx, x| {
        decoder.whole(cx, x[0])?;
        Ok(Outputs(Vec::new()))
    })
}

impl dyn Decoder + '_ {
    /// The forward pass of training and evaluation on whole sequences tokens [B, T].
    fn whole(&self, cx: &mut Builder, tokens: Value) -> Result<(), ModelError> {
        let positions = cx.shape(tokens).last();
        let mut seen = Seen::whole(cx, &self.sizes(), positions)?;
        let head = self.forward(cx, tokens, &mut seen)?;
        cx.set_head(LOGITS, head);
        Ok(())
    }

    /// A program that takes `positions` more tokens of each of `batch` sequences and scores what follows each of them:
    /// inputs [`TOKENS`] and those of [`port`], outputs [`LOGITS`] [B, T, vocabulary] and the new caches.
    ///
    /// # Errors
    /// When sizes do not fit each other.
    pub fn with_cache(
        &self,
        dtype: DType,
        batch: usize,
        positions: usize,
    ) -> Result<Model, ModelError> {
        let sizes = self.sizes();
        let (context, width) = (sizes.context, sizes.head_width);
        let real = |name: &str, shape: &[usize]| Input::new(name, DType::Fp16, shape);
        let mut inputs = vec![
            Input::new(TOKENS, DType::Int32, [positions]),
            Input::new(port::POSITIONS, DType::Int32, [positions]),
        ];
        let cache = Shape::new(&[sizes.key_heads, context, width]);
        for layer in 0..sizes.layers {
            for values in [false, true] {
                inputs.push(Input::new(
                    &port::cache(layer, values, false),
                    DType::Fp16,
                    cache.clone(),
                ));
            }
        }
        let shared = [
            real(port::PLACE, &[1, 1, context, positions]),
            real(port::KEEP, &[1, 1, context, 1]),
            real(port::MASK, &[1, 1, positions, context]),
        ];
        let angles = [port::COS, port::SIN].map(|name| real(name, &[1, 1, positions, width]));
        Model::build_in(dtype, "decoder", batch, &inputs, |cx, x| {
            let shared = shared
                .iter()
                .map(|input| cx.shared_input(input))
                .collect::<Result<Vec<_>, _>>()?;
            let rope = match sizes.rope {
                None => None,
                Some(_) => {
                    let (cos, sin) = (cx.shared_input(&angles[0])?, cx.shared_input(&angles[1])?);
                    Some(Rope::of(cos, sin, width)?)
                }
            };
            let mut seen = Seen::Cached(Cached {
                positions: x[1],
                place: shared[0],
                keep: shared[1],
                mask: shared[2],
                rope,
                old: x[2..]
                    .chunks_exact(2)
                    .map(|pair| [pair[0], pair[1]])
                    .collect(),
                new: Vec::new(),
            });
            let head = self.forward(cx, x[0], &mut seen)?;
            let logits = head.logits(cx.graph())?;
            let mut outputs = vec![(LOGITS.to_owned(), logits)];
            if let Seen::Cached(cached) = seen {
                for (layer, pair) in cached.new.into_iter().enumerate() {
                    for (values, value) in [false, true].into_iter().zip(pair) {
                        outputs.push((port::cache(layer, values, true), value));
                    }
                }
            }
            Ok(Outputs(outputs))
        })
    }
}
