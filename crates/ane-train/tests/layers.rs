//! Every layer and every named model against PyTorch, computed in f64 by `fixtures/make_layers.py`: outputs, gradients
//! of all parameters and of x, running statistics, and inference with them; for full batches and for short ones.

#![allow(clippy::unwrap_used)]

#[path = "support/drawn.rs"]
mod drawn;

use ane_ir::{DType, Graph, Numerics, Shape, Tensor, Value, autodiff::vjp, eval};
use ane_train::{
    model::{Builder, Input, Model, ModelError, ModelGraph},
    models::{Examples, ModelSpec},
    nn::{
        Activation, AdaptiveAvgPool2d, AvgPool2d, BatchNorm1d, BatchNorm2d, Concat, Conv1d, Conv2d,
        ConvTranspose2d, Flatten, GroupNorm, Layer, LayerNorm, Linear, MaxPool2d, Residual,
        Sequential,
    },
};
use drawn::{drawn, stored};
use safetensors::{Dtype, SafeTensors};
use std::collections::HashMap;

const FIXTURE: &[u8] = include_bytes!("fixtures/layers.safetensors");
/// Largest difference to PyTorch, relative to the size of the tensor.
const TOLERANCE: f64 = 1e-6;

fn parameter(name: &str, shape: &Shape) -> Vec<f64> {
    let values = drawn(name, shape.numel());
    let scale = match shape.dims() {
        [_] => return values.iter().map(|x| 0.5 + 0.25 * x).collect(),
        [outputs, ..] => (3.0 * *outputs as f64 / shape.numel() as f64).sqrt(),
        [] => unreachable!("a parameter has axes"),
    };
    values.iter().map(|x| x * scale).collect()
}

fn fixture(all: &SafeTensors<'_>, name: &str) -> Vec<f64> {
    let t = all.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(t.dtype(), Dtype::F64, "{name}");
    let (elements, rest) = t.data().as_chunks::<8>();
    assert!(rest.is_empty());
    elements.iter().map(|c| f64::from_le_bytes(*c)).collect()
}

/// Compares with what the fixture holds under `name`, relative to the norm of the whole tensor.
fn check(all: &SafeTensors<'_>, name: &str, found: &[f64]) {
    let wanted = fixture(all, name);
    let found = stored(name, found);
    assert_eq!(wanted.len(), found.len(), "{name}");
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    let size = norm(&mut wanted.iter().copied());
    let difference = norm(&mut wanted.iter().zip(&found).map(|(a, b)| a - b));
    assert!(
        difference <= TOLERANCE * (size + 1e-3),
        "{name}: {difference:.2e} of {size:.2e}"
    );
}

/// A case of the script: its model at the batch of the case.
struct Case {
    name: &'static str,
    model: Model,
    x: Shape,
    /// Rows of the short batch, 0 for none.
    short: usize,
}

impl Case {
    fn new(
        name: &'static str,
        x: &[usize],
        forward: impl Fn(&mut Builder, Value) -> Result<Value, ModelError>,
    ) -> Self {
        let inputs = [Input::fp16("x", &x[1..])];
        let model = Model::build_in(DType::Fp32, name, x[0], &inputs, |cx, x| forward(cx, x[0]));
        Self {
            name,
            model: model.unwrap_or_else(|e| panic!("{name}: {e}")),
            x: Shape::new(x),
            short: 0,
        }
    }

    /// A model by name.
    fn model(name: &'static str, [batch, channels, rows, columns]: [usize; 4]) -> Self {
        let examples = Examples::images([channels, rows, columns], 10);
        let spec: ModelSpec = name.parse().unwrap();
        Self {
            name,
            model: spec.build_in(DType::Fp32, batch, &examples).unwrap(),
            x: Shape::new(&[batch, channels, rows, columns]),
            short: 0,
        }
    }

    fn short(self, short: usize) -> Self {
        Self { short, ..self }
    }

    /// x with its first rows filled.
    fn rows(&self, rows: usize) -> Vec<f64> {
        let mut x = drawn(&format!("{}/x", self.name), self.x.numel());
        x[self.x.numel() / self.model.batch * rows..].fill(0.0);
        x
    }

    /// Runs a graph of the model; `outputs` are appended to it.
    fn run(
        &self,
        g: &ModelGraph,
        graph: &Graph,
        x: &[f64],
        rows: usize,
        more: &HashMap<Value, Vec<f64>>,
    ) -> Vec<Tensor<f64>> {
        let inputs: Vec<Tensor<f64>> = graph
            .inputs()
            .iter()
            .map(|&v| {
                let ty = graph.ty(v).clone();
                let data = if v == g.inputs[0] {
                    x.to_vec()
                } else if g.present == Some(v) {
                    (0..self.model.batch)
                        .map(|row| if row < rows { 1.0 } else { 0.0 })
                        .collect()
                } else if let Some(i) = g.parameters.iter().position(|&p| p == v) {
                    let path = &self.model.parameters[i].path;
                    parameter(&format!("{}/param.{path}", self.name), &ty.shape)
                } else {
                    more[&v].clone()
                };
                Tensor::new(ty, data)
            })
            .collect();
        eval(graph, &inputs, &Numerics::exact()).unwrap()
    }

