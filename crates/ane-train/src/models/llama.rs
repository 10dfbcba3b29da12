//! Llama (Touvron et al., 2023): rotary positions, RMS norms, SwiGLU, grouped-query attention.
//!
//! Parameters have the names and layouts of Hugging Face's `LlamaForCausalLM`.

use super::{
    Entry, Examples, Recipe,
    decoder::{Decoder, DecoderSizes, Seen},
};
use crate::{
    model::{Builder, Head, Init, ModelError, Tags},
    nn::{
        Activation, Embedding, Heads, Linear, RmsNorm, attend, look_up, merge_heads, split_heads,
    },
};
use ane_ir::Value;

pub(super) static LLAMA_15M: Entry = Entry::decoder(
    "llama-15m",
    "a Llama of 6 layers, 288 wide, with 6 heads",
    |examples| Box::new(Llama::of(examples, 6, 288, 6, 768)),
    Recipe::LLAMA,
);

pub(super) static LLAMA_110M: Entry = Entry::decoder(
    "llama-110m",
    "a Llama of 12 layers, 768 wide, with 12 heads",
    |examples| Box::new(Llama::of(examples, 12, 768, 12, 2_048)),
    Recipe::LLAMA,
);

/// A Llama of any size.
#[derive(Debug, Clone, PartialEq)]
pub struct Llama {
    /// Tokens that there are.
    pub vocabulary: usize,
    /// Most positions of a sequence.
    pub context: usize,
    /// Blocks.
    pub layers: usize,
    /// Numbers of a position.
    pub width: usize,
    /// Heads of queries.
    pub heads: usize,
    /// Heads of keys and values.
    pub key_heads: usize,
    /// Numbers between the products of an MLP.
    pub hidden: usize,
    /// What angles of positions are powers of.
    pub rope_theta: f64,
    /// What norms add to the mean square.
    pub eps: f64,
    /// Whether the table of tokens is also that of their scores.
    pub tied: bool,
}

impl Llama {
    /// For sequences of tokens; with `rope_theta` 10,000, eps 1e-5, as many heads of keys as of queries, and tied tables.
    pub fn of(
        examples: &Examples,
        layers: usize,
        width: usize,
        heads: usize,
        hidden: usize,
    ) -> Self {
        Self {
            vocabulary: examples.outputs.width(),
            context: examples.values(),
            layers,
            width,
            heads,
            key_heads: heads,
            hidden,
            rope_theta: 10_000.0,
            eps: 1e-5,
            tied: true,
        }
    }

    /// `initializer_range` of Hugging Face's configuration.
    const DEVIATION: f64 = 0.02;

    fn linear(&self, inputs: usize, outputs: usize) -> Linear {
        let init = Init::Normal(Self::DEVIATION);
        Linear::new(inputs, outputs).bias(false).init(init)
    }

    fn norm(&self) -> RmsNorm {
        RmsNorm::new(self.width).eps(self.eps)
    }

    fn attention(
        &self,
        cx: &mut Builder,
        x: Value,
        layer: usize,
        seen: &mut Seen,
    ) -> Result<Value, ModelError> {
        let heads = Heads::of("Llama", self.width, self.heads, self.key_heads)?;
        let width = heads.width;
        let of = |cx: &mut Builder, name: &str, heads: usize| {
            let y = cx.layer(name, self.linear(self.width, heads * width), x)?;
            split_heads(cx, y, heads)
        };
        let q = of(cx, "q_proj", self.heads)?;
        let k = of(cx, "k_proj", self.key_heads)?;
        let v = of(cx, "v_proj", self.key_heads)?;
        let q = seen.rotate(cx, q)?;
        let k = seen.rotate(cx, k)?;
        let (kv, mask) = seen.of_layer(cx, layer, [k, v])?;
        let y = attend(cx, heads, [q, kv[0], kv[1]], Some(mask))?;
        let y = merge_heads(cx, y)?;
        cx.layer("o_proj", self.linear(self.width, self.width), y)
    }

    fn mlp(&self, cx: &mut Builder, x: Value) -> Result<Value, ModelError> {
        let gate = cx.layer("gate_proj", self.linear(self.width, self.hidden), x)?;
        let gate = cx.layer("act_fn", Activation::Silu, gate)?;
        let up = cx.layer("up_proj", self.linear(self.width, self.hidden), x)?;
        let y = cx.graph().mul(gate, up)?;
        cx.layer("down_proj", self.linear(self.hidden, self.width), y)
    }

    fn block(
        &self,
        cx: &mut Builder,
        x: Value,
        layer: usize,
        seen: &mut Seen,
    ) -> Result<Value, ModelError> {
        let y = cx.layer("input_layernorm", self.norm(), x)?;
        let y = cx.scope("self_attn", |cx| self.attention(cx, y, layer, seen))?;
        let x = cx.graph().add(x, y)?;
        let y = cx.layer("post_attention_layernorm", self.norm(), x)?;
        let y = cx.scope("mlp", |cx| self.mlp(cx, y))?;
        Ok(cx.graph().add(x, y)?)
    }
}

impl Decoder for Llama {
    fn sizes(&self) -> DecoderSizes {
        DecoderSizes {
            vocabulary: self.vocabulary,
            context: self.context,
            layers: self.layers,
            key_heads: self.key_heads,
            head_width: self.width / self.heads.max(1),
            rope: Some(self.rope_theta),
        }
    }

    fn forward(
        &self,
        cx: &mut Builder,
        tokens: Value,
        seen: &mut Seen,
    ) -> Result<Head, ModelError> {
        let table = Embedding::new(self.vocabulary, self.width).init(Init::Normal(Self::DEVIATION));
        let (embedding, hidden) = cx.scope("model", |cx| {
            let (embedding, mut x) = cx.scope("embed_tokens", |cx| {
                let weight = table.table(cx)?;
                Ok((weight, look_up(cx, weight, tokens)?))
            })?;
            for layer in 0..self.layers {
                x = cx.scope("layers", |cx| {
                    cx.scope(&layer.to_string(), |cx| self.block(cx, x, layer, seen))
                })?;
            }
            Ok((embedding, cx.layer("norm", self.norm(), x)?))
        })?;
        let weight = match self.tied {
            true => embedding,
            // A matrix like others, and no table that is looked up.
            false => cx.scope("lm_head", |cx| {
                let shape = [self.vocabulary, self.width];
                cx.parameter(
                    "weight",
                    shape,
                    Init::Normal(Self::DEVIATION),
                    Tags::default(),
                )
            })?,
        };
        Ok(Head { hidden, weight })
    }
}
