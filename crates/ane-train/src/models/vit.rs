//! Vision transformers (Dosovitskiy et al., 2021): an image as a sequence of patches, behind a token that becomes its class.
//!
//! Parameters have the names and layouts of Hugging Face's `ViTForImageClassification` (transformers 5). Its eps of 1e-12 is 0 in
//! fp16; here it is PyTorch's 1e-5.

use super::{Entry, Examples, Network};
use crate::{
    model::{Builder, Init, LayerError, ModelError, Tags},
    nn::{Conv2d, Heads, LayerNorm, Linear, attend, merge_heads, split_heads},
};
use ane_ir::{Shape, Value, ops::gelu::Mode};

pub(super) static VIT_TINY: Entry = Entry {
    name: "vit-tiny",
    about: "a vision transformer of 4 layers, 64 wide, with 4 heads, on patches of 7 by 7, or 8 or 4 where those divide an image",
    reconstructs: false,
    flat: false,
    network: Network::Layers(|cx, x, examples| tiny(cx.shape(x)).forward(cx, x, examples)),
};

/// For images of this shape: the first of these sides of a patch that divides theirs.
fn tiny(x: &Shape) -> Vit {
    const SIDES: [usize; 3] = [7, 8, 4];
    let sides = x.dims().iter().skip(2);
    let divides = |side: &usize| sides.clone().all(|n| n.is_multiple_of(*side));
    Vit {
        patch: SIDES.into_iter().find(divides).unwrap_or(SIDES[0]),
        layers: 4,
        width: 64,
        heads: 4,
        hidden: 128,
    }
}

/// A vision transformer of any size.
struct Vit {
    /// Rows and columns of a patch.
    patch: usize,
    layers: usize,
    width: usize,
    heads: usize,
    /// Numbers between the products of an MLP.
    hidden: usize,
}

/// Deviation of initial weights: `initializer_range`.
const DEVIATION: f64 = 0.02;

impl Vit {
    fn linear(&self, inputs: usize, outputs: usize) -> Linear {
        Linear::new(inputs, outputs).init(Init::Normal(DEVIATION))
    }

    /// Images [B, C, H, W] as patches behind the class token, with their positions: [B, 1 + patches, width].
    fn embeddings(&self, cx: &mut Builder, x: Value) -> Result<Value, ModelError> {
        let [batch, channels, rows, columns] = match *cx.shape(x).dims() {
            [batch, channels, rows, columns] => [batch, channels, rows, columns],
            _ => unreachable!("models of images are built for images"),
        };
        for side in [rows, columns] {
            if !side.is_multiple_of(self.patch) {
                return Err(LayerError::Heads {
                    layer: "ViT",
                    heads: self.patch,
                    what: "pixels of a patch",
                    whole: format!("a side of {side}"),
                }
                .into());
            }
        }
        let init = Init::Normal(DEVIATION);
        let class = cx.parameter(
            "cls_token",
            [1, 1, self.width],
            init.clone(),
            Tags::EMBEDDING,
        )?;
        let patches = (rows / self.patch) * (columns / self.patch);
        let positions = [1, 1 + patches, self.width];
        let positions = cx.parameter("position_embeddings", positions, init, Tags::EMBEDDING)?;
        let projection = Conv2d::new(channels, self.width, self.patch).stride(self.patch);
        let x = cx.scope("patch_embeddings", |cx| {
            cx.layer("projection", projection, x)
        })?;
        let g = cx.graph();
        let x = g.reshape(x, &Shape::new(&[batch, self.width, patches]))?;
        let x = g.transpose(x, &[0, 2, 1])?;
        let copies = i32::try_from(batch).unwrap_or(i32::MAX);
        let class = g.tile(class, &[copies, 1, 1])?;
        let x = g.concat(&[class, x], 1)?;
        Ok(g.add(x, positions)?)
    }

    fn attention(&self, cx: &mut Builder, x: Value) -> Result<Value, ModelError> {
        let heads = Heads::of("ViT", self.width, self.heads, self.heads)?;
        let of = |cx: &mut Builder, name: &str| {
            let y = cx.layer(name, self.linear(self.width, self.width), x)?;
            split_heads(cx, y, self.heads)
        };
        let qkv = [of(cx, "q_proj")?, of(cx, "k_proj")?, of(cx, "v_proj")?];
        let y = attend(cx, heads, qkv, None)?;
        let y = merge_heads(cx, y)?;
        cx.layer("o_proj", self.linear(self.width, self.width), y)
    }

    fn block(&self, cx: &mut Builder, x: Value) -> Result<Value, ModelError> {
        let y = cx.layer("layernorm_before", LayerNorm::new([self.width]), x)?;
        let y = cx.scope("attention", |cx| self.attention(cx, y))?;
        let x = cx.graph().add(x, y)?;
        let y = cx.layer("layernorm_after", LayerNorm::new([self.width]), x)?;
        let y = cx.scope("mlp", |cx| {
            let y = cx.layer("fc1", self.linear(self.width, self.hidden), y)?;
            let y = cx.graph().gelu(y, Mode::Exact)?;
            cx.layer("fc2", self.linear(self.hidden, self.width), y)
        })?;
        Ok(cx.graph().add(x, y)?)
    }

    fn forward(
        &self,
        cx: &mut Builder,
        x: Value,
        examples: &Examples,
    ) -> Result<Value, ModelError> {
        let class = cx.scope("vit", |cx| {
            let mut x = cx.scope("embeddings", |cx| self.embeddings(cx, x))?;
            for layer in 0..self.layers {
                x = cx.scope("layers", |cx| {
                    cx.scope(&layer.to_string(), |cx| self.block(cx, x))
                })?;
            }
            let x = cx.layer("layernorm", LayerNorm::new([self.width]), x)?;
            let batch = cx.batch();
            let int = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
            let g = cx.graph();
            let class = g.slice_by_size(x, &[0, 0, 0], &[int(batch), 1, int(self.width)])?;
            Ok(g.reshape(class, &Shape::new(&[batch, self.width]))?)
        })?;
        let classes = examples.outputs.width();
        cx.layer("classifier", self.linear(self.width, classes), class)
    }
}