    /// Forward pass, gradients and statistics of a batch with this many rows, against the fixture's `key`.
    fn check(&self, all: &SafeTensors<'_>, key: &str, rows: usize) {
        let g = &self.model.train;
        let mut graph = g.graph.clone();
        let y = g.outputs[0].1;
        let ty = graph.ty(y).clone();
        let cotangent = graph.input("cotangent", ty.clone()).unwrap();
        let mut wrt = vec![g.inputs[0]];
        wrt.extend(&g.parameters);
        let gradients = vjp(&mut graph, &[y], &[cotangent], &wrt).unwrap();
        let mut names = vec!["y".to_owned(), "dx".to_owned()];
        let mut values = vec![y];
        values.extend(gradients.into_iter().map(Option::unwrap));
        let parameters = self.model.parameters.iter();
        names.extend(parameters.map(|p| format!("grad.{}", p.path)));
        values.extend(g.statistics.iter().map(|s| s.value));
        for (i, &v) in values.iter().enumerate() {
            let own = graph.identity(v).unwrap();
            graph.output(&format!("out{i}"), own).unwrap();
        }
        let mut r = drawn(&format!("{}/cotangent", self.name), ty.shape.numel());
        r[ty.shape.numel() / self.model.batch * rows..].fill(0.0);
        let x = self.rows(rows);
        let out = self.run(g, &graph, &x, rows, &HashMap::from([(cotangent, r)]));

        let present = |t: &Tensor<f64>| t.data[..t.data.len() / self.model.batch * rows].to_vec();
        check(all, &format!("{key}/y"), &present(&out[0]));
        check(all, &format!("{key}/dx"), &present(&out[1]));
        for (name, t) in names.iter().zip(&out).skip(2) {
            check(all, &format!("{key}/{name}"), &t.data);
        }

        let mut buffers: Vec<Vec<f32>> = self.model.buffers.iter().map(|b| b.initial()).collect();
        for (s, t) in g.statistics.iter().zip(&out[names.len()..]) {
            for (running, &batch) in buffers[s.buffer].iter_mut().zip(&t.data) {
                *running = s.update(*running, batch as f32, rows);
            }
        }
        for (b, running) in self.model.buffers.iter().zip(&buffers) {
            let running: Vec<f64> = running.iter().map(|&x| f64::from(x)).collect();
            check(all, &format!("{key}/buffer.{}", b.path), &running);
        }
        if !buffers.is_empty() {
            self.check_inference(all, key, rows, &x, &buffers);
        }
    }

    fn check_inference(
        &self,
        all: &SafeTensors<'_>,
        key: &str,
        rows: usize,
        x: &[f64],
        buffers: &[Vec<f32>],
    ) {
        let g = &self.model.infer;
        let mut graph = g.graph.clone();
        graph.output("y", g.outputs[0].1).unwrap();
        let ports = g.buffers.iter().map(|port| {
            let of = |&x: &f32| f64::from(port.form.of(x));
            (port.value, buffers[port.buffer].iter().map(of).collect())
        });
        let y = &self.run(g, &graph, x, rows, &ports.collect())[0].data;
        let present = y.len() / self.model.batch * rows;
        check(all, &format!("{key}/infer"), &y[..present]);
    }
}

fn blocks(cx: &mut Builder, x: Value) -> Result<Value, ModelError> {
    let projection = Sequential::new()
        .then(Conv2d::new(3, 4, 1))
        .then(Activation::Tanh);
    let block =
        Residual::new(|cx: &mut Builder, x| cx.layer("conv", Conv2d::new(3, 4, 3).padding(1), x))
            .shortcut("downsample", projection);
    let x = block.forward(cx, x)?;
    Concat::new()
        .path("a", Conv2d::new(4, 2, 1))
        .path("b", Conv2d::new(4, 3, 3).padding(1))
        .forward(cx, x)
}

fn mlp() -> Case {
    let spec: ModelSpec = "20-16-12-10:gelu".parse().unwrap();
    let examples = Examples::images([1, 4, 5], 10);
    Case {
        name: "mlp",
        model: spec.build_in(DType::Fp32, 6, &examples).unwrap(),
        x: Shape::new(&[6, 20]),
        short: 0,
    }
}

/// One layer, called `m`.
fn one(name: &'static str, x: &[usize], layer: impl Layer) -> Case {
    Case::new(name, x, |cx, x| cx.scope("m", |cx| layer.forward(cx, x)))
}

