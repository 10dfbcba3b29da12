//! Every sample of every op: the same bits as the software device gives for the same target.

use super::devices::{settings, software};
use ane_device::{Buffer, Device, open};
use ane_ir::{
    Chip, DType, Graph, Literal, Route, Target, Tensor, TensorType,
    ops::{OpDef, Sample, TypeError},
    passes::{self, LEGALIZE},
    testing,
};
use ane_mil::LegalGraph;
use std::process::Command;

/// The sample in fp16 between ports of fp16, which is what every chip carries; truth values are made of numbers and
/// numbers of truth values inside. The result is doubled, since programs that compute nothing are refused.
fn graph_of<O: OpDef>(sample: &Sample<O>) -> Result<Graph, TypeError> {
    let mut g = Graph::new();
    let scalar = |x| Literal::from_f64(TensorType::fp16([]), &[x]);
    let (zero, half, one) = (scalar(0.0), scalar(0.5), scalar(1.0));
    let mut xs = Vec::new();
    for (i, (ty, _)) in sample.operands.iter().enumerate() {
        let ports = TensorType::fp16(ty.shape.clone());
        let x = g.input(&format!("x{i}"), ports).unwrap();
        xs.push(if ty.dtype == DType::Bool {
            let half = g.constant(half.clone())?;
            g.greater(x, half)?
        } else {
            x
        });
    }
    for (i, y) in g
        .push_segments(sample.op.clone(), &xs, &sample.segments)?
        .into_iter()
        .enumerate()
    {
        let y = if g.ty(y).dtype == DType::Bool {
            let (one, zero) = (g.constant(one.clone())?, g.constant(zero.clone())?);
            g.select(y, one, zero)?
        } else {
            y
        };
        let y = g.add(y, y)?;
        g.output(&format!("y{i}"), y).unwrap();
    }
    Ok(g)
}

/// The sample as the chip takes it, when it does.
fn program<O: OpDef>(sample: &Sample<O>, target: Target) -> Option<LegalGraph> {
    let graph = graph_of(sample).ok()?;
    let graph = passes::run(&graph, &target, LEGALIZE).ok()?;
    ane_mil::check(graph, &target).ok()
}

/// Runs a program twice and returns the bytes of its outputs.
fn outputs(device: &dyn Device, graph: &LegalGraph, xs: &[Tensor<f32>]) -> Vec<Vec<u8>> {
    let program = device.compile(graph).unwrap();
    let ports = program.inputs().iter().chain(program.outputs());
    let buffers: Vec<(String, Buffer)> = ports
        .map(|p| (p.name.clone(), device.allocate(&p.ty).unwrap()))
        .collect();
    let find = |name: &str| &buffers.iter().find(|(n, _)| n == name).unwrap().1;
    for p in program.inputs() {
        let i: usize = p.name[1..].parse().unwrap();
        find(&p.name).copy_in(&xs[i].data).unwrap();
    }
    let bound: Vec<(&str, &Buffer)> = buffers.iter().map(|(n, b)| (n.as_str(), b)).collect();
    let mut bound = program.bind(&bound).unwrap();
    bound.execute().unwrap();
    bound.execute().unwrap();
    let outputs = program.outputs().iter();
    outputs.map(|p| find(&p.name).copy_out_bytes()).collect()
}

/// The chip that the stand-in pretends to have.
fn chip() -> Chip {
    match std::env::var("ANE_STANDIN_CHIP") {
        Ok(name) => Chip::HARDWARE
            .into_iter()
            .find(|c| c.name() == name)
            .unwrap(),
        Err(_) => Chip::H16,
    }
}

/// Runs every test of this file again in a process of its own.
fn again(name: &str, variables: &[(&str, &str)]) {
    const CASE: &str = "ANE_TEST_OPS_AGAIN";
    if std::env::var_os(CASE).is_some() {
        return;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["ops::", "--skip", name])
        .env(CASE, name)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(!said.contains(" 0 passed"), "{said}");
}

#[test]
fn ops_run_on_the_oldest_chip() {
    again("ops_run_on_the_oldest_chip", &[("ANE_STANDIN_CHIP", "h13")]);
}

#[test]
fn ops_run_on_memory_that_lies_beside_a_line() {
    again(
        "ops_run_on_memory_that_lies_beside_a_line",
        &[("ANE_STANDIN_MISALIGN", "1")],
    );
}

/// A constant alone computes nothing, which every chip refuses; the others are refused on this route.
const NEVER: [&str; 6] = [
    "const",
    "gather",
    "gather_along_axis",
    "one_hot",
    "reduce_argmax",
    "scatter",
];

fn same_bits<O: OpDef>() {
    let programs = tempfile::tempdir().unwrap();
    let mut ran = 0;
    let chip = chip();
    let target = Target::new(chip, Route::E5rt);
    let apple = open("apple", &settings(target, programs.path())).unwrap();
    let software = software(target);
    for sample in O::samples() {
        let Some(graph) = program(&sample, target) else {
            continue;
        };
        let xs: Vec<Tensor<f32>> = testing::operands(&sample);
        let (ours, theirs) = (
            outputs(&*apple, &graph, &xs),
            outputs(&*software, &graph, &xs),
        );
        assert_eq!(ours, theirs, "{chip}\n{}", graph.graph());
        ran += 1;
    }
    assert_eq!(
        ran == 0,
        NEVER.contains(&O::NAME),
        "`{}` ran {ran} times",
        O::NAME
    );
}

macro_rules! suites {
    ($($module:ident::$op:ident,)*) => {
        $(#[test] fn $module() { same_bits::<ane_ir::ops::$module::$op>() })*
    };
}
ane_ir::for_each_op!(suites);

#[test]
fn constants_keep_their_bits() {
    let x: Vec<f64> = (0..64).map(|i| f64::from(i) * 0.37 - 9.0).collect();
    let mut g = Graph::new();
    let ty = TensorType::fp16([2, 32]);
    let a = g.input("x0", ty.clone()).unwrap();
    let c = g.constant(Literal::from_f64(ty, &x)).unwrap();
    let y = g.add(a, c).unwrap();
    g.output("y0", y).unwrap();
    let target = Target::new(chip(), Route::E5rt);
    let graph = super::devices::legal(&g, target);
    let zeros = Tensor::new(TensorType::fp16([2, 32]), vec![0.0; 64]);
    let programs = tempfile::tempdir().unwrap();
    let apple = open("apple", &settings(target, programs.path())).unwrap();
    let xs = [zeros];
    assert_eq!(
        outputs(&*apple, &graph, &xs),
        outputs(&*software(target), &graph, &xs)
    );
}
