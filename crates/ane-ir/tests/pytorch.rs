//! Ops against PyTorch, in f64: results and gradients of every operand.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

use ane_ir::{
    DType, Graph, Literal, Numerics, Tensor, TensorType, Value,
    autodiff::vjp,
    eval,
    ops::{
        avg_pool::AvgPool, conv::Conv, conv_transpose::ConvTranspose, gelu, max_pool::MaxPool,
        scatter::Mode, slice_by_index::SliceByIndex, split::Split, support::window::PadType,
    },
};
use std::collections::BTreeMap;

/// What `fixtures/make_ops.py` wrote.
const FIXTURE: &str = include_str!("fixtures/ops.txt");

/// The tensors of every case by name, in the order of the file.
fn cases() -> BTreeMap<&'static str, Vec<(&'static str, Tensor<f64>)>> {
    let mut cases: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for line in FIXTURE.lines() {
        let (head, elements) = line.split_once(':').unwrap();
        let mut words = head.split(' ');
        let mut word = || words.next().unwrap();
        let (case, name, shape) = (word(), word(), word());
        let shape: Vec<usize> = shape.split(',').map(|d| d.parse().unwrap()).collect();
        let elements = elements.split_whitespace().map(|x| x.parse().unwrap());
        let tensor = Tensor::new(TensorType::fp32(&shape[..]), elements.collect());
        cases.entry(case).or_default().push((name, tensor));
    }
    cases
}

fn some(values: &[i32]) -> Option<Vec<i32>> {
    Some(values.to_vec())
}

fn indices(g: &mut Graph, all: &[f64]) -> Value {
    let ty = TensorType::new(DType::Int32, [all.len()]);
    g.constant(Literal::from_f64(ty, all)).unwrap()
}