fn cases() -> Vec<Case> {
    vec![
        one("relu", &[4, 6], Activation::Relu),
        one("gelu", &[4, 6], Activation::Gelu),
        one("silu", &[4, 6], Activation::Silu),
        one("tanh", &[4, 6], Activation::Tanh),
        one("sigmoid", &[4, 6], Activation::Sigmoid),
        one("linear", &[4, 5], Linear::new(5, 3)),
        one(
            "linear_without_bias",
            &[4, 5],
            Linear::new(5, 3).bias(false),
        ),
        one("linear_of_rows", &[4, 2, 5], Linear::new(5, 3)),
        one(
            "conv1d",
            &[4, 3, 9],
            Conv1d::new(3, 4, 3).stride(2).padding(1),
        ),
        one("conv2d", &[4, 3, 6, 5], Conv2d::new(3, 4, 3)),
        one(
            "conv2d_stride",
            &[4, 3, 8, 5],
            Conv2d::new(3, 4, [3, 2])
                .stride([2, 1])
                .padding([1, 2])
                .bias(false),
        ),
        one(
            "conv2d_dilation",
            &[2, 2, 7, 7],
            Conv2d::new(2, 3, 3).padding(2).dilation(2),
        ),
        one(
            "conv2d_groups",
            &[2, 4, 5, 5],
            Conv2d::new(4, 6, 3).padding(1).groups(2),
        ),
        one(
            "conv2d_depthwise",
            &[2, 4, 6, 6],
            Conv2d::new(4, 4, 3).stride(2).padding(1).groups(4),
        ),
        one(
            "conv_transpose2d",
            &[2, 4, 4, 3],
            ConvTranspose2d::new(4, 3, 3)
                .stride(2)
                .padding(1)
                .output_padding(1),
        ),
        one(
            "conv_transpose2d_groups",
            &[2, 4, 4, 3],
            ConvTranspose2d::new(4, 6, [3, 2]).groups(2).bias(false),
        ),
        one(
            "conv_transpose2d_dilation",
            &[2, 2, 5, 4],
            ConvTranspose2d::new(2, 3, 3).padding(1).dilation(2),
        ),
        one("max_pool2d", &[3, 2, 6, 5], MaxPool2d::new(2)),
        one(
            "max_pool2d_overlap",
            &[3, 2, 6, 8],
            MaxPool2d::new(3).stride(2).padding(1).ceil_mode(true),
        ),
        one("avg_pool2d", &[3, 2, 6, 5], AvgPool2d::new(2)),
        one(
            "avg_pool2d_overlap",
            &[3, 2, 6, 8],
            AvgPool2d::new(3).stride(2).padding(1).ceil_mode(true),
        ),
        one(
            "avg_pool2d_without_padding",
            &[3, 2, 6, 7],
            AvgPool2d::new(3)
                .stride(2)
                .padding(1)
                .count_include_pad(false),
        ),
        one(
            "adaptive_avg_pool2d",
            &[3, 2, 6, 5],
            AdaptiveAvgPool2d::new(1),
        ),
        one(
            "adaptive_avg_pool2d_uneven",
            &[3, 2, 5, 7],
            AdaptiveAvgPool2d::new([2, 3]),
        ),
        one("batch_norm1d", &[40, 5], BatchNorm1d::new(5)).short(33),
        one(
            "batch_norm1d_of_series",
            &[4, 5, 3],
            BatchNorm1d::new(5).affine(false),
        )
        .short(1),
        one("batch_norm2d", &[4, 3, 5, 4], BatchNorm2d::new(3)).short(3),
        one(
            "batch_norm2d_settings",
            &[4, 3, 2, 2],
            BatchNorm2d::new(3).eps(0.1).momentum(0.3),
        )
        .short(2),
        one("layer_norm", &[4, 3, 5], LayerNorm::new([5])),
        one(
            "layer_norm_of_two_axes",
            &[4, 3, 5],
            LayerNorm::new([3, 5]).bias(false),
        ),
        one("group_norm", &[3, 6, 4, 3], GroupNorm::new(2, 6)),
        one(
            "group_norm_plain",
            &[3, 6],
            GroupNorm::new(3, 6).affine(false),
        ),
        one("flatten", &[3, 2, 4, 2], Flatten),
        Case::new("blocks", &[2, 3, 5, 4], blocks),
        mlp(),
        Case::model("lenet", [3, 1, 28, 28]),
        Case::model("resnet8", [4, 1, 12, 12]).short(3),
        Case::model("resnet20", [3, 3, 8, 8]),
        Case::model("mobilenet-tiny", [4, 3, 10, 10]).short(3),
        Case::model("autoencoder", [2, 1, 14, 14]),
    ]
}

#[test]
fn layers_and_models_are_those_of_pytorch() {
    let all = SafeTensors::deserialize(FIXTURE).unwrap();
    let cases = cases();
    for case in &cases {
        case.check(&all, case.name, case.model.batch);
        if case.short > 0 {
            case.check(&all, &format!("{}.short", case.name), case.short);
        }
    }
    // Each case of the fixture was compared.
    for name in all.names() {
        let case = name.split('/').next().unwrap().trim_end_matches(".short");
        assert!(cases.iter().any(|c| c.name == case), "{name}");
    }
}
