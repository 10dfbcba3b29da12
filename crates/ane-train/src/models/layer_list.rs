//! Models that are a list of layers, as a file has them: PyTorch's names and arguments, where what goes in is found out.
//!
//! Parameters have the paths that `nn.Sequential` gives them, `0.weight`, or those of the names that layers are given. A
//! layer of a new type is a variant of [`LayerSpec`] and its line in `apply`.

use super::Examples;
use crate::{
    model::{Builder, Input, Layer, Model, ModelError},
    nn::{
        Activation, AdaptiveAvgPool2d, AvgPool2d, BatchNorm1d, BatchNorm2d, Conv2d,
        ConvTranspose2d, Dropout, Flatten, GroupNorm, LayerNorm, Linear, MaxPool2d, PerAxis,
        Residual,
    },
};
use ane_ir::{DType, Value};
use serde::Deserialize;

/// A model as a list of layers.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerList {
    /// The layers, in the order in which they are applied.
    pub layers: Vec<NamedLayer>,
}

/// A layer of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedLayer {
    /// What it is called in paths of parameters; its place in the list where it has no name.
    pub name: Option<String>,
    /// What it does.
    pub spec: LayerSpec,
}

/// One size for both axes of an image, or one for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "expected a number, or two of them")]
pub enum Sizes {
    /// The same for both.
    Both(usize),
    /// Of rows and columns.
    Each([usize; 2]),
}

impl From<Sizes> for PerAxis<2> {
    fn from(sizes: Sizes) -> Self {
        match sizes {
            Sizes::Both(size) => size.into(),
            Sizes::Each(sizes) => sizes.into(),
        }
    }
}

fn one() -> Sizes {
    Sizes::Both(1)
}

fn none() -> Sizes {
    Sizes::Both(0)
}

fn yes() -> bool {
    true
}

fn single() -> usize {
    1
}

fn half() -> f64 {
    0.5
}

/// A layer: the type and the arguments of `torch.nn`, with its defaults. `in_channels`, `in_features`, `num_features` and
/// `normalized_shape` are those of what goes in.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
#[allow(missing_docs, reason = "names and meanings are those of torch.nn")]
pub enum LayerSpec {
    /// Without `out_features`, as many as the data set has outputs.
    Linear {
        out_features: Option<usize>,
        #[serde(default = "yes")]
        bias: bool,
    },
    Conv2d {
        out_channels: usize,
        kernel_size: Sizes,
        #[serde(default = "one")]
        stride: Sizes,
        #[serde(default = "none")]
        padding: Sizes,
        #[serde(default = "one")]
        dilation: Sizes,
        #[serde(default = "single")]
        groups: usize,
        #[serde(default = "yes")]
        bias: bool,
    },
    ConvTranspose2d {
        out_channels: usize,
        kernel_size: Sizes,
        #[serde(default = "one")]
        stride: Sizes,
        #[serde(default = "none")]
        padding: Sizes,
        #[serde(default = "none")]
        output_padding: Sizes,
        #[serde(default = "one")]
        dilation: Sizes,
        #[serde(default = "single")]
        groups: usize,
        #[serde(default = "yes")]
        bias: bool,
    },
    BatchNorm1d {
        eps: Option<f64>,
        momentum: Option<f64>,
        #[serde(default = "yes")]
        affine: bool,
    },
    BatchNorm2d {
        eps: Option<f64>,
        momentum: Option<f64>,
        #[serde(default = "yes")]
        affine: bool,
    },
    GroupNorm {
        num_groups: usize,
        eps: Option<f64>,
        #[serde(default = "yes")]
        affine: bool,
    },
    /// Over all axes but the batch.
    LayerNorm {
        eps: Option<f64>,
        #[serde(default = "yes")]
        elementwise_affine: bool,
    },
    MaxPool2d {
        kernel_size: Sizes,
        stride: Option<Sizes>,
        #[serde(default = "none")]
        padding: Sizes,
        #[serde(default)]
        ceil_mode: bool,
    },
    AvgPool2d {
        kernel_size: Sizes,
        stride: Option<Sizes>,
        #[serde(default = "none")]
        padding: Sizes,
        #[serde(default)]
        ceil_mode: bool,
        #[serde(default = "yes")]
        count_include_pad: bool,
    },
    AdaptiveAvgPool2d {
        output_size: Sizes,
    },
    Dropout {
        #[serde(default = "half")]
        p: f64,
    },
    Flatten {},
    ReLU {},
    /// `approximate="tanh"`.
    GELU {},
    SiLU {},
    Tanh {},
    Sigmoid {},
    /// What layers make of x, added to x or to what the layers of `shortcut` make of it.
    Residual {
        layers: Vec<NamedLayer>,
        #[serde(default)]
        shortcut: Vec<NamedLayer>,
    },
    Sequential {
        layers: Vec<NamedLayer>,
    },
}

