//! Convolutions and their gradients against the definition: whichever way the vectors run, whatever the shape.

#![allow(clippy::unwrap_used)]

#[path = "support/graphs.rs"]
mod support;

use ane_engine::Options;
use ane_ir::autodiff::vjp;
use ane_ir::{
    DType, Graph, Numerics, Shape, Tensor, TensorType, Value, eval,
    ops::{Fill, conv::Conv, conv_transpose::ConvTranspose, support::window::PadType},
    testing,
};
use support::{available, bits, policies, run};

/// A convolution over one or two axes.
#[derive(Debug, Clone)]
struct Case {
    batch: usize,
    groups: usize,
    inputs: usize,
    outputs: usize,
    /// For every axis length, kernel, stride, dilation and padding before and after.
    axes: Vec<[usize; 6]>,
}

fn case(batch: usize, [groups, inputs, outputs]: [usize; 3], axes: &[[usize; 6]]) -> Case {
    Case {
        batch,
        groups,
        inputs,
        outputs,
        axes: axes.to_vec(),
    }
}

fn ints(x: impl Iterator<Item = usize>) -> Option<Vec<i32>> {
    Some(x.map(|x| i32::try_from(x).unwrap()).collect())
}

impl Case {
    fn image(&self) -> Shape {
        let axes = self.axes.iter().map(|a| a[0]);
        [self.batch, self.groups * self.inputs]
            .into_iter()
            .chain(axes)
            .collect()
    }

    fn weight(&self) -> Shape {
        let axes = self.axes.iter().map(|a| a[1]);
        [self.groups * self.outputs, self.inputs]
            .into_iter()
            .chain(axes)
            .collect()
    }

    fn op(&self) -> Conv {
        Conv {
            strides: ints(self.axes.iter().map(|a| a[2])),
            dilations: ints(self.axes.iter().map(|a| a[3])),
            pad_type: PadType::Custom,
            pad: ints(self.axes.iter().flat_map(|a| [a[4], a[5]])),
            groups: i32::try_from(self.groups).unwrap(),
        }
    }

    /// The convolution with bias and relu, and what its gradients are for a cotangent that is given.
    fn graph(&self, dtype: DType) -> Graph {
        let mut g = Graph::new();
        let x = g.input("x", TensorType::new(dtype, self.image())).unwrap();
        let weight = TensorType::new(dtype, self.weight());
        let w = g.input("w", weight).unwrap();
        let bias = TensorType::new(dtype, [self.groups * self.outputs]);
        let b = g.input("b", bias).unwrap();
        let y = g.conv(x, w, Some(b), self.op()).unwrap();
        let ty = g.ty(y).clone();
        let z = g.relu(y).unwrap();
        g.output("z", z).unwrap();
        let ct = g.input("ct", ty).unwrap();
        let gradients = vjp(&mut g, &[y], &[ct], &[x, w]).unwrap();
        for (name, gradient) in ["dx", "dw"].into_iter().zip(gradients) {
            g.output(name, gradient.unwrap()).unwrap();
        }
        g
    }
}

fn inputs(g: &Graph, fill: Fill) -> Vec<Tensor<f32>> {
    let inputs = g.inputs().iter().enumerate();
    inputs
        .map(|(i, &v)| testing::tensor(g.ty(v), fill, i as u64))
        .collect()
}

/// Small integers, whose sums are exact in every order: every element must be right.
fn check(g: &Graph, what: &str) {
    let xs = inputs(g, Fill::Integers);
    let want = eval(g, &xs, &Numerics::ieee()).unwrap();
    for isa in available() {
        let options = Options {
            numerics: Numerics::ieee(),
            isa,
        };
        let one = run(g, &xs, options.clone(), 1);
        for ((want, found), &output) in want.iter().zip(&one).zip(g.outputs()) {
            for (i, (w, f)) in want.data.iter().zip(&found.data).enumerate() {
                assert_eq!(w, f, "{isa} {what} `{}` {i}\n{g}", g.port(output));
            }
        }
        assert_eq!(bits(&one), bits(&run(g, &xs, options, 3)), "{isa} {what}");
    }
}

