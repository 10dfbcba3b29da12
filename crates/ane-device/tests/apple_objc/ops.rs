//! Every op, on both routes, against the software device.

use crate::standin::{ROUTES, apple, bind, buffers, software, target};
use ane_device::Device;
use ane_ir::{
    DType, Graph, Route, TensorType, Value,
    ops::{Op, Sample, all_samples},
    passes, testing,
};
use ane_mil::LegalGraph;
use std::collections::BTreeSet;

/// A program without inputs is none either: a request needs surfaces on both sides.
fn has_inputs(sample: &Sample<Op>) -> bool {
    !sample.operands.is_empty()
}

/// The sample with ports of fp16, which is what surfaces carry; values of other types are cast on the way.
fn graph(sample: &Sample<Op>) -> Option<Graph> {
    let mut g = Graph::new();
    let mut xs: Vec<Value> = Vec::new();
    for (i, (ty, _)) in sample.operands.iter().enumerate() {
        let port = TensorType::new(DType::Fp16, ty.shape.clone());
        let x = g.input(&format!("x{i}"), port).ok()?;
        xs.push(match ty.dtype {
            DType::Fp16 | DType::Fp32 => x,
            other => g.cast(x, other).ok()?,
        });
    }
    let ys = g
        .push_segments(sample.op.clone(), &xs, &sample.segments)
        .ok()?;
    for (i, y) in ys.into_iter().enumerate() {
        let y = match g.ty(y).dtype {
            DType::Fp16 => y,
            _ => g.cast(y, DType::Fp16).ok()?,
        };
        // Programs that only move are not programs.
        let y = if sample.op.only_moves() {
            g.add(y, y).ok()?
        } else {
            y
        };
        g.output(&format!("y{i}"), y).ok()?;
    }
    Some(g)
}

/// The legal form, where the target takes the sample at all.
fn legal(graph: &Graph, route: Route) -> Option<LegalGraph> {
    let target = target(route);
    let graph = passes::run(graph, &target, passes::LEGALIZE).ok()?;
    ane_mil::check(graph, &target).ok()
}

fn run(
    device: &dyn Device,
    graph: &Graph,
    legal: &LegalGraph,
    sample: &Sample<Op>,
) -> Vec<Vec<u8>> {
    let program = device.compile(legal).unwrap();
    let buffers = buffers(device, graph);
    for (i, (_, fill)) in sample.operands.iter().enumerate() {
        let (_, buffer) = &buffers[i];
        let x = testing::tensor::<f32>(buffer.ty(), *fill, i as u64 + 1);
        buffer.copy_in(&x.data).unwrap();
    }
    bind(&*program, &buffers).unwrap().execute().unwrap();
    buffers[sample.operands.len()..]
        .iter()
        .map(|(_, b)| b.copy_out_bytes())
        .collect()
}

#[test]
fn every_op_has_the_bits_of_the_software_device() {
    let programs = tempfile::tempdir().unwrap();
    for route in ROUTES {
        let (ours, theirs) = (apple(route, programs.path()), software(route));
        let mut ran = BTreeSet::new();
        for sample in all_samples().into_iter().filter(has_inputs) {
            let Some(graph) = graph(&sample) else {
                continue;
            };
            let Some(legal) = legal(&graph, route) else {
                continue;
            };
            let (a, b) = (
                run(&*ours, &graph, &legal, &sample),
                run(&*theirs, &graph, &legal, &sample),
            );
            assert_eq!(a, b, "{route}: {graph}");
            ran.insert(sample.op.name());
        }
        let left_out: Vec<&str> = Op::NAMES
            .iter()
            .copied()
            .filter(|n| !ran.contains(n))
            .collect();
        // Data is no program, and no chip has the other two.
        assert_eq!(left_out, ["const", "fill", "one_hot", "scatter"], "{route}");
    }
}
