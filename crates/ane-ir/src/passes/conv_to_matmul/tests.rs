//! Convolutions are what they become.

use super::*;
use crate::{
    Chip, Numerics, Route, Tensor, eval,
    ops::{OpDef, Sample, conv::Conv, conv_transpose::ConvTranspose},
    passes, testing,
};

/// Every lowering of `sample` is the op, and every chip takes one.
fn check<O: OpDef>(sample: &Sample<O>) {
    let g = testing::graph_of(sample);
    let xs: Vec<Tensor<f64>> = testing::operands(sample);
    let want = eval(&g, &xs, &Numerics::exact()).unwrap();
    for chip in Chip::HARDWARE {
        let target = Target::new(chip, Route::E5rt);
        let lowered = run(&g, &target).unwrap();
        let node = &g.nodes()[0];
        let choice = choose(&g, node, &target).unwrap();
        let stays = lowered
            .nodes()
            .iter()
            .any(|n| n.op.name() == node.op.name());
        assert_eq!(
            stays,
            choice.lowering == ConvLowering::Native,
            "{g}\n{lowered}"
        );
        let found = eval(&lowered, &xs, &Numerics::exact()).unwrap();
        assert_eq!(want[0].ty, found[0].ty, "{g}\n{lowered}");
        for (want, found) in want[0].data.iter().zip(&found[0].data) {
            let close = (want - found).abs() <= 1e-9 * want.abs().max(1.0);
            assert!(close, "{want} {found}\n{g}\n{lowered}");
        }
    }
}

#[test]
fn every_sample_of_a_convolution_is_what_it_becomes() {
    let mut seen = Vec::new();
    for sample in Conv::samples() {
        let g = testing::graph_of(&sample);
        let target = Target::new(Chip::H13, Route::E5rt);
        seen.push(choose(&g, &g.nodes()[0], &target).unwrap().lowering);
        check(&sample);
    }
    ConvTranspose::samples().iter().for_each(check);
    for lowering in ConvLowering::ALL {
        assert!(
            seen.contains(&lowering),
            "no sample becomes {}",
            lowering.name()
        );
    }
}

#[test]
fn both_gradients_of_every_sample_survive() {
    for sample in Conv::samples() {
        let mut g = testing::graph_of(&sample);
        let y = g.outputs()[0];
        let ct = g.input("ct", g.ty(y).clone()).unwrap();
        let wrt: Vec<Value> = g.inputs()[..2].to_vec();
        let grads = crate::autodiff::vjp(&mut g, &[y], &[ct], &wrt).unwrap();
        for (i, grad) in grads.into_iter().enumerate() {
            g.output(&format!("d{i}"), grad.unwrap()).unwrap();
        }
        let mut xs: Vec<Tensor<f64>> = testing::operands(&sample);
        xs.push(testing::tensor(g.ty(ct), crate::ops::Fill::Signed, 77));
        let want = eval(&g, &xs, &Numerics::exact()).unwrap();
        let target = Target::new(Chip::H13, Route::E5rt);
        let legal = passes::run(&g, &target, passes::LEGALIZE).unwrap();
        let found = eval(&legal, &xs, &Numerics::exact()).unwrap();
        for (want, found) in want.iter().zip(&found) {
            for (want, found) in want.data.iter().zip(&found.data) {
                let close = (want - found).abs() <= 1e-6 * want.abs().max(1.0);
                assert!(close, "{want} {found}\n{g}\n{legal}");
            }
        }
    }
}

#[test]
fn a_constant_weight_stays_a_convolution() {
    let mut g = Graph::new();
    let x = g.input("x", crate::TensorType::fp16([2, 3, 8, 8])).unwrap();
    let weight = crate::Literal::splat(crate::TensorType::fp16([4, 3, 3, 3]), 0.5);
    let weight = g.constant(weight).unwrap();
    let y = g.conv(x, weight, None, Conv::default()).unwrap();
    g.output("y", y).unwrap();
    let target = Target::new(Chip::H16, Route::E5rt);
    assert!(run(&g, &target).unwrap().same_as(&g));
}

#[test]
fn forward_and_weight_gradient_share_their_slices() {
    let mut g = Graph::new();
    let x = g.input("x", crate::TensorType::fp16([4, 3, 8, 8])).unwrap();
    let weight = g.input("w", crate::TensorType::fp16([5, 3, 3, 3])).unwrap();
    let op = Conv {
        pad_type: crate::ops::support::window::PadType::Same,
        ..Conv::default()
    };
    let y = g.conv(x, weight, None, op).unwrap();
    let ct = g.input("ct", g.ty(y).clone()).unwrap();
    let dw = crate::autodiff::vjp(&mut g, &[y], &[ct], &[weight]).unwrap()[0].unwrap();
    g.output("y", y).unwrap();
    g.output("dw", dw).unwrap();
    let target = Target::new(Chip::H16, Route::E5rt);
    let legal = passes::run(&g, &target, passes::LEGALIZE).unwrap();
    let slices = legal
        .nodes()
        .iter()
        .filter(|n| n.op.name() == "slice_by_size");
    assert_eq!(slices.count(), 9, "{legal}");
}