#[test]
fn results_and_gradients_of_layers_are_exact_on_integers() {
    let cases = [
        // Layers of lenet and resnet8, with fewer images and channels.
        case(3, [1, 1, 6], &[[28, 5, 1, 1, 2, 2], [28, 5, 1, 1, 2, 2]]),
        case(5, [1, 6, 16], &[[14, 5, 1, 1, 0, 0], [14, 5, 1, 1, 0, 0]]),
        case(2, [1, 16, 5], &[[28, 3, 1, 1, 1, 1], [28, 3, 1, 1, 1, 1]]),
        case(17, [1, 3, 7], &[[14, 3, 2, 1, 1, 1], [14, 3, 2, 1, 1, 1]]),
        case(33, [1, 9, 4], &[[7, 3, 1, 1, 1, 1], [7, 3, 1, 1, 1, 1]]),
        case(17, [1, 4, 9], &[[14, 1, 2, 1, 0, 0], [14, 1, 2, 1, 0, 0]]),
        // The window is the image.
        case(4, [1, 16, 12], &[[5, 5, 1, 1, 0, 0], [5, 5, 1, 1, 0, 0]]),
        // One image: its rows are shared.
        case(1, [1, 2, 3], &[[61, 3, 1, 1, 1, 1], [47, 3, 1, 1, 1, 1]]),
        case(1, [1, 2, 3], &[[61, 4, 3, 2, 5, 0], [40, 3, 2, 1, 0, 4]]),
        // Depthwise, with one and two channels each, and groups.
        case(2, [5, 1, 1], &[[9, 3, 1, 1, 1, 1], [20, 3, 1, 1, 1, 1]]),
        case(20, [3, 1, 2], &[[9, 3, 2, 1, 1, 1], [10, 3, 2, 1, 1, 1]]),
        case(3, [2, 3, 5], &[[8, 2, 1, 2, 0, 1], [9, 3, 1, 3, 2, 2]]),
        // One axis.
        case(3, [1, 4, 6], &[[50, 3, 1, 1, 1, 1]]),
        case(3, [2, 2, 3], &[[50, 5, 3, 2, 4, 1]]),
        case(2, [1, 300, 8], &[[1, 1, 1, 1, 0, 0]]),
        // Windows that see padding alone, and a rest that none covers.
        case(2, [1, 2, 2], &[[3, 2, 2, 1, 4, 5], [4, 1, 3, 1, 0, 0]]),
    ];
    for case in cases {
        check(&case.graph(DType::Fp32), &format!("{case:?}"));
    }
}

#[test]
fn random_shapes_are_exact_on_integers() {
    let mut state = 7_u64;
    let mut draw = |from: usize, to: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        from + (state >> 33) as usize % (to - from + 1)
    };
    let mut made = 0;
    while made < 25 {
        let groups = draw(1, 3);
        let mut axes = Vec::new();
        for _ in 0..draw(1, 2) {
            axes.push([
                draw(1, 12),
                draw(1, 4),
                draw(1, 3),
                draw(1, 3),
                draw(0, 3),
                draw(0, 3),
            ]);
        }
        let fits = |a: &[usize; 6]| (a[1] - 1) * a[3] < a[0] + a[4] + a[5];
        if axes.iter().all(fits) {
            let case = case(draw(1, 20), [groups, draw(1, 5), draw(1, 9)], &axes);
            check(&case.graph(DType::Fp32), &format!("{case:?}"));
            made += 1;
        }
    }
}

#[test]
fn transposed_convolutions_are_exact_on_integers() {
    for (groups, stride, output) in [(1, 2, Some([9, 10])), (2, 3, None), (1, 1, None)] {
        let mut g = Graph::new();
        let x = g.input("x", TensorType::fp32([3, 4, 4, 5])).unwrap();
        let w = g.input("w", TensorType::fp32([4, 3, 3, 2])).unwrap();
        let b = g.input("b", TensorType::fp32([3 * groups])).unwrap();
        let op = ConvTranspose {
            strides: Some(vec![stride, stride]),
            groups: i32::try_from(groups).unwrap(),
            output_shape: output.map(|[h, w]| vec![3, 3, h, w]),
            ..ConvTranspose::default()
        };
        let y = g.conv_transpose(x, w, Some(b), op).unwrap();
        let ty = g.ty(y).clone();
        g.output("y", y).unwrap();
        let ct = g.input("ct", ty).unwrap();
        let gradients = vjp(&mut g, &[y], &[ct], &[x, w]).unwrap();
        for (name, gradient) in ["dx", "dw"].into_iter().zip(gradients) {
            g.output(name, gradient.unwrap()).unwrap();
        }
        check(&g, "transposed");
    }
}

