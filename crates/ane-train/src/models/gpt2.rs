//! GPT-2 (Radford et al., 2019): learned positions, norms before attention and MLP, one table for tokens in and out.
//!
//! Parameters have the names and layouts of Hugging Face's `GPT2LMHeadModel`.

use super::{
    Entry, Examples, Recipe,
    decoder::{Decoder, DecoderSizes, Seen},
};
use crate::{
    model::{Builder, Head, Init, LayerError, ModelError},
    nn::{
        Activation, Embedding, Heads, LayerNorm, Linear, attend, look_up, merge_heads, split_heads,
    },
};
use ane_ir::Value;

pub(super) static CHAR_GPT: Entry = Entry::decoder(
    "char-gpt",
    "a GPT of 4 layers, 128 wide, with 4 heads: text, character by character",
    |examples| Box::new(Gpt2::of(examples, 4, 128, 4)),
    Recipe::SMALL,
);

/// A GPT-2 of any size.
#[derive(Debug, Clone, PartialEq)]
pub struct Gpt2 {
    vocabulary: usize,
    context: usize,
    layers: usize,
    width: usize,
    heads: usize,
}

/// Deviation of initial weights.
const DEVIATION: f64 = 0.02;

impl Gpt2 {
    /// For sequences of tokens.
    pub fn of(examples: &Examples, layers: usize, width: usize, heads: usize) -> Self {
        Self {
            vocabulary: examples.outputs.width(),
            context: examples.values(),
            layers,
            width,
            heads,
        }
    }

    fn linear(&self, inputs: usize, outputs: usize, deviation: f64) -> Linear {
        Linear::new(inputs, outputs)
            .transposed()
            .init(Init::Normal(deviation))
    }

    /// Of the last layer before a residual sum. Each sum adds to the variance of the stream, so its terms shrink with their
    /// number, 2 · layers.
    fn projection(&self, inputs: usize) -> Linear {
        let deviation = DEVIATION / (2.0 * self.layers as f64).sqrt();
        self.linear(inputs, self.width, deviation)
    }

    fn attention(
        &self,
        cx: &mut Builder,
        x: Value,
        layer: usize,
        seen: &mut Seen,
    ) -> Result<Value, ModelError> {
        let heads = Heads::of("GPT-2", self.width, self.heads, self.heads)?;
        let all = self.linear(self.width, 3 * self.width, DEVIATION);
        let qkv = cx.layer("c_attn", all, x)?;
        let parts = cx.graph().split(qkv, 3, -1)?;
        let [q, k, v] = [0, 1, 2].map(|i| split_heads(cx, parts[i], self.heads));
        let (kv, mask) = seen.of_layer(cx, layer, [k?, v?])?;
        let y = attend(cx, heads, [q?, kv[0], kv[1]], Some(mask))?;
        let y = merge_heads(cx, y)?;
        cx.layer("c_proj", self.projection(self.width), y)
    }

    fn block(
        &self,
        cx: &mut Builder,
        x: Value,
        layer: usize,
        seen: &mut Seen,
    ) -> Result<Value, ModelError> {
        let norm = || LayerNorm::new([self.width]);
        let y = cx.layer("ln_1", norm(), x)?;
        let y = cx.scope("attn", |cx| self.attention(cx, y, layer, seen))?;
        let x = cx.graph().add(x, y)?;
        let y = cx.layer("ln_2", norm(), x)?;
        let y = cx.scope("mlp", |cx| {
            let hidden = 4 * self.width;
            let y = cx.layer("c_fc", self.linear(self.width, hidden, DEVIATION), y)?;
            let y = cx.layer("act", Activation::Gelu, y)?;
            cx.layer("c_proj", self.projection(hidden), y)
        })?;
        Ok(cx.graph().add(x, y)?)
    }
}

impl Decoder for Gpt2 {
    fn sizes(&self) -> DecoderSizes {
        DecoderSizes {
            vocabulary: self.vocabulary,
            context: self.context,
            layers: self.layers,
            key_heads: self.heads,
            head_width: self.width / self.heads.max(1),
            rope: None,
        }
    }

    fn forward(
        &self,
        cx: &mut Builder,
        tokens: Value,
        seen: &mut Seen,
    ) -> Result<Head, ModelError> {
        let positions = cx.shape(tokens).last();
        if positions > self.context {
            return Err(LayerError::Positions {
                layer: "GPT-2",
                context: self.context,
                found: positions,
            }
            .into());
        }
        cx.scope("transformer", |cx| {
            let table = |rows| Embedding::new(rows, self.width).init(Init::Normal(DEVIATION));
            let (weight, mut x) = cx.scope("wte", |cx| {
                let weight = table(self.vocabulary).table(cx)?;
                Ok((weight, look_up(cx, weight, tokens)?))
            })?;
            let at = cx.scope("wpe", |cx| {
                let weight = table(self.context).table(cx)?;
                seen.positions(cx, weight, positions)
            })?;
            x = cx.graph().add(x, at)?;
            for layer in 0..self.layers {
                x = cx.scope("h", |cx| {
                    cx.scope(&layer.to_string(), |cx| self.block(cx, x, layer, seen))
                })?;
            }
            let hidden = cx.layer("ln_f", LayerNorm::new([self.width]), x)?;
            Ok(Head { hidden, weight })
        })
    }
}