/// The case as a graph: `xs` are its inputs in order.
fn build(case: &str, g: &mut Graph, xs: &[Value]) -> Value {
    let plain = Conv::default;
    let bias = xs.get(2).copied();
    let custom = |strides: &[i32], pad: &[i32]| (some(strides), PadType::Custom, some(pad));
    let mut conv = |op: Conv| g.conv(xs[0], xs[1], bias, op);
    let made = match case {
        "conv_plain" | "conv_3d" => conv(plain()),
        "conv_rest" => conv(Conv {
            strides: some(&[3, 3]),
            ..plain()
        }),
        "conv_all" => conv(Conv {
            strides: some(&[2, 1]),
            pad_type: PadType::Custom,
            pad: some(&[1, 1, 2, 2]),
            dilations: some(&[1, 2]),
            groups: 2,
        }),
        "conv_depthwise" => conv(Conv {
            pad_type: PadType::Custom,
            pad: some(&[1, 1, 1, 1]),
            groups: 3,
            ..plain()
        }),
        "conv_same" => conv(Conv {
            pad_type: PadType::Same,
            ..plain()
        }),
        "transpose_plain" => g.conv_transpose(
            xs[0],
            xs[1],
            bias,
            ConvTranspose {
                strides: some(&[2]),
                ..ConvTranspose::default()
            },
        ),
        "transpose_all" => g.conv_transpose(
            xs[0],
            xs[1],
            bias,
            ConvTranspose {
                pad: some(&[1, 1, 0, 0]),
                output_shape: some(&[2, 6, 6, 8]),
                pad_type: PadType::Custom,
                strides: some(&[2, 3]),
                dilations: some(&[1, 2]),
                groups: 2,
            },
        ),
        "max_tiles" | "max_rest" | "max_overlap" | "max_ceil" => {
            let (kernel_sizes, (strides, pad_type, pad)) = match case {
                "max_tiles" | "max_ceil" => (vec![2, 2], custom(&[2, 2], &[0; 4])),
                "max_rest" => (vec![2, 3], custom(&[2, 3], &[0; 4])),
                _ => (vec![3, 3], custom(&[2, 1], &[1; 4])),
            };
            let op = MaxPool {
                kernel_sizes,
                strides,
                pad_type,
                pad,
                ceil_mode: case == "max_ceil",
            };
            g.max_pool(xs[0], op)
        }
        "avg_tiles" | "avg_overlap" | "avg_exclude" | "avg_ceil" => {
            let (kernel_sizes, (strides, pad_type, pad)) = match case {
                "avg_tiles" => (vec![2, 2], custom(&[2, 2], &[0; 4])),
                "avg_overlap" => (vec![3, 3], custom(&[2, 1], &[1; 4])),
                _ => (vec![3, 3], custom(&[2, 2], &[1; 4])),
            };
            let op = AvgPool {
                kernel_sizes,
                strides,
                pad_type,
                pad,
                exclude_padding_from_average: case == "avg_exclude",
                ceil_mode: case == "avg_ceil",
            };
            g.avg_pool(xs[0], op)
        }
        "batch_norm" => g.batch_norm(xs[0], [xs[1], xs[2]], Some(xs[3]), Some(xs[4]), 1e-3),
        "layer_norm" => g.layer_norm(xs[0], Some(xs[1]), Some(xs[2]), &[1, 2], 1e-5),
        "instance_norm" => g.instance_norm(xs[0], Some(xs[1]), Some(xs[2]), 1e-3),
        "linear" => g.linear(xs[0], xs[1], bias),
        "abs" => g.abs(xs[0]),
        "ceil" => g.ceil(xs[0]),
        "cos" => g.cos(xs[0]),
        "cumsum" => g.cumsum(xs[0], 1),
        "cumsum_last" => g.cumsum(xs[0], -1),
        "tril" => g.band_part(xs[0], -1, 0),
        "triu" => g.band_part(xs[0], 0, -1),
        "band" => g.band_part(xs[0], 2, 1),
        "elu" => g.elu(xs[0], 0.75),
        "erf" => g.erf(xs[0]),
        "floor" => g.floor(xs[0]),
        "gelu" => g.gelu(xs[0], gelu::Mode::Exact),
        "gelu_sigmoid" => g.gelu(xs[0], gelu::Mode::SigmoidApproximation),
        "gelu_tanh" => g.gelu(xs[0], gelu::Mode::TanhApproximation),
        "inverse" => g.inverse(xs[0], 0.0),
        "log" => g.log(xs[0], 0.0),
        "maximum" => g.maximum(xs[0], xs[1]),
        "minimum" => g.minimum(xs[0], xs[1]),
        "power" | "power_of_0" => g.pow(xs[0], xs[1]),
        "power_0" | "power_1" | "power_2" | "power_3" | "power_root" => {
            let exponent = case.strip_prefix("power_").unwrap().parse();
            let exponent = g.scalar(DType::Fp32, exponent.unwrap_or(0.5)).unwrap();
            g.pow(xs[0], exponent)
        }
        "quotient" => g.real_div(xs[0], xs[1]),
        "relu" => g.relu(xs[0]),
        "round" => g.round(xs[0]),
        "rsqrt" => g.rsqrt(xs[0], 0.0),
        "sigmoid_hard" => g.sigmoid_hard(xs[0], 1.0 / 6.0, 0.5),
        "sign" => g.sign(xs[0]),
        "silu" => g.silu(xs[0]),
        "sin" => g.sin(xs[0]),
        "softsign" => g.softsign(xs[0]),
        "split" => {
            let parts = g.split(xs[0], 2, 1).unwrap();
            g.mul(parts[0], parts[1])
        }
        "split_rest" => {
            let op = Split {
                num_splits: None,
                split_sizes: some(&[1, 2, 1]),
                axis: -1,
            };
            g.push_multi(op, xs).map(|parts| parts[1])
        }
        "sqrt" => g.sqrt(xs[0]),
        "square" => g.square(xs[0]),
        "softplus" => g.softplus(xs[0]),
        "clip" => g.clip(xs[0], -0.5, 1.0),
        "leaky_relu" => g.leaky_relu(xs[0], 0.25),
        "l2_norm" => g.reduce_l2_norm(xs[0], &[1], false),
        "upsample" => g.upsample_nearest_neighbor(xs[0], [2, 3]),
        "tile" => g.tile(xs[0], &[2, 1, 3]),
        "gather" => {
            let indices = indices(g, &[2.0, 0.0, 2.0, 1.0]);
            g.gather(xs[0], indices, 1)
        }
        "gather_rows" => {
            let ty = TensorType::new(DType::Int32, [2, 2]);
            let rows = Literal::from_f64(ty, &[2.0, 0.0, 2.0, 1.0]);
            let rows = g.constant(rows).unwrap();
            g.gather(xs[0], rows, 0)
        }
        "gather_last" => {
            let indices = indices(g, &[2.0, 0.0, 2.0, 1.0]);
            g.gather(xs[0], indices, -1)
        }
        "gather_along" | "gather_along_rows" => {
            let (shape, axis): (&[usize], _) = match case {
                "gather_along" => (&[2, 1, 2], 1),
                _ => (&[1, 2], 0),
            };
            let all = [2.0, 0.0, 1.0, 1.0];
            let ty = TensorType::new(DType::Int32, shape);
            let places = Literal::from_f64(ty.clone(), &all[..ty.shape.numel()]);
            let places = g.constant(places).unwrap();
            g.gather_along_axis(xs[0], places, axis)
        }
        "scatter_update" => {
            let indices = indices(g, &[2.0, 0.0]);
            g.scatter(xs[0], indices, xs[1], 1, Mode::Update)
        }
        "bilinear" => g.upsample_bilinear(xs[0], [2.0, 3.0], false),
        "bilinear_corners" | "bilinear_row" => g.upsample_bilinear(xs[0], [2.0; 2], true),
        "bilinear_part" => g.upsample_bilinear(xs[0], [1.5; 2], false),
        "bilinear_smaller" => g.upsample_bilinear(xs[0], [0.5; 2], true),
        "scatter_add" => {
            let indices = indices(g, &[2.0, 0.0, 2.0, 1.0]);
            g.scatter(xs[0], indices, xs[1], 0, Mode::Add)
        }
        "slice" => g.slice_by_index(xs[0], &[1, 1], &[3, 6], &[1, 2]),
        "slice_back" => {
            let op = SliceByIndex {
                begin: vec![1, -2],
                end: vec![0, 0],
                stride: some(&[1, -2]),
                begin_mask: None,
                end_mask: Some(vec![true, false]),
                squeeze_mask: None,
            };
            g.push(op, xs)
        }
        _ => panic!("no graph for `{case}`"),
    };
    made.unwrap_or_else(|e| panic!("{case}: {e}"))
}