impl<'de> Deserialize<'de> for NamedLayer {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let mut entries = serde_json::Map::deserialize(from)?;
        let name = match entries.remove("name") {
            None => None,
            Some(serde_json::Value::String(name)) if is_name(&name) => Some(name),
            Some(other) => {
                return Err(D::Error::custom(format!(
                    "`name` is {other}: expected letters, digits and _"
                )));
            }
        };
        let spec = LayerSpec::deserialize(serde_json::Value::Object(entries));
        let spec = spec.map_err(D::Error::custom)?;
        Ok(Self { name, spec })
    }
}

/// Whether a text can be part of a path.
fn is_name(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !text.is_empty() && text.chars().all(is_part)
}

impl LayerList {
    /// The model `name` for examples of a data set: input `x`, output `logits` or `values` of so many.
    ///
    /// # Errors
    /// When a layer does not take what the one before it makes, or the last makes another number of outputs.
    pub fn build(
        &self,
        name: &str,
        dtype: DType,
        batch: usize,
        examples: &Examples,
    ) -> Result<Model, ModelError> {
        let inputs = [Input::fp16("x", examples.shape.clone())];
        let output = examples.outputs.name();
        Model::build_in(dtype, name, batch, &inputs, |cx, x| {
            let y = all(&self.layers, cx, x[0], examples)?;
            let (found, expected) = (cx.shape(y).clone(), examples.outputs.width());
            if found.dims() != [batch, expected] {
                return Err(ModelError::LastLayer {
                    model: name.to_owned(),
                    found,
                    expected: [batch, expected].into(),
                });
            }
            Ok([(output, y)])
        })
    }
}

/// Applies layers in turn, each in a scope of its own.
fn all(
    layers: &[NamedLayer],
    cx: &mut Builder,
    x: Value,
    examples: &Examples,
) -> Result<Value, ModelError> {
    layers.iter().enumerate().try_fold(x, |x, (i, layer)| {
        let place = i.to_string();
        let name = layer.name.as_deref().unwrap_or(&place);
        cx.scope(name, |cx| layer.spec.apply(cx, x, examples))
    })
}