#[test]
fn half_precision_results_are_those_of_the_definition_bit_for_bit() {
    // Products of fp16 values are exact in f32 and added in one order on both sides, whatever the policy.
    let case = case(17, [1, 5, 6], &[[11, 3, 2, 1, 1, 1], [13, 3, 1, 1, 1, 1]]);
    let mut g = Graph::new();
    let x = g.input("x", TensorType::fp16(case.image())).unwrap();
    let w = g.input("w", TensorType::fp16(case.weight())).unwrap();
    let b = g.input("b", TensorType::fp16([6])).unwrap();
    let y = g.conv(x, w, Some(b), case.op()).unwrap();
    let z = g.relu(y).unwrap();
    let ty = g.ty(y).clone();
    let ct = g.input("ct", ty).unwrap();
    let dx = vjp(&mut g, &[y], &[ct], &[x]).unwrap()[0].unwrap();
    g.output("z", z).unwrap();
    g.output("dx", dx).unwrap();
    let mut xs = inputs(&g, Fill::Signed);
    for large in [false, true] {
        if large {
            // Beyond the cliff of products, and beyond fp16.
            for x in &mut xs[0].data {
                *x *= 2048.0;
            }
        }
        for numerics in policies() {
            let want = eval(&g, &xs, &numerics).unwrap();
            for isa in available() {
                let options = Options {
                    numerics: numerics.clone(),
                    isa,
                };
                assert_eq!(
                    bits(&run(&g, &xs, options, 2)),
                    bits(&want),
                    "{isa} {numerics:?}"
                );
            }
        }
    }
}

#[test]
fn padding_does_not_meet_what_is_not_finite() {
    let cases = [
        case(3, [1, 2, 5], &[[6, 3, 1, 1, 1, 1], [7, 3, 1, 1, 1, 1]]),
        case(2, [1, 2, 3], &[[6, 3, 2, 1, 1, 1], [7, 2, 2, 1, 0, 1]]),
    ];
    for case in cases {
        let g = case.graph(DType::Fp32);
        for spoilt in 0..4 {
            let mut xs = inputs(&g, Fill::Integers);
            let x = &mut xs[spoilt].data;
            x[0] = f32::INFINITY;
            let last = x.len() - 1;
            x[last] = if spoilt == 1 {
                f32::NAN
            } else {
                f32::NEG_INFINITY
            };
            let want = eval(&g, &xs, &Numerics::ieee()).unwrap();
            for isa in available() {
                let options = Options {
                    numerics: Numerics::ieee(),
                    isa,
                };
                let found = run(&g, &xs, options, 2);
                for ((w, f), &output) in want.iter().zip(&found).zip(g.outputs()) {
                    for (i, (w, f)) in w.data.iter().zip(&f.data).enumerate() {
                        let same = w == f || w.is_nan() && f.is_nan();
                        assert!(same, "{isa} {spoilt} `{}` {i}: {w} {f}", g.port(output));
                    }
                }
            }
        }
    }
}

#[test]
fn a_transposed_operand_that_others_read_too_is_copied_once() {
    let mut g = Graph::new();
    let x = g.input("x", TensorType::fp32([3, 2, 5, 5])).unwrap();
    let w = g.input("w", TensorType::fp32([4, 3, 2, 2])).unwrap();
    let t = g.transpose(x, &[1, 0, 2, 3]).unwrap();
    let y: Value = g.conv(t, w, None, Conv::default()).unwrap();
    let u = g.transpose(x, &[0, 1, 3, 2]).unwrap();
    let v = g.transpose(u, &[1, 0, 3, 2]).unwrap();
    let z = g.conv(v, w, None, Conv::default()).unwrap();
    let s = g.relu(u).unwrap();
    g.output("y", y).unwrap();
    g.output("z", z).unwrap();
    g.output("s", s).unwrap();
    check(&g, "transposed operands");
}