/// How the cases are called whose gradients hold numbers that fp32 rounds.
const HOLD_ROUNDED_CONSTANTS: [&str; 4] = ["bilinear", "erf", "gelu", "sigmoid_hard"];

#[test]
fn results_and_gradients_are_those_of_pytorch() {
    let cases = cases();
    assert_eq!(cases.len(), 78, "the fixture is whole");
    for (case, tensors) in cases {
        let result = tensors.iter().position(|(name, _)| *name == "y").unwrap();
        let (inputs, rest) = tensors.split_at(result);
        let (ct, gradients) = (&rest[1].1, &rest[2..]);
        assert_eq!(gradients.len(), inputs.len(), "{case}");
        let mut g = Graph::new();
        let xs: Vec<Value> = inputs
            .iter()
            .map(|(name, x)| g.input(name, x.ty.clone()).unwrap())
            .collect();
        let seed = g.input("ct", ct.ty.clone()).unwrap();
        let v = build(case, &mut g, &xs);
        let found = vjp(&mut g, &[v], &[seed], &xs).unwrap();
        g.output("y", v).unwrap();
        for ((name, want), gradient) in gradients.iter().zip(found) {
            // Where nothing arrives, PyTorch says zeros.
            let gradient = match gradient {
                Some(gradient) => g.identity(gradient).unwrap(),
                None => {
                    let zeros = Literal::splat(want.ty.clone(), 0.0);
                    g.constant(zeros).unwrap()
                }
            };
            g.output(name, gradient).unwrap();
        }
        let mut values: Vec<Tensor<f64>> = inputs.iter().map(|(_, x)| x.clone()).collect();
        values.push(ct.clone());
        let found = eval(&g, &values, &Numerics::exact()).unwrap();
        let expected = std::iter::once(&rest[0]).chain(gradients);
        let rounded = HOLD_ROUNDED_CONSTANTS.iter().any(|c| case.starts_with(c));
        let tolerance = if rounded { 1e-7 } else { 1e-11 };
        for ((name, want), found) in expected.zip(&found) {
            assert_eq!(want.ty, found.ty, "{case} {name}");
            for (i, (w, f)) in want.data.iter().zip(&found.data).enumerate() {
                let close = (w - f).abs() <= tolerance * w.abs().max(1.0);
                assert!(close, "{case} {name}[{i}]: PyTorch {w}, found {f}");
            }
        }
    }
}