impl LayerSpec {
    fn apply(&self, cx: &mut Builder, x: Value, examples: &Examples) -> Result<Value, ModelError> {
        let shape = cx.shape(x).clone();
        // Channels of an image, features of a row; a layer refuses what has neither.
        let inputs = shape.dims().get(1).copied().unwrap_or(1);
        match *self {
            Self::Linear { out_features, bias } => {
                let outputs = out_features.unwrap_or(examples.outputs.width());
                let inputs = shape.dims().last().copied().unwrap_or(1);
                Linear::new(inputs, outputs).bias(bias).forward(cx, x)
            }
            Self::Conv2d {
                out_channels,
                kernel_size,
                stride,
                padding,
                dilation,
                groups,
                bias,
            } => Conv2d::new(inputs, out_channels, kernel_size)
                .stride(stride)
                .padding(padding)
                .dilation(dilation)
                .groups(groups)
                .bias(bias)
                .forward(cx, x),
            Self::ConvTranspose2d {
                out_channels,
                kernel_size,
                stride,
                padding,
                output_padding,
                dilation,
                groups,
                bias,
            } => ConvTranspose2d::new(inputs, out_channels, kernel_size)
                .stride(stride)
                .padding(padding)
                .output_padding(output_padding)
                .dilation(dilation)
                .groups(groups)
                .bias(bias)
                .forward(cx, x),
            Self::BatchNorm1d {
                eps,
                momentum,
                affine,
            } => {
                let mut layer = BatchNorm1d::new(inputs).affine(affine);
                layer = eps.map_or(layer, |eps| layer.eps(eps));
                momentum.map_or(layer, |m| layer.momentum(m)).forward(cx, x)
            }
            Self::BatchNorm2d {
                eps,
                momentum,
                affine,
            } => {
                let mut layer = BatchNorm2d::new(inputs).affine(affine);
                layer = eps.map_or(layer, |eps| layer.eps(eps));
                momentum.map_or(layer, |m| layer.momentum(m)).forward(cx, x)
            }
            Self::GroupNorm {
                num_groups,
                eps,
                affine,
            } => {
                let layer = GroupNorm::new(num_groups, inputs).affine(affine);
                eps.map_or(layer, |eps| layer.eps(eps)).forward(cx, x)
            }
            Self::LayerNorm {
                eps,
                elementwise_affine,
            } => {
                let normalized = ane_ir::Shape::new(shape.dims().get(1..).unwrap_or_default());
                let layer = LayerNorm::new(normalized).affine(elementwise_affine);
                match eps {
                    Some(eps) => layer.eps(eps).forward(cx, x),
                    None => layer.forward(cx, x),
                }
            }
            Self::MaxPool2d {
                kernel_size,
                stride,
                padding,
                ceil_mode,
            } => MaxPool2d::new(kernel_size)
                .stride(stride.unwrap_or(kernel_size))
                .padding(padding)
                .ceil_mode(ceil_mode)
                .forward(cx, x),
            Self::AvgPool2d {
                kernel_size,
                stride,
                padding,
                ceil_mode,
                count_include_pad,
            } => AvgPool2d::new(kernel_size)
                .stride(stride.unwrap_or(kernel_size))
                .padding(padding)
                .ceil_mode(ceil_mode)
                .count_include_pad(count_include_pad)
                .forward(cx, x),
            Self::AdaptiveAvgPool2d { output_size } => {
                AdaptiveAvgPool2d::new(output_size).forward(cx, x)
            }
            Self::Dropout { p } => Dropout::new(p).forward(cx, x),
            Self::Flatten {} => Flatten.forward(cx, x),
            Self::ReLU {} => Activation::Relu.forward(cx, x),
            Self::GELU {} => Activation::Gelu.forward(cx, x),
            Self::SiLU {} => Activation::Silu.forward(cx, x),
            Self::Tanh {} => Activation::Tanh.forward(cx, x),
            Self::Sigmoid {} => Activation::Sigmoid.forward(cx, x),
            Self::Residual {
                ref layers,
                ref shortcut,
            } => {
                let path = |cx: &mut Builder, x| all(layers, cx, x, examples);
                let around = |cx: &mut Builder, x| all(shortcut, cx, x, examples);
                match shortcut.is_empty() {
                    true => Residual::new(path).forward(cx, x),
                    false => Residual::new(path)
                        .shortcut("shortcut", around)
                        .forward(cx, x),
                }
            }
            Self::Sequential { ref layers } => all(layers, cx, x, examples),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{models::ModelSpec, nn::PerAxis};

    fn list(json: &str) -> Result<LayerList, String> {
        let layers = serde_json::from_str(json).map_err(|e| e.to_string())?;
        Ok(LayerList { layers })
    }

    #[test]
    fn a_list_is_the_model_that_its_layers_are() {
        let named = list(
            r#"[{"type": "Conv2d", "name": "conv1", "out_channels": 6, "kernel_size": 5, "padding": 2},
                {"type": "ReLU"}, {"type": "MaxPool2d", "kernel_size": 2},
                {"type": "Conv2d", "name": "conv2", "out_channels": 16, "kernel_size": [5, 5]},
                {"type": "ReLU"}, {"type": "MaxPool2d", "kernel_size": 2}, {"type": "Flatten"},
                {"type": "Linear", "name": "fc1", "out_features": 120}, {"type": "ReLU"},
                {"type": "Linear", "name": "fc2", "out_features": 84}, {"type": "ReLU"},
                {"type": "Linear", "name": "fc3"}]"#,
        )
        .unwrap();
        let examples = Examples::images([1, 28, 28], 10);
        let model = named.build("net.toml", DType::Fp16, 4, &examples).unwrap();
        let lenet: ModelSpec = "lenet".parse().unwrap();
        assert_eq!(
            model.parameters,
            lenet.build(4, &examples).unwrap().parameters
        );
        let [rows, columns] = PerAxis::<2>::from(Sizes::Each([1, 2])).0;
        assert_eq!((rows, columns), (1, 2));
    }

    #[test]
    fn residual_blocks_have_the_paths_of_their_parts() {
        let model = list(
            r#"[{"type": "Residual", "layers": [{"type": "Conv2d", "out_channels": 8, "kernel_size": 3, "padding": 1,
                 "bias": false}, {"type": "BatchNorm2d"}], "shortcut": [{"type": "Conv2d", "out_channels": 8,
                 "kernel_size": 1}]}, {"type": "AdaptiveAvgPool2d", "output_size": 1}, {"type": "Flatten"},
                {"type": "Linear"}]"#,
        )
        .unwrap();
        let examples = Examples::images([3, 8, 8], 5);
        let model = model.build("net.toml", DType::Fp16, 2, &examples).unwrap();
        let paths: Vec<&str> = model.parameters.iter().map(|p| &p.path[..]).collect();
        assert_eq!(
            paths,
            [
                "0.0.weight",
                "0.1.weight",
                "0.1.bias",
                "0.shortcut.0.weight",
                "0.shortcut.0.bias",
                "3.weight",
                "3.bias"
            ]
        );
    }

    #[test]
    fn what_a_list_says_wrongly_is_named() {
        for (json, said) in [
            (r#"[{"type": "Conv3d"}]"#, "unknown variant `Conv3d`"),
            (
                r#"[{"type": "ReLU", "inplace": true}]"#,
                "unknown field `inplace`",
            ),
            (
                r#"[{"type": "Conv2d", "out_channels": 3}]"#,
                "missing field `kernel_size`",
            ),
            (
                r#"[{"type": "Flatten", "name": "a.b"}]"#,
                "letters, digits and _",
            ),
            (
                r#"[{"type": "MaxPool2d", "kernel_size": "2"}]"#,
                "expected a number, or two of them",
            ),
        ] {
            let error = list(json).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
        let ends_wrongly = list(r#"[{"type": "Flatten"}, {"type": "Linear", "out_features": 3}]"#);
        let examples = Examples::images([1, 4, 4], 10);
        let error = ends_wrongly
            .unwrap()
            .build("net.toml", DType::Fp16, 2, &examples)
            .unwrap_err();
        assert!(error.to_string().contains("[2, 10]"), "{error}");
    }
}
